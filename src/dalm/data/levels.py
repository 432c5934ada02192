"""Which numbers are levels, and how many levels data are reduced to.

8-bit integers have 256 levels, booleans and zeros and ones 2, other integers as many as their
largest value needs; floats are real numbers. Integers and booleans that are all below the `levels`
asked for have those already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from dalm.data.dataset import Array, blocks_of
from dalm.data.options import LevelOptions
from dalm.errors import DalmError

LARGEST_LEVEL = 65535


def find_levels(xs: list[Array], options: LevelOptions) -> tuple[int | None, list[str]]:
    """How many levels the arrays of all splits have, `None` for real numbers; and what was decided,
    in sentences.

    Args:
        xs: one array for each split, (N, …) each.
        options: its `levels` says what to take small values for.

    Raises:
        DalmError: if an integer is negative or too large.

    >>> find_levels([np.array([0, 1]), np.array([4])], LevelOptions())
    (5, ['Integers have as many levels as their largest value needs: 5.'])
    """
    kinds = {x.dtype.kind for x in xs}
    if "f" in kinds:
        return None, []

    low = min(int(x.min()) for x in xs)
    high = max(int(x.max()) for x in xs)
    if low < 0 or high > LARGEST_LEVEL:
        raise DalmError(
            f"integers are taken as levels, from 0 to at most {LARGEST_LEVEL}, and these go from "
            f"{low} to {high}; give floats for real numbers"
        )

    if options.levels and high < options.levels:
        note = f"All values are below {options.levels}, so they were taken as levels as they are."
        return options.levels, [note]
    if kinds == {"b"}:
        return 2, []
    if high <= 1:
        return 2, ["The values are 0 and 1: 2 levels."]
    if all(x.dtype == np.uint8 for x in xs):
        note = f"8-bit data have 256 levels; the largest value is {high}."
        return 256, [note] if high < 128 else []
    return high + 1, [f"Integers have as many levels as their largest value needs: {high + 1}."]


def to_values(x: Array, levels: int | None, options: LevelOptions) -> Array:
    """One split's array in its final dtype: uint8 or int32 for levels, float64 for real numbers.

    Args:
        x: (N, …).
        levels: how many levels it has, `None` for real numbers.
        options: what it is reduced to.

    Raises:
        DalmError: if real numbers are to be reduced.

    >>> to_values(np.array([0.5]), None, LevelOptions()).dtype
    dtype('float64')
    """
    if levels:
        blocks = (x[block] for block in blocks_of(len(x), x[0].nbytes))
        return np.concatenate(list(reduce_levels(blocks, levels, options)))
    if options.binary or options.levels:
        asked_for = "binary" if options.binary else "levels"
        raise DalmError(f"{asked_for} needs integers; real numbers ({x.dtype}) have no levels")
    return np.ascontiguousarray(x, np.float64)


def reduce_levels(blocks: Iterable[Array], levels: int, options: LevelOptions) -> Iterator[Array]:
    """Apply `binary` or `levels` to consecutive blocks of one split.

    The Bernoulli draws are one legacy NumPy stream, because published binarisations are made so:
    the blocks together equal `RandomState(seed).random_sample(shape) < x / (levels - 1)`.

    Args:
        blocks: integers from 0 to levels - 1.
        levels: how many levels they have.
        options: what they are reduced to.

    >>> next(reduce_levels([np.array([0, 127, 255])], 256, LevelOptions(levels=4))).tolist()
    [0, 1, 3]
    """
    random = np.random.RandomState(options.seed)
    dtype = np.uint8 if options.levels_from(levels) <= 256 else np.int32
    for x in blocks:
        if options.binary:
            x = random.random_sample(x.shape) < x / (levels - 1)
        elif options.levels:
            x = x.astype(np.int64) * options.levels // levels
        yield x.astype(dtype)
