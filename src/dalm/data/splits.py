"""How rows are dealt to train, val and test.

A row's place is a hash of its own bytes, so it depends on nothing else. Rows of a sample are dealt
each for itself: the second of two equal rows has a hash of its own, since in a sample of new data
it would be there too. Where equal rows are an accident, such as an image that is there twice, they
fall on one side, or the model would be asked what it was told. Rows of one group, such as a
patient, stay together; rows in order of time are cut where the last tenths begin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dalm.core.repetition import by_chance, expected_pairs
from dalm.data.dataset import Array
from dalm.data.hashes import Hashes, hashes_of
from dalm.errors import DalmError

SHARES = {
    1: "the last tenth of the training rows is val",
    2: "the first 80 % are train, the next 10 % val, the last 10 % test",
}
"""What is held out, by how many parts that are."""


class Dealt(NamedTuple):
    """Row numbers of train and of the further parts, and the rule in sentences."""

    parts: list[NDArray[np.intp]]
    notes: list[str]


def deal_rows(
    x: Array,
    hashes: Hashes,
    held_out: int,
    seed: int,
    repeats: str = "auto",
    labels: Array | None = None,
    equal: Hashes | None = None,
) -> Dealt:
    """Deal the rows of a sample, those of each class in equal shares.

    Args:
        x: the rows as a model will see them, (N, …).
        hashes: of the rows as they came.
        held_out: how many parts there are beside train, a tenth each.
        seed: key of the hash.
        repeats: `"apart"` deals equal rows each for itself, `"together"` to one side, `"auto"` by
            what repetition means in these data.
        labels: (N,) classes.
        equal: hashes of `x`, where those differ.

    Raises:
        DalmError: a part would be empty.

    >>> from dalm.data.hashes import row_hashes
    >>> x = np.arange(20)
    >>> [len(part) for part in deal_rows(x, row_hashes(x, 0), 2, seed=0).parts]
    [16, 2, 2]
    """
    equal = hashes if equal is None else equal
    _, first, counts = np.unique(equal, return_index=True, return_counts=True)
    apart = repeats == "apart" or (repeats == "auto" and by_chance(x[first], counts))
    ranks = _apart(hashes, labels, seed) if apart else _together(hashes, equal, seed)
    parts = _cut(ranks, held_out, labels)
    if not all(map(len, parts)):
        raise _too_few(len(x), len(first), apart, held_out)
    note = content_note("bytes", held_out, seed, stratified=labels is not None)
    return Dealt(parts, [note, *_repetition(x[first], len(x), apart, repeats)])


def deal_images(hashes: Hashes, held_out: int, seed: int, labels: Array) -> Dealt:
    """Deal images, equal ones to one side, those of each class in equal shares.

    Args:
        hashes: of their pixels.
        held_out: how many parts there are beside train.
        seed: key of the hash.
        labels: (N,) their classes.

    Raises:
        DalmError: a part would be empty.
    """
    parts = _cut(hashes, held_out, labels)
    distinct = len(np.unique(hashes))
    if not all(map(len, parts)):
        raise _too_few(len(hashes), distinct, False, held_out)
    stratified = len(np.unique(labels)) > 1
    return Dealt(parts, [content_note("pixels", held_out, seed, stratified)])


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
    ranks = hashes_of([str(value).encode() for value in values.tolist()], seed)
    parts = _cut(ranks[index], held_out)
    if not all(map(len, parts)):
        raise DalmError(
            f"{len(values)} groups ({name}) cannot fill {held_out + 1} splits; there should be at "
            "least 10, and none that holds most rows"
        )
    note = (
        f"The {len(values):,} groups of {name} are ranked by a hash keyed with seed {seed}; "
        f"{SHARES[held_out]}. No group is in two splits."
    )
    return Dealt(parts, [note])


def deal_in_order(keys: Array, held_out: int, name: str) -> Dealt:
    """Cut rows where the last tenths begin.

    Args:
        keys: (N,) what puts the rows in order.
        held_out: how many parts there are beside train.
        name: what says the order.

    Raises:
        DalmError: a part would be empty.

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


