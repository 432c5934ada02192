"""Options, each stated once: its name, type and default, its range, and what it means.

    class Budget(Options, owner="fit"):
        steps: int | None = option("optimiser steps", default=None, at_least=1)
        schedule: Literal["cosine", "constant"] = option("of the learning rate", default="cosine")

From such a line come the constructor's keyword, its check and the words of the error, the value in
JSON, the command-line flag and its help. Families of models are declared the same way.
"""

from __future__ import annotations

import functools
import math
import numbers
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self, Union, dataclass_transform

from dalm.errors import DalmError, did_you_mean, is_integer

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()
"""The default of an option that must be given."""


@dataclass(frozen=True)
class Option:
    """One declared option.

    Args:
        meaning: what it is, in a phrase, with its unit.
        default: its value where nothing is said.
        at_least, above, at_most, below: its range, if it is a number.
        later: whether it came later than the first release, and at its default changes nothing.
        name: as a keyword; known once the class is.
        kind: its type; known once the class is.
    """

    meaning: str
    default: Any = REQUIRED
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    later: bool = False
    name: str = ""
    kind: Any = None

    def __get__(self, instance: object, owner: type) -> Option:
        """The option itself, on the class. An instance has its value under the same name, or finds
        it by `__getattr__` (torch keeps a model inside a model there), which Python asks next.
        """
        if instance is None:
            return self
        raise AttributeError(f"{owner.__name__} was not given its {self.name or 'option'} yet")

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values of a `Literal` type, else none."""
        found = [typing.get_args(kind) for kind in self.kinds if typing.get_origin(kind) is Literal]
        return tuple(value for values in found for value in values)

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types it may have."""
        union = typing.get_origin(self.kind) in (Union, types.UnionType)
        return typing.get_args(self.kind) if union else (self.kind,)

    @property
    def range(self) -> str:
        """Its range in words, or nothing.

        >>> Option("share", at_least=0, below=1).range
        'at least 0 and below 1'
        """
        if self.at_least is not None and self.at_most is not None:
            return f"from {_number(self.at_least)} to {_number(self.at_most)}"
        bounds = {
            "at least": self.at_least,
            "above": self.above,
            "at most": self.at_most,
            "below": self.below,
        }
        known = {word: end for word, end in bounds.items() if end is not None}
        return " and ".join(f"{word} {_number(end)}" for word, end in known.items())

    def check(self, owner: str, value: Any) -> Any:
        """The value as a plain one, or DalmError in the words of this option.

        >>> Option("dimension", at_least=1, name="latent", kind=int).check("vae", 0)
        Traceback (most recent call last):
        dalm.errors.DalmError: vae's latent is at least 1, got 0
        """
        plain = _plain(value)
        if not any(_fits(plain, kind) for kind in self.kinds):
            raise DalmError(f"{owner}'s {self.name} is {self._expected()}, got {value!r}")
        for entry in plain if isinstance(plain, tuple) else (plain,):
            number = isinstance(entry, int | float) and not isinstance(entry, bool)
            if number and not self._in(entry):
                raise DalmError(f"{owner}'s {self.name} is {self.range}, got {value}")
        return plain

    def _in(self, value: float) -> bool:
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def _expected(self) -> str:
        return " or ".join(dict.fromkeys(_words(kind) for kind in self.kinds))


def option(
    meaning: str,
    *,
    default: Any = REQUIRED,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    later: bool = False,
    kw_only: bool = True,
) -> Any:
    """Declare an option: the value of an annotated name in the body of a class.

    Args:
        meaning: what it is, in a phrase, with its unit.
        default: its value where nothing is said; without one it must be given.
        at_least: the smallest number.
        above: what every number is greater than.
        at_most: the largest number.
        below: what every number is smaller than.
        later: whether it came later than the first release, and at its default changes nothing;
            configurations then leave it out, so that what was written before keeps its name.
        kw_only: whether it is given by keyword alone.
    """
    return Option(meaning, default, at_least, above, at_most, below, later)


