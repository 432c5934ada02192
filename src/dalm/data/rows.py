"""Rows that a fitted model is asked about: brought into the form of the data that it learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dalm.core import Spec
from dalm.data.dataset import Array
from dalm.data.files import is_file, read_arrays
from dalm.data.layout import arrange
from dalm.data.levels import find_levels, to_values, whole_levels
from dalm.data.memory import by_our_names, gather, in_memory
from dalm.data.options import RowOptions
from dalm.data.validity import check_arrays
from dalm.errors import DalmError


def rows_as(source: str | Path | Any, options: Mapping[str, Any], spec: Spec) -> Tensor:
    """All rows of a file or of data in memory, in their order, (N, *spec.shape).

    Args:
        source: a file of arrays whose `x` they are, or data in memory.
        options: of the data that the model learned, as its run records them.
        spec: what one datum is.

    Raises:
        DalmError: there are none, or they are not like the data that the model learned.

    >>> rows_as([[0.5], [1.5]], {}, Spec((1,))).tolist()
    [[0.5], [1.5]]
    """
    known = RowOptions.declared()
    asked = RowOptions(**{name: value for name, value in options.items() if name in known})
    x = _array_of(source, asked)
    check_arrays({"x": x})
    if spec.levels is None:
        rows = torch.from_numpy(arrange(x, asked).astype("float64"))
    else:
        whole, _ = whole_levels({"x": x}, asked)
        arranged = arrange(whole["x"], asked)
        levels, _ = find_levels([arranged], asked)
        rows = torch.from_numpy(to_values(arranged, levels, asked)).to(spec.dtype)
    spec.check(rows)
    return rows


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
