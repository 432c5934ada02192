"""Data that are split once: the training, validation and test rows, and a name for the content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.core import Spec

Array = NDArray[Any]

SPLIT_NAMES = ("train", "val", "test")

BLOCK_BYTES = 2**22
"""Work on rows is done in slices of about so many bytes."""


@dataclass(frozen=True, eq=False)
class Split:
    """One part of the data.

    Args:
        x: (N, *spec.shape) in the data's own units; uint8 or int32 for levels, float64 for real
            numbers.
        y: (N,) int64 class labels, -1 where a row has none; `None` if the data have no classes.

    >>> split = Split(torch.zeros(3, 2), torch.tensor([0, -1, 1]))
    >>> len(split), len(split.labelled()), len(split.unlabelled())
    (3, 2, 1)
    """

    x: Tensor
    y: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def subset(self, n: int) -> Split:
        """At most `n` rows, spread evenly, so that an order by class or by time does no harm."""
        if n >= len(self):
            return self
        return self._rows(torch.arange(n) * len(self) // n)

    def labelled(self) -> Split:
        """The rows that have a label; of data without classes, none."""
        if self.y is None:
            return Split(self.x[:0])
        return self._where(self.y >= 0)

    def unlabelled(self) -> Split:
        """The rows that have no label; of data without classes, all."""
        if self.y is None:
            return self
        return self._where(self.y < 0)

    def _where(self, mask: Tensor) -> Split:
        # Indexing copies, and the rows may be a mapped file that is larger than memory.
        return self if bool(mask.all()) else self._rows(mask)

    def _rows(self, index: Tensor) -> Split:
        return Split(self.x[index], None if self.y is None else self.y[index])


@dataclass(frozen=True)
class Grades:
    """What the values of data were taken for before they were reduced, so that rows that come later
    are read alike.

    Args:
        levels: how many levels they had, `None` where real numbers were cut.
        low: 0 or -1 where they were real numbers from there to 1, `None` where they were whole.
    """

    levels: int | None
    low: int | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """A data set with its three splits: fit on `train`, choose on `val`, touch `test` once.

    Args:
        name: short name.
        source: what `load_data` was given; `load_data(source, **options)` rebuilds the data.
        options: the options that differ from their defaults, as JSON values.
        spec: what one datum is.
        train: for fitting.
        val: for choosing.
        test: for the final score.
        classes: names of the classes, in the order of the labels.
        notes: how the data were split and converted, and which files were left out, in sentences.
        warnings: what would make figures wrong, such as training rows in the test split, in
            sentences.
        recorded: whether real numbers are recorded with a step, so that no density is ranked.
        grades: what values were taken for before they were reduced, as far as it is known.
        log_prob: true log density of (B, *spec.shape) points in nats, (B,) float64; `None` where
            nobody knows it.

    Attributes:
        fingerprint: 16 hexadecimal digits that name the content and the options.

    >>> split = Split(torch.zeros(3, 2))
    >>> Data("zeros", "zeros", {}, Spec((2,)), split, split, split)
    Data('zeros', 3 train, 3 val, 3 test, Spec(shape=(2,), levels=None, classes=0))
    """

    name: str
    source: str
    options: dict[str, Any]
    spec: Spec
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    recorded: bool = False
    grades: Grades | None = None
    log_prob: Callable[[Tensor], Tensor] | None = None
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", _fingerprint(self))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, name)):,} {name}" for name in SPLIT_NAMES)
        return f"Data({self.name!r}, {sizes}, {self.spec})"


def _fingerprint(data: Data) -> str:
    splits = (data.train, data.val, data.test)
    tensors = [tensor for split in splits for tensor in (split.x, split.y) if tensor is not None]
    layouts = [(str(tensor.dtype), list(tensor.shape)) for tensor in tensors]
    header = json.dumps([data.options, data.spec.levels, data.classes, layouts], sort_keys=True)
    hasher = hashlib.blake2b(header.encode(), digest_size=8)

    for tensor in tensors:
        array = tensor.numpy()
        row_bytes = array.nbytes // max(len(array), 1)
        for block in blocks_of(len(array), row_bytes):
            hasher.update(array[block].tobytes())

    return hasher.hexdigest()


def blocks_of(n: int, row_bytes: int) -> Iterator[slice]:
    """Cut rows into slices of some 4 MB each, so that work on them needs little memory.

    Args:
        n: how many rows.
        row_bytes: bytes of one.

    >>> list(blocks_of(3, 2**21))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    step = max(1, BLOCK_BYTES // max(row_bytes, 1))
    return (slice(low, min(low + step, n)) for low in range(0, n, step))
