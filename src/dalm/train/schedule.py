"""When things happen in a fit: the learning rate of a step, validations and snapshots.

A budget of time is planned as a number of steps, and planned again while training where the pace
changes. All that depends on the number of steps depends on these plans alone, which the run keeps:
the way along the schedule goes on from where it was, and is then as fast as it must be to arrive at
the end of the new plan.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from dalm.train.options import FitOptions

MOST_WARM_UP = 500
"""Steps of linear warm-up, at most; a twentieth of a shorter run."""


def learning_rate(options: FitOptions, step: int) -> float:
    """Learning rate of a step.

    Args:
        options: `lr`, `schedule`, `steps` and perhaps a `plan`, all known.
        step: how many steps came before.

    >>> learning_rate(FitOptions(steps=100, lr=1.0, schedule="cosine"), 4)
    1.0
    """
    assert options.lr is not None
    if options.schedule == "constant":
        return options.lr
    steps, place = along(options, step)
    warm_up = min(MOST_WARM_UP, max(1, steps // 20))
    rise = min((place + 1) / warm_up, 1.0)
    angle = math.pi * max(0, place - warm_up) / max(1, steps - warm_up)
    return options.lr * rise * (1 + math.cos(angle)) / 2


def along(options: FitOptions, step: int) -> tuple[int, float]:
    """The steps of the first plan, and where on its way a step is.

    Args:
        options: with `steps`, and a `plan` where there was more than one.
        step: how many steps came before.

    >>> along(FitOptions(steps=100), 40)
    (100, 40)
    >>> along(FitOptions(steps=60, plan=(0, 100, 40, 60)), 50)  # half of what was left
    (100, 70.0)
    """
    assert options.steps is not None
    if options.plan is None:
        return options.steps, step
    whole = options.plan[1]
    place = 0.0
    for start, stop, total in _segments(options):
        share = (min(step, stop) - start) / max(1, total - start)
        place += (whole - place) * share
        if step <= stop:
            break
    return whole, place


def milestones(options: FitOptions, times: int) -> set[int]:
    """Steps at which something happens `times` times in each plan, as far as it was followed.

    Args:
        options: with `steps`, and a `plan` where there was more than one.
        times: how often.

    >>> sorted(milestones(FitOptions(steps=60, plan=(0, 100, 40, 60)), 4))
    [25, 45, 60]
    """
    assert options.steps is not None
    if options.plan is None:
        return evenly(options.steps, times)
    return {
        step
        for start, stop, total in _segments(options)
        for step in evenly(total, times)
        if start < step <= stop
    }


def evenly(steps: int, times: int) -> set[int]:
    """Steps at which something happens `times` times, the last step among them.

    Args:
        steps: of the run.
        times: how often.

    >>> sorted(evenly(10, 2))
    [5, 10]
    """
    return {math.ceil(steps * (k + 1) / times) for k in range(times)}


def _segments(options: FitOptions) -> Iterator[tuple[int, int, int]]:
    """Each plan: the step it was made at, the step it was followed to, the steps it had."""
    assert options.plan is not None
    assert options.steps is not None
    starts = [*options.plan[::2], options.steps]
    for (start, stop), total in zip(pairwise(starts), options.plan[1::2], strict=True):
        yield start, stop, total