def _number(end: float) -> str:
    return str(int(end)) if end == int(end) else f"{end:g}"


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, which JSON takes; lists as tuples."""
    if type(value).__name__ == "bool":  # NumPy's has the same name, and is no bool
        return bool(value)
    if is_integer(value):
        return int(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _fits(value: Any, kind: Any) -> bool:
    origin = typing.get_origin(kind)
    if kind is Any:
        return True
    if kind is None or kind is type(None):
        return value is None
    if origin is Literal:
        return value in typing.get_args(kind) and not isinstance(value, bool)
    if origin is tuple:
        inner = typing.get_args(kind)[0]
        return isinstance(value, tuple) and all(_fits(entry, inner) for entry in value)
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    return is_integer(value) if kind is int else isinstance(value, origin or kind)


WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a word"}


def _words(kind: Any) -> str:
    """A type as an error names it."""
    if typing.get_origin(kind) is Literal:
        return " or ".join(map(repr, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return f"a list, each {_words(typing.get_args(kind)[0])}"
    if kind is None or kind is type(None):
        return "None"
    return WORDS.get(kind, f"a {getattr(kind, '__name__', kind)}")


@dataclass_transform(kw_only_default=True, field_specifiers=(option,))
class Declared:
    """Base of every class whose constructor takes options."""

    @classmethod
    def declared(cls) -> dict[str, Option]:
        """Its options by name, those of its bases first."""
        return _declared(cls)  # type: ignore[arg-type]  # a class is hashable, mypy doubts it

    @classmethod
    def checked(cls, owner: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """A value for each option: what was given, checked, else the default.

        Raises:
            DalmError: there is no such option, one is missing, or a value does not suit.
        """
        known = cls.declared()
        for name in given:
            if name not in known:
                what = did_you_mean(name, known) if known else "It has none."
                raise DalmError(f"{owner} has no option {name!r}. {what}")
        values = {}
        for name, declared in known.items():
            if name not in given and declared.default is REQUIRED:
                raise DalmError(f"{owner} needs its {name}: {declared.meaning}")
            values[name] = declared.default
            if name in given:
                values[name] = declared.check(owner, given[name])
        return values


@functools.cache
def _declared(cls: Any) -> dict[str, Option]:
    found: dict[str, Option] = {}
    hints = typing.get_type_hints(cls) if any(map(_own, cls.__mro__)) else {}
    for part in reversed(cls.__mro__):
        for name, one in _own(part).items():
            found[name] = replace(one, name=name, kind=hints[name])
        for name in found.keys() & vars(part).keys() - _own(part).keys():
            found[name] = replace(found[name], default=vars(part)[name])
    return found


def _own(cls: type) -> dict[str, Option]:
    return {name: one for name, one in vars(cls).items() if isinstance(one, Option)}


class Options(Declared):
    """Values of declared options, checked and fixed.

    Args:
        **given: a value for some of the options.

    Raises:
        DalmError: there is no such option, or a value does not suit.

    >>> class Walk(Options, owner="walk"):
    ...     miles: float = option("how far", default=1.0, above=0)
    >>> Walk(miles=3)
    Walk(miles=3)
    >>> Walk(mile=3)
    Traceback (most recent call last):
    dalm.errors.DalmError: walk has no option 'mile'. Did you mean 'miles'? There are: miles.
    """

    owner: ClassVar[str] = "options"

    def __init_subclass__(cls, owner: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.owner = owner or cls.owner

    def __init__(self, **given: Any) -> None:
        for name, value in self.checked(self.owner, given).items():
            object.__setattr__(self, name, value)
        self.validate()

    def validate(self) -> None:
        """Raise DalmError where options do not suit each other; nothing to say by default."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"options are fixed; replace({name}=...) gives others")

    def replace(self, **changes: Any) -> Self:
        """The same options but for some."""
        return type(self)(**self.to_dict() | changes)

    def to_dict(self) -> dict[str, Any]:
        """Every option's value."""
        return {name: getattr(self, name) for name in self.declared()}

    def given(self) -> dict[str, Any]:
        """Those that differ from their defaults."""
        known = self.declared()
        values = self.to_dict()
        return {name: value for name, value in values.items() if value != known[name].default}

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.to_dict() == self.to_dict()

    def __hash__(self) -> int:
        return hash((type(self), *self.to_dict().values()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.given().items())
        return f"{type(self).__name__}({inside})"
