"""Every family under one budget, on one scoreboard."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from dalm.codec import extra
from dalm.core import Estimator, Generative
from dalm.data import Data
from dalm.errors import DalmError
from dalm.models import Copycat
from dalm.records import Json, read_scores, score_records, write_scoreboard
from dalm.records.locks import locked
from dalm.train import Diverged, FitOptions
from dalm.train import fit as train
from dalm.train.options import resolve
from dalm.verbs.boards import new_board, rows_there
from dalm.verbs.codecs import codecs
from dalm.verbs.entrants import REFERENCE_ENTRANTS, Entrant, competitors
from dalm.verbs.groups import OptionsOf, data_of, options_of, sort_options
from dalm.verbs.models import make
from dalm.verbs.outputs import replaced
from dalm.verbs.pages import report
from dalm.verbs.proof import prove as prove_run
from dalm.verbs.remaining import Remaining, Watch
from dalm.verbs.scoreboard import Scoreboard, Show, live_rows
from dalm.verbs.scores import score
from dalm.verbs.sizes import seconds_for

COSTS = ("likelihood", "seconds", "parameters", "samples_per_second")
"""What a row repeats of its run beside the scores."""


@dataclass(frozen=True)
class Settings:
    """What all rows of a comparison share.

    Args:
        folder: the comparison.
        data: what all are fitted to.
        conditional: whether each family that can learns each class.
        prove: whether likelihoods are proven.
        seed: of everything random, in the first fit of a row.
        seeds: how many fits a row gets, each with the next seed.
        training: options of `dalm.train.fit`, resuming and progress among them.
        remaining: told what is done.
    """

    folder: Path
    data: Data
    conditional: bool
    prove: bool
    seed: int
    seeds: int
    training: Mapping[str, Any]
    remaining: Remaining


def compare(
    data: str | Path | Data | Any,
    y: Any = None,
    *,
    families: Sequence[str] | None = None,
    out: str | Path | None = None,
    conditional: bool = False,
    prove: bool = False,
    seeds: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    show: Show | None = None,
    data_options: Mapping[str, Any] | None = None,
    train_options: Mapping[str, Any] | None = None,
    **options: Annotated[Any, OptionsOf(("data", "train"))],
) -> Scoreboard:
    """Fit every family under one budget, score them, and write scoreboard and report.

    A family that fails gets a row that says why. Reference rows stand beside the families: held-out
    real data, copycats, a histogram, noise.

    Args:
        data: a name (`dalm sources` lists them), a file or a folder; in Python also loaded data, or
            an array, (X, y) and whatever else `load_data` takes.
        y: labels of data in memory.
        families: which families; all by default.
        out: the folder to write, which must not exist; by default runs/compare-DATA.
        conditional: condition on class labels each family that can.
        prove: prove each likelihood by a file of that size that decodes.
        seeds: fit each row so many times, from `seed` on, each under the whole budget, to see what
            chance in learning does; what no seed changes is fitted once.
        resume: keep what is finished in `out`, other families too, and go on.
        overwrite: replace the comparison in `out`.
        progress: show progress bars, and rows as they arrive.
        show: called with the rows so far whenever there is a new one.
        data_options: options of `load_data`, if the data are not loaded yet.
        train_options: see `dalm.train.FitOptions`; the same for all.
        **options: options of both by name, where the name belongs to one of them.

    Raises:
        DalmError: data, options or folder do not suit, or `out` holds a comparison of another kind.
        KeyboardInterrupt: it was stopped; what is finished is kept.
    """
    groups = {"data": options_of("data"), "train": options_of("train")}
    grouped = {"data": data_options, "train": train_options}
    values = sort_options("compare", options, groups, grouped)
    _check_alone()
    _check_seeds(seeds)
    loaded = data_of(data, values["data"], y)
    _check_classes(loaded, conditional)
    entrants = [*competitors(families), *REFERENCE_ENTRANTS]
    budget = _training(values["train"], loaded)
    folder = Path(out) if out is not None else Path(f"runs/compare-{loaded.name}")
    with _alone_in(folder), replaced(folder, resume) if overwrite else contextlib.nullcontext():
        board = new_board(loaded, budget, conditional)
        board["rows"] = rows_there(folder, board, resume)
        remaining = _remaining(entrants, budget)
        training = values["train"] | {"resume": resume, "progress": progress, "seed": budget.seed}
        training["listeners"] = [Watch(remaining)]
        settings = Settings(
            folder, loaded, conditional, prove, budget.seed, seeds, training, remaining
        )
        with live_rows(progress, remaining) as live:
            for rows in _fill(board, entrants, settings):
                live(rows)
                if show:
                    show(rows)
        if prove and loaded.spec.levels:
            _add_codecs(board, settings)
        return Scoreboard(folder, report([folder]), board)


def _add_codecs(board: Json, settings: Settings) -> None:
    """Classical coders beside the proven models, where their extra is installed."""
    if extra.installed():
        board["codecs"] = codecs(settings.data, runs=settings.folder).to_json()
    write_scoreboard(settings.folder, board)


def _check_alone() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise DalmError(
            "compare fits one family after another in one process; start it without "
            "torchrun, or fit a single family by several processes"
        )


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """No other comparison writes into a folder, nor replaces it."""
    refusal = (
        f"another process is comparing into {folder}; wait for it, or choose another folder with "
        "out (--out)"
    )
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(PermissionError):  # what cannot be written is said where it is
            folder.resolve().parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder.resolve(), refusal))
        yield


def _check_seeds(seeds: int) -> None:
    if not isinstance(seeds, int) or seeds < 1:
        raise DalmError(f"seeds is how often each row is fitted, 1 or more; got {seeds!r}")


def _remaining(entrants: Sequence[Entrant], budget: FitOptions) -> Remaining:
    """What is to come, before the first row."""
    scoring = seconds_for({"fit": budget.to_dict()})
    families = [entrant.family for entrant in entrants]
    return Remaining(families, seconds=budget.seconds, scoring=scoring)


def _check_classes(data: Data, conditional: bool) -> None:
    if conditional and not data.spec.classes:
        raise DalmError(
            f"conditional needs class labels, and {data.name} has none; leave it out, or give "
            "data with labels"
        )


def _training(values: Mapping[str, Any], data: Data) -> FitOptions:
    """The options of training that all rows share, checked before the first one."""
    training = resolve(FitOptions(**values), Copycat(data.spec), len(data.train))
    own = {"learn_from": "train", "plan": None, "start_from": None}
    for name, value in own.items():
        if (given := getattr(training, name)) != value:
            raise DalmError(
                f"compare decides {name} (--{name.replace('_', '-')}) itself for each row; leave "
                f"it out, got {given!r}"
            )
    return training


def _fill(board: Json, entrants: Sequence[Entrant], settings: Settings) -> Iterator[list[Json]]:
    """Make the rows one after the other, and yield all of them after each."""
    settings.folder.mkdir(parents=True, exist_ok=True)
    write_scoreboard(settings.folder, board)
    for entrant in entrants:
        settings.remaining.row(entrant.name)
        row = _row(entrant, settings)
        settings.remaining.end()
        others = [other for other in board["rows"] if other["name"] != entrant.name]
        board["rows"] = [*others, row]
        write_scoreboard(settings.folder, board)
        yield board["rows"]


def _row(entrant: Entrant, settings: Settings) -> Json:
    """Fit and score one family or reference, once or with several seeds."""
    row = _row_of_seed(entrant, settings, settings.seed)
    family = entrant.family
    fixed = issubclass(family, Estimator) and not family.seeded
    if settings.seeds == 1 or fixed or row["error"]:
        return row
    further = range(settings.seed + 1, settings.seed + settings.seeds)
    rows = [row, *(_row_of_seed(entrant, settings, seed) for seed in further)]
    kept = ("seed", "run", "scores", "seconds", "error")
    return row | {"seeds": [{name: one[name] for name in kept} for one in rows]}


def _row_of_seed(entrant: Entrant, settings: Settings, seed: int) -> Json:
    """What goes wrong becomes the row's error: one failure must not lose the others."""
    further = f"-seed{seed}" if seed != settings.seed else ""
    path = settings.folder / (entrant.name.replace(" ", "-") + further)
    row = _empty_row(entrant) | {"seed": seed}
    try:
        model = _model(entrant, settings, seed)
    except DalmError as error:  # not a failure: the family is for other data
        return row | {"error": str(error), "suits": False}
    try:
        scored = _scored(model, path, entrant, settings, seed)
    except Exception as error:
        reason = str(error)
        if not isinstance(error, DalmError | Diverged):
            reason = f"{type(error).__name__}: {error}"
        return row | {"error": reason, "run": path.name if path.exists() else None}
    costs = {name: scored[name] for name in COSTS}
    return row | costs | {"scores": score_records(scored), "run": path.name}


