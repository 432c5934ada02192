"""What a column is, found from its cells, and said in words.

Whatever is decided, every cell comes back byte for byte: what does not fit escapes. So a kind only
needs to fit nearly all cells, and a column that fits none stays a category, a key or a text.
"""

from __future__ import annotations

from dalm.core.columns import Column, Kind
from dalm.data.tables.cells import is_number
from dalm.data.tables.counted import Cells
from dalm.data.tables.grids import number_of, time_of
from dalm.data.tables.spelling import reader
from dalm.errors import DalmError

MOST_CATEGORIES = 2000


def find_column(cells: Cells, kind: Kind | None = None) -> Column:
    """What a column is.

    Args:
        cells: of the column.
        kind: if it is known.

    Raises:
        DalmError: too few of its cells are of that kind.

    >>> from collections import Counter
    >>> prices = Counter({"0.10": 3, "0.25": 2, "": 1})
    >>> found = find_column(Cells("price", prices, prices))
    >>> found.kind, found.step, found.spelling, found.missing
    ('number', '0.01', '2', ('',))
    """
    found = None
    if kind in (None, "time"):
        found = time_of(cells)
    if found is None and kind in (None, "number"):
        found = number_of(cells)
    if found is not None and (kind or not (_names_rows(cells, found) or _is_list(cells, found))):
        return found
    if kind in ("number", "time"):
        examples = ", ".join(map(repr, cells.first))
        raise DalmError(
            f"column {cells.name!r} is to be a {kind}, and too few of its cells are such: "
            f"{examples}"
        )
    return _named(cells, kind)


def _named(cells: Cells, kind: Kind | None) -> Column:
    """A key, a category or a text."""
    total = sum(cells.all.values())
    distinct = len(cells.all)
    if kind == "key" or (kind is None and distinct == total > 1 and _is_short(cells)):
        return Column(cells.name, "key")
    if kind == "category" or (kind is None and _are_few(cells)):
        return Column(cells.name, "category", values=_values(cells))
    return Column(cells.name, "text")


def _values(cells: Cells) -> tuple[str, ...]:
    """The values of training rows, numbers by size before words by the alphabet."""

    def place(cell: str) -> tuple[bool, float, str]:
        return (not is_number(cell), float(cell) if is_number(cell) else 0.0, cell)

    return tuple(sorted(cells.train, key=place))


def _are_few(cells: Cells) -> bool:
    distinct = len(cells.all)
    return distinct <= MOST_CATEGORIES and 2 * distinct <= max(sum(cells.all.values()), 4)


def _is_list(cells: Cells, column: Column) -> bool:
    """Whether numbers are a few values with many digits, such as what floating point left over."""
    return column.pairs > 2 and _are_few(cells)


def _is_short(cells: Cells) -> bool:
    return all(len(cell) <= 64 and " " not in cell for cell in cells.all)


def _names_rows(cells: Cells, column: Column) -> bool:
    """Whether whole numbers do nothing but count the rows."""
    total = sum(cells.all.values())
    if column.kind != "number" or len(cells.all) < total or total < 20:
        return False
    codes = [code for code in map(reader(column), cells.all) if code is not None]
    return column.step == "1" and max(codes) - min(codes) == total - 1


def said(column: Column, cells: Cells) -> str:
    """What a column was taken for, with three examples.

    Args:
        column: as it was found.
        cells: of it.

    >>> from collections import Counter
    >>> sexes = Counter({"f": 4, "m": 5})
    >>> cells = Cells("sex", sexes, sexes, ("m", "f"))
    >>> said(find_column(cells), cells)
    'sex: category of 2 values, such as m, f'
    """
    examples = ", ".join(dict.fromkeys(cells.first)) or "nothing"
    what = {
        "category": f"category of {len(column.values):,} values",
        "number": f"number in steps of {column.step}",
        "time": f"time in steps of {column.step} s ({column.spelling})",
        "key": "key, which names its row and is not learned",
        "text": "text, which is kept and not learned yet",
    }[column.kind]
    missing = [f"{spelling!r} {cells.all[spelling]:,} times" for spelling in column.missing]
    none = f"; no value: {', '.join(missing)}" if missing else ""
    return f"{column.name}: {what}, such as {examples}{none}"
