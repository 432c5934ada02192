"""What a user may ask of data, each option stated once.

Every source says by a class of options what it takes, so `load_data` refuses what it has no use
for. A source with an option of its own derives a class in its own file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from dalm.errors import DalmError, check_seed
from dalm.options import Option, Options, option

Function = TypeVar("Function", bound=Callable[..., Any])


class DataOptions(Options, owner="load_data"):
    """What every source takes.

    >>> DataOptions(seed=1, cache="/tmp").recorded()
    {'seed': 1}
    """

    seed: int = option("of the split, of `binary` and of toy samples", default=0)
    cache: str | Path | None = option(
        "folder where decoded images are kept; by default `$DALM_CACHE`, else "
        "`$XDG_CACHE_HOME/dalm`, else `~/.cache/dalm`",
        default=None,
    )

    def validate(self) -> None:
        """Raise DalmError unless every library here takes the seed."""
        check_seed(self.seed)

    def recorded(self) -> dict[str, Any]:
        """The options that differ from their defaults and decide what the data are, as JSON values;
        where the cache lies does not.
        """
        return {name: value for name, value in self.given().items() if name != "cache"}


class LevelOptions(DataOptions):
    """What data of levels take too.

    >>> LevelOptions(levels=4).levels_from(17)
    4
    >>> LevelOptions(levels=1)
    Traceback (most recent call last):
    dalm.errors.DalmError: load_data's levels is from 2 to 65536, got 1
    """

    binary: bool = option(
        "draw each pixel once from the Bernoulli of its brightness, 1 with probability x / "
        "(levels - 1)",
        default=False,
    )
    levels: int | None = option(
        "reduce discrete data to this number of levels, floor(x * levels / old levels): from 17 "
        "(digits), from 256 (a folder of images); arrays whose values are all below it have it "
        "already, and stay as they are",
        default=None,
        at_least=2,
        at_most=65536,
    )

    def validate(self) -> None:
        """Raise DalmError where both kinds of reduction are asked for."""
        super().validate()
        if self.binary and self.levels:
            raise DalmError(
                f"binary data have 2 levels; give binary or {self.levels} levels, not both"
            )

    def levels_from(self, levels: int) -> int:
        """The number of levels after reduction of data that have `levels`."""
        if self.binary:
            return 2
        if self.levels and self.levels > levels:
            raise DalmError(
                f"the data have {levels} levels, so they cannot be reduced to {self.levels}; ask "
                f"for at most {levels}"
            )
        return self.levels or levels

    def notes(self, levels: int | None) -> list[str]:
        """What the options do to data of `levels` (`None`: real numbers), in sentences."""
        if levels is None:
            return []
        if self.binary:
            return [
                f"Made binary once, with seed {self.seed}: a value is 1 with probability value / "
                f"{levels - 1}."
            ]
        if self.levels and self.levels != levels:
            return [
                f"Reduced from {levels} to {self.levels} levels: floor(value * {self.levels} / "
                f"{levels})."
            ]
        return []


class ImageOptions(LevelOptions):
    """What images take too.

    >>> ImageOptions(grey=True).notes(256)
    ['Colour was turned into luminance (ITU-R BT.601).']
    """

    size: int | None = option(
        "cut images to the square in their centre and resize them to this side, in pixels",
        default=None,
        at_least=1,
        at_most=4096,
    )
    grey: bool = option("turn colour images into luminance", default=False)
    white: int = option(
        "the value of 16-bit pixels that becomes 255, such as 1023 of ten-bit ones",
        default=65535,
        at_least=1,
        at_most=65535,
    )

    def notes(self, levels: int | None) -> list[str]:
        """What the options do to images of `levels`, in sentences."""
        sentences = []
        if self.grey:
            sentences.append("Colour was turned into luminance (ITU-R BT.601).")
        if self.size:
            sentences.append(
                f"Images were cut to the square in their centre and resized to {self.size}×"
                f"{self.size} (Lanczos filter)."
            )
        return sentences + super().notes(levels)


class RowOptions(ImageOptions):
    """What arrays take too."""

    repeats: Literal["auto", "apart", "together"] = option(
        "whether equal rows are dealt each for itself or kept on one side; auto: on one side where "
        "they are an accident, such as an image that is there twice",
        default="auto",
    )
    label: str | None = option(
        "array of the file, or column, that holds the labels; y by default", default=None
    )
    group: int | str | None = option(
        "column, or array of the file, that says which rows belong together, such as a patient; no "
        "group is in two splits",
        default=None,
    )
    order: int | str | None = option(
        'column, or array of the file, that puts rows in order of time, or "file": the last tenth '
        "is test",
        default=None,
    )
    log: bool = option(
        "let models see the logarithm of real entries that are above 0 in all training rows, for "
        "long tails; densities stay those of the data",
        default=False,
    )

    def validate(self) -> None:
        """Raise DalmError where rows are to be kept together and apart."""
        super().validate()
        if self.group is not None and self.order is not None:
            raise DalmError("data are split by group or by order, not by both")


def with_keywords(declared: Mapping[str, Option]) -> Callable[[Function], Function]:
    """Decorator: declared options take the place of a function's `**options`, in what
    `inspect.signature` and `help` say of it.

    >>> @with_keywords(DataOptions.declared())
    ... def load(source: str, **options: int) -> None: ...
    >>> list(inspect.signature(load).parameters)
    ['source', 'seed', 'cache']
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        keywords = [_parameter(declaration) for declaration in declared.values()]
        replaced = signature.replace(parameters=[*own, *keywords])
        function.__signature__ = replaced  # type: ignore[attr-defined]  # functions may have one
        function.__doc__ = _with_arguments(function.__doc__, declared)
        return function

    return decorate


def _parameter(declaration: Option) -> inspect.Parameter:
    return inspect.Parameter(
        declaration.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=declaration.default,
        annotation=declaration.kind,
    )


def _with_arguments(docstring: str | None, declared: Mapping[str, Option]) -> str | None:
    """The docstring with a line for each option at the end of its Args."""
    if not docstring:
        return docstring
    lines = [f"\n        {name}: {option.meaning}." for name, option in declared.items()]
    before, raises, after = docstring.partition("\n\n    Raises:")
    return before + "".join(lines) + raises + after
