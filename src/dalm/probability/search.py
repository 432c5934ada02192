"""The search for one number that makes an objective largest, trial by trial.

It halves from above until it is past the peak, then closes in by Brent's method. It is asked again
after each trial what to try next, so it can be stopped and resumed between any two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping


def maximise(objective: Callable[[float], float], low: float, high: float) -> float:
    """The argument at which `objective` is largest, to 1 %: halved from `high` on until twice past
    the peak, then by Brent's method.

    >>> round(maximise(lambda h: -math.log(h / 3) ** 2, 0.01, 100.0), 1)
    3.0
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    tried = [high]
    scores = [objective(high)]
    while tried[-1] > low and len(scores) - scores.index(max(scores)) < 3:
        tried.append(tried[-1] / 2)
        scores.append(objective(tried[-1]))
    peak = math.log(tried[scores.index(max(scores))])
    around = (peak - math.log(2), peak + math.log(2))
    return math.exp(
        minimize_scalar(
            lambda t: -objective(math.exp(t)),
            bounds=around,
            method="bounded",
            options={"xatol": 0.01},
        ).x
    )


def next_trial(scores: Mapping[float, float], low: float, high: float) -> float | None:
    """The argument that `maximise` would look at next, or `None` if it knows all it asks for.

    Args:
        scores: what is known of the objective, by argument.
        low: where the search ends.
        high: where it begins.

    >>> next_trial({}, 0.1, 8.0), next_trial({8.0: -3.0}, 0.1, 8.0)
    (8.0, 4.0)
    """
    try:
        maximise(scores.__getitem__, low, high)
    except KeyError as unknown:
        return float(unknown.args[0])
    return None
