"""Arrays to data: `x` (and `y`), split here, or `x_train`, `x_test` (and `x_val`, `y_…`), split
already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from dalm.core import Spec
from dalm.data.checks import check_arrays
from dalm.data.dataset import SPLIT_NAMES, Array, Data, Split
from dalm.data.labels import encode_labels
from dalm.data.layout import arrange
from dalm.data.levels import find_levels, to_values
from dalm.data.options import ImageOptions
from dalm.data.source import Source
from dalm.data.splits import assign_splits, content_note, row_digests
from dalm.errors import DalmError


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


def _divide(arrays: Mapping[str, Array], seed: int) -> tuple[list[RawSplit], str]:
    """The three splits, and how they came about in words."""
    given = {
        name: RawSplit(arrays[f"x_{name}"], arrays.get(f"y_{name}"))
        for name in SPLIT_NAMES
        if f"x_{name}" in arrays
    }
    if "x" in arrays and not given:
        everything = RawSplit(arrays["x"], arrays.get("y"))
        return _split_rows(everything, 2, seed), content_note("bytes", 2, seed)

    if "x" in arrays or "train" not in given or "test" not in given:
        raise DalmError(
            f"give x (and y), or x_train and x_test (and x_val, y_…); there are {', '.join(arrays)}"
        )
    if "val" in given:
        return list(given.values()), "Split as the arrays came: x_train, x_val, x_test."

    train, val = _split_rows(given["train"], 1, seed)
    note = f"Test as it came: x_test. {content_note('bytes', 1, seed)}"
    return [train, val, given["test"]], note


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
