"""Arrays that are valid data `x…` and labels `y…`, or an error that says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dalm.data.dataset import Array, blocks_of
from dalm.data.reading import few
from dalm.errors import DalmError

SHAPES = "(N, D), (N, H, W), (N, C, H, W) or (N, H, W, C)"
"""What is taken."""
LARGEST = 1e100
"""A real number is smaller, so that squares and products of a few do not overflow."""


def check_arrays(arrays: Mapping[str, Array]) -> None:
    """Raise DalmError unless all arrays are valid data `x…` or labels `y…`.

    >>> check_arrays({"y": np.zeros(3, int)})
    Traceback (most recent call last):
    dalm.errors.DalmError: there are labels y, but no data x; there are y
    """
    for name, array in arrays.items():
        _check_not_empty(name, array)
        if name.startswith("y"):
            _check_labels(name, array, arrays)
        else:
            _check_data(name, array)


def _check_not_empty(name: str, array: Array) -> None:
    if array.ndim and array.size:
        return
    fault = "is empty" if array.ndim else "is a single number"
    raise DalmError(f"the array {name} {fault}: its shape is {array.shape}; give {SHAPES}")


def _check_data(name: str, x: Array) -> None:
    if x.dtype.kind not in "biuf":
        raise DalmError(
            f"the array {name} is of type {x.dtype}; give integers, booleans or real numbers"
        )
    if x.ndim > 4:
        raise DalmError(f"the array {name} has shape {x.shape}; give {SHAPES}")
    if x.dtype.kind == "f":
        _check_finite(name, x)


def _check_finite(name: str, x: Array) -> None:
    blocks = blocks_of(len(x), x[0].nbytes)
    with np.errstate(over="ignore"):
        bad = np.concatenate([~(np.abs(x[block].astype(np.float64)) < LARGEST) for block in blocks])
    if bad.any():
        first = tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
        raise DalmError(
            f"the array {name} has {bad.sum():,} values that are NaN, infinite or beyond "
            f"{LARGEST:g}; "
            f"the first is {x[first]} at {first}"
        )


def _check_labels(name: str, y: Array, arrays: Mapping[str, Array]) -> None:
    partner = name.replace("y", "x")
    if partner not in arrays:
        raise DalmError(
            f"there are labels {name}, but no data {partner}; there are {few(list(arrays))}"
        )
    x = arrays[partner]
    if y.shape != x.shape[:1] or y.dtype.kind not in "biuSU":
        raise DalmError(
            f"the labels {name} should be ({len(x)},) integers or strings, one for each row of "
            f"{partner}, -1 for a row without a label; they are {y.shape} of type {y.dtype}"
        )


def check_same_shape(xs: list[Array]) -> None:
    """Raise DalmError unless all splits hold data of one shape.

    >>> check_same_shape([np.zeros((2, 3)), np.zeros((2, 4))])
    Traceback (most recent call last):
    dalm.errors.DalmError: the splits hold data of different shapes: (3,), (4,)
    """
    shapes = [x.shape[1:] for x in xs]
    if len(set(shapes)) > 1:
        words = ", ".join(map(str, shapes))
        raise DalmError(f"the splits hold data of different shapes: {words}")
