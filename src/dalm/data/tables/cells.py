"""Cells of a row of text: cut at separators outside quotes, and what quotes say."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Quoting = Literal["minimal", "all", "all but empty", "none"]
"""Which cells of a column stand in quotes: those that need them, all, all that are not empty, or
none that could be said: then quotes are part of the cell.
"""
QUOTINGS: tuple[Quoting, ...] = ("minimal", "all", "all but empty", "none")
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


def split_row(line: str, separator: str) -> list[str]:
    r"""The cells of a row as they are spelled, quotes and all.

    Args:
        line: the row without what ends it.
        separator: one character.

    >>> split_row('1,"a,b",', ",")
    ['1', '"a,b"', '']
    """
    if '"' not in line:
        return line.split(separator)
    return _cell(separator).findall(line + separator)


@lru_cache
def _cell(separator: str) -> re.Pattern[str]:
    """A cell and the separator after it: quoted stretches may hold separators."""
    apart = re.escape(separator)
    return re.compile(rf'((?:"[^"]*"|[^"{apart}])*){apart}')


def is_open(line: str) -> bool:
    """Whether a quote is open at the end: then the row goes on in the next line.

    Args:
        line: from the beginning of the row.
    """
    return line.count('"') % 2 == 1


def unquote(cell: str) -> str:
    '''A cell without its quotes; a cell that is not in quotes as a whole stays as it is.

    Args:
        cell: as it is spelled.

    >>> unquote('"say ""hi"""'), unquote('5" pipe')
    ('say "hi"', '5" pipe')
    '''
    inner = cell[1:-1]
    whole = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if whole else cell


def quote(value: str, quoting: Quoting, separator: str) -> str:
    """A value as a cell.

    Args:
        value: without quotes.
        quoting: which cells stand in quotes.
        separator: one character.

    >>> quote("a,b", "minimal", ","), quote("", "all but empty", ","), quote("x", "all", ",")
    ('"a,b"', '', '"x"')
    """
    if quoting == "none":
        return value
    needed = any(part in value for part in (separator, '"', "\n", "\r"))
    if needed or quoting == "all" or (quoting == "all but empty" and value):
        return '"' + value.replace('"', '""') + '"'
    return value


def quoting_of(cells: set[str], separator: str) -> Quoting:
    """How a column is quoted, so that each cell comes back from its value.

    Args:
        cells: all cells of the column, as they are spelled.
        separator: one character.

    >>> quoting_of({"a", '"b,c"'}, ","), quoting_of({'"a"', ""}, ","), quoting_of({'"a"', "b"}, ",")
    ('minimal', 'all but empty', 'none')
    """
    values = {cell: unquote(cell) for cell in cells}
    for quoting in QUOTINGS[:-1]:
        if all(quote(value, quoting, separator) == cell for cell, value in values.items()):
            return quoting
    return "none"


def is_number(text: str) -> bool:
    """Whether a text reads as a number.

    Args:
        text: a cell without quotes.

    >>> is_number("-1.5e3"), is_number("1,5")
    (True, False)
    """
    return NUMBER.fullmatch(text) is not None
