"""Arrays to data: `x` (and `y`), split here, or `x_train`, `x_test` (and `x_val`, `y_…`), split
already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from dalm.core import Spec
from dalm.data.checks import (
    copies_between,
    groups_matter,
    order_matters,
    recorded_columns,
    recorded_warning,
    splits_differ,
)
from dalm.data.dataset import SPLIT_NAMES, Array, Data, Split, blocks_of
from dalm.data.labels import encode_labels
from dalm.data.layout import arrange
from dalm.data.levels import find_levels, reduce_levels, to_values
from dalm.data.options import RowOptions
from dalm.data.source import Source
from dalm.data.splits import Dealt, deal_groups, deal_in_order, deal_rows, row_digests
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
    options: RowOptions,
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

    >>> from_arrays("coin", "array", {"x": np.arange(20) % 2 == 0}, RowOptions())
    Data('coin', 16 train, 2 val, 2 test, Spec(shape=(1,), levels=2, classes=0))
    >>> from_arrays("line", "array", {"x": np.linspace(0, 1, 20)}, RowOptions())
    Data('line', 16 train, 2 val, 2 test, Spec(shape=(1,), levels=None, classes=0))
    """
    keys = (options.group, options.order)
    check_arrays({name: array for name, array in arrays.items() if name not in keys})
    splits, split_notes = _divide(arrays, options)
    recorded = recorded_columns(splits[0].x)
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
        notes=(*split_notes, *notes, *labels.notes, *level_notes, *options.notes(levels)),
        warnings=(*_warnings(arrays, splits, options), *recorded_warning(recorded, splits[0].x)),
        recorded=bool(recorded),
    )


def _warnings(
    arrays: Mapping[str, Array], splits: list[RawSplit], options: RowOptions
) -> list[str]:
    """What in the data would make figures wrong."""
    given = "x_test" in arrays
    digests = {
        name: row_digests(split.x, 0) for name, split in zip(SPLIT_NAMES, splits, strict=True)
    }
    copies = copies_between(digests, splits[0].x)
    if options.group is not None or options.order is not None:
        return copies
    x = arrays["x_train" if given else "x"]
    y = arrays.get("y_train" if given else "y")
    different = splits_differ(splits[0].x, splits[-1].x) if given else []
    return [*copies, *order_matters(x, y), *groups_matter(x), *different]


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


def _divide(arrays: Mapping[str, Array], options: RowOptions) -> tuple[list[RawSplit], list[str]]:
    """The three splits, and how they came about in sentences."""
    splits = {
        name: RawSplit(arrays[f"x_{name}"], arrays.get(f"y_{name}"))
        for name in SPLIT_NAMES
        if f"x_{name}" in arrays
    }
    if "x" in arrays and not splits:
        return _split_rows(RawSplit(arrays["x"], arrays.get("y")), 2, options, arrays)

    if "x" in arrays or "train" not in splits or "test" not in splits:
        raise DalmError(
            f"give x (and y), or x_train and x_test (and x_val, y_…); there are {', '.join(arrays)}"
        )
    if "val" in splits:
        return list(splits.values()), ["Split as the arrays came: x_train, x_val, x_test."]

    parts, notes = _split_rows(splits["train"], 1, options, arrays)
    return [*parts, splits["test"]], ["Test as it came: x_test.", *notes]


def _split_rows(
    rows: RawSplit, held_out: int, options: RowOptions, arrays: Mapping[str, Array]
) -> tuple[list[RawSplit], list[str]]:
    x, y = rows
    said = options.group if options.group is not None else options.order
    if said is None:
        dealt = _deal_rows(rows, held_out, options)
    elif said == "file":
        dealt = deal_in_order(np.arange(len(x)), held_out, "the file")
    else:
        keys, x, name = _keys(x, said, arrays)
        if options.group is not None:
            dealt = deal_groups(keys, held_out, options.seed, name)
        else:
            dealt = deal_in_order(keys, held_out, name)
    parts = [RawSplit(x[order], None if y is None else y[order]) for order in dealt.parts]
    return parts, dealt.notes


def _deal_rows(rows: RawSplit, held_out: int, options: RowOptions) -> Dealt:
    """Rows of a sample; which of them are equal is judged as a model will see them."""
    x, y = rows
    seen = x
    if options.levels and x.dtype.kind in "iu" and not options.binary:
        levels, _ = find_levels([x], options)
        seen = np.concatenate(list(reduce_levels([x], levels or 0, options)))
    digests = row_digests(x, options.seed)
    return deal_rows(seen, digests, held_out, options.seed, options.repeats, y)


def _keys(x: Array, said: int | str, arrays: Mapping[str, Array]) -> tuple[Array, Array, str]:
    """What tells groups or order, the data without it if it was a column, and its name."""
    if isinstance(said, str) and said in arrays:
        if len(arrays[said]) != len(x):
            raise DalmError(
                f"the array {said} has {len(arrays[said])} entries, and there are {len(x)} rows"
            )
        return arrays[said], x, said
    if isinstance(said, str) and not said.lstrip("-").isdigit():
        raise DalmError(f"there is no array {said!r} to group or order rows by")
    column = int(said)
    if x.ndim != 2 or not -x.shape[1] <= column < x.shape[1] or x.shape[1] < 2:
        raise DalmError(f"there is no column {column} in data of shape {x.shape}")
    return x[:, column], np.delete(x, column, axis=1), f"column {column}, which is left out"


def _check_same_shape(xs: list[Array]) -> None:
    shapes = [x.shape[1:] for x in xs]
    if len(set(shapes)) > 1:
        words = ", ".join(map(str, shapes))
        raise DalmError(f"the splits hold data of different shapes: {words}")


def _load(array: Array, options: RowOptions) -> Data:
    note = "The data came as an array in memory; only the caller can rebuild them."
    return from_arrays("array", "array", {"x": array}, options, [note])


ARRAY = Source(
    "an array",
    "a NumPy array",
    RowOptions,
    matches=lambda value: isinstance(value, np.ndarray),
    load=_load,
)
