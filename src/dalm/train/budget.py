"""A budget of seconds as a plan: how to compute, how many steps, how many looks beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import torch

from dalm.core import Generative, Learner
from dalm.data import Data
from dalm.train import clock
from dalm.train.group import Group
from dalm.train.looks import snapshot, validate
from dalm.train.options import FitOptions
from dalm.train.plan import SCORED, Leg
from dalm.train.speed import (
    REPAID,
    SHARE,
    Trial,
    Way,
    compiled,
    race,
    threads_kept,
    use_threads,
    ways,
    within,
)

CHEAP = 0.1
"""Largest share of a time budget that goes into validation and snapshots."""
FEW_ROWS = 16
"""Validation rows that are scored to reckon what all would cost."""
LEAST_ROWS = 64
"""Rows below which a validation gives way to a rarer one of more rows."""
WARM_UP = 0.02
"""Share of a time budget that the measured steps of the way chosen may take at least."""
FEWEST = 5
"""Measured steps that are enough."""
STALLED = 0.2
"""Share of a time budget that no single step should take."""
USEFUL = 200
"""Steps below which a fit is warned of."""


@dataclass
class Reckoning:
    """What measuring told of a stage with a budget of seconds.

    Args:
        options: of the stage, the number of steps and the way to compute among them.
        spent: seconds that the measuring took, or that went by before.
        validation: seconds of one validation.
        snapshot: seconds of one snapshot.
        rows: validation rows that are scored each time.
        pace: seconds of a step.
        trials: the ways that were tried, with their rates.
    """

    options: FitOptions
    spent: float = 0.0
    validation: float = 0.0
    snapshot: float = 0.0
    rows: int = SCORED
    pace: float | None = None
    trials: list[dict[str, Any]] = field(default_factory=list)

    @property
    def warning(self) -> str | None:
        """What to say of a plan of very few steps."""
        steps = self.options.steps or 0
        if self.pace is None or steps >= USEFUL:
            return None
        return (
            f"only {steps} steps fit into {self.options.seconds:g} s on this machine as it is, too "
            "few to learn much; give more time (seconds), or a smaller net"
        )

    @property
    def leg(self) -> Leg:
        """The plan at the start."""
        options = self.options
        assert options.steps is not None
        return Leg(
            step=0,
            steps=options.steps,
            validations=options.validations,
            snapshots=options.snapshots,
            rows=self.rows,
            threads=options.threads,
        )


def reckon(
    family: Generative, data: Data, options: FitOptions, stage: int = 0, group: Group = Group()
) -> Reckoning:
    """Plan a stage with a budget of seconds, by steps and looks on copies of the model.

    Args:
        family: the whole model.
        data: what it learns from.
        options: of the stage.
        stage: which of the family's stages.
        group: the processes that train together.
    """
    assert options.seconds is not None
    # The first optimiser of a process imports half of torch, which is no part of a fit.
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    began = clock.now()
    with threads_kept():
        best, trials = _fastest(family, data, options, stage, group)
        use_threads(best.way.threads)
        way = asdict(best.way) | {"compile": best.way.compile or bool(options.compile)}
        found = Reckoning(options.replace(**way), trials=trials)
        (pace,) = group.agree(best.typical)
        found.pace = pace
        _reckon_looks(found, best, data)
    (found.spent,) = group.agree(clock.now() - began)
    left = options.seconds - found.spent
    chosen = found.options
    left -= chosen.validations * found.validation + chosen.snapshots * found.snapshot
    steps = max(1, int(left / pace))
    steps, validations, snapshots, rows = map(
        int, group.agree(steps, chosen.validations, chosen.snapshots, found.rows)
    )
    found.rows = rows
    found.options = chosen.replace(steps=steps, validations=validations, snapshots=snapshots)
    return found


def _fastest(
    family: Generative, data: Data, options: FitOptions, stage: int, group: Group
) -> tuple[Trial, list[dict[str, Any]]]:
    """The fastest way to compute, and all that were tried. Several processes try one alone: a step
    that one of them cuts short would leave the others waiting.
    """
    model = family.stages()[stage].model
    assert isinstance(model, Learner)
    assert options.seconds is not None
    by_threads, others = ways(model, options)

    def trial(way: Way) -> Trial:
        return Trial(family, data, options, stage, group, way)

    def later(some: list[Way]) -> list[Callable[[], Trial]]:
        return [partial(trial, way) for way in some]

    alone = group.size == 1
    best = trial(by_threads[0] if alone else by_threads[-1])
    best.first()
    if best.slow > STALLED * options.seconds:
        best.times.append(best.slow)  # no second one to find out more
        return best, [best.to_json()]
    best.measure()
    lost: list[dict[str, Any]] = []
    if alone:
        share = SHARE / 2 * options.seconds
        best, *rest = race(best, later(by_threads[1:]), share)
        lost += [one.to_json() for one in rest]
        threads = best.way.threads
        more = [replace(way, threads=threads) for way in others]
        best.times[:-1] = []
        best, *rest = race(best, later(more), share)
        lost += [one.to_json() for one in rest]
        if options.compile is None and options.seconds >= REPAID:
            best.times[:-1] = []
            best, *rest = compiled(best, trial, share)
            lost += [one.to_json() for one in rest]
    if options.compile:
        lost = [best.to_json(), *lost]
        best = trial(replace(best.way, compile=True))
        best.first()
        best.measure()
    _measure_on(best, options.seconds, group)
    return best, [best.to_json(), *lost]


def _measure_on(best: Trial, seconds: float, group: Group) -> None:
    """More steps, until they say how fast the way is."""
    spent = sum(best.times)
    while len(best.times) < FEWEST and spent < WARM_UP * seconds:
        best.measure()
        (spent,) = group.agree(sum(best.times))


def _reckon_looks(found: Reckoning, trial: Trial, data: Data) -> None:
    """Scale validations and snapshots down to their share of the budget."""
    options = found.options
    assert options.seconds is not None
    share = CHEAP / 2 * options.seconds
    if options.validations:
        found.rows, found.validation = _validation(trial, data, share, options.validations)
    validations = int(share / found.validation) if found.validation else options.validations
    showing = within(share, lambda: snapshot(trial.state)) if options.snapshots else 0.0
    snapshots = options.snapshots
    if showing is None:
        snapshots = 0
    elif showing:
        snapshots = min(snapshots, int(share / showing))
        found.snapshot = showing
    found.options = options.replace(
        validations=min(options.validations, validations), snapshots=snapshots
    )


def _validation(trial: Trial, data: Data, share: float, times: int) -> tuple[int, float]:
    """How many rows a validation scores, and its seconds.

    A few rows tell what more would cost; more are only tried if that is a small part of the share.

    Args:
        trial: whose average is scored.
        data: its validation rows are scored.
        share: seconds for all validations.
        times: how many are wanted.
    """
    stage = trial.stepper.stage
    most = min(SCORED, len(data.val))
    rows = min(FEW_ROWS, most)
    seconds = within(share, partial(validate, trial.state, stage, data, rows))
    while seconds is not None and rows < most and 4 * seconds < share / 4:
        rows = min(4 * rows, most)
        seconds = within(share, partial(validate, trial.state, stage, data, rows))
    if seconds is None:
        return rows, 2 * share  # not even one
    each = max(seconds, 1e-9) / rows
    wanted = share / (each * max(1, min(times, 5)))
    chosen = max(min(LEAST_ROWS, most), min(most, int(wanted)))
    chosen = max(1, min(chosen, int(share / each)))
    return chosen, each * chosen


def threads_again(
    family: Generative, data: Data, options: FitOptions, stage: int, seconds: float
) -> tuple[int, float]:
    """How many threads are fastest now, and the seconds of a step by them.

    Args:
        family: the whole model, as far as it is.
        data: what it learns from.
        options: of the stage, the way to compute among them.
        stage: which of the family's stages.
        seconds: that trying may take, about.
    """
    model = family.stages()[stage].model
    assert isinstance(model, Learner)
    by_threads, _ = ways(model, options.replace(threads=None))
    with threads_kept():
        first, *others = (
            partial(Trial, family, data, options, stage, Group(), way) for way in by_threads
        )
        leader = first()
        leader.first()
        leader.measure()
        best, *_ = race(leader, others, seconds)
    return best.way.threads, best.typical
