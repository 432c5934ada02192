"""What one datum is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from dalm.core.columns import Column
from dalm.errors import DalmError, is_integer


@dataclass(frozen=True)
class Spec:
    """What one datum is.

    Args:
        shape: sizes of one datum, such as `(1, 28, 28)` for an image (channels first) or `(2,)` for
            a point.
        levels: discrete data take the values 0 … levels - 1; `None` means real numbers.
        classes: number of class labels, 0 if there are none.
        columns: of a table, whose rows are symbols; shape and levels follow from them: all symbols
            of a row, and the largest alphabet.

    >>> Spec((1, 8, 8), levels=17).kind
    'discrete'
    >>> cut = Column("cut", "category", values=("good", "fair"))
    >>> Spec(columns=(cut, Column("carat", "number", step="0.01", edges=(0, 9)))).alphabets
    (3, 2, 9)
    """

    shape: tuple[int, ...] = ()
    levels: int | None = None
    classes: int = 0
    columns: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        if self.columns:
            self._take_columns()
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

    def _take_columns(self) -> None:
        alphabets = [size for column in self.columns for size in column.alphabets]
        names = [column.name for column in self.columns]
        if not alphabets or len(set(names)) < len(names):
            raise DalmError(
                "a table needs a column that can be learned, a category, number or time, and names "
                f"that differ; got {', '.join(f'{c.name!r} ({c.kind})' for c in self.columns)}"
            )
        for name, own in (("shape", (len(alphabets),)), ("levels", max(2, *alphabets))):
            if getattr(self, name) not in ((), None, own):
                raise DalmError(
                    f"the columns give a Spec of {name} {own}, got {getattr(self, name)}; leave it "
                    "out"
                )
            object.__setattr__(self, name, own)

    @cached_property
    def alphabets(self) -> tuple[int, ...]:
        """How many symbols there are for each entry of discrete data."""
        if self.columns:
            return tuple(size for column in self.columns for size in column.alphabets)
        return (self.levels or 0,) * self.dims

    @cached_property
    def chains(self) -> tuple[tuple[Column, slice], ...]:
        """The columns of a table that have symbols, and where these are in a row."""
        places = []
        at = 0
        for column in self.columns:
            if column.alphabets:
                places.append((column, slice(at, at + len(column.alphabets))))
            at += len(column.alphabets)
        return tuple(places)

    def to_json(self) -> dict[str, Any]:
        """As JSON values; `Spec.from_json` is the opposite.

        >>> Spec((2,)).to_json()
        {'shape': [2], 'levels': None, 'classes': 0}
        """
        plain = {"shape": list(self.shape), "levels": self.levels, "classes": self.classes}
        columns = {"columns": [column.to_json() for column in self.columns]}
        return plain | (columns if self.columns else {})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Spec:
        """The Spec of these values.

        Args:
            values: as `to_json` gives them.

        >>> Spec.from_json(Spec((2,)).to_json())
        Spec(shape=(2,), levels=None, classes=0)
        """
        columns = tuple(Column(**column) for column in values.get("columns", ()))
        return cls(**{**values, "shape": tuple(values["shape"]), "columns": columns})

    def __repr__(self) -> str:
        if self.columns:
            return f"Spec(columns={len(self.columns)}, symbols={self.dims}, classes={self.classes})"
        return f"Spec(shape={self.shape}, levels={self.levels}, classes={self.classes})"

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
        for column, place in self.chains:
            _check_chain(column, x[:, place])
        if y is not None and (y.shape != (len(x),) or not inside(y, self.classes)):
            raise DalmError(
                f"expected {len(x)} class labels from 0 to {self.classes - 1}, got "
                f"{tuple(y.shape)} labels, {y.unique().tolist()[:9]}"
            )


def _check_chain(column: Column, chain: Tensor) -> None:
    """Raise DalmError unless symbols are those of a cell."""
    for place in range(len(column.alphabets)):
        wrong = chain[:, place] >= column.ends(place, chain[:, 0])
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise DalmError(
                f"row {row} holds no cell of column {column.name!r}: symbols {chain[row].tolist()}"
            )


def inside(x: Tensor, end: int) -> bool:
    """Whether all of `x` lies from 0 to end - 1. Compared as Python integers: 256 wraps to 0 in
    uint8.
    """
    return not x.numel() or 0 <= int(x.min()) <= int(x.max()) < end
