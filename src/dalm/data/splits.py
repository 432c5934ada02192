"""How rows are dealt to train, val and test.

A datum's side is decided by its own content. Equal data share a digest, so they share a side, and
no copy of a training datum is ever held out.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from dalm.data.dataset import Array
from dalm.errors import DalmError

SHARES = {
    1: "the last tenth of the training rows is val",
    2: "the first 80 % are train, the next 10 % val, the last 10 % test",
}
"""What `assign_splits` does, by how many parts it holds out."""


def content_hasher(seed: int) -> hashlib.blake2b:
    """A 64-bit BLAKE2b hash keyed with `seed`."""
    return hashlib.blake2b(digest_size=8, key=str(seed).encode())


def row_digests(x: Array, seed: int) -> list[bytes]:
    """The digest of each row's bytes, 8 bytes each.

    Args:
        x: (N, …).
        seed: key of the hash.

    >>> first, second, third = row_digests(np.array([[1, 2], [3, 4], [1, 2]]), seed=0)
    >>> first == third, first == second
    (True, False)
    """
    keyed = content_hasher(seed)
    digests = []
    for row in x:
        hasher = keyed.copy()
        hasher.update(row.tobytes())
        digests.append(hasher.digest())
    return digests


def assign_splits(digests: list[bytes], held_out: int) -> list[NDArray[np.intp]]:
    """Row numbers of train and of the further parts, a tenth each, in the order of the digests.

    Rows with the same digest fall into the same part. The order within a part is as good as random,
    so its first rows are a fair sample of it.

    Args:
        digests: one for each row.
        held_out: how many parts there are beside train.

    Raises:
        DalmError: if a part would be empty.

    >>> [len(rows) for rows in assign_splits([bytes([i]) for i in range(20)], held_out=2)]
    [16, 2, 2]
    """
    n = len(digests)
    ranks = np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)
    order = np.argsort(ranks, kind="stable")
    # Equal rows all count as being where the first of them is.
    first_equal = np.searchsorted(ranks[order], ranks[order])

    tenth = max(1, (n + 5) // 10)
    part_starts = [n - count * tenth for count in range(held_out, 0, -1)]
    part_numbers = np.searchsorted(part_starts, first_equal, side="right")
    parts = [order[part_numbers == number] for number in range(held_out + 1)]

    if not all(map(len, parts)):
        distinct = len(np.unique(ranks))
        raise DalmError(
            f"too few data: {n} ({distinct} distinct) cannot fill {held_out + 1} splits; "
            "give at least 10 distinct ones"
        )
    return parts


def content_note(content: str, held_out: int, seed: int) -> str:
    """The rule of `assign_splits` in words.

    Args:
        content: what is hashed, in the plural.
        held_out: how many parts there are beside train.
        seed: key of the hash.

    >>> content_note("bytes", held_out=1, seed=3)
    'Rows are ranked by the BLAKE2b hash of their bytes, keyed with seed 3; the last tenth of the
    training rows is val. Exact copies fall on the same side.'
    """
    return (
        f"Rows are ranked by the BLAKE2b hash of their {content}, keyed with seed {seed}; "
        f"{SHARES[held_out]}. Exact copies fall on the same side."
    )
