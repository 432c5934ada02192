"""A budget of seconds as a number of steps, before the first step. What the machine is fastest at
is found by measuring, and so is what a step, a validation and a snapshot take.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import torch

from dalm.core import Generative, Recipe
from dalm.data import Data
from dalm.train.group import Group
from dalm.train.looks import SHOWN, snapshot, validate
from dalm.train.options import FitOptions, supported
from dalm.train.state import State
from dalm.train.step import Stepper

CHEAP = 0.1
"""Largest share of a time budget that goes into validation and snapshots."""
WARM_UP = 0.02
"""Share of a time budget that the measured steps may take."""
CHOICE = 0.12
"""Share of a time budget that finding the fastest arithmetic may take."""
FEWEST = 2
"""Measured steps, at least."""
MOST = 200
"""Measured steps, at most."""
EACH = 2
"""Measured steps of each alternative."""
TASTE = 32
"""Validation rows that tell what all cost."""
FEW_STEPS = 200
"""Steps below which a net has hardly begun to learn."""


class Plan(NamedTuple):
    """Options with a number of steps, and what a run keeps of how they were found."""

    options: FitOptions
    facts: dict[str, Any]


def budget_to_steps(
    family: Generative, data: Data, options: FitOptions, stage: int = 0, group: Group = Group()
) -> Plan:
    """Turn a budget of seconds into steps, by taking a few on a copy of the model.

    Args:
        family: the whole model.
        data: what it learns from.
        options: of the stage.
        stage: which of the family's stages.
        group: the processes that train together.
    """
    if options.steps is not None:
        return Plan(options, {})
    assert options.seconds is not None
    began = time.perf_counter()
    trial = options.replace(steps=10**9, plan=None)
    fastest, rates = _fastest(family, data, trial, stage, group)
    assert fastest.precision is not None
    with threads_of(fastest):
        state, step = _trial(family, data, fastest, stage, group)
        step()  # compiles and allocates, unlike those to come
        typical = _typical(step, group, options.seconds)
        seen = min(TASTE, len(data.val))
        state.options = fastest.replace(validation_rows=max(1, seen))
        each = duration(lambda: validate(state, step.stage, data)) / max(1, seen)
        showing = duration(lambda: snapshot(state, SHOWN // 8)) * 8
    affordable = CHEAP / 2 * options.seconds
    rows = min(options.validation_rows, max(1, len(data.val)), max(TASTE, int(affordable / each)))
    validations = min(options.validations, max(1, int(affordable / (each * rows))))
    snapshots = min(options.snapshots, int(affordable / showing))
    left = options.seconds - (time.perf_counter() - began)
    left -= validations * rows * each + snapshots * showing
    steps = max(1, int(left / typical))
    steps, validations, snapshots, rows = map(int, group.agree(steps, validations, snapshots, rows))
    planned = options.replace(
        steps=steps,
        validations=validations,
        validation_rows=rows if validations else options.validation_rows,
        snapshots=snapshots,
        precision=fastest.precision,
        cpu_threads=fastest.cpu_threads,
    )
    return Plan(planned, rates | _warning(steps, options.seconds))


def _warning(steps: int, seconds: float) -> dict[str, Any]:
    if steps >= FEW_STEPS:
        return {}
    return {
        "warning": f"{seconds:g} seconds are only about {steps} steps here, and a net has hardly "
        f"begun to learn before {FEW_STEPS}; give more time, or a smaller model"
    }


def _typical(step: Stepper, group: Group, seconds: float) -> float:
    """What a step takes."""
    times: list[float] = []
    spent = 0.0
    while len(times) < FEWEST or (spent < WARM_UP * seconds and len(times) < MOST):
        times.append(duration(functools.partial(_take, step)))
        (spent,) = group.agree(sum(times))
    return statistics.median(times[len(times) // 5 :])


def _fastest(
    family: Generative, data: Data, options: FitOptions, stage: int, group: Group
) -> tuple[FitOptions, dict[str, Any]]:
    """The options with the fastest threads and precision of those that are open, and the rate of
    each alternative in steps per second; the first one where there is no time to try others.
    """
    assert options.seconds is not None
    recipe = getattr(family.stages()[stage].model, "recipe", Recipe())
    wanted = supported(options.precision or recipe.precision, options.place)
    found = _alternatives(options, wanted, group)
    if len(found) == 1:
        return next(iter(found.values())), {}
    times: dict[str, list[float]] = {}
    spent = 0.0
    for name, one in found.items():
        with threads_of(one):
            _, step = _trial(family, data, one, stage, group)
            spent += duration(functools.partial(_take, step))
            times[name] = [duration(functools.partial(_take, step)) for _ in range(EACH)]
        spent += sum(times[name])
        if spent * (1 + 1 / len(times)) > CHOICE * options.seconds:
            break
    rates = {name: round(1 / statistics.median(values), 3) for name, values in times.items()}
    best = max(rates, key=rates.__getitem__)
    return found[best], {"steps_per_second": rates, "chosen": best}


def _take(step: Stepper) -> None:
    for turn in step():
        turn.loss.item()


def _alternatives(
    options: FitOptions, wanted: Literal["float32", "bfloat16"], group: Group
) -> dict[str, FitOptions]:
    """What may be chosen: all threads or one, half precision or not where the recipe wants half.

    Several processes share the cores already, and an accelerator does the work of threads.
    """
    every = torch.get_num_threads()
    plain = options.replace(precision=wanted)
    if options.place != "cpu" or group.size > 1:
        return {"as it is": plain}
    threads = [options.cpu_threads] if options.cpu_threads else sorted({every, 1}, reverse=True)
    precisions = [wanted] if options.precision else list(dict.fromkeys([wanted, "float32"]))
    return {
        f"{precision}, {count} thread{'s' * (count > 1)}": plain.replace(
            precision=precision, cpu_threads=count
        )
        for precision in precisions
        for count in threads
    }


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


@contextlib.contextmanager
def threads_of(options: FitOptions) -> Iterator[None]:
    """Compute with the threads that the options say, and with as many as before afterwards."""
    before = torch.get_num_threads()
    if options.cpu_threads is None or options.cpu_threads == before:
        yield
        return
    torch.set_num_threads(options.cpu_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def duration(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
