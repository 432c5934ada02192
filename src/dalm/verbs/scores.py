"""Scores of a run on the test split."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

from numpy.typing import NDArray
from torch import Tensor

from dalm.core import Density, Generative
from dalm.data import Data, load_data
from dalm.data.memory import NOTE
from dalm.errors import DalmError, check_seed
from dalm.metrics import evaluate, meanings
from dalm.records import Json, machine, read_scores
from dalm.records.each import write_each
from dalm.records.score import Score, find_score, score_records
from dalm.train import Run
from dalm.verbs.claims import check_claim
from dalm.verbs.draws import draw
from dalm.verbs.gallery import write_gallery
from dalm.verbs.rows import RowScores, score_rows
from dalm.verbs.scored import Scores
from dalm.verbs.seal import with_seal
from dalm.verbs.sizes import Sizes, reckon, remarks, seconds_for

FORMAT = 2
"""Of `metrics.json`: scores are a list of records; format 1 had one for each name."""
SAMPLES = 2000
"""Drawn for the metrics."""


@overload
def score(
    run: Run | str | Path,
    data: str | Path | Data | None = None,
    *,
    rows: None = None,
    out: str | Path | None = None,
    seed: int = 0,
    seconds: float | None = None,
    full: bool = False,
) -> Scores: ...


@overload
def score(
    run: Run | str | Path,
    data: str | Path | Data | None = None,
    *,
    rows: str | Path | NDArray[Any],
    out: str | Path | None = None,
    seed: int = 0,
    seconds: float | None = None,
    full: bool = False,
) -> RowScores: ...


def score(
    run: Run | str | Path,
    data: str | Path | Data | None = None,
    *,
    rows: str | Path | NDArray[Any] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    seconds: float | None = None,
    full: bool = False,
) -> Scores | RowScores:
    """Score a run on the test split, and what chooses among models on validation too.

    Writes `metrics.json`, `scores.npz` and `gallery.npz` into its folder. With `rows` it says of
    each of them how probable it is, and which class it has, and leaves the folder as it is.

    Args:
        run: a run or its folder.
        data: the data it was fitted to, where they are now if they have moved; by default they are
            loaded again from where they came.
        rows: other data like them, a file of arrays or in Python an array: each row is scored.
        out: a CSV file for the scores of `rows`.
        seed: of the samples and of everything random in the metrics.
        seconds: that it may take, about: slow models get fewer rows and samples, and wider
            intervals; by default half of the fit's budget, without end if that was none of seconds.
        full: take all rows and samples, however long that is.

    Raises:
        DalmError: the data are not those of the run.
    """
    seed = check_seed(seed)
    if not isinstance(run, Run | str | Path) or not isinstance(data, Data | str | Path | None):
        raise DalmError(
            f"score takes a run or its folder, and data or where they are; got "
            f"{type(run).__name__}, {type(data).__name__}"
        )
    if rows is None and out is not None:
        raise DalmError("out is for the scores of rows (--rows); a run keeps its scores itself")
    if seconds is not None and not seconds > 0:
        raise DalmError(f"score's seconds is above 0, got {seconds!r}")
    run = run if isinstance(run, Run) else Run.open(run)
    if rows is not None:
        return score_rows(run, rows, out, seed)
    loaded = same(run, data if isinstance(data, Data) else _data_again(run, data))
    return _score(run, loaded, seed, seconds, full)


def _score(run: Run, data: Data, seed: int, seconds: float | None, full: bool) -> Scores:
    allowed = seconds_for(run.meta) if seconds is None else seconds
    sizes = reckon(run.model, data, None if full else allowed)
    samples, speed = draw(run.model, seed, min(SAMPLES, sizes.samples))
    scores, each = _evaluated(run.model, samples, data, seed, sizes)
    write_gallery(run.path / "gallery.npz", run.model, samples, data, seed)
    facts = {"sizes": asdict(sizes)} | remarks(run, data, sizes, allowed)
    return _keep(run, data, seed, speed, scores, facts | {"each": write_each(run.path, each)})


def _evaluated(
    model: Generative, samples: Tensor, data: Data, seed: int, sizes: Sizes
) -> tuple[list[Score], dict[str, Tensor]]:
    """All scores on the test split and those that choose on validation; and each row's bits."""
    # As many rows of both, in every row of a board: held-out real data are the validation split.
    size = min(SAMPLES, len(data.val.x), len(data.test.x))
    each: dict[str, Tensor] = {}
    scores: list[Score] = []
    checked = check_claim(model, data, seed, samples)
    for name, split in (("test", data.test), ("val", data.val)):
        scores += evaluate(
            samples,
            data.train.x,
            split.x,
            data.spec,
            model=model,
            labels=split.y,
            seed=seed,
            limit=sizes.heldout,
            likelihoods=sizes.likelihoods,
            importance_rows=sizes.tightened,
            size=size,
            split=name,
            choosing=name == "val",
            each=each,
            recorded=data.recorded,
            classes=data.classes,
            checked=checked,
        )
    return scores, each


def _data_again(run: Run, place: str | Path | None) -> Data:
    """The data of a run from where they are, or else from where they came."""
    about = run.meta["data"]
    if place is None and NOTE in about["notes"]:
        raise DalmError(
            f"{run.path} was fitted to data in memory, which cannot be loaded again: give them, "
            "score(run, data), or keep them in a file and fit to that"
        )
    if place is None and Path(about["source"]).is_absolute() and not Path(about["source"]).exists():
        raise DalmError(
            f"the data of {run.path} are no longer at {about['source']}: say where they are, "
            "score(run, data) or --data PLACE"
        )
    return load_data(about["source"] if place is None else place, **about["options"])


def same(run: Run, data: Data) -> Data:
    """The data, or DalmError unless a run was fitted to them.

    Args:
        run: a run.
        data: what it may have been fitted to.
    """
    if data.fingerprint != run.meta["data"]["fingerprint"]:
        raise DalmError(
            f"{run.path} was fitted to {run.meta['data']['name']} "
            f"{run.meta['data']['fingerprint']}, not to {data.name} {data.fingerprint}"
        )
    return data


def _keep(
    run: Run, data: Data, seed: int, speed: float, scores: list[Score], facts: Json
) -> Scores:
    """Write `metrics.json`, with the proof of these weights if there is one.

    Args:
        run: that was scored.
        data: by which it was.
        seed: of everything random.
        speed: samples a second.
        scores: what was found.
        facts: what else there is to say.
    """
    proof = _proof(run)
    if "proof" in proof:
        scores = with_seal(scores, proof["proof"], run.model.spec.levels is not None)
    if "proven" in proof:
        scores = [*scores, proof.pop("proven")]
    record = {
        "format": FORMAT,
        "data": data.name,
        "likelihood": run.model.likelihood if isinstance(run.model, Density) else None,
        "seconds": run.meta["seconds"],
        "parameters": run.meta["parameters"],
        "samples_per_second": round(speed, 3),
        "seed": seed,
        "machine": machine(str(run.model.device)),
        "scores": [one.to_json() for one in scores],
        "explain": meanings(),
        **facts,
    }
    return Scores(run.path / "metrics.json", tuple(scores), run.keep_scores(record | proof))


def _proof(run: Run) -> Json:
    """The seal of these weights, `proof`, and its score, `proven`, if they were proven before."""
    try:
        before = read_scores(run.path, run.meta) or {}
    except DalmError:  # they are being replaced because they were edited
        return {}
    if "proof" not in before:
        return {}
    proven = find_score(score_records(before), "proven")
    seal = {"proof": before["proof"]}
    return seal | {"proven": Score(**proven)} if proven else seal
