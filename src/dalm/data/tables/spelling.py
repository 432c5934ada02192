"""Texts of numbers and times as codes and back, exactly: value = origin + step · code.

A spelling is a rule that writes each value in one way only. A text belongs to a spelling if the
rule writes that very text again; `01`, `1e5` or `+1` belong to none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import gcd

from dalm.core.columns import Column

DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?")
MOST_DIGITS = 17
"""Decimal digits of a number that is read as one: codes are below 2^63."""
TIMES = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%H:%M:%S",
    "%H:%M",
)
"""Formats of times that are looked for, the first that fits wins."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decimals_of(text: str) -> tuple[int, int] | None:
    """A decimal number as a whole one and how many decimals it has; `None` where it is none, or is
    written as no rule would.

    Args:
        text: of a cell.

    >>> decimals_of("-1.50"), decimals_of("01"), decimals_of("-0")
    ((-150, 2), None, None)
    """
    match = DECIMAL.fullmatch(text)
    if match is None:
        return None
    digits = match[2] or ""
    if len(match[1]) + len(digits) > MOST_DIGITS:
        return None
    value = int(match[1] + digits)
    if text[0] == "-":
        return (-value, len(digits)) if value else None
    return value, len(digits)


def seconds_of(text: str, form: str) -> int | None:
    """Seconds since 1970 of a time, `None` where it is none or is written otherwise.

    Args:
        text: of a cell.
        form: one of `TIMES`.

    >>> seconds_of("1970-01-02", "%Y-%m-%d"), seconds_of("2021-13-01", "%Y-%m-%d")
    (86400, None)
    """
    try:
        time = datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None
    if "%Y" not in form:
        time = time.replace(year=1970)
    same = time.strftime(form).rjust(len(text), "0") == text
    return round((time - EPOCH).total_seconds()) if same else None


def reader(column: Column) -> Callable[[str], int | None]:
    """What reads texts of a column of numbers or times as codes; `None` where one is off the step,
    or spelled otherwise.

    Args:
        column: a number or a time.

    >>> price = Column("price", "number", step="0.05", spelling="2", edges=(0, 99))
    >>> read = reader(price)
    >>> read("0.10"), read("0.1"), read("0.12")
    (2, None, None)
    """
    if column.kind == "time":
        step = int(column.step)
        origin = int(column.origin)
        return lambda text: _on_step(seconds_of(text, column.spelling), origin, step)
    places = _places(column)
    step = int(Decimal(column.step).scaleb(places))
    origin = int(Decimal(column.origin).scaleb(places))
    return lambda text: _on_step(_scaled(text, column.spelling, places), origin, step)


def writer(column: Column) -> Callable[[int], str]:
    """What writes codes of a column of numbers or times as texts; the opposite of `reader`.

    Args:
        column: a number or a time.

    >>> writer(Column("price", "number", step="0.05", spelling="2", edges=(0, 99)))(2)
    '0.10'
    """
    if column.kind == "time":
        origin = int(column.origin)
        step = int(column.step)
        return lambda code: _written(origin + step * code, column.spelling)
    places = _places(column)
    start = Decimal(column.origin)
    width = Decimal(column.step)
    return lambda code: spelled(int((start + width * code).scaleb(places)), places, column.spelling)


def spelled(value: int, places: int, spelling: str) -> str:
    """A whole number of 10^-places as a text.

    Args:
        value: how many.
        places: decimals.
        spelling: of a `Column` of numbers.

    >>> spelled(150, 2, "2"), spelled(150, 2, "short"), spelled(100, 2, "short")
    ('1.50', '1.5', '1')
    >>> spelled(100, 2, "point"), spelled(-5, 2, "short")
    ('1.0', '-0.05')
    """
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(places + 1, "0")
    whole, rest = digits[: len(digits) - places], digits[len(digits) - places :]
    if spelling in ("short", "point"):
        rest = rest.rstrip("0") or ("0" if spelling == "point" else "")
    return f"{sign}{whole}.{rest}" if rest else sign + whole


def common_step(values: Iterable[int]) -> tuple[int, int]:
    """The smallest of whole numbers, and the largest step on which all lie from there; 1 for one.

    Args:
        values: at least one.

    >>> common_step([5, 15, 25]), common_step([7])
    ((5, 10), (7, 1))
    """
    values = list(values)
    least = min(values)
    return least, gcd(*(value - least for value in values)) or 1


def _on_step(value: int | None, origin: int, step: int) -> int | None:
    if value is None or (value - origin) % step:
        return None
    return (value - origin) // step


def _scaled(text: str, spelling: str, places: int) -> int | None:
    """A text as a whole number of 10^-places, if the spelling writes it like that."""
    found = decimals_of(text)
    if found is None or found[1] > places:
        return None
    value = found[0] * 10 ** (places - found[1])
    return value if spelled(value, places, spelling) == text else None


def _places(column: Column) -> int:
    """Decimals that its numbers may be written with."""
    own = int(column.spelling) if column.spelling.isdigit() else column.spelling == "point"
    return max(
        own, *(-int(Decimal(one).as_tuple().exponent) for one in (column.origin, column.step))
    )


def _written(seconds: int, form: str) -> str:
    time = (EPOCH + timedelta(seconds=seconds)).strftime(form)
    return time.rjust(10, "0") if form == "%Y-%m-%d" else time
