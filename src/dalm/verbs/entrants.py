"""Who gets a row in a comparison: families, and references to judge them by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dalm.core import Generative
from dalm.models import FAMILIES, REFERENCES, Copycat
from dalm.verbs.models import family_of


@dataclass(frozen=True)
class Entrant:
    """Who gets a row.

    Args:
        name: of the row, and with hyphens of its run's folder.
        family: what is fitted.
        kind: whether it competes or is there to compare with.
        learn_from: the split that it is fitted to.
        options: of the family.
    """

    name: str
    family: type[Generative]
    kind: Literal["model", "reference"] = "model"
    learn_from: Literal["train", "val"] = "train"
    options: Mapping[str, float] = field(default_factory=dict)


REFERENCE_ENTRANTS = (
    Entrant("held-out real data", Copycat, "reference", "val"),
    *(Entrant(family.family, family, "reference") for family in REFERENCES),
    Entrant("noisy copycat", Copycat, "reference", options={"noise": 0.05}),
    Entrant("collapsed copycat", Copycat, "reference", options={"share": 0.1}),
)
"""The reference rows. Held-out real data are a copycat of the validation split; the last two show
whether alarms work on these data.
"""


def _several(names: str | Sequence[str]) -> Iterator[str]:
    """Names one by one, of which some come with commas between them."""
    for name in [names] if isinstance(names, str) else names:
        if isinstance(name, str):
            yield from (part.strip() for part in name.split(",") if part.strip())
        else:
            yield name


def competitors(names: Sequence[str] | None) -> list[Entrant]:
    """The families asked for, each once; references have their rows anyway.

    Args:
        names: of families, several in one with commas between them; none for all.

    >>> [entrant.name for entrant in competitors(["vae, kde,", "vae"])]
    ['vae', 'kde']
    """
    families = [family_of(name) for name in _several(names)] if names else FAMILIES
    return [
        Entrant(family.family, family)
        for family in dict.fromkeys(families)
        if family not in REFERENCES
    ]
