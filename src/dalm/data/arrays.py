"""Arrays to data: `x` (and `y`), split here, or `x_train`, `x_test` (and `x_val`, `y_…`), split
already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dalm.core import Spec
from dalm.core.scaler import Scaler
from dalm.data.checks import copies_between, groups_matter, splits_differ
from dalm.data.dataset import Array, Data, Grades, Split
from dalm.data.dividing import Divided, divide
from dalm.data.labels import encode_labels, tidy_labels, untrained
from dalm.data.layout import arrange
from dalm.data.levels import find_levels, to_values, whole_levels
from dalm.data.options import RowOptions
from dalm.data.order import order_matters
from dalm.data.reading import few
from dalm.data.recorded import recorded_warning
from dalm.data.validity import check_arrays, check_same_shape
from dalm.errors import DalmError

MOST_COLUMNS = 300
"""Of vectors that are looked at for columns which others determine."""


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
        arrays: data `x…` (N, …) and labels `y…` (N,), and what tells groups or order.
        options: what is done to them.
        notes: what is already to be said, in sentences.

    Raises:
        DalmError: on missing arrays, labels that do not match, NaN, infinity, negative or too many
            levels, unfit shapes.

    >>> import numpy as np
    >>> from_arrays("coin", "array", {"x": np.arange(20) % 2 == 0}, RowOptions())
    Data('coin', 16 train, 2 val, 2 test, Spec(shape=(1,), levels=2, classes=0))
    >>> from_arrays("line", "array", {"x": np.linspace(0, 1, 20) ** 2}, RowOptions())
    Data('line', 16 train, 2 val, 2 test, Spec(shape=(1,), levels=None, classes=0))
    """
    valid, units, said = _valid(arrays, options)
    divided = divide(valid, options)
    labels = encode_labels([rows.y for rows in divided.splits])
    xs = [arrange(rows.x, options) for rows in divided.splits]
    check_same_shape(xs)

    levels, level_notes = find_levels(xs, options)
    spec_levels = levels and options.levels_from(levels)
    tensors = [torch.from_numpy(to_values(x, levels, options)) for x in xs]
    train, val, test = (Split(x, y) for x, y in zip(tensors, labels.ys, strict=True))
    recorded = recorded_warning(divided.splits[0].x)
    spec = Spec(xs[0].shape[1:], spec_levels, len(labels.classes))
    _check_log(options, spec)
    return Data(
        name=name,
        source=source,
        options=options.recorded(),
        spec=spec,
        train=train,
        val=val,
        test=test,
        classes=labels.classes,
        notes=(
            *(*divided.notes, *notes, *said),
            *(*labels.notes, *level_notes, *options.notes(levels)),
            *determined(train.x, spec, options.log),
        ),
        warnings=(
            *(*divided.warnings, *_warnings(divided, options)),
            *(*untrained(train.y, labels.classes), *recorded),
        ),
        recorded=bool(recorded),
        grades=units or Grades(levels),
    )


def _check_log(options: RowOptions, spec: Spec) -> None:
    if options.log and spec.levels is not None:
        raise DalmError(
            f"log is for real numbers, and these are {spec.levels} levels; leave it out, or give "
            "floats"
        )


def _valid(
    arrays: Mapping[str, Array], options: RowOptions
) -> tuple[dict[str, Array], Grades | None, list[str]]:
    """Arrays with their labels in one column and their levels whole, checked; what data that were
    real numbers were taken for; and what was done.
    """
    tidy = dict(arrays)
    notes = []
    for name in filter(is_labels, arrays):
        tidy[name], said = tidy_labels(name, arrays[name])
        notes += said
    check_arrays({name: x for name, x in tidy.items() if is_data(name) or is_labels(name)})
    xs = {name: x for name, x in tidy.items() if is_data(name)}
    levels, units, said = whole_levels(xs, options)
    return tidy | levels, units, [*notes, *said]


def is_data(name: str) -> bool:
    """Whether an array of this name holds data."""
    return name == "x" or name.startswith("x_")


def is_labels(name: str) -> bool:
    """Whether an array of this name holds labels."""
    return name == "y" or name.startswith("y_")


def determined(train: Tensor, spec: Spec, log: bool = False) -> list[str]:
    """Which entries of real vectors say nothing of their own, and which are seen by their
    logarithm, in sentences.

    Args:
        train: the rows that show it, (N, *spec.shape).
        spec: what one datum is.
        log: whether logarithms are asked for.

    >>> determined(torch.tensor([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]]), Spec((2,)))
    ['Left out of densities, and back in samples: Entry 1 is 5 in every training row.']
    """
    if spec.levels is not None or len(spec.shape) > 1 or spec.dims > MOST_COLUMNS:
        return []
    scaler = Scaler.of(train, spec, log)
    said = few([sentence.rstrip(".") for sentence in scaler.words()])
    notes = [f"Left out of densities, and back in samples: {said}."] if said else []
    if scaler.logged is not None:
        places = few([str(place) for place in scaler.logged.nonzero()[:, 0].tolist()]) or "none"
        notes.append(f"Seen by their logarithm: entries {places}.")
    return notes


def _warnings(divided: Divided, options: RowOptions) -> list[str]:
    """What in the data would make figures wrong."""
    copies = copies_between(divided.splits)
    if options.group is not None or options.order is not None:
        return copies
    x, y, _ = divided.file
    train, _, test = divided.splits
    different = splits_differ(train.x, test.x) if divided.given else []
    return [*copies, *order_matters(x, y), *groups_matter(x), *different]
