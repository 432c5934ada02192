"""What a user may ask of a data source, and the pixel arithmetic that answers it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalm.errors import DalmError, check_seed, is_integer

Array = NDArray[Any]


@dataclass(frozen=True)
class Options:
    """The options of `load_data`; each source refuses those that it has no use for.

    Args:
        size: side of the square that images are cut and resized to, in pixels.
        grey: turn colour images into one channel of luminance.
        binary: draw each pixel once from the Bernoulli of its brightness.
        levels: reduce discrete data to this number of levels; values of an array that are all below
            it have it already.
        seed: of the split, of `binary` and of toy samples.
        n: number of training points of a toy distribution.

    Raises:
        DalmError: if a number is out of range, or `binary` and `levels` are both given.

    >>> Options(size=32, seed=1).given()
    {'size': 32, 'seed': 1}
    """

    size: int | None = None
    grey: bool = False
    binary: bool = False
    levels: int | None = None
    seed: int = 0
    n: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in (("size", 1, 4096), ("levels", 2, 65536), ("n", 1, 10**8)):
            value = getattr(self, name)
            if value is not None and not (is_integer(value) and low <= value <= high):
                raise DalmError(
                    f"{name} must be from {low} to {high}, a whole number, got {value!r}"
                )
            object.__setattr__(
                self, name, value and int(value)
            )  # JSON does not take NumPy's numbers
        object.__setattr__(self, "seed", check_seed(self.seed))
        for name in ("grey", "binary"):
            if not isinstance(getattr(self, name), bool):
                raise DalmError(f"{name} is True or False, got {getattr(self, name)!r}")
        if self.binary and self.levels:
            raise DalmError(
                f"binary data have 2 levels; give binary or levels={self.levels}, not both"
            )

    def given(self) -> dict[str, Any]:
        """The options that differ from their defaults."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if getattr(self, f.name) != f.default
        }

    def only(self, source: str, *allowed: str) -> None:
        """Raise DalmError if an option was given that `source` has no use for."""
        wrong = [name for name in self.given() if name not in (*allowed, "seed")]
        if wrong:
            raise DalmError(
                f"{source} cannot take the option {wrong[0]!r}; it takes "
                f"{', '.join((*allowed, 'seed'))}"
            )

    def levels_from(self, levels: int) -> int:
        """The number of levels after reduction of data that have `levels`."""
        if self.levels and self.levels > levels:
            raise DalmError(
                f"the data have {levels} levels, so they cannot be reduced to {self.levels}; ask "
                f"for at most {levels}"
            )
        return 2 if self.binary else self.levels or levels

    def describe(self, levels: int | None) -> list[str]:
        """What the options do to data of `levels`, in sentences."""
        said = {
            "grey": "Colour was turned into luminance (ITU-R BT.601).",
            "size": f"Images were cut to the square in their centre and resized to {self.size}×{self.size} (Lanczos filter).",
            "binary": f"Made binary once, with seed {self.seed}: a value is 1 with probability value / {(levels or 0) - 1}.",
            "levels": f"Reduced from {levels} to {self.levels} levels: floor(value * {self.levels} / {levels}).",
        }
        done = self.given().keys() - ({"levels"} if self.levels == levels else set())
        return [sentence for name, sentence in said.items() if name in done]


def reduce_levels(blocks: Iterable[Array], levels: int, options: Options) -> Iterator[Array]:
    """Apply `binary` or `levels` to consecutive blocks of one split.

    The Bernoulli draws are one legacy NumPy stream, because published binarisations are made so:
    the blocks together equal `RandomState(seed).random_sample(shape) < x / (levels - 1)`.

    >>> next(reduce_levels([np.array([0, 127, 255])], 256, Options(levels=4))).tolist()
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


def blocks_of(n: int, row_bytes: int) -> Iterator[slice]:
    """Cut `n` rows into slices of some 4 MB each, so that work on them needs little memory.

    >>> list(blocks_of(3, 2**21))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    rows = max(1, 2**22 // max(row_bytes, 1))
    return (slice(low, min(low + rows, n)) for low in range(0, n, rows))
