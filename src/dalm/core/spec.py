"""What one datum is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from dalm.errors import DalmError, is_integer


@dataclass(frozen=True)
class Spec:
    """What one datum is.

    Args:
        shape: sizes of one datum, such as `(1, 28, 28)` for an image (channels first) or `(2,)` for
            a point.
        levels: discrete data take the values 0 … levels - 1; `None` means real numbers.
        classes: number of class labels, 0 if there are none.

    >>> Spec((1, 8, 8), levels=17).kind
    'discrete'
    """

    shape: tuple[int, ...]
    levels: int | None = None
    classes: int = 0

    def __post_init__(self) -> None:
        if (
            not isinstance(self.shape, tuple)
            or not self.shape
            or not all(is_integer(s) and s >= 1 for s in self.shape)
        ):
            raise DalmError(
                "a Spec needs a shape, a tuple of positive whole sizes such as (1, 28, 28); got "
                f"{self.shape!r}"
            )
        if self.levels is not None and not (is_integer(self.levels) and 2 <= self.levels <= 65536):
            raise DalmError(f"discrete data have between 2 and 65536 levels, got {self.levels!r}")
        if not (is_integer(self.classes) and self.classes >= 0):
            raise DalmError(
                f"the number of classes is a whole number, 0 for none; got {self.classes!r}"
            )
        plain = {
            "shape": tuple(map(int, self.shape)),
            "levels": self.levels and int(self.levels),
            "classes": int(self.classes),
        }
        for name, value in plain.items():  # JSON does not take NumPy's numbers
            object.__setattr__(self, name, value)

    @property
    def kind(self) -> Literal["discrete", "real"]:
        """`"discrete"` or `"real"`."""
        return "real" if self.levels is None else "discrete"

    @property
    def dims(self) -> int:
        """Number of entries of one datum."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which data are kept: uint8 or int32 for levels, float64 for real numbers."""
        if self.levels is None:
            return torch.float64
        return torch.uint8 if self.levels <= 256 else torch.int32

    def check(self, x: Tensor, y: Tensor | None = None) -> None:
        """Raise DalmError unless data and labels are valid.

        Args:
            x: data, (B, *shape).
            y: class labels (B,), if there are any.
        """
        if not isinstance(x, Tensor):
            raise DalmError(
                f"expected data as a torch tensor or an array (B, "
                f"{', '.join(map(str, self.shape))}), got {type(x).__name__}"
            )
        if not x.dim() or tuple(x.shape[1:]) != self.shape:
            raise DalmError(
                f"expected data of shape (B, {', '.join(map(str, self.shape))}), got "
                f"{tuple(x.shape)}"
            )
        if self.levels is None and not (x.is_floating_point() and bool(torch.isfinite(x).all())):
            raise DalmError(
                "expected finite real numbers, got "
                + ("NaN or infinity" if x.is_floating_point() else str(x.dtype))
            )
        unordered = x.is_floating_point() or x.is_complex()
        if self.levels is not None and (unordered or not inside(x, self.levels)):
            got = str(x.dtype) if unordered else f"values from {x.min()} to {x.max()}"
            raise DalmError(f"expected integers from 0 to {self.levels - 1}, got {got}")
        if y is not None and (y.shape != (len(x),) or not inside(y, self.classes)):
            raise DalmError(
                f"expected {len(x)} class labels from 0 to {self.classes - 1}, got "
                f"{tuple(y.shape)} labels, {y.unique().tolist()[:9]}"
            )


def inside(x: Tensor, end: int) -> bool:
    """Whether all of `x` lies from 0 to end - 1. Compared as Python integers: 256 wraps to 0 in
    uint8.
    """
    return not x.numel() or 0 <= int(x.min()) <= int(x.max()) < end
