"""Labels to classes. An integer label of -1 means that a row is unlabelled, as in scikit-learn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dalm.data.dataset import SPLIT_NAMES, Array
from dalm.errors import DalmError

UNLABELLED = -1


class Encoded(NamedTuple):
    """Labels as numbers of classes.

    Args:
        ys: for each split (N,) int64, -1 where a row is unlabelled, or `None` without classes.
        classes: the classes' names, in the order of their numbers.
        notes: what is unlabelled, in sentences.
    """

    ys: list[Tensor | None]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def encode_labels(labels: list[Array | None]) -> Encoded:
    """Number the classes in the order of their values.

    Args:
        labels: for each split (N,) integers or strings, or `None`.

    Raises:
        DalmError: if some splits have labels and some have none.

    >>> encode_labels([np.array([7, 3, 7]), np.array([9]), np.array([7, -1])]).classes
    ('3', '7', '9')
    """
    arrays = [y for y in labels if y is not None]
    no_classes = Encoded([None] * len(labels))
    if not arrays:
        return no_classes
    if len(arrays) < len(labels):
        raise DalmError(
            "some splits have labels and some have none; give y for each of them, with -1 for rows "
            "without a label, or for none"
        )

    unlabelled = [_is_unlabelled(y) for y in arrays]
    known = ~np.concatenate(unlabelled)
    if not known.any():
        note = "Every label is -1, unlabelled, so these are data without classes."
        return no_classes._replace(notes=(note,))

    values, numbers = np.unique(np.concatenate(arrays)[known], return_inverse=True)
    codes = np.full(len(known), UNLABELLED, np.int64)
    codes[known] = numbers
    split_ends = np.cumsum([len(y) for y in arrays])
    ys: list[Tensor | None] = [torch.from_numpy(y) for y in np.split(codes, split_ends[:-1])]
    return Encoded(ys, tuple(map(_name, values.tolist())), _notes(unlabelled))


def _is_unlabelled(y: Array) -> Array:
    # Only signed integers: 255 of uint8 and the string "-1" are classes like all others.
    return y == UNLABELLED if y.dtype.kind == "i" else np.zeros(len(y), bool)


def _name(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _notes(unlabelled: list[Array]) -> tuple[str, ...]:
    counts = [
        f"{mask.sum():,} of {len(mask):,} in {name}"
        for name, mask in zip(SPLIT_NAMES, unlabelled, strict=True)
        if mask.any()
    ]
    if not counts:
        return ()
    note = (
        f"Labels of -1 mean unlabelled (a class of that number needs another): {', '.join(counts)}."
    )
    return (note,)
