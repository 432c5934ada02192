"""How a scoreboard is read: columns, arrows, rounding, which value is best, who is flagged. Shared
by the terminal and the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]
Row = Mapping[str, Any]

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
LIKELIHOODS = ("bits_per_dim", "importance_bits_per_dim")
# A bound on the log-likelihood from below bounds the bits from above.
SIGNS = {"bound": "≤ ", "estimate": "≈ "}


def record(row: Row, name: str) -> Record | None:
    """The row's metric record called `name`, if it has one."""
    metrics = row.get("metrics")
    found = metrics.get(name) if isinstance(metrics, Mapping) else None
    if name == "bits_per_dim":
        found = row.get("bits_per_dim") or found
    return found if isinstance(found, Mapping) else None


def number(found: Record | None, key: str = "value") -> float | None:
    """The number under `key`, or None where there is none (null, NaN, a word)."""
    value = found.get(key) if found else None
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None


def columns(rows: Sequence[Row]) -> list[str]:
    """Names of the metrics that any row has: the known ones in their order, then the others as they
    come.
    """
    given = [
        name for row in rows if isinstance(row.get("metrics"), Mapping) for name in row["metrics"]
    ]
    known = [name for name in TITLES if any(record(row, name) for row in rows)]
    return list(dict.fromkeys(known + given))


def title(name: str) -> str:
    """What a person calls the metric."""
    return TITLES.get(name, name.replace("_", " "))


def detail(rows: Sequence[Row], name: str, key: str) -> Any:
    """What the first record that says it gives under `key`: `direction`, `unit`, `features`, `n`."""
    return next(
        (found[key] for row in rows if (found := record(row, name)) and found.get(key) is not None),
        None,
    )


def arrow(direction: object) -> str:
    """Which way is better.

    >>> arrow("lower"), arrow("higher"), arrow(0.5), arrow(None)
    ('↓', '↑', '→ 0.5', '')
    """
    if isinstance(direction, int | float):
        return f"→ {direction:g}"
    return {"lower": "↓", "higher": "↑"}.get(str(direction), "")


def label(row: Row, name: str) -> str:
    """`exact`, `bound` or `estimate` for a likelihood, else nothing."""
    found = record(row, name) or {}
    inherited = row.get("likelihood") if name == "bits_per_dim" else None
    return str(found.get("label") or inherited or "") if name in LIKELIHOODS else ""


def value(found: Record | None, most: int = 6) -> tuple[str, str]:
    """The value and the half-width of its interval, rounded to what the interval allows.

    At most so many decimal places, but two digits of a small value; a half-width below them is said
    to be below.

    >>> value({"value": 1.7412, "low": 1.702, "high": 1.781})
    ('1.74', '0.04')
    >>> value({"value": 0.5, "low": 0.4999, "high": 0.5001}, most=3)
    ('0.500', '<0.001')
    >>> value({"value": 0.5}), value({"value": None})
    (('0.5', ''), ('–', ''))
    """
    middle = number(found)
    low = number(found, "low")
    high = number(found, "high")
    if middle is None:
        return "–", ""
    half = (high - low) / 2 if low is not None and high is not None else 0.0
    if not (math.isfinite(middle) and math.isfinite(half) and half > 0):
        return _plain(middle), ""
    # One digit of the half-width, two when the first is a 1: ± 0.4, but ± 0.14.
    most = max(most, 1 - math.floor(math.log10(abs(middle)))) if middle else most
    places = min(max(0, -math.floor(math.log10(half / 2))), most)
    shown = f"{half:,.{places}f}" if half >= 0.5 / 10**places else f"<{10**-places:.{places}f}"
    return f"{middle:,.{places}f}".replace("-", "−"), shown


def phrase(row: Row, name: str, most: int = 6) -> str:
    """Sign, value and half-width in one string: `≤ 1.74 ± 0.04`."""
    middle, half = value(record(row, name), most)
    return (
        SIGNS.get(label(row, name), "") * (middle != "–") + middle + (f" ± {half}" if half else "")
    )


def compact(count: object) -> str:
    """A count in few characters.

    >>> compact(1234567), compact(8.25), compact(None)
    ('1.23 M', '8.25', '–')
    """
    if not isinstance(count, int | float):
        return "–"
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(count) >= size:
            return f"{count / (size if size != 1e4 else 1e3):.3g}{unit}"
    return _plain(count)


def _plain(middle: float) -> str:
    text = f"{middle:,.0f}" if 1000 <= abs(middle) < math.inf else f"{middle:.3g}"
    return text.replace("-", "−").replace("inf", "∞")


def badness(found: Record | None) -> float:
    """How far a value is from what its direction asks; infinite where there is nothing to rank."""
    middle = number(found)
    direction = (found or {}).get("direction")
    if middle is None:
        return math.inf
    if isinstance(direction, int | float):
        return abs(middle - direction)
    return {"lower": middle, "higher": -middle}.get(str(direction), math.inf)


def flags(row: Row) -> dict[str, str]:
    """The alarms a row raises, by metric."""
    found = {name: record(row, name) for name in columns([row])}
    return {
        name: str(entry["flag"]) for name, entry in found.items() if entry and entry.get("flag")
    }


def copies(row: Row) -> bool:
    """Whether a metric says that the row's samples are copies of training data."""
    return "copies" in flags(row).values()


def contenders(rows: Sequence[Row], name: str) -> dict[str, list[Row]]:
    """The models that can be ranked on a metric, best first, by likelihood label (other metrics:
    one group).

    Reference rows are not models. A model that copies does not compete on samples, where copying
    wins; held-out likelihood it cannot cheat.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        cheats = copies(row) and name not in LIKELIHOODS
        if not (row.get("reference") or row.get("error") or cheats) and math.isfinite(
            badness(record(row, name))
        ):
            groups.setdefault(label(row, name), []).append(row)
    return {
        key: sorted(group, key=lambda row: badness(record(row, name)))
        for key, group in groups.items()
    }


def best(rows: Sequence[Row], name: str) -> list[int]:
    """Where in `rows` the best values of a metric stand: one per likelihood label, and none where
    only one row competes.
    """
    groups = [group for group in contenders(rows, name).values() if len(group) > 1]
    winners = [
        row
        for group in groups
        for row in group
        if badness(record(row, name)) == badness(record(group[0], name))
    ]
    return [place for place, row in enumerate(rows) if any(row is winner for winner in winners)]


def overlap(one: Record | None, other: Record | None) -> bool:
    """Whether two 95 % intervals share a point, so that the order of the values is not settled."""
    low = number(one, "low")
    high = number(one, "high")
    bottom = number(other, "low")
    top = number(other, "high")
    return (
        not (low is None or high is None or bottom is None or top is None)
        and low <= top
        and bottom <= high
    )
