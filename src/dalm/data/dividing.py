"""Arrays by name to three splits: as they came, or dealt here by content, by group or in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dalm.data.dataset import SPLIT_NAMES, Array
from dalm.data.hashes import Hashes, row_hashes
from dalm.data.layout import arrange
from dalm.data.levels import find_levels, reduce_levels
from dalm.data.options import RowOptions
from dalm.data.reading import few
from dalm.data.splits import Dealt, deal_groups, deal_in_order, deal_rows
from dalm.errors import DalmError


class Rows(NamedTuple):
    """Rows as they came.

    Args:
        x: (N, …).
        y: (N,) labels, if there are any.
        hashes: of the rows of x.
    """

    x: Array
    y: Array | None
    hashes: Hashes

    def at(self, index: Array) -> Rows:
        """Some of the rows."""
        return Rows(self.x[index], None if self.y is None else self.y[index], self.hashes[index])


class Divided(NamedTuple):
    """Three splits and where they come from.

    Args:
        splits: train, val, test.
        file: the rows from which train was taken, in the order of the file.
        given: whether test came as it is.
        notes: how rows were dealt, in sentences.
        warnings: what is wrong with splits that came, in sentences.
    """

    splits: list[Rows]
    file: Rows
    given: bool
    notes: list[str]
    warnings: list[str]


class Keys(NamedTuple):
    """What tells the group or the moment of each row.

    Args:
        values: by the name of the array of data, (N,) each.
        name: what says them, such as `"column 3"`.
    """

    values: dict[str, Array]
    name: str


def divide(arrays: Mapping[str, Array], options: RowOptions) -> Divided:
    """Train, val and test of arrays `x` (and `y`), or `x_train`, `x_test` and so on.

    Args:
        arrays: data and labels, and those that options name.
        options: how to split.

    Raises:
        DalmError: an array is missing, or a part would be empty.
    """
    data = [name for name in ("x", *(f"x_{part}" for part in SPLIT_NAMES)) if name in arrays]
    if data != ["x"] and not ({"x_train", "x_test"} <= set(data) and "x" not in data):
        raise DalmError(
            f"give x (and y), or x_train and x_test (and x_val, y_…); there are {few(list(arrays))}"
        )
    arrays, keys = take_keys(arrays, data, options)
    rows = {name: _rows(arrays, name, options.seed) for name in data}
    if data == ["x"]:
        dealt = _deal(rows["x"], 2, keys, options)
        splits = [rows["x"].at(part) for part in dealt.parts]
        return Divided(splits, rows["x"], False, dealt.notes, [])

    train = rows["x_train"]
    shared = _shared_groups(keys, options)
    if "x_val" in rows:
        note = "Split as the arrays came: x_train, x_val, x_test."
        return Divided([rows[name] for name in data], train, True, [note], shared)
    dealt = _deal(train, 1, keys, options)
    parts = [train.at(part) for part in dealt.parts]
    notes = ["Test as it came: x_test.", *dealt.notes]
    return Divided([*parts, rows["x_test"]], train, True, notes, shared)


def take_keys(
    arrays: Mapping[str, Array], data: list[str], options: RowOptions
) -> tuple[dict[str, Array], Keys | None]:
    """The arrays without what tells groups or order, and that.

    Args:
        arrays: by name.
        data: the names of those that hold data.
        options: which array or column it is.

    Raises:
        DalmError: there is no such array or column, or it is of another length.
    """
    said = options.group if options.group is not None else options.order
    rest = dict(arrays)
    if said is None:
        return rest, None
    if said == "file" and options.order is not None:
        return rest, Keys({name: np.arange(len(rest[name])) for name in data}, "the file")
    if isinstance(said, str) and not said.lstrip("-").isdigit():
        named = _named(rest, data, said)
        return rest, Keys({name: rest.pop(key) for name, key in named.items()}, said)

    column = int(said)
    values = {name: _column(rest[name], column) for name in data}
    rest |= {name: np.delete(rest[name], column, axis=1) for name in data}
    return rest, Keys(values, f"column {column}, which is no longer among the data")


def _named(arrays: Mapping[str, Array], data: list[str], said: str) -> dict[str, str]:
    """The array that tells the groups of each array of data: `subject`, or `subject_train`."""
    names = {name: said + name.removeprefix("x") for name in data}
    if said in arrays:
        names[data[0]] = said
    known = {name: key for name, key in names.items() if key in arrays}
    if data[0] not in known:
        raise DalmError(
            f"there is no array {names[data[0]]!r} to group or order rows by; name one that holds "
            "a value for each row, or a column of the data by its number"
        )
    for name, key in known.items():
        if arrays[key].shape != arrays[name].shape[:1]:
            raise DalmError(
                f"the array {key} has shape {arrays[key].shape}; it should hold one value for each "
                f"of the {len(arrays[name]):,} rows of {name}"
            )
    return known


def _column(x: Array, column: int) -> Array:
    if x.ndim != 2 or not -x.shape[1] <= column < x.shape[1] or x.shape[1] < 2:
        raise DalmError(
            f"there is no column {column} beside others in data of shape {x.shape}; columns are "
            "counted from 0"
        )
    return np.asarray(x[:, column])


def _rows(arrays: Mapping[str, Array], name: str, seed: int) -> Rows:
    x = arrays[name]
    return Rows(x, arrays.get(name.replace("x", "y", 1)), row_hashes(x, seed))


def _deal(rows: Rows, held_out: int, keys: Keys | None, options: RowOptions) -> Dealt:
    if keys is not None:
        values = next(iter(keys.values.values()))
        if options.group is not None:
            return deal_groups(values, held_out, options.seed, keys.name)
        return deal_in_order(values, held_out, keys.name)
    seen, equal = _as_seen(rows, options)
    return deal_rows(seen, rows.hashes, held_out, options.seed, options.repeats, rows.y, equal)


def _as_seen(rows: Rows, options: RowOptions) -> tuple[Array, Hashes | None]:
    """Rows as a model will see them, where an option makes different ones equal."""
    if not (options.levels or options.grey or options.size) or options.binary:
        return rows.x, None
    seen = arrange(rows.x, options)
    levels, _ = find_levels([seen], options)
    if levels and options.levels:
        seen = np.concatenate(list(reduce_levels([seen], levels, options)))
    return seen, row_hashes(seen, options.seed)


def _shared_groups(keys: Keys | None, options: RowOptions) -> list[str]:
    """Whether groups of test are also groups of train, where splits came."""
    if keys is None or options.group is None or "x_test" not in keys.values:
        return []
    test = np.unique(keys.values["x_test"])
    known = int(np.isin(test, keys.values["x_train"]).sum())
    if not known:
        return []
    return [
        f"{known:,} of {len(test):,} groups in test ({keys.name}) are in train too: held-out "
        "figures are of groups that a model knows."
    ]
