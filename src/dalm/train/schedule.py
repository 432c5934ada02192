"""When things happen in a fit: the learning rate of a step, validations and snapshots."""

from __future__ import annotations

import math

from dalm.train.options import FitOptions

MOST_WARM_UP = 500
"""Steps of linear warm-up, at most; a twentieth of a shorter run."""


def learning_rate(options: FitOptions, step: int) -> float:
    """Learning rate of a step.

    Args:
        options: `lr`, `schedule` and `steps`, all known.
        step: how many steps came before.

    >>> learning_rate(FitOptions(steps=100, lr=1.0, schedule="cosine"), 4)
    1.0
    """
    assert options.lr is not None
    assert options.steps is not None
    if options.schedule == "constant":
        return options.lr
    warm_up = min(MOST_WARM_UP, max(1, options.steps // 20))
    rise = min((step + 1) / warm_up, 1.0)
    angle = math.pi * max(0, step - warm_up) / max(1, options.steps - warm_up)
    return options.lr * rise * (1 + math.cos(angle)) / 2


def evenly(steps: int, times: int) -> set[int]:
    """Steps at which something happens `times` times, the last step among them.

    Args:
        steps: of the run.
        times: how often.

    >>> sorted(evenly(10, 2))
    [5, 10]
    """
    return {math.ceil(steps * (k + 1) / times) for k in range(times)}
