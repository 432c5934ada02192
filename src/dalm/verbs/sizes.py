"""How much is drawn and scored, so that scoring costs a share of what fitting did.

A few rows are scored and a few samples drawn first; they tell what more would cost. What is left
out costs certainty alone: intervals get wider, and say so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from dalm.core import Bound, Density, Generative
from dalm.data import Data
from dalm.metrics import evaluate
from dalm.metrics.evidence import IMPORTANCE_SAMPLES
from dalm.records import Json
from dalm.records.lines import read_lines
from dalm.train import Run
from dalm.train.speed import duration

SHARE = 0.5
"""Of a fit's budget of seconds, what scoring may cost."""
FLOOR = 5.0
"""Seconds that scoring may always take."""
PARTS = {"samples": 0.2, "likelihoods": 0.17, "tightened": 0.13, "heldout": 0.3}
"""The share of each kind of work; the rest is for reckoning."""
TRIED = (1, 8)
"""Rows by which the reckoning begins: two sizes make a line."""
GROWTH = 4
"""How many times as many it tries next, where that is cheap."""
CHEAP = 0.2
"""The share of a kind of work that a further try may cost."""
AGAIN = 0.05
"""The share of a kind of work up to which a try is made twice."""
FEW_TESTED = 30
"""Test rows below which a score is warned of."""
WORK = {
    "samples": "samples",
    "heldout": "held-out rows beside them",
    "likelihoods": "likelihoods",
    "tightened": "tightened bounds",
}
"""Each kind of work in words."""
_known: dict[tuple[str, float], int] = {}
"""Held-out rows by data and seconds: found once, so that the rows of a comparison are alike."""


@dataclass(frozen=True)
class Sizes:
    """How many rows and samples a score stands on, at most.

    Args:
        samples: drawn.
        heldout: held-out rows that samples are compared with.
        likelihoods: held-out rows whose likelihood is computed.
        tightened: held-out rows that importance samples are spent on.
    """

    samples: int = 2000
    heldout: int = 10_000
    likelihoods: int = 10_000
    tightened: int = 500


FULL = Sizes()
LEAST_COMPARED = 50
"""Rows that every measure can do with."""
LEAST = Sizes(samples=250, heldout=250, likelihoods=100, tightened=20)
"""What is taken however slow the model is: covariances of features need more rows than features."""


def seconds_for(meta: Mapping[str, Any]) -> float | None:
    """The seconds that scoring a run may cost; `None` where its budget was none of seconds.

    >>> seconds_for({"fit": {"seconds": 60.0}}), seconds_for({"fit": {"seconds": None}})
    (30.0, None)
    """
    budget = meta["fit"].get("seconds")
    return None if budget is None else max(FLOOR, SHARE * budget)


def affordable(cost: Callable[[int], float], seconds: float, least: int, most: int) -> int:
    """How many rows can be done in some seconds: a few at first, then more while that is cheap.

    The cost of two sizes makes a line, fixed cost and cost of a row. The first call may cost more
    than others do, so a row is never reckoned at less than a quarter of its mean. What takes little
    time is done twice, and the shorter counts: on a busy machine a stall would look like a cost.

    Args:
        cost: does so many rows, and returns the seconds that it took.
        seconds: for all, the tries among them.
        least: rows that are taken however long they take.
        most: rows that there are, or that are wanted.

    >>> affordable(lambda rows: 0.5 + 0.01 * rows, 12.0, least=10, most=5000)
    672
    """
    spent = 0.0

    def tried(rows: int) -> float:
        nonlocal spent
        took = cost(rows)
        spent += took
        if took > AGAIN * seconds:
            return took
        again = cost(rows)
        spent += again
        return min(took, again)

    rows = min(TRIED[0], most)
    more = min(TRIED[1], most)
    took = tried(rows)
    each = took / rows
    fixed = 0.0
    expected = took
    while more > rows and expected < CHEAP * seconds:
        longer = tried(more)
        each = max((longer - took) / (more - rows), longer / more / GROWTH)
        fixed = max(longer - each * more, 0.0)
        rows = more
        took = longer
        more = min(GROWTH * rows, most)
        expected = fixed + each * more
    left = seconds - spent - fixed
    return max(min(least, most), min(most, int(left / max(each, 1e-9))))


