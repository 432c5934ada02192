"""When things happen in a fit: the learning rate of a step, validations and snapshots."""

from __future__ import annotations

import math
from fractions import Fraction

from dalm.train.options import FitOptions

MOST_WARM_UP = 500
"""Steps of linear warm-up, at most; a twentieth of a shorter run."""


def learning_rate(options: FitOptions, step: float) -> float:
    """Learning rate of a step.

    Args:
        options: `lr`, `schedule` and `steps`, all known.
        step: how many steps came before; not whole where the number of steps was changed.

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


def evenly(steps: int, times: int, since: int = 0, progress: Fraction = Fraction(0)) -> set[int]:
    """Steps at which something happens `times` times, the last step among them.

    Args:
        steps: of the run.
        times: how often.
        since: the steps before, where only those after them are asked for.
        progress: the share of all times that is behind by then.

    >>> sorted(evenly(10, 2)), sorted(evenly(30, 4, since=10, progress=Fraction(1, 2)))
    ([5, 10], [20, 30])
    """
    left = 1 - progress
    shares = [Fraction(k, times) for k in range(math.floor(progress * times) + 1, times + 1)]
    return {since + math.ceil((steps - since) * (share - progress) / left) for share in shares}
