"""A score on paper: a value with an interval, and everything one must know to read it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from dalm.errors import DalmError

Direction = Literal["lower", "higher"] | float
Json = dict[str, Any]

NEGATIVE = (
    "Bits below 0 are of a density, which may be above 1: in other units it is another number, and "
    "no file is smaller for it."
)
"""What is to be said of negative bits per dimension."""
TITLES = {
    "bits_per_dim": "bits/dim",
    "importance_bits_per_dim": "bits/dim, tightened",
    "proven": "proven",
    "frechet": "Fréchet",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "c2st": "C2ST",
    "copying": "copying",
    "authenticity": "authenticity",
}
"""What format 1, whose records did not say it, called each measure, in the order of its columns."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One measured number: what was measured on what, its unit, direction, size and interval.

    Args:
        metric: name of the measure.
        value: the number; `None` when it could not be computed, and then `note` says why. Infinity
            is allowed, NaN is not.
        low: lower end of a 95 % interval, or `None` where there is none.
        high: its upper end.
        n: number of data (samples or held-out rows) behind the value.
        unit: of the value.
        direction: `"lower"` or `"higher"` is better, or the ideal value as a number.
        split: the part of the data that it was measured on.
        subset: a class, a column or another part of the split; `None` is all of it.
        features: name and hash of the feature space, if one was used.
        label: `"exact"`, `"bound"` or `"estimate"` for likelihoods.
        flag: a word such as `"copies"` when the measure raises an alarm.
        note: what else a reader must know.
        unranked: why it takes no part in any ranking, if so.
        checked: what speaks for a likelihood: `"sealed"` by a file that decodes, `"guarded"` by a
            quick check, `"unchecked"`, `"unsealed"` by a file that failed, or `"impossible"`. The
            note says how.
        title: what a person calls the measure.
        unreliable: why the interval does not hold, or `None` where nothing speaks against it.

    Raises:
        DalmError: NaN, a value outside its own interval, an unknown direction, or no value and no
            reason.

    >>> Score(metric="kid", value=0.1, low=0.0, high=0.2, n=9, unit="squared MMD",
    ...       direction="lower").to_json()["split"]
    'test'
    """

    metric: str
    value: float | None
    n: int
    unit: str
    direction: Direction
    low: float | None = None
    high: float | None = None
    split: str = "test"
    subset: str | None = None
    features: str | None = None
    label: str | None = None
    flag: str | None = None
    note: str = ""
    unranked: str = ""
    checked: str | None = None
    title: str | None = None
    unreliable: str | None = None

    def __post_init__(self) -> None:
        numbers = [v for v in (self.low, self.value, self.high) if v is not None]
        if any(math.isnan(v) for v in numbers) or numbers != sorted(numbers):
            raise DalmError(
                "a score needs low <= value <= high and no NaN, got "
                f"{self.low}, {self.value}, {self.high}"
            )
        known = self.direction in ("lower", "higher") or isinstance(self.direction, int | float)
        if not known:
            raise DalmError(
                "a score's direction is 'lower', 'higher' or the ideal number, got "
                f"{self.direction!r}"
            )
        if self.value is None and not self.note:
            raise DalmError("a score without a value needs a note that says why")

    def to_json(self) -> Json:
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


KEYS = tuple(field.name for field in fields(Score))


def score_records(found: Mapping[str, Any]) -> list[Json]:
    """The score records of a `metrics.json` or of a scoreboard's row, of either format.

    Format 1 kept a mapping of names to records under `metrics`, a row its `bits_per_dim` apart.

    >>> score_records({"metrics": {"kid": {"value": 0.1, "n": 9}}})[0]["metric"]
    'kid'
    """
    if isinstance(found.get("scores"), list):
        return [record for record in found["scores"] if isinstance(record, dict)]
    before = found.get("metrics")
    named: Json = dict(before) if isinstance(before, dict) else {}
    if isinstance(found.get("bits_per_dim"), dict):
        named = {"bits_per_dim": found["bits_per_dim"]} | named
    names = [name for name in TITLES if name in named]
    names += [name for name in named if name not in TITLES]
    return [
        {"metric": name, "split": "test", "subset": None, "title": TITLES.get(name)} | named[name]
        for name in names
        if isinstance(named[name], dict)
    ]


def find_score(
    records: Iterable[Json], metric: str, split: str = "test", subset: str | None = None
) -> Json | None:
    """The first record of a measure on a split, or none.

    Args:
        records: of `score_records`.
        metric: name of the measure.
        split: the part of the data.
        subset: the part of the split.
    """
    wanted = {"metric": metric, "split": split, "subset": subset}
    return next((r for r in records if all(r.get(k) == v for k, v in wanted.items())), None)
