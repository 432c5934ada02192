"""Data that are split once: the training, validation and test parts, how rows are dealt to them,
and a name for the content.

A datum's side is decided by its own content. Equal data share a digest, so they share a side, and
no copy of a training datum is ever held out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.core import Spec
from dalm.data.options import Array, Options, blocks_of
from dalm.errors import DalmError

CONTENT_RULE = "Rows are ranked by the BLAKE2b hash of their {content}, keyed with seed {seed}; {shares}. Exact copies fall on the same side."
SHARES = {
    1: "the last tenth of the training rows is val",
    2: "the first 80 % are train, the next 10 % val, the last 10 % test",
}


@dataclass(frozen=True, eq=False)
class Split:
    """One part of the data.

    Args:
        x: (N, *spec.shape) in the data's own units; uint8 or int32 for levels, float32 for real
            numbers.
        y: (N,) int64 class labels, or `None`.

    >>> import torch
    >>> len(Split(torch.zeros(3, 2)))
    3
    """

    x: Tensor
    y: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def subset(self, n: int) -> Split:
        """At most `n` rows, spread evenly, so that an order by class or by time does no harm."""
        if n >= len(self):
            return self
        index = torch.arange(n) * len(self) // n
        return Split(self.x[index], None if self.y is None else self.y[index])


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
        log_prob: true log density of (B, *spec.shape) points in nats, (B,) float64; `None` where
            nobody knows it.

    Attributes:
        fingerprint: 16 hexadecimal digits that name the content and the options.

    >>> import torch
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
    log_prob: Callable[[Tensor], Tensor] | None = None
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", _fingerprint(self))

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{len(split):,} {name}"
            for name, split in (("train", self.train), ("val", self.val), ("test", self.test))
        )
        return f"Data({self.name!r}, {sizes}, {self.spec})"


def _fingerprint(data: Data) -> str:
    tensors = [
        t
        for split in (data.train, data.val, data.test)
        for t in (split.x, split.y)
        if t is not None
    ]
    header = [
        data.options,
        data.spec.levels,
        data.classes,
        [(str(t.dtype), list(t.shape)) for t in tensors],
    ]
    hasher = hashlib.blake2b(json.dumps(header, sort_keys=True).encode(), digest_size=8)
    for array in (t.numpy() for t in tensors):
        for block in blocks_of(len(array), array.nbytes // max(len(array), 1)):
            hasher.update(array[block].tobytes())
    return hasher.hexdigest()


def content_hasher(seed: int) -> hashlib.blake2b:
    """A 64-bit BLAKE2b hash keyed with `seed`."""
    return hashlib.blake2b(digest_size=8, key=str(seed).encode())


def row_digests(x: Array, seed: int) -> list[bytes]:
    """The digest of each row's bytes."""
    hasher = content_hasher(seed)
    digests = []
    for row in x:
        h = hasher.copy()
        h.update(row.tobytes())
        digests.append(h.digest())
    return digests


def assign_splits(digests: list[bytes], held: int) -> list[NDArray[np.intp]]:
    """Row numbers of train and of `held` further parts of a tenth each, in the order of the
    digests.

    Rows with the same digest fall into the same part. The order within a part is as good as random,
    so its first rows are a fair sample of it.

    Raises:
        DalmError: if a part would be empty.

    >>> [len(part) for part in assign_splits([bytes([i]) for i in range(20)], held=2)]
    [16, 2, 2]
    """
    values = np.array([int.from_bytes(d, "big") for d in digests], dtype=np.uint64)
    order = np.argsort(values, kind="stable")
    first = np.searchsorted(values[order], values[order])
    tenth = max(1, (len(values) + 5) // 10)
    part = np.searchsorted(
        [len(values) - i * tenth for i in range(held, 0, -1)], first, side="right"
    )
    parts = [order[part == i] for i in range(held + 1)]
    if not all(map(len, parts)):
        distinct = len(np.unique(values))
        raise DalmError(
            f"too few data: {len(values)} ({distinct} distinct) cannot fill {held + 1} splits; "
            "give at least 10 distinct ones"
        )
    return parts


def content_note(content: str, held: int, options: Options) -> str:
    """The rule of `assign_splits` in words."""
    return CONTENT_RULE.format(content=content, seed=options.seed, shares=SHARES[held])