def _apart(hashes: Hashes, labels: Array | None, seed: int) -> Hashes:
    """A rank for each row: the k-th of equal rows, by label, has one of its own."""
    order = np.lexsort((_codes(labels, len(hashes)), hashes))
    ordered = hashes[order]
    place = np.arange(len(hashes)) - _first_equal(ordered)
    again = np.flatnonzero(place)
    contents = [
        int(content).to_bytes(8, "big") + int(k).to_bytes(8, "big")
        for content, k in zip(ordered[again], place[again], strict=True)
    ]
    ranks = hashes.copy()
    ranks[order[again]] = hashes_of(contents, seed)
    return ranks


def _together(hashes: Hashes, equal: Hashes, seed: int) -> Hashes:
    """A rank for each row, the same for equal ones, whatever they were before a reduction."""
    _, index = np.unique(equal, return_inverse=True)
    lowest = np.full(index.max() + 1, np.iinfo(np.uint64).max, np.uint64)
    highest = np.zeros_like(lowest)
    np.minimum.at(lowest, index, hashes)
    np.maximum.at(highest, index, hashes)
    several = lowest < highest  # the lowest of many would come early, so it is hashed again
    contents = [int(content).to_bytes(8, "big") for content in lowest[several]]
    lowest[several] = hashes_of(contents, seed)
    return np.asarray(lowest[index])


def _first_equal(ordered: NDArray[np.generic]) -> NDArray[np.intp]:
    """The place of the first of those that equal each entry of a sorted array."""
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    return np.maximum.accumulate(np.where(fresh, np.arange(len(ordered)), 0))


def _cut(ranks: Hashes, held_out: int, labels: Array | None = None) -> list[NDArray[np.intp]]:
    """Row numbers of the parts, in the order of the ranks; rows of equal rank share a part."""
    n = len(ranks)
    codes = _codes(labels, n)
    order = np.lexsort((codes, ranks, _places(ranks, codes)))
    first_equal = _first_equal(ranks[order])

    tenth = max(1, (n + 5) // 10)
    part_starts = [n - count * tenth for count in range(held_out, 0, -1)]
    part_numbers = np.searchsorted(part_starts, first_equal, side="right")
    return [order[part_numbers == number] for number in range(held_out + 1)]


def _codes(labels: Array | None, n: int) -> NDArray[np.intp]:
    """A number for the class of each of `n` rows."""
    return np.zeros(n, np.intp) if labels is None else np.unique(labels, return_inverse=True)[1]


def _places(ranks: Hashes, codes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Where each row stands among those of its class, from 0 to 1, so that every stretch holds the
    same share of each class. Of equal ranks the lowest class counts.
    """
    places = np.zeros(len(ranks))
    if not codes.any():
        return places
    order = np.lexsort((codes, ranks))
    classes = np.empty_like(codes)
    classes[order] = codes[order][_first_equal(ranks[order])]
    for k in np.unique(classes):
        mine = classes == k
        ordered = np.sort(ranks[mine])
        places[mine] = (np.searchsorted(ordered, ranks[mine]) + 0.5) / len(ordered)
    return places


def _repetition(once: Array, n: int, apart: bool, repeats: str) -> list[str]:
    """What was decided about equal rows, if there are any."""
    if len(once) == n:
        return []
    expected = expected_pairs(once, n)
    why = f"independent columns would give {expected:,.0f} equal pairs"
    if repeats != "auto":
        why = "asked for"
    elif not expected:
        why = "each is there often" if apart else "independent columns would give no equal pair"
    how = "each row is dealt for itself" if apart else "equal rows fall on the same side"
    return [f"{len(once):,} of {n:,} rows differ ({why}), so {how}."]


def _too_few(n: int, distinct: int, apart: bool, held_out: int) -> DalmError:
    if apart or distinct == n:
        return DalmError(
            f"too few data: {n} rows cannot fill {held_out + 1} splits; give at least 10"
        )
    return DalmError(
        f"too few data: of {n} rows {distinct} differ, and equal ones are kept on one side, so "
        f"they cannot fill {held_out + 1} splits; repeats='apart' (--repeats apart) deals "
        "each row for itself"
    )
