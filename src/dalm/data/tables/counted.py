"""The cells of a column, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "?", "-", ".")
"""Spellings that mean no value where they stand among numbers or times."""


class Cells(NamedTuple):
    """The cells of a column.

    Args:
        name: of the column.
        all: how often each value is there.
        train: the same of training rows, from which values and edges are taken.
        first: some values in the order of the file.
    """

    name: str
    all: Counter[str]
    train: Counter[str]
    first: tuple[str, ...] = ()

    @property
    def valued(self) -> Counter[str]:
        """Those that are no spelling of no value."""
        return Counter({cell: n for cell, n in self.all.items() if cell not in MISSING})


def count_cells(name: str, rows: Sequence[str], is_train: NDArray[np.bool_]) -> Cells:
    """The cells of a column, counted.

    Args:
        name: of the column.
        rows: values in the order of the file.
        is_train: which of them are training rows.

    >>> count_cells("n", ["1", "2", "1"], np.array([True, False, True])).train
    Counter({'1': 2})
    """
    train = Counter(cell for cell, own in zip(rows, is_train, strict=True) if own)
    return Cells(name, Counter(rows), train, tuple(dict.fromkeys(rows[:200]))[:3])
