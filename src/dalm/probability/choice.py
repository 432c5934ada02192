"""Output heads by name."""

from __future__ import annotations

from dalm.probability.heads import (
    BernoulliHead,
    CategoricalHead,
    LevelsHead,
    NormalHead,
    OutputHead,
)
from dalm.probability.logistic_mixture import LogisticMixtureHead

MOST_CATEGORIES = 32
"""Levels up to which a network without order among them learns quickly enough."""


def suited_head(levels: int | None) -> str:
    """The name of the head that suits data of so many levels, `None` for real numbers.

    >>> suited_head(2), suited_head(256), suited_head(None)
    ('bernoulli', 'logistic', 'normal')
    """
    if not levels:
        return "normal"
    if levels == 2:
        return "bernoulli"
    return "categorical" if levels <= MOST_CATEGORIES else "logistic"


def make_levels_head(name: str, channels: int, levels: int, components: int) -> LevelsHead:
    """A head over levels.

    Args:
        name: `"bernoulli"`, `"categorical"` or `"logistic"`.
        channels: of an image.
        levels: of an entry.
        components: logistics in the mixture.

    >>> make_levels_head("categorical", 1, 3, 1).size
    3
    """
    if name == "bernoulli":
        return BernoulliHead(channels)
    if name == "categorical":
        return CategoricalHead(channels, levels)
    return LogisticMixtureHead(channels, levels, components)


def make_head(name: str, channels: int, levels: int | None, components: int) -> OutputHead:
    """A head over levels or real numbers.

    Args:
        name: as in `make_levels_head`, or `"normal"`.
        channels: of an image.
        levels: of an entry, `None` for real numbers.
        components: logistics in the mixture.
    """
    if levels is None:
        return NormalHead(channels)
    return make_levels_head(name, channels, levels, components)
