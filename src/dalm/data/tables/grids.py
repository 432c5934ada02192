"""Columns of numbers and times: the spelling and the step that hold nearly all cells, and bins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from dalm.core.columns import PAIR, Column
from dalm.data.tables.counted import MISSING, Cells
from dalm.data.tables.spelling import TIMES, common_step, decimals_of, reader, seconds_of, spelled

FITTING = 0.995
"""Of cells with a value, how many a kind must hold."""
FIRST = 20
"""Cells by which formats of times are chosen that are worth a try."""
SURE = 10
"""Different values that share a step by chance in about one of 500 cases."""
BINS = 256
"""Bins of a number, about."""
WIDEST = 256
"""Places in a bin."""
RANGE = WIDEST * 64
"""Above it, the last two digits are looked at by themselves."""


def number_of(cells: Cells) -> Column | None:
    """A column of numbers, if nearly all cells are such.

    Args:
        cells: of the column.
    """
    valued = cells.valued
    read = {cell: found for cell in valued if (found := decimals_of(cell))}
    if not _enough(valued, read):
        return None
    spelling, places = max(
        _spellings(valued, read), key=lambda pair: _count(valued, _written(read, *pair))
    )
    fitting = _written(read, spelling, places)
    if not _enough(valued, fitting):
        return None
    origin, step = _grid(fitting.values(), 1)
    plain = Column(
        cells.name,
        "number",
        missing=_missing(cells),
        origin=spelled(origin, places, "short"),
        step=spelled(step, places, "short"),
        spelling=spelling,
        edges=(0, 1),
    )
    return _with_edges(plain, cells)


def _spellings(valued: Counter[str], read: dict[str, tuple[int, int]]) -> Iterator[tuple[str, int]]:
    """Spellings that may suit, with the decimals of the coarsest grid that holds nearly all."""
    decimals = Counter[int]()
    for cell, (_, own) in read.items():
        decimals[own] += valued[cell]
    for places in decimals:
        if places:
            yield str(places), places
    total = sum(decimals.values())
    places = next(p for p in sorted(decimals) if _up_to(decimals, p) >= FITTING * total)
    yield "short", places
    if places:
        yield "point", places


def _up_to(decimals: Counter[int], places: int) -> int:
    return sum(count for own, count in decimals.items() if own <= places)


def _written(read: dict[str, tuple[int, int]], spelling: str, places: int) -> dict[str, int]:
    """The cells that a spelling writes, as whole numbers of 10^-places."""
    scaled = {
        cell: value * 10 ** (places - own) for cell, (value, own) in read.items() if own <= places
    }
    return {cell: n for cell, n in scaled.items() if spelled(n, places, spelling) == cell}


def time_of(cells: Cells) -> Column | None:
    """A column of times, if nearly all cells are such.

    Args:
        cells: of the column.
    """
    valued = cells.valued
    first = list(islice(valued, FIRST))
    if all(cell.isdigit() or decimals_of(cell) for cell in first):
        return None
    for form in TIMES:
        if all(seconds_of(cell, form) is None for cell in first):
            continue
        read = {cell: at for cell in valued if (at := seconds_of(cell, form)) is not None}
        if _enough(valued, read):
            origin, step = _grid(read.values(), _unit(form))
            plain = Column(
                cells.name,
                "time",
                missing=_missing(cells),
                origin=str(origin),
                step=str(step),
                spelling=form,
                edges=(0, 1),
            )
            return _with_edges(plain, cells)
    return None


def _grid(values: Collection[int], unit: int) -> tuple[int, int]:
    """Origin and step of whole numbers; of a few values, which share some step by chance, the unit.

    Args:
        values: all of them.
        unit: the smallest step that the spelling can say.
    """
    if len(set(values)) < SURE:
        return min(values) % unit, unit
    least, step = common_step(values)
    return least % step, step


def _unit(form: str) -> int:
    """Seconds that a format of times can tell apart."""
    if "%S" in form:
        return 1
    return 60 if "%M" in form else 86_400


def _enough(valued: Counter[str], fitting: Collection[str]) -> bool:
    total = sum(valued.values())
    return total > 0 and _count(valued, fitting) >= FITTING * total


def _count(valued: Counter[str], cells: Collection[str]) -> int:
    """How many rows hold one of these cells."""
    return sum(valued[cell] for cell in cells)


def _missing(cells: Cells) -> tuple[str, ...]:
    return tuple(spelling for spelling in MISSING if cells.all[spelling])


def _with_edges(column: Column, cells: Cells) -> Column:
    """The column with bins of about as many training rows each, frequent values alone."""
    read = reader(column)
    found = {cell: code for cell in cells.train if (code := read(cell)) is not None}
    if not found:
        found = {cell: code for cell in cells.all if (code := read(cell)) is not None}
    codes = np.array(list(found.values()))
    counts = np.array([cells.train[cell] for cell in found])
    span = int(codes.max()) - int(codes.min())
    pairs = 0
    while span // PAIR**pairs > RANGE:
        pairs += 1
    return replace(column, pairs=pairs, edges=edges_of(codes // PAIR**pairs, counts))


def edges_of(values: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[int, ...]:
    """Where bins begin, and the end of the last one: each holds about as many rows, what is
    frequent is alone, and none is wider than `WIDEST`.

    Args:
        values: whole numbers, (M,), perhaps several times.
        counts: how many rows have each, (M,).

    >>> edges_of(np.array([5, 0, 1]), np.array([9, 1, 1]))
    (0, 1, 5, 6)
    """
    values, place = np.unique(values, return_inverse=True)
    counts = np.bincount(place, weights=counts).astype(np.int64)
    begins = set(values.tolist()) if len(values) <= BINS else _even(values, counts)
    end = int(values[-1]) + 1
    edges = sorted(begins)
    whole = [
        cut
        for low, high in zip(edges, [*edges[1:], end], strict=True)
        for cut in range(low, high, WIDEST)
    ]
    return (*whole, end)


def _even(values: NDArray[np.int64], counts: NDArray[np.int64]) -> set[int]:
    """Beginnings of bins of about as many rows each; a value that fills one is alone."""
    most = counts.sum() / BINS
    begins = {int(values[0])}
    held = 0.0
    for value, count in zip(values, counts, strict=True):
        if count >= most:
            begins |= {int(value), int(value) + 1}
            held = 0.0
        elif held + count > most:
            begins.add(int(value))
            held = count
        else:
            held += count
    return {begin for begin in begins if begin <= values[-1]}
