"""What a metric is on paper: a value with an interval, and everything one must know to read it.

Statistics that several metrics share live here too: the normal 95 % interval and Wilson's interval
for a share.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor

from dalm.errors import DalmError

Direction = Literal["lower", "higher"] | float

Z95 = 1.959963984540054
"""Half the width of a 95 % interval, in standard errors of a normal distribution."""


class Scale(NamedTuple):
    """How to read a metric's value: its unit, and where good values lie (`lower`, `higher`, or the
    ideal number).
    """

    unit: str
    direction: Direction


@dataclass(frozen=True)
class Metric:
    """One measured number that says its unit, direction, sample size, feature space and interval.

    Args:
        value: the number; `None` when it could not be computed, and then `note` says why. Infinity
            is allowed, NaN is not.
        low, high: bounds of a 95 % interval, or `None` where there is none.
        n: number of data (samples or held-out rows) behind the value.
        unit: unit of the value.
        direction: `"lower"` or `"higher"` is better, or the ideal value as a number.
        features: name and hash of the feature space, if one was used.
        label: `"exact"`, `"bound"` or `"estimate"` for likelihoods.
        flag: a word such as `"copies"` when the metric raises an alarm.
        note: what else a reader must know.

    Raises:
        DalmError: NaN, a value outside its own interval, an unknown direction, or no value and no
            reason.

    >>> Metric(1.74, 1.70, 1.78, 500, "bits/dim", "lower", label="exact").to_json()["value"]
    1.74
    >>> Metric(math.inf, None, None, 500, "bits/dim", "lower", note="2 data have probability zero").to_json()["value"] is None
    True
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    direction: Direction
    features: str | None = None
    label: str | None = None
    flag: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        numbers = [v for v in (self.low, self.value, self.high) if v is not None]
        if any(math.isnan(v) for v in numbers) or numbers != sorted(numbers):
            raise DalmError(
                f"a metric needs low <= value <= high and no NaN, got {self.low}, {self.value}, "
                f"{self.high}"
            )
        if self.direction not in ("lower", "higher") and not isinstance(
            self.direction, (int, float)
        ):
            raise DalmError(
                "a metric's direction is 'lower', 'higher' or the ideal number, got "
                f"{self.direction!r}"
            )
        if self.value is None and not self.note:
            raise DalmError("a metric without a value needs a note that says why")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values. An infinity becomes null, and the note names it."""
        record = asdict(self)
        infinite = [
            name
            for name in ("value", "low", "high")
            if record[name] is not None and math.isinf(record[name])
        ]
        words = [f"{name} is {record[name]}" for name in infinite]
        note = "; ".join([*words, self.note] if self.note else words)
        return record | dict.fromkeys(infinite) | {"note": note}


def normal(values: Tensor) -> tuple[float, float, float]:
    """Mean of independent values, (B,), with its 95 % interval: mean, mean - 1.96 SE, mean + 1.96
    SE.

    >>> import torch
    >>> normal(torch.tensor([1.0, 2.0, 3.0]))[0]
    2.0
    """
    mean = values.double().mean().item()
    error = (
        Z95 * values.double().std().item() / math.sqrt(len(values)) if len(values) > 1 else math.inf
    )
    return mean, mean - error, mean + error


def wilson(hits: Tensor) -> tuple[float, float, float]:
    """Share of true entries of a boolean (B,) with Wilson's 95 % score interval (Wilson 1927):
    share, low, high.

    With p the share and z = 1.96, the bounds are (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 +
    z²/n).

    >>> import torch
    >>> [round(v, 4) for v in wilson(torch.arange(10) < 0)]
    [0.0, 0.0, 0.2775]
    """
    n = len(hits)
    p = hits.double().mean().item()
    shrink = 1 + Z95**2 / n
    middle = p + Z95**2 / (2 * n)
    half = Z95 * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return p, max(0.0, min(p, (middle - half) / shrink)), min(1.0, max(p, (middle + half) / shrink))
