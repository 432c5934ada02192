"""Parts in which a family is fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dalm.core.batch import Batch

if TYPE_CHECKING:
    from dalm.core.model import Generative


@dataclass(frozen=True)
class Stage:
    """A part of a family that is fitted by itself.

    Args:
        name: of the part, such as `"codes"` or `"prior"`.
        model: what is fitted: the family itself or a model inside it.
        see: turns a batch of data into what that model learns from; `None` leaves it as it is.
    """

    name: str
    model: Generative
    see: Callable[[Batch], Batch] | None = None
