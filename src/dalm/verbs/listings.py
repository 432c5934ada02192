"""What there is: the families of models and the data that have a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dalm.core import Generative, capabilities, conditions
from dalm.data import named_sources
from dalm.models import FAMILIES, REFERENCES
from dalm.verbs.groups import options_of
from dalm.verbs.results import Json, Listing


@dataclass(repr=False)
class Families(Listing):
    """The families of models, and the references that stand beside them in a comparison."""

    columns: ClassVar[tuple[str, ...]] = (
        "name",
        "year",
        "likelihood",
        "conditional",
        "capabilities",
        "paper",
    )


@dataclass(repr=False)
class Sources(Listing):
    """The data that can be loaded by name."""

    columns: ClassVar[tuple[str, ...]] = ("name", "about")


def families() -> Families:
    """The families of models: name, year, paper, likelihood and capabilities.

    >>> families()["vae"]["year"]
    2014
    """
    return Families([_entry(family) for family in (*FAMILIES, *REFERENCES)])


def sources() -> Sources:
    """The data that have a name; files and folders work too.

    >>> sources()["moons"]["about"]
    'points of the plane: two interleaved half circles, blurred; true density known'
    """
    return Sources([{"name": name, "about": about} for name, about in named_sources().items()])


def _entry(family: type[Generative]) -> Json:
    options = options_of("model", family)
    return {
        "name": family.family,
        "year": family.year,
        "paper": family.paper,
        "likelihood": getattr(family, "likelihood", None),
        "capabilities": capabilities(family),
        "conditional": conditions(family),
        "reference": family in REFERENCES,
        "options": {name: option.default for name, option in options.items()},
    }
