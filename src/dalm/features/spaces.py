"""Every feature space there is, and the choice of one that suits the data.

A score depends on the space it is computed in, so each space is frozen and carries the SHA-256 of
its content in its name; scores with different names must not be compared. None of them is the
Inception network, so nothing here may be called FID.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from dalm.core import Spec
from dalm.errors import DalmError, did_you_mean
from dalm.features.digits import are_digits, digits_space, learned_digits
from dalm.features.plain import raw_space
from dalm.features.random_conv import are_images, random_conv_space
from dalm.features.space import FeatureSpace


class SpaceKind(NamedTuple):
    """How to make a feature space for a Spec, and which Specs it suits."""

    make: Callable[[Spec], FeatureSpace]
    suits: Callable[[Spec], bool]
    learned: Callable[[Tensor], int] = lambda x: 0
    """How many of some rows it learned from."""


SPACES = {
    "digits-cnn-v1": SpaceKind(digits_space, are_digits, learned_digits),
    "random-conv-v1": SpaceKind(random_conv_space, are_images),
    "raw": SpaceKind(raw_space, lambda spec: True),
}
"""Every feature space, the most telling first."""


def space_name(spec: Spec, name: str | None = None, heldout: Tensor | None = None) -> str:
    """The name, if that space suits the data; without one, that of the most telling which does.

    Args:
        spec: what one datum is.
        name: `digits-cnn-v1`, `random-conv-v1` or `raw`; `None` chooses.
        heldout: (N, *shape), rows that a space that is chosen must not have learned from.

    Raises:
        DalmError: an unknown name, or a space that does not suit the data.

    >>> space_name(Spec((1, 28, 28), levels=256))
    'random-conv-v1'
    """
    if name is None:
        return next(
            known
            for known, kind in SPACES.items()
            if kind.suits(spec) and (heldout is None or not kind.learned(heldout))
        )
    if name not in SPACES:
        raise DalmError(f"there is no feature space {name!r}. {did_you_mean(name, SPACES)}")
    if not SPACES[name].suits(spec):
        raise DalmError(
            f"the feature space {name} does not suit data of shape {spec.shape} with levels "
            f"{spec.levels}"
        )
    return name


def feature_space(spec: Spec, name: str | None = None) -> FeatureSpace:
    """The feature space called `name`, or the most telling one that suits the data.

    Args:
        spec: what one datum is.
        name: `digits-cnn-v1`, `random-conv-v1` or `raw`; `None` chooses.

    Raises:
        DalmError: an unknown name, or a space that does not suit the data.

    >>> feature_space(Spec((2,))).name
    'raw'
    >>> feature_space(Spec((3, 32, 32), levels=256)).name.split("#")[0]
    'random-conv-v1'
    """
    return SPACES[space_name(spec, name)].make(spec)


def learned_note(spec: Spec, name: str, heldout: Tensor) -> str:
    """What is to be said where a net learned from held-out rows; empty where none did.

    Args:
        spec: what one datum is.
        name: of the space that is used.
        heldout: (N, *shape).
    """
    for known, kind in SPACES.items():
        count = kind.learned(heldout) if kind.suits(spec) else 0
        rows = f"{known} learned from {count:,} of {len(heldout):,} held-out rows"
        if count and known == name:
            return f"{rows}: these figures flatter"
        if count:
            return f"{rows}, so {name} is used"
    return ""
