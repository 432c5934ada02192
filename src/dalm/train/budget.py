"""A budget of seconds as a number of steps, before the first step."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import numpy as np

from dalm.core import Generative
from dalm.data import Data
from dalm.train.group import Group
from dalm.train.looks import snapshot, validate
from dalm.train.options import FitOptions
from dalm.train.state import State
from dalm.train.step import Stepper

CHEAP = 0.1
"""Largest share of a time budget that goes into validation and snapshots."""
WARM_UP = 0.02
"""Share of a time budget that the measured steps may take."""
FEWEST = 5
"""Measured steps, at least."""
MOST = 200
"""Measured steps, at most."""


def budget_to_steps(
    family: Generative, data: Data, options: FitOptions, stage: int = 0, group: Group = Group()
) -> FitOptions:
    """Turn a budget of seconds into steps, by taking a few on a copy of the model.

    Args:
        family: the whole model.
        data: what it learns from.
        options: of the stage.
        stage: which of the family's stages.
        group: the processes that train together.
    """
    if options.steps is not None:
        return options
    assert options.seconds is not None
    began = time.perf_counter()
    state, step = _trial(family, data, options.replace(steps=10**9), stage, group)
    step()  # compiles and allocates, unlike those to come
    times: list[float] = []
    spent = 0.0
    while len(times) < FEWEST or (spent < WARM_UP * options.seconds and len(times) < MOST):
        times.append(duration(lambda: [turn.loss.item() for turn in step()]))
        (spent,) = group.agree(sum(times))
    looking = duration(lambda: validate(state, step.stage, data))
    showing = duration(lambda: snapshot(state))
    affordable = CHEAP / 2 * options.seconds
    validations = min(options.validations, max(1, int(affordable / looking)))
    snapshots = min(options.snapshots, int(affordable / showing))
    left = options.seconds - (time.perf_counter() - began)
    left -= validations * looking + snapshots * showing
    typical = float(np.median(times[len(times) // 5 :]))
    steps = max(1, int(left / typical))
    steps, validations, snapshots = map(int, group.agree(steps, validations, snapshots))
    return options.replace(steps=steps, validations=validations, snapshots=snapshots)


def _trial(
    family: Generative, data: Data, options: FitOptions, stage: int, group: Group
) -> tuple[State, Stepper]:
    """A copy to take steps with, and what takes them."""
    state = State(copy.deepcopy(family), options, stage)
    part = state.family.stages()[stage]
    compile_parts(state.model, options)
    return state, Stepper(state, part, data.train, group)


def compile_parts(model: Generative, options: FitOptions) -> None:
    """Compile whatever the model calls, where that was asked for.

    Args:
        model: of the stage.
        options: say whether.
    """
    if options.compile:
        for part in (model, *model.children()):
            part.compile()


def duration(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
