"""How rows are dealt to train, val and test.

A row's place is a hash of its own bytes, so it depends on nothing else. Rows of a sample are dealt
each for itself: the second of two equal rows has a hash of its own, since in a sample of new data
it would be there too. Where equal rows are an accident, such as an image that is there twice, they
fall on one side, or the model would be asked what it was told. Rows of one group, such as a
patient, stay together; rows in order of time are cut where the last tenths begin.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dalm.core.repetition import by_chance, expected_pairs
from dalm.data.dataset import Array
from dalm.errors import DalmError

SHARES = {
    1: "the last tenth of the training rows is val",
    2: "the first 80 % are train, the next 10 % val, the last 10 % test",
}
"""What is held out, by how many parts that are."""

Ranks = NDArray[np.uint64]


class Dealt(NamedTuple):
    """Row numbers of train and of the further parts, and the rule in sentences."""

    parts: list[NDArray[np.intp]]
    notes: list[str]


def content_hasher(seed: int) -> hashlib.blake2b:
    """A 64-bit BLAKE2b hash keyed with `seed`."""
    return hashlib.blake2b(digest_size=8, key=str(seed).encode())


def row_digests(x: Array, seed: int) -> list[bytes]:
    """The digest of each row's bytes, 8 bytes each; 0.0 and -0.0 are the same.

    Args:
        x: (N, …).
        seed: key of the hash.

    >>> first, second, third = row_digests(np.array([[0.0, 2], [3, 4], [-0.0, 2]]), seed=0)
    >>> first == third, first == second
    (True, False)
    """
    keyed = content_hasher(seed)
    digests = []
    for row in x:
        hasher = keyed.copy()
        hasher.update((row + row.dtype.type(0) if row.dtype.kind == "f" else row).tobytes())
        digests.append(hasher.digest())
    return digests


def deal_rows(
    x: Array,
    digests: list[bytes],
    held_out: int,
    seed: int,
    repeats: str = "auto",
    labels: Array | None = None,
) -> Dealt:
    """Deal the rows of a sample, those of each class in equal shares.

    Args:
        x: the rows as a model will see them, (N, …); they decide which are equal.
        digests: of the rows as they came.
        held_out: how many parts there are beside train, a tenth each.
        seed: key of the hash.
        repeats: `"apart"` deals equal rows each for itself, `"together"` to one side, `"auto"` by
            what repetition means in these data.
        labels: (N,) classes.

    Raises:
        DalmError: a part would be empty.

    >>> x = np.arange(20)
    >>> [len(part) for part in deal_rows(x, row_digests(x, 0), 2, seed=0).parts]
    [16, 2, 2]
    """
    equal = np.unique(np.array(row_digests(x, seed)), return_inverse=True)[1]
    distinct = len(np.unique(equal))
    apart = repeats == "apart" or (repeats == "auto" and by_chance(x, distinct))
    ranks = _apart(digests, seed) if apart else _together(digests, equal, seed)
    parts = _cut(ranks, held_out, labels)
    if not all(map(len, parts)):
        raise _too_few(len(x), distinct, apart, held_out)
    note = content_note("bytes", held_out, seed, stratified=labels is not None)
    return Dealt(parts, [note, *_repetition(x, distinct, apart, repeats)])


def deal_digests(digests: list[bytes], held_out: int, seed: int, labels: Array) -> Dealt:
    """Deal files, equal ones to one side, those of each class in equal shares.

    Args:
        digests: of what is in them.
        held_out: how many parts there are beside train.
        seed: key of the hash.
        labels: (N,) their classes.
    """
    parts = _cut(_integers(digests), held_out, labels)
    distinct = len(set(digests))
    if not all(map(len, parts)):
        raise _too_few(len(digests), distinct, False, held_out)
    stratified = len(np.unique(labels)) > 1
    note = content_note("pixels", held_out, seed, stratified)
    count = len(digests) - distinct
    again = [f"{count:,} images are equal to another one; they fall on its side."] * bool(count)
    return Dealt(parts, [note, *again])


def deal_groups(groups: Array, held_out: int, seed: int, name: str) -> Dealt:
    """Deal groups whole.

    Args:
        groups: (N,) the group of each row.
        held_out: how many parts there are beside train.
        seed: key of the hash.
        name: what says the group, such as `"column 3"`.

    Raises:
        DalmError: too few groups.
    """
    values, index = np.unique(groups, return_inverse=True)
    ranks = _integers([_hash(str(value).encode(), seed) for value in values.tolist()])
    parts = _cut(ranks[index], held_out)
    if not all(map(len, parts)):
        raise DalmError(
            f"{len(values)} groups ({name}) cannot fill {held_out + 1} splits; there should be at "
            "least 10, and none that holds most rows"
        )
    return Dealt(
        parts,
        [
            f"The {len(values):,} groups of {name} are ranked by a hash keyed with seed {seed}; "
            f"{SHARES[held_out]}. No group is in two splits."
        ],
    )


def deal_in_order(keys: Array, held_out: int, name: str) -> Dealt:
    """Cut rows where the last tenths begin.

    Args:
        keys: (N,) what puts the rows in order.
        held_out: how many parts there are beside train.
        name: what says the order.

    >>> deal_in_order(np.array([3, 1, 2] * 5), 2, "column 0").parts[2].tolist()
    [9, 12]
    """
    order = np.argsort(keys, kind="stable")
    tenth = max(1, (len(keys) + 5) // 10)
    ends = [len(keys) - count * tenth for count in range(held_out, 0, -1)]
    if min(ends) < 1:
        raise _too_few(len(keys), len(keys), True, held_out)
    note = f"Rows are in the order of {name}; {SHARES[held_out]}."
    return Dealt(list(np.split(order, ends)), [note])


def content_note(content: str, held_out: int, seed: int, stratified: bool = False) -> str:
    """The rule of a hash in words.

    Args:
        content: what is hashed, in the plural.
        held_out: how many parts there are beside train.
        seed: key of the hash.
        stratified: whether every class gives its share to each part.

    >>> content_note("bytes", held_out=1, seed=3)
    'Rows are ranked by the BLAKE2b hash of their bytes, keyed with seed 3; the last tenth of the
    training rows is val.'
    """
    each = ", the same share of each class" * stratified
    return (
        f"Rows are ranked by the BLAKE2b hash of their {content}, keyed with seed {seed}; "
        f"{SHARES[held_out]}{each}."
    )


def _integers(digests: Sequence[bytes]) -> Ranks:
    return np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)


def _hash(content: bytes, seed: int) -> bytes:
    hasher = content_hasher(seed)
    hasher.update(content)
    return hasher.digest()


def _apart(digests: list[bytes], seed: int) -> Ranks:
    """A rank for each row: the k-th of equal rows has one of its own."""
    count: dict[bytes, int] = {}
    own = []
    for digest in digests:
        k = count.get(digest, 0)
        count[digest] = k + 1
        own.append(_hash(digest + k.to_bytes(8, "big"), seed) if k else digest)
    return _integers(own)


def _together(digests: list[bytes], equal: NDArray[np.intp], seed: int) -> Ranks:
    """A rank for each row, the same for equal ones, whatever they were before the reduction."""
    members: dict[int, set[bytes]] = {}
    for number, digest in zip(equal.tolist(), digests, strict=True):
        members.setdefault(number, set()).add(digest)
    ranks = {
        number: next(iter(own)) if len(own) == 1 else _hash(min(own), seed)
        for number, own in members.items()
    }
    return _integers([ranks[number] for number in equal.tolist()])


def _cut(ranks: Ranks, held_out: int, labels: Array | None = None) -> list[NDArray[np.intp]]:
    """Row numbers of the parts, in the order of the ranks; rows of equal rank share a part."""
    n = len(ranks)
    order = np.lexsort((ranks, _places(ranks, labels)))
    ordered = ranks[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first_equal = np.maximum.accumulate(np.where(fresh, np.arange(n), 0))

    tenth = max(1, (n + 5) // 10)
    part_starts = [n - count * tenth for count in range(held_out, 0, -1)]
    part_numbers = np.searchsorted(part_starts, first_equal, side="right")
    return [order[part_numbers == number] for number in range(held_out + 1)]


def _places(ranks: Ranks, labels: Array | None) -> NDArray[np.float64]:
    """Where each row stands among those of its class, from 0 to 1, so that every stretch holds the
    same share of each class; of equal ranks the first one's class counts.
    """
    if labels is None:
        return np.zeros(len(ranks))
    _, first, index = np.unique(ranks, return_index=True, return_inverse=True)
    classes = np.unique(labels, return_inverse=True)[1][first][index]
    places = np.zeros(len(ranks))
    for k in np.unique(classes):
        mine = classes == k
        ordered = np.sort(ranks[mine])
        places[mine] = (np.searchsorted(ordered, ranks[mine]) + 0.5) / len(ordered)
    return places


def _repetition(x: Array, distinct: int, apart: bool, repeats: str) -> list[str]:
    """What was decided about equal rows, if there are any."""
    if distinct == len(x):
        return []
    expected = expected_pairs(x)
    said = "asked for"
    if repeats == "auto":
        said = (
            f"{expected:,.0f} pairs are expected of independent columns"
            if expected
            else ("the typical row is there often" if apart else "chance would give none")
        )
    how = "each row is dealt for itself" if apart else "equal rows fall on the same side"
    return [f"{distinct:,} of {len(x):,} rows differ ({said}), so {how}."]


def _too_few(n: int, distinct: int, apart: bool, held_out: int) -> DalmError:
    if apart or distinct == n:
        return DalmError(
            f"too few data: {n} rows cannot fill {held_out + 1} splits; give at least 10"
        )
    return DalmError(
        f"too few data: of {n} rows {distinct} differ, and equal ones are kept on one side, so "
        f"they cannot fill {held_out + 1} splits; repeats='apart' deals each row for itself"
    )
