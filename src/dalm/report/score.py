"""How a scoreboard is read: columns, arrows, rounding, which value is best, who is flagged. Shared
by the terminal and the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dalm.records.score import TITLES, find_score, score_records

Record = Mapping[str, Any]
Row = Mapping[str, Any]
Finding = tuple[str, str]
"""A heading, and sentences."""

LIKELIHOODS = ("bits_per_dim", "importance_bits_per_dim")
SIGNS = {"bound": "≤ ", "estimate": "≈ "}
"""A bound on the log-likelihood from below bounds the bits from above."""
DOUBT = "?"
"""Behind an interval that may not hold."""
UNITS = ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k"))
"""From which count on, in what, and how it is called."""


def record(row: Row, metric: str, split: str = "test") -> Record | None:
    """The row's score on a whole split, if it has one.

    Args:
        row: of a scoreboard, of either format.
        metric: name of the measure.
        split: the part of the data.
    """
    return find_score(score_records(row), metric, split)


def number(score: Record | None, key: str = "value") -> float | None:
    """The number under a key, or None where there is none (null, NaN, a word).

    Args:
        score: a record, or None.
        key: such as `value`, `low` or `high`.

    >>> number({"value": 1, "low": None}), number({"low": None}, "low"), number(None)
    (1.0, None, None)
    """
    value = score.get(key) if score else None
    is_number = isinstance(value, int | float) and not math.isnan(value)
    return float(value) if is_number else None  # type: ignore[arg-type]


def columns(rows: Sequence[Row]) -> list[str]:
    """Names of the metrics that any row has on the whole test split, in the order of the records.

    >>> columns([{"scores": [{"metric": "kid", "split": "test"}]}])
    ['kid']
    """
    metrics: dict[str, None] = {}
    for row in rows:
        scores = score_records(row)
        for score in scores:
            name = str(score.get("metric"))
            if find_score(scores, name):
                metrics[name] = None
    return list(metrics)


def title(rows: Sequence[Row], metric: str) -> str:
    """What a person calls a metric, as its records say.

    Args:
        rows: of a scoreboard.
        metric: name of the measure.

    >>> title([], "kid"), title([], "my_own")
    ('KID', 'my own')
    """
    said = detail(rows, metric, "title") or TITLES.get(metric)
    return str(said or metric.replace("_", " "))


def detail(rows: Sequence[Row], metric: str, key: str) -> Any:
    """What the first record of a metric that says it gives under a key.

    Args:
        rows: of a scoreboard.
        metric: name of the measure.
        key: such as `direction`, `unit`, `features` or `n`.
    """
    for row in rows:
        score = record(row, metric)
        if score and score.get(key) is not None:
            return score[key]
    return None


def arrow(direction: object) -> str:
    """Which way is better.

    >>> arrow("lower"), arrow("higher"), arrow(0.5), arrow(None)
    ('↓', '↑', '→ 0.5', '')
    """
    if isinstance(direction, int | float):
        return f"→ {direction:g}"
    return {"lower": "↓", "higher": "↑"}.get(str(direction), "")


def label(row: Row, metric: str) -> str:
    """`exact`, `bound` or `estimate` for a likelihood, else nothing.

    Args:
        row: of a scoreboard.
        metric: name of the measure.
    """
    if metric not in LIKELIHOODS:
        return ""
    score = record(row, metric) or {}
    inherited = row.get("likelihood") if metric == "bits_per_dim" else None
    return str(score.get("label") or inherited or "")


def value(score: Record | None, most: int = 6) -> tuple[str, str]:
    """The value and the half-width of its interval, rounded to what the interval allows.

    Args:
        score: a record, or None.
        most: decimal places, at most, but two digits of a small value; a half-width below them is
            said to be below.

    >>> value({"value": 1.7412, "low": 1.702, "high": 1.781})
    ('1.74', '0.04')
    >>> value({"value": 0.5, "low": 0.4999, "high": 0.5001}, most=3)
    ('0.500', '<0.001')
    >>> value({"value": 0.5}), value({"value": None})
    (('0.5', ''), ('–', ''))
    """
    middle = number(score)
    if middle is None:
        return "–", ""
    low = number(score, "low")
    high = number(score, "high")
    half = 0.0 if low is None or high is None else (high - low) / 2
    if not (math.isfinite(middle) and math.isfinite(half) and half > 0):
        return _plain(middle), ""

    if middle:
        most = max(most, 1 - math.floor(math.log10(abs(middle))))
    # One digit of the half-width, two when the first is a 1: ± 0.4, but ± 0.14.
    places = min(max(0, -math.floor(math.log10(half / 2))), most)
    smallest = 10**-places
    shown = f"{half:,.{places}f}" if half >= smallest / 2 else f"<{smallest:.{places}f}"
    return f"{middle:,.{places}f}".replace("-", "−"), shown


def phrase(row: Row, metric: str, most: int = 6) -> str:
    """Sign, value and half-width in one string: `≤ 1.74 ± 0.04`, and a question mark where the
    interval may not hold.

    Args:
        row: of a scoreboard.
        metric: name of the measure.
        most: decimal places, as in `value`.
    """
    score = record(row, metric)
    middle, half = value(score, most)
    sign = "" if middle == "–" else SIGNS.get(label(row, metric), "")
    doubt = DOUBT if score and score.get("unreliable") else ""
    return f"{sign}{middle} ± {half}{doubt}" if half else f"{sign}{middle}"


def seed_range(row: Row, metric: str) -> tuple[float, float] | None:
    """The lowest and the highest value that fits with other seeds found on test data, if there are
    any.

    Args:
        row: of a scoreboard.
        metric: name of the measure.

    >>> scores = [{"metric": "kid", "split": "test", "value": value} for value in (1.0, 3.0)]
    >>> seed_range({"seeds": [{"scores": [score]} for score in scores]}, "kid")
    (1.0, 3.0)
    """
    fits = row.get("seeds") or []
    values = [number(record(fit, metric)) for fit in fits]
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if len(known) > 1 else None


def seeds_phrase(row: Row, metric: str, most: int = 6) -> str:
    """The range between seeds in words, `1.70–1.78`, or nothing.

    Args:
        row: of a scoreboard.
        metric: name of the measure.
        most: decimal places, as in `value`.
    """
    ends = seed_range(row, metric)
    if ends is None:
        return ""
    score = record(row, metric) or {}
    half = ((number(score, "high") or 0) - (number(score, "low") or 0)) / 2
    # As many digits as the row's own figure has.
    low, high = (value({"value": v, "low": v - half, "high": v + half}, most)[0] for v in ends)
    return f"{low}–{high}"


def compact(count: object) -> str:
    """A count in few characters.

    >>> compact(1234567), compact(8.25), compact(None)
    ('1.23 M', '8.25', '–')
    """
    if not isinstance(count, int | float):
        return "–"
    for least, size, unit in UNITS:
        if abs(count) >= least:
            return f"{count / size:.3g}{unit}"
    return _plain(count)


def _plain(middle: float) -> str:
    is_large = 1000 <= abs(middle) < math.inf
    text = f"{middle:,.0f}" if is_large else f"{middle:.3g}"
    return text.replace("-", "−").replace("inf", "∞")


def badness(score: Record | None) -> float:
    """How far a value is from what its direction asks; infinite where there is nothing to rank.

    >>> badness({"value": 0.7, "direction": "higher"}), badness({"value": 3, "direction": 0.5})
    (-0.7, 2.5)
    """
    middle = number(score)
    direction = (score or {}).get("direction")
    if middle is None:
        return math.inf
    if isinstance(direction, int | float):
        return abs(middle - direction)
    return {"lower": middle, "higher": -middle}.get(str(direction), math.inf)


def tightest(row: Row) -> str:
    """The likelihood that says most of a row: of its bounds the lowest, on validation if it can.

    >>> bits = {"bits_per_dim": {"value": 2.1, "direction": "lower"}}
    >>> tighter = {"importance_bits_per_dim": {"value": 1.9, "direction": "lower"}}
    >>> tightest({"metrics": bits}), tightest({"metrics": bits | tighter})
    ('bits_per_dim', 'importance_bits_per_dim')
    """
    for split in ("val", "test"):
        bits = {metric: badness(record(row, metric, split)) for metric in LIKELIHOODS}
        if math.isfinite(min(bits.values())):
            return min(bits, key=bits.__getitem__)
    return LIKELIHOODS[0]


def shown(row: Row, metric: str) -> str:
    """The measure whose figure stands in a column: among likelihoods a row's tightest.

    Args:
        row: of a scoreboard.
        metric: of the column.
    """
    return tightest(row) if metric == LIKELIHOODS[0] else metric


def flags(row: Row) -> dict[str, str]:
    """The alarms a row raises, by metric.

    >>> flags({"metrics": {"copying": {"value": -9, "flag": "copies"}, "kid": {"value": 1}}})
    {'copying': 'copies'}
    """
    alarms = {metric: (record(row, metric) or {}).get("flag") for metric in columns([row])}
    return {metric: str(flag) for metric, flag in alarms.items() if flag}


def copies(row: Row) -> bool:
    """Whether a metric says that the row's samples are copies of training data."""
    return "copies" in flags(row).values()


def overlap(one: Record | None, other: Record | None) -> bool:
    """Whether two 95 % intervals share a point, so that the order of the values is not settled.

    Args:
        one: a record, or None.
        other: another one.

    >>> overlap({"low": 1, "high": 3}, {"low": 2, "high": 4}), overlap({"low": 1}, None)
    (True, False)
    """
    low = number(one, "low")
    high = number(one, "high")
    bottom = number(other, "low")
    top = number(other, "high")
    if low is None or high is None or bottom is None or top is None:
        return False
    return low <= top and bottom <= high
