"""What a model can do, in one list: catalogue, conformance, help and documentation read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dalm.core.codable import Autoregressive, Variational
from dalm.core.completer import Completer
from dalm.core.density import Bound, Density
from dalm.core.latent import Latent
from dalm.core.learning import Estimator, Learner
from dalm.core.model import Generative


@dataclass(frozen=True)
class Capability:
    """Something that some families can do.

    Args:
        name: in one word.
        meaning: as the end of a sentence that begins with the family's name.
        shared_by: whether a family has it.
    """

    name: str
    meaning: str
    shared_by: Callable[[type[Generative]], bool]


def conditions(family: type[Generative]) -> bool:
    """Whether a family can learn each class: by its option, or always."""
    return "conditional" in family.declared() or bool(family.conditional)


def _promise(base: type, meaning: str) -> Capability:
    return Capability(base.__name__, meaning, lambda family: issubclass(family, base))


CAPABILITIES: tuple[Capability, ...] = (
    _promise(Density, "gives each datum a log probability"),
    _promise(Bound, "bounds it from below, and tightens the bound by importance samples"),
    _promise(Autoregressive, "predicts entry after entry, so that its likelihood can be a file"),
    _promise(Variational, "has a normal code and posterior, so that bits-back can code with it"),
    _promise(Latent, "turns data into codes and back"),
    _promise(Completer, "draws the unknown entries of a datum given the known ones"),
    _promise(Learner, "learns by gradient steps"),
    _promise(Estimator, "learns in closed form or by passes of its own"),
    Capability("conditional", "can learn each class", conditions),
)
"""Everything that a model can promise."""


def capabilities(family: type[Generative]) -> list[str]:
    """The names of what a family can do, in the order of `CAPABILITIES`."""
    return [one.name for one in CAPABILITIES if one.shared_by(family)]
