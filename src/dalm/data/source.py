"""A kind of data: which values it loads, which options it takes, and how it is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from dalm.data.dataset import Data
from dalm.data.options import DataOptions

OptionsOf = TypeVar("OptionsOf", bound=DataOptions)


@dataclass(frozen=True)
class Source(Generic[OptionsOf]):
    """One kind of data that `load_data` takes.

    A new one is an object of this class in a file of its own, and an entry of `dalm.data.SOURCES`,
    which are tried in order.

    Args:
        title: the name that is asked for, or a phrase such as "a folder of images".
        about: a line about it: of a name what the data are, else what would be taken.
        options: the class of its options; what it does not declare is refused.
        matches: whether this source loads the value that `load_data` was given.
        load: from that value and the options to the data.
        named: whether it is asked for by name.
    """

    title: str
    about: str
    options: type[OptionsOf]
    matches: Callable[[Any], bool]
    load: Callable[[Any, OptionsOf], Data]
    named: bool = False


def named_source(
    name: str, about: str, options: type[OptionsOf], load: Callable[[OptionsOf], Data]
) -> Source[OptionsOf]:
    """A source that is asked for by name.

    Args:
        name: the name.
        about: what the data are, in a line.
        options: the class of its options.
        load: from the options to the data.

    >>> def load(options: DataOptions) -> Data: ...
    >>> coin = named_source("coin", "throws of a fair coin", DataOptions, load)
    >>> coin.matches("coin"), coin.matches("die")
    (True, False)
    """
    return Source(
        name,
        about,
        options,
        matches=lambda value: isinstance(value, str) and value == name,
        load=lambda _, given: load(given),
        named=True,
    )


def existing_path(value: object) -> Path | None:
    """The absolute path of a file or folder that is there, or `None` for any other value.

    >>> existing_path("no/such/file"), existing_path(3)
    (None, None)
    """
    if isinstance(value, str | Path) and os.path.exists(value):
        return Path(value).resolve()
    return None