def reckon(model: Generative, data: Data, seconds: float | None) -> Sizes:
    """The sizes that some seconds allow, found by doing a little of each kind of work.

    Args:
        model: whose scores they are.
        data: what it is scored on.
        seconds: for all; `None` takes everything.
    """
    if seconds is None:
        return FULL
    jobs: dict[str, Callable[[int], float]] = {"samples": lambda n: _sampling(model, n)}
    rows = data.test.x
    if isinstance(model, Density):
        jobs["likelihoods"] = lambda n: _scoring(model, rows[:n])
    if isinstance(model, Bound):
        jobs["tightened"] = lambda n: _tightening(model, rows[:n])
    found = asdict(FULL) | {"heldout": comparable(data, PARTS["heldout"] * seconds)}
    for name, cost in jobs.items():
        full = getattr(FULL, name)
        most = min(full, found["heldout"] if name == "samples" else len(rows))
        fewer = affordable(cost, PARTS[name] * seconds, getattr(LEAST, name), most)
        found[name] = fewer if fewer < most else full
    found["samples"] = min(found["samples"], found["heldout"])  # no more are compared
    return Sizes(**found)


def _sampling(model: Generative, n: int) -> float:
    generator = torch.Generator(model.device).manual_seed(0)
    return duration(lambda: model.sample(n, generator=generator))


@torch.no_grad()
def _scoring(model: Density, rows: torch.Tensor) -> float:
    noise = torch.Generator(model.device).manual_seed(0)
    return duration(lambda: model.log_prob(rows, generator=noise))


@torch.no_grad()
def _tightening(model: Bound, rows: torch.Tensor) -> float:
    noise = torch.Generator(model.device).manual_seed(0)
    return duration(
        lambda: model.importance_bound(rows, samples=IMPORTANCE_SAMPLES, generator=noise)
    )


def comparable(data: Data, seconds: float) -> int:
    """How many held-out rows samples can be compared with in some seconds, the same for each model.

    Args:
        data: what models are scored on.
        seconds: for all measures of samples.
    """
    key = (data.fingerprint, seconds)
    if key not in _known:
        most = min(FULL.heldout, len(data.test))
        fewer = min(LEAST.heldout, most)
        # The first call pays for what the others reuse; where it is dear, a second tells nothing.
        if _comparing(data, LEAST_COMPARED) < seconds / 2:
            fewer = affordable(lambda n: _comparing(data, n), seconds, LEAST.heldout, most)
        _known[key] = FULL.heldout if fewer >= most else fewer
    return _known[key]


def _comparing(data: Data, n: int) -> float:
    """Seconds of all measures, validation rows in the place of samples."""
    n = max(n, LEAST_COMPARED)
    real = data.val.x[:n]
    train = data.train.x
    return duration(lambda: evaluate(real, train, data.test.x, data.spec, limit=n))


def remarks(run: Run, data: Data, sizes: Sizes, seconds: float | None) -> Json:
    """What is to be said of scores beside their intervals.

    Args:
        run: that was scored.
        data: on which it was.
        sizes: of what was taken.
        seconds: that it was allowed.
    """
    said: Json = {}
    if sizes != FULL:
        few = {name: count for name, count in asdict(sizes).items() if count < getattr(FULL, name)}
        words = ", ".join(f"{count:,} {WORK[name]}" for name, count in few.items())
        said["sized"] = (
            f"Of what could be scored, {seconds:g} s allow for {words}; intervals say what that "
            f"costs. All of it: dalm score {run.path} --full (full=True)"
        )
    warnings = []
    if run.meta["state"] == "stopped":
        warnings.append(
            f"The run was stopped at {_steps_of(run)}, so these are scores of a model in the making"
        )
    warnings += few_tested(data)
    if warnings:
        said["warning"] = "; ".join(warnings)
    return said


def few_tested(data: Data) -> list[str]:
    """Whether the test split is too small to say anything, in a sentence."""
    if len(data.test) >= FEW_TESTED:
        return []
    rows = f"{len(data.test)} row{'s' * (len(data.test) > 1)}"
    return [f"The test split has {rows}; no score of so few says which model is better"]


def _steps_of(run: Run) -> str:
    """How far a run came, as its log says."""
    log = run.path / "log.jsonl"
    done = max((line["step"] for line in read_lines(log)), default=0) if log.exists() else 0
    planned = run.meta["fit"].get("steps")
    return f"step {done}" + (f" of {planned}" if planned else "")
