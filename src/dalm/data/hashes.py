"""Hashes of rows: where a row's place in a split comes from, and how equal rows are found."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dalm.data.dataset import Array

Hashes = NDArray[np.uint64]
"""(N,) 64-bit BLAKE2b hashes; equal rows have equal ones."""


def content_hasher(seed: int) -> hashlib.blake2b:
    """A 64-bit BLAKE2b hash keyed with `seed`."""
    return hashlib.blake2b(digest_size=8, key=str(seed).encode())


def hashes_of(contents: Sequence[bytes], seed: int) -> Hashes:
    """The hash of each content.

    Args:
        contents: bytes.
        seed: key of the hash.
    """
    keyed = content_hasher(seed)
    digests = []
    for content in contents:
        hasher = keyed.copy()
        hasher.update(content)
        digests.append(hasher.digest())
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def row_hashes(x: Array, seed: int) -> Hashes:
    """The hash of each row's bytes; 0.0 and -0.0 are the same.

    Args:
        x: (N, …).
        seed: key of the hash.

    >>> first, second, third = row_hashes(np.array([[0.0, 2], [3, 4], [-0.0, 2]]), seed=0)
    >>> bool(first == third), bool(first == second)
    (True, False)
    """
    keyed = content_hasher(seed)
    zero = x.dtype.type(0)
    digests = []
    for row in x:
        hasher = keyed.copy()
        hasher.update((row + zero if x.dtype.kind == "f" else row).tobytes())
        digests.append(hasher.digest())
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
