"""Arrays to data: `x` (and `y`), split here, or `x_train`, `x_test` (and `x_val`, `y_…`), split
already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from dalm.core import Spec
from dalm.data.dataset import SPLIT_NAMES, Array, Data, Split, blocks_of
from dalm.data.labels import encode_labels
from dalm.data.layout import arrange
from dalm.data.levels import find_levels, to_values
from dalm.data.options import ImageOptions
from dalm.data.source import Source
from dalm.data.splits import assign_splits, content_note, row_digests
from dalm.errors import DalmError

SHAPES = "(N, D), (N, H, W), (N, C, H, W) or (N, H, W, C)"
"""What is taken."""
LARGEST = 1e100
"""A real number is smaller, so that squares and products of a few do not overflow."""


class RawSplit(NamedTuple):
    """One split as it came: x (N, …) and, if there are labels, y (N,)."""

    x: Array
    y: Array | None


def from_arrays(
    name: str,
    source: str,
    arrays: Mapping[str, Array],
    options: ImageOptions,
    notes: Sequence[str] = (),
) -> Data:
    """Data from arrays by name: `x` and `y`, or `x_train` and so on.

    Args:
        name: short name.
        source: what rebuilds the data.
        arrays: data `x…` (N, …) and labels `y…` (N,).
        options: what is done to them.
        notes: what is already to be said, in sentences.

    Raises:
        DalmError: on missing arrays, labels that do not match, NaN, infinity, negative or too many
            levels, unfit shapes.

    >>> from_arrays("coin", "array", {"x": np.arange(20) % 2 == 0}, ImageOptions())
    Traceback (most recent call last):
    dalm.errors.DalmError: too few data: 20 (2 distinct) cannot fill 3 splits; give at least 10
    distinct ones
    >>> from_arrays("line", "array", {"x": np.linspace(0, 1, 20)}, ImageOptions())
    Data('line', 16 train, 2 val, 2 test, Spec(shape=(1,), levels=None, classes=0))
    """
    check_arrays(arrays)
    splits, split_note = _divide(arrays, options.seed)
    labels = encode_labels([split.y for split in splits])
    xs = [arrange(split.x, options) for split in splits]
    _check_same_shape(xs)

    levels, level_notes = find_levels(xs, options)
    spec_levels = levels and options.levels_from(levels)
    tensors = [torch.from_numpy(to_values(x, levels, options)) for x in xs]
    train, val, test = (Split(x, y) for x, y in zip(tensors, labels.ys, strict=True))

    return Data(
        name=name,
        source=source,
        options=options.recorded(),
        spec=Spec(xs[0].shape[1:], spec_levels, len(labels.classes)),
        train=train,
        val=val,
        test=test,
        classes=labels.classes,
        notes=(split_note, *notes, *labels.notes, *level_notes, *options.notes(levels)),
    )


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
            f"there are labels {name}, but no data {partner}; there are {', '.join(arrays)}"
        )
    x = arrays[partner]
    if y.shape != x.shape[:1] or y.dtype.kind not in "biuSU":
        raise DalmError(
            f"the labels {name} should be ({len(x)},) integers or strings, one for each row of "
            f"{partner}, -1 for a row without a label; they are {y.shape} of type {y.dtype}"
        )


def _divide(arrays: Mapping[str, Array], seed: int) -> tuple[list[RawSplit], str]:
    """The three splits, and how they came about in words."""
    splits = {
        name: RawSplit(arrays[f"x_{name}"], arrays.get(f"y_{name}"))
        for name in SPLIT_NAMES
        if f"x_{name}" in arrays
    }
    if "x" in arrays and not splits:
        everything = RawSplit(arrays["x"], arrays.get("y"))
        return _split_rows(everything, 2, seed), content_note("bytes", 2, seed)

    if "x" in arrays or "train" not in splits or "test" not in splits:
        raise DalmError(
            f"give x (and y), or x_train and x_test (and x_val, y_…); there are {', '.join(arrays)}"
        )
    if "val" in splits:
        return list(splits.values()), "Split as the arrays came: x_train, x_val, x_test."

    train, val = _split_rows(splits["train"], 1, seed)
    note = f"Test as it came: x_test. {content_note('bytes', 1, seed)}"
    return [train, val, splits["test"]], note


def _split_rows(rows: RawSplit, held_out: int, seed: int) -> list[RawSplit]:
    orders = assign_splits(row_digests(rows.x, seed), held_out)
    x, y = rows
    return [RawSplit(x[order], None if y is None else y[order]) for order in orders]


def _check_same_shape(xs: list[Array]) -> None:
    shapes = [x.shape[1:] for x in xs]
    if len(set(shapes)) > 1:
        words = ", ".join(map(str, shapes))
        raise DalmError(f"the splits hold data of different shapes: {words}")


def _load(array: Array, options: ImageOptions) -> Data:
    note = "The data came as an array in memory; only the caller can rebuild them."
    return from_arrays("array", "array", {"x": array}, options, [note])


ARRAY = Source(
    "an array",
    "a NumPy array",
    ImageOptions,
    matches=lambda value: isinstance(value, np.ndarray),
    load=_load,
)
