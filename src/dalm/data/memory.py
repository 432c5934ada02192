"""Data in memory: arrays, tensors, lists, (X, y), dictionaries, DataFrames and torch Datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from dalm.data.arrays import from_arrays
from dalm.data.dataset import Array, Data
from dalm.data.options import RowOptions
from dalm.data.reading import few
from dalm.data.source import Source
from dalm.errors import DalmError

NOTE = "The data came from memory; only the caller can rebuild them."
ABOUT = (
    "data in memory: an array, tensor or list, a tuple (X, y), a dictionary of arrays, a DataFrame "
    "of numbers, a torch Dataset"
)


@dataclass(frozen=True)
class Arrays:
    """Arrays by name: `x`, `y`, and what tells groups or order."""

    named: Mapping[str, Array]


def in_memory(value: object) -> bool:
    """Whether a value holds data, and does not name them."""
    kinds = (Arrays, np.ndarray, Tensor, list, tuple, Mapping, Dataset)
    return isinstance(value, kinds) or _is_frame(value)


def with_arrays(source: Any, options: RowOptions, more: Mapping[str, Any]) -> Arrays:
    """Data in memory with further arrays, each with one entry for each row.

    Args:
        source: the data.
        options: which of its columns are labels, groups or order.
        more: further arrays by name.

    Raises:
        DalmError: the source is no data in memory, or has an array of that name.

    >>> with_arrays([[1], [2]], RowOptions(), {"y": ["a", "b"]}).named["y"]
    array(['a', 'b'], dtype='<U1')
    """
    if not in_memory(source):
        raise DalmError(
            f"{', '.join(more)} as arrays belong to data in memory, and these are {source!r}; name "
            "an array of the file, or a column"
        )
    named = gather(source, options).named
    if twice := named.keys() & more.keys():
        raise DalmError(f"{', '.join(twice)} came twice, with the data and by itself; give it once")
    return Arrays({**named, **{name: as_array(name, value) for name, value in more.items()}})


def gather(value: Any, options: RowOptions) -> Arrays:
    """The arrays of any data in memory, by name.

    Args:
        value: the data.
        options: which of its columns or arrays are labels, groups or order.

    Raises:
        DalmError: they are no arrays of numbers.

    >>> sorted(gather(([[1.0], [2.0]], [0, 1]), RowOptions()).named)
    ['x', 'y']
    """
    if isinstance(value, Arrays):
        return value
    if isinstance(value, tuple):
        if len(value) != 2:
            raise DalmError(f"a tuple of data is (X, y); this one has {len(value)} entries")
        return Arrays({"x": as_array("x", value[0]), "y": as_array("y", value[1])})
    if isinstance(value, Mapping):
        named = {str(name): as_array(str(name), entry) for name, entry in value.items()}
        return Arrays(by_our_names(named, options.label))
    if _is_frame(value):
        return Arrays(_of_frame(value, options))
    if isinstance(value, Dataset):
        return Arrays(_of_dataset(value))
    return Arrays({"x": as_array("x", value)})


def by_our_names(arrays: Mapping[str, Array], label: str | None) -> dict[str, Array]:
    """Arrays under the names `x`, `y`, `x_train` and so on, whatever their case, with the labels
    that were asked for as `y`.

    Args:
        arrays: by the names that they came with.
        label: the name of the labels; without it they are called `y`.

    Raises:
        DalmError: there is no such array.

    >>> sorted(by_our_names({"X_train": np.ones(3), "sex": np.ones(3)}, None))
    ['sex', 'x_train']
    """
    small = [name.lower() for name in arrays]
    named = {
        name.lower() if name[:1] in "XY" and small.count(name.lower()) == 1 else name: array
        for name, array in arrays.items()
    }
    if label is None:
        return named
    if label not in arrays:
        raise DalmError(f"there is no array {label!r} of labels; there are {few(list(arrays))}")
    rest = {name: array for name, array in named.items() if name not in ("y", label)}
    return rest | {"y": arrays[label]}


def as_array(name: str, value: Any) -> Array:
    """A value as an array.

    Args:
        name: what it is called.
        value: an array, a tensor, or something that NumPy makes an array of.

    Raises:
        DalmError: NumPy makes none of it, or entries are masked.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    if np.ma.isMaskedArray(value) and np.ma.getmaskarray(value).any():
        raise DalmError(
            f"{np.ma.getmaskarray(value).sum():,} entries of the array {name} are masked, and no "
            "family here takes missing values; fill them in, or leave those rows out"
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        raise DalmError(f"no array can be made of {name}: {error}") from None


def _is_frame(value: object) -> bool:
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def _of_frame(frame: Any, options: RowOptions) -> dict[str, Array]:
    """A DataFrame's numbers as `x`, and the columns that options name."""
    names = [*frame.columns]
    asked = {"y": options.label, options.group: options.group, options.order: options.order}
    asked = {key: name for key, name in asked.items() if isinstance(name, str) and name != "file"}
    if absent := [name for name in asked.values() if name not in names]:
        raise DalmError(f"there is no column {absent[0]!r}; there are {few([*map(str, names)])}")
    columns = {name: np.asarray(frame[name]) for name in names}
    data = {name: column for name, column in columns.items() if name not in asked.values()}
    others = [str(name) for name, column in data.items() if column.dtype.kind not in "biuf"]
    if others:
        raise DalmError(
            f"the columns {few(others)} hold no numbers; leave them out, or say what they are: "
            f"label={others[0]!r} if it is the class"
        )
    if not data:
        raise DalmError("the DataFrame has no column of numbers")
    return {"x": np.column_stack([*data.values()])} | {
        str(key): columns[name] for key, name in asked.items()
    }


def _of_dataset(dataset: Any) -> dict[str, Array]:
    """The data of a map-style Dataset, and its labels if its items are pairs."""
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise DalmError("the Dataset has no length; give one with __len__ and __getitem__")
    items = [dataset[i] for i in range(len(dataset))]
    if not items:
        raise DalmError("the Dataset is empty")
    if not isinstance(items[0], tuple | list):
        return {"x": _stacked([as_array("x", item) for item in items])}
    x = _stacked([as_array("x", item[0]) for item in items])
    if len(items[0]) == 1:
        return {"x": x}
    return {"x": x, "y": _stacked([as_array("y", item[1]) for item in items])}


def _stacked(rows: list[Array]) -> Array:
    shapes = {row.shape for row in rows}
    if len(shapes) > 1:
        raise DalmError(f"items of the Dataset have different shapes: {few([*map(str, shapes)])}")
    return np.stack(rows)


def _load(value: Any, options: RowOptions) -> Data:
    return from_arrays("array", "array", gather(value, options).named, options, [NOTE])


ARRAY = Source("an array", ABOUT, RowOptions, matches=in_memory, load=_load)
