"""Families that are defined outside this package: how they are found, and what may import them.

Importing a module runs it, so no file decides what is imported. A family is known if its module was
imported, if an installed package names it as an entry point of the group `dalm.families`, or if the
user names it as `module:Class`. A run or an archive may name a class too; it is imported only from
modules that the user allows.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dalm.core.model import Generative, families
from dalm.errors import DalmError, did_you_mean

GROUP = "dalm.families"
PACKAGE = "dalm"
PLACE = "class"
"""The key of a configuration under which `module:Class` stands, of a family from outside."""
_allowed: set[str] = set()


def allow(*modules: str) -> None:
    """Let runs and archives name families of these modules, and of modules inside them.

    Args:
        modules: names as Python imports them.

    >>> allow("mymodule")
    """
    _allowed.update(modules)


def place_of(family: type[Generative]) -> str | None:
    """Where a family can be imported from, `module:Class`; `None` for our own, and for a class of a
    script or inside a function.

    >>> from dalm.models import VAE
    >>> place_of(VAE) is None
    True
    """
    module = family.__module__
    name = family.__qualname__
    is_ours = module.partition(".")[0] == PACKAGE
    if is_ours or module == "__main__" or "." in name:
        return None
    return f"{module}:{name}"


def import_family(place: str) -> type[Generative]:
    """The family that the user names.

    Args:
        place: `module:Class`.

    Raises:
        DalmError: there is no such module, or it has no such family.
    """
    module, _, name = place.partition(":")
    try:
        family = getattr(importlib.import_module(module), name, None)
    except (ImportError, ValueError) as error:
        raise DalmError(
            f"the family {place} cannot be imported: {error}; give module:Class of a module that "
            "Python finds"
        ) from None
    if not (isinstance(family, type) and issubclass(family, Generative)):
        raise DalmError(f"{place} is no family: a class that inherits from dalm.core.Generative")
    return family


def installed_families() -> dict[str, str]:
    """The families that installed packages name as entry points, each with its `module:Class`."""
    return {point.name: point.value for point in importlib.metadata.entry_points(group=GROUP)}


def find_family(name: str, place: str | None = None) -> type[Generative]:
    """The family of a name that a user or a file gives.

    Args:
        name: of the family.
        place: `module:Class`, if a file says it.

    Raises:
        DalmError: it is not known, or it may not be imported.
    """
    if name in families:
        return families[name]
    if name in (installed := installed_families()):
        return _named(import_family(installed[name]), name)
    if place is None:
        raise DalmError(
            f"there is no family {name!r} among those imported (dalm.models holds our own). "
            f"{did_you_mean(name, families)}"
        )
    module = str(place).partition(":")[0]
    if not any(module == one or module.startswith(f"{one}.") for one in _allowed):
        raise DalmError(
            f"the family {name!r} is {place}, outside dalm, and importing it would run what a file "
            f"names. If you trust it: --allow {module}, or in Python import it or call "
            f"dalm.core.allow({module!r}) first"
        )
    return _named(import_family(place), name)


def _named(family: type[Generative], name: str) -> type[Generative]:
    if family.family != name:
        raise DalmError(f"{family.__name__} is the family {family.family!r}, not {name!r}")
    return family


def places_in(configuration: Mapping[str, Any]) -> Iterator[str]:
    """All `module:Class` in a configuration, those of nested models too.

    >>> list(places_in({"family": "a", "class": "m:A", "prior": {"family": "b", "class": "m:B"}}))
    ['m:A', 'm:B']
    """
    if PLACE in configuration:
        yield str(configuration[PLACE])
    for value in configuration.values():
        if isinstance(value, Mapping):
            yield from places_in(value)


def without_places(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration by names alone: what a model is, wherever its class is defined.

    >>> without_places({"family": "a", "class": "m:A"})
    {'family': 'a'}
    """
    return {
        key: without_places(value) if isinstance(value, Mapping) else value
        for key, value in configuration.items()
        if key != PLACE
    }


def search_path(place: str) -> str | None:
    """The folder from which this process imported a family's module, if it has a file.

    Args:
        place: `module:Class`.
    """
    top = sys.modules.get(place.partition(":")[0].partition(".")[0])
    file = getattr(top, "__file__", None)
    if file is None:
        return None
    path = Path(file).absolute()
    return str(path.parents[1] if path.name == "__init__.py" else path.parent)
