"""Which numbers are levels, and how many levels data are reduced to.

8-bit integers have 256 levels, booleans and zeros and ones 2, other integers as many as their
largest value needs; floats are real numbers. Integers and booleans that are all below the `levels`
asked for have those already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from dalm.data.dataset import Array, Grades, blocks_of
from dalm.data.options import LevelOptions
from dalm.errors import DalmError

LARGEST_LEVEL = 65535
LATTICES = (2, 16, 17, 256, 65536)
"""Numbers of levels that are common; a value of them is k / (levels - 1) where black is 0 and white
is 1."""


def as_learned(x: Array, grades: Grades, options: LevelOptions) -> Array:
    """Later rows as levels, as those of the data were found; reduced already where they were real.

    Args:
        x: (N, …).
        grades: of the data.
        options: of the data.

    Raises:
        DalmError: there are values that the data could not have.

    >>> as_learned(np.array([-1.0, 0.0, 1.0]), Grades(3, low=-1), LevelOptions(levels=3))
    array([0, 1, 2], dtype=int32)
    """
    whole = grades.low is None
    low = grades.low or 0
    high = (grades.levels or 2) - 1 if whole else 1
    if x.min() < low or x.max() > high or (whole and not np.array_equal(x, np.round(x))):
        kind = "whole" if whole else "real"
        raise DalmError(
            f"the model learned {kind} numbers from {low} to {high}, and these rows go from "
            f"{x.min():g} to {x.max():g}; give {kind} numbers as the data had them"
        )
    if whole:
        return x.astype(np.int32)
    return _units_as_levels((x - low) / (1.0 - low), grades.levels, options.levels or 0)


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


def on_lattice(x: Array, levels: int) -> bool:
    """Whether all real numbers are k / (levels - 1) of 0 ≤ k < levels, up to rounding.

    Args:
        x: real numbers.
        levels: how many there would be.

    >>> on_lattice(np.array([0, 0.5, 1]), 3), on_lattice(np.array([0, 0.3, 1]), 3)
    (True, False)
    """
    steps = x * (levels - 1.0)
    inside = x.min() >= 0 and x.max() <= 1
    return bool(inside and np.abs(steps - np.round(steps)).max() < 0.02)


def whole_levels(
    arrays: Mapping[str, Array], options: LevelOptions
) -> tuple[dict[str, Array], Grades | None, list[str]]:
    """Arrays of real numbers as the levels that options ask for, what they were before if they were
    real, and how, in sentences; nothing is done to integers, or where no levels are asked for.

    Args:
        arrays: data by name, (N, …) each.
        options: its `levels` and `binary`.

    Raises:
        DalmError: real numbers are neither whole nor from 0 to 1 (or from -1 to 1).

    >>> arrays, grades, _ = whole_levels({"x": np.array([0, 0.5, 1])}, LevelOptions(levels=3))
    >>> arrays["x"], grades
    (array([0, 1, 2], dtype=int32), Grades(levels=3, low=0))
    """
    real = {name for name, x in arrays.items() if x.dtype.kind == "f"}
    if not real or not (options.levels or options.binary):
        return dict(arrays), None, []
    low = min(float(x.min()) for x in arrays.values())
    high = max(float(x.max()) for x in arrays.values())
    if low >= 0 and all(np.array_equal(x, np.round(x)) for x in arrays.values()):
        whole = {name: x.astype(np.int32) for name, x in arrays.items()}
        return whole, None, ["Real numbers that are whole were taken as levels."]
    if low < -1 or high > 1:
        asked_for = "binary" if options.binary else "levels"
        raise DalmError(
            f"{asked_for} needs integers, or real numbers from 0 (black) to 1 (white) or from -1 "
            f"to 1; these go from {low:g} to {high:g}"
        )
    scaled = {name: (x + 1.0) / 2 if low < 0 else x * 1.0 for name, x in arrays.items()}
    return _levels_of_units(scaled, options, -1 if low < 0 else 0)


def _levels_of_units(
    arrays: dict[str, Array], options: LevelOptions, low: int
) -> tuple[dict[str, Array], Grades, list[str]]:
    """Real numbers from 0 to 1 as levels: exactly where they lie on a known lattice."""
    asked = options.levels or LATTICES[-1]
    candidates = dict.fromkeys([asked, *LATTICES] if options.levels else LATTICES)
    known = [each for each in candidates if all(on_lattice(x, each) for x in arrays.values())]
    had = known[0] if known else None
    target = options.levels or had or asked
    if had and target != had:
        options.levels_from(had)  # refuses more than there are
    levels = {name: _units_as_levels(x, had, target) for name, x in arrays.items()}
    extent = f"{low} to 1"
    if had is None:
        note = f"Real numbers from {extent} were cut into {asked} levels of equal width."
    else:
        note = f"Real numbers from {extent} lie on {had} equal steps: taken as {had} levels."
        if target != had:
            note += f" Reduced to {asked} levels: floor(level * {asked} / {had})."
    return levels, Grades(had, low), [note]


def _units_as_levels(x: Array, had: int | None, target: int) -> Array:
    """Real numbers from 0 to 1 that have so many levels, or none, as levels 0 … target - 1."""
    if had is None:
        return np.minimum(x * target, target - 1).astype(np.int32)
    levels = np.round(x * (had - 1)).astype(np.int64)
    return (levels if target == had else levels * target // had).astype(np.int32)


def to_values(x: Array, levels: int | None, options: LevelOptions) -> Array:
    """One split's array in its final dtype: uint8 or int32 for levels, float64 for real numbers.

    Args:
        x: (N, …).
        levels: how many levels it has, `None` for real numbers.
        options: what it is reduced to.

    >>> to_values(np.array([0.5]), None, LevelOptions()).dtype
    dtype('float64')
    """
    if levels:
        blocks = (x[block] for block in blocks_of(len(x), x[0].nbytes))
        return np.concatenate(list(reduce_levels(blocks, levels, options)))
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
