"""Labels to classes and back. A class is what the user calls it: its number is ours alone.

An integer label of -1 means that a row is unlabelled, as in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dalm.data.dataset import SPLIT_NAMES, Array
from dalm.data.reading import few
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


def tidy_labels(name: str, y: Array) -> tuple[Array, list[str]]:
    """Labels as one column of integers or strings, and what was done to them, in sentences.

    A column (N, 1), real numbers that are whole, and one-hot rows are taken; the rest stays as it
    is.

    Args:
        name: of the array.
        y: labels.

    >>> tidy_labels("y", np.array([[0.0, 1.0], [1.0, 0.0]]))
    (array([1, 0]), ['The labels y are one-hot rows of 2 classes; a class is the place of the 1.'])
    """
    notes = []
    if y.dtype.kind == "O":
        y = np.array(y.tolist())
    if y.ndim == 2 and y.shape[1] > 1 and _is_one_hot(y):
        notes.append(
            f"The labels {name} are one-hot rows of {y.shape[1]} classes; a class is the place of "
            "the 1."
        )
        y = y.argmax(1)
    if y.ndim == 2 and y.shape[1] == 1:
        notes.append(f"The labels {name} came as a column of shape {y.shape}.")
        y = y[:, 0]
    if y.dtype.kind == "f" and y.size and np.all(y == np.round(y)):
        notes.append(f"The labels {name} are real numbers that are whole: taken as integers.")
        y = y.astype(np.int64)
    return y, notes


def _is_one_hot(y: Array) -> bool:
    return y.dtype.kind in "biuf" and bool(np.all((y == 0) | (y == 1)) and np.all(y.sum(1) == 1))


def encode_labels(labels: list[Array | None]) -> Encoded:
    """Number the classes in the order of their values; names that are numbers count as such.

    Args:
        labels: for each split (N,) integers or strings, or `None`.

    Raises:
        DalmError: if some splits have labels and some have none.

    >>> encode_labels([np.array([7, 3, 7]), np.array([9]), np.array([10, -1])]).classes
    ('3', '7', '9', '10')
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
    names = [_name(value) for value in values.tolist()]
    classes = in_order(names)
    place = {name: number for number, name in enumerate(classes)}
    codes = np.full(len(known), UNLABELLED, np.int64)
    codes[known] = np.array([place[name] for name in names])[numbers]
    split_ends = np.cumsum([len(y) for y in arrays])
    ys: list[Tensor | None] = [torch.from_numpy(y) for y in np.split(codes, split_ends[:-1])]
    return Encoded(ys, tuple(classes), _notes(unlabelled))


def in_order(names: Sequence[str]) -> list[str]:
    """The names of classes in order: by value if all are numbers, else by alphabet.

    >>> in_order(["10", "9", "1"]), in_order(["b", "10", "9"])
    (['1', '9', '10'], ['10', '9', 'b'])
    """
    values = [_number(name) for name in names]
    if None in values:
        return sorted(names)
    return [name for _, name in sorted(zip(values, names, strict=True))]


def class_number(label: object, classes: Sequence[str]) -> int:
    """The number of the class that a user names.

    Args:
        label: its name, or a number that is its name.
        classes: the names, in the order of the numbers.

    Raises:
        DalmError: there is no such class.

    >>> class_number(2, ["1", "2", "10"]), class_number("2.0", ["1", "2"]), class_number("b", "ab")
    (1, 1, 1)
    >>> class_number("cow", ["cat", "dog"])
    Traceback (most recent call last):
    dalm.errors.DalmError: there is no class 'cow'; there are cat, dog
    """
    name = str(label)
    if name in classes:
        return list(classes).index(name)
    values = [_number(known) for known in classes]
    number = _number(name)
    if number is not None and values.count(number) == 1 and not isinstance(label, bool):
        return values.index(number)
    raise DalmError(f"there is no class {label!r}; there are {few(classes, 20)}")


def class_labels(numbers: Array, classes: Sequence[str]) -> Array:
    """What a user calls classes: integers where all names are whole numbers, else strings.

    Args:
        numbers: (N,) of classes.
        classes: the names, in the order of the numbers.

    >>> class_labels(np.array([0, 1]), ["2", "10"]), class_labels(np.array([1]), ["cat", "dog"])
    (array([ 2, 10]), array(['dog'], dtype='<U3'))
    """
    names = np.array(list(classes))
    if all(name.lstrip("-").isdecimal() and str(int(name)) == name for name in classes):
        names = names.astype(np.int64)
    return np.asarray(names[numbers])


def untrained(train: Tensor | None, classes: Sequence[str]) -> list[str]:
    """What classes have no training rows, in words.

    Args:
        train: (N,) labels of the training rows.
        classes: the names.

    >>> untrained(torch.tensor([0, 0, 2]), ["cat", "dog", "emu"])
    ['There is no training row of 1 class (dog): what a model says of it is made up.']
    """
    if train is None:
        return []
    counts = torch.bincount(train[train >= 0], minlength=len(classes)).tolist()
    absent = [name for name, count in zip(classes, counts, strict=True) if not count]
    if not absent:
        return []
    unit, it = ("class", "it") if len(absent) == 1 else ("classes", "them")
    return [
        f"There is no training row of {len(absent)} {unit} ({few(absent)}): what a model says of "
        f"{it} is made up."
    ]


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


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
