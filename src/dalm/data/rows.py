"""Rows that a fitted model is asked about: brought into the form of the data that it learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dalm.core import Spec
from dalm.data.dataset import Array, Grades
from dalm.data.files import is_file, read_arrays
from dalm.data.layout import arrange
from dalm.data.levels import as_learned, to_values
from dalm.data.memory import by_our_names, gather, in_memory
from dalm.data.options import RowOptions
from dalm.data.validity import check_arrays
from dalm.errors import DalmError

ROLES = ("label", "group", "order")
"""Options that name columns, which rows need not have."""


def rows_as(
    source: str | Path | Any, options: Mapping[str, Any], spec: Spec, grades: Grades | None = None
) -> Tensor:
    """All rows of a file or of data in memory, in their order, (N, *spec.shape).

    Args:
        source: a file of arrays whose `x` they are, or data in memory.
        options: of the data that the model learned, as its run records them.
        spec: what one datum is.
        grades: what the values of those data were taken for.

    Raises:
        DalmError: there are none, or they are not like the data that the model learned.

    >>> rows_as([[0.5], [1.5]], {}, Spec((1,))).tolist()
    [[0.5], [1.5]]
    """
    columns = getattr(source, "columns", ())
    absent = {name for name in ROLES if options.get(name) not in columns}
    known = RowOptions.declared().keys() - absent
    asked = RowOptions(**{name: value for name, value in options.items() if name in known})
    x = _array_of(source, asked)
    check_arrays({"x": x})
    if spec.levels is None:
        rows = torch.from_numpy(arrange(x, asked).astype("float64"))
    else:
        rows = torch.from_numpy(_levels(x, asked, spec.levels, grades)).to(spec.dtype)
    spec.check(rows)
    return rows


def _levels(x: Array, options: RowOptions, levels: int, grades: Grades | None) -> Array:
    """Rows as levels, by what was decided of the data that the model learned and by nothing else:
    how a row is read must not depend on the rows beside it.
    """
    if options.binary or not options.levels:
        return arrange(as_learned(x, Grades(levels), options), options)
    if grades is None:
        raise DalmError(
            f"the data were reduced to {levels} levels, and this run does not say from what; fit "
            "it again to score rows"
        )
    rows = arrange(as_learned(x, grades, options), options)
    return rows if grades.low is not None else to_values(rows, grades.levels, options)


def _array_of(source: Any, options: RowOptions) -> Array:
    if in_memory(source):
        arrays = gather(source, options).named
    elif is_file(source):
        arrays, _ = read_arrays(Path(source).resolve())
        arrays = by_our_names(arrays, None)
    else:
        raise DalmError(
            f"rows are data in memory or a file of arrays (.npz, .npy, IDX), got {source!r}"
        )
    if "x" not in arrays:
        raise DalmError(f"rows need an array x, got {', '.join(arrays) or 'none'}")
    return arrays["x"]