def _empty_row(entrant: Entrant) -> Json:
    costs: Json = dict.fromkeys(COSTS)
    return {
        "name": entrant.name,
        "family": entrant.family.family,
        "kind": entrant.kind,
        "reference": entrant.kind == "reference",
        "learn_from": entrant.learn_from,
        "options": dict(entrant.options),
        "scores": [],
        **costs,
        "likelihood": getattr(entrant.family, "likelihood", None),
        "run": None,
        "error": None,
        "suits": True,
    }


def _model(entrant: Entrant, settings: Settings, seed: int) -> Generative:
    """What is to be fitted, as it begins."""
    family = entrant.family
    can = settings.conditional and "conditional" in options_of("model", family)
    own = {"conditional": True} if can else {}
    return make(family, settings.data, seed, **own, **entrant.options)


def _scored(model: Generative, path: Path, entrant: Entrant, settings: Settings, seed: int) -> Json:
    """Fit, score and perhaps prove; returns what the run's `metrics.json` says. What was found
    already with this seed is kept.
    """
    training = {**settings.training, "seed": seed, "learn_from": entrant.learn_from}
    run = train(model, settings.data, out=path, **training)
    if run.meta["state"] == "stopped":
        raise KeyboardInterrupt(
            "what is finished is kept; go on with the same call and resume (--resume)"
        )
    scored = read_scores(path, run.meta)
    # Scores of an earlier version have none on validation data, by which rows are ranked.
    if not scored or scored["seed"] != seed or "each" not in scored:
        settings.remaining.score()
        score(run, settings.data, seed=seed)
        scored = read_scores(path, run.meta)
    if settings.prove and "proof" not in (scored or {}):
        prove_run(run, settings.data)
        scored = read_scores(path, run.meta)
    assert scored is not None
    return scored
