"""Scores of a run on the test split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from dalm.core import Density, Generative
from dalm.data import Data, load_data
from dalm.data.memory import NOTE
from dalm.errors import DalmError, check_seed, did_you_mean
from dalm.metrics import evaluate, meanings
from dalm.records import Json, machine, read_scores
from dalm.records.each import write_each
from dalm.records.score import Score, find_score, score_records
from dalm.train import Run
from dalm.verbs.claims import check_claim
from dalm.verbs.draws import draw
from dalm.verbs.gallery import write_gallery
from dalm.verbs.results import Result
from dalm.verbs.seal import with_seal
from dalm.verbs.sizes import Sizes, reckon, remarks, seconds_for

FORMAT = 2
"""Of `metrics.json`: scores are a list of records; format 1 had one for each name."""
SAMPLES = 2000
"""Drawn for the metrics."""


@dataclass(frozen=True, repr=False)
class Scores(Result):
    """What `score` found of a run: `scores["kid"]` is one score, iteration gives all.

    Args:
        path: the `metrics.json` that was written.
        scores: each a number with interval, unit and size.
        record: the content of that file: scores, costs, seed, machine, explanations.
    """

    path: Path
    scores: tuple[Score, ...]
    record: Json

    def __iter__(self) -> Iterator[Score]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def __contains__(self, metric: str) -> bool:
        return any(score.metric == metric for score in self.scores)

    def __getitem__(self, metric: str) -> Score:
        """The first score of a measure.

        Raises:
            DalmError: there is none.
        """
        for score in self.scores:
            if score.metric == metric:
                return score
        known = [score.metric for score in self.scores]
        raise DalmError(f"there is no score {metric!r}. {did_you_mean(metric, known)}")

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """One row for each score on test data: title, value ± half its interval, unit, label, n,
        remark.
        """
        headings = ["score", "value", "unit", "label", "n", "remark"]
        return headings, [_row(score) for score in self.scores if score.split == "test"]

    @property
    def legend(self) -> Sequence[str]:
        """What was left out for want of time, and what is to be known of the run."""
        return [words for name in ("sized", "warning") if (words := self.record.get(name))]

    def to_json(self) -> Json:
        """The content of `metrics.json`."""
        return self.record


def _row(score: Score) -> Sequence[str]:
    place = "" if score.subset is None else f" ({score.subset})"
    reason = score.note if score.value is None else ""
    return [
        (score.title or score.metric) + place,
        _value(score),
        score.unit,
        score.label or "",
        f"{score.n:,}",
        score.flag or score.unreliable or reason,
    ]


def _value(score: Score) -> str:
    """The value ± half its interval, to two digits of the latter."""
    if score.value is None:
        return "–"
    if score.low is None or score.high is None:
        return f"{score.value:.4g}"
    half = (score.high - score.low) / 2
    if half == 0 or not math.isfinite(half):
        return f"{score.value:.4g} ± {half:g}"
    places = max(0, 1 - math.floor(math.log10(half)))
    return f"{score.value:.{places}f} ± {half:.{places}f}"


def score(
    run: Run | str | Path,
    data: Data | None = None,
    *,
    seed: int = 0,
    seconds: float | None = None,
    full: bool = False,
) -> Scores:
    """Score a run on the test split, and what chooses among models on validation too.

    Writes `metrics.json`, `scores.npz` and `gallery.npz` into its folder.

    Args:
        run: a run or its folder.
        data: the data it was fitted to; by default they are loaded again from where they came.
        seed: of the samples and of everything random in the metrics.
        seconds: that it may take, about: slow models get fewer rows and samples, and wider
            intervals; by default half of the fit's budget, without end if that was none of seconds.
        full: take all rows and samples, however long that is.

    Raises:
        DalmError: the data are not those of the run.
    """
    seed = check_seed(seed)
    if not isinstance(run, Run | str | Path) or not isinstance(data, Data | None):
        raise DalmError(
            f"score takes a run or its folder, and data from load_data; got {type(run).__name__}, "
            f"{type(data).__name__}"
        )
    if seconds is not None and not seconds > 0:
        raise DalmError(f"score's seconds is above 0, got {seconds!r}")
    run = run if isinstance(run, Run) else Run.open(run)
    data = same(run, data or _data_again(run))

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


def _data_again(run: Run) -> Data:
    """The data of a run from where they came."""
    about = run.meta["data"]
    if NOTE in about["notes"]:
        raise DalmError(
            f"{run.path} was fitted to data in memory, which cannot be loaded again: give them, "
            "score(run, data), or keep them in a file and fit to that"
        )
    return load_data(about["source"], **about["options"])


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
