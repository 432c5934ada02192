"""What a column of a table holds, as symbols.

A number is recorded with a step, so a row of a table is discrete, and its probability is a mass. A
cell is a short chain of symbols, each below an alphabet's end: models and coders see nothing else.

- A **category** is one symbol: its value, in the order of `values`.
- A **number** or a **time** is origin + step · code. The lowest decimal digits of the code come
  last, in pairs, as they are, since people round to them; what is above is cut at `edges`: first
  the bin, then the place in it.
- A **key** names its row and a **text** is opaque: neither has symbols.

After the values, or bins, come the spellings of *no value*, and last the **escape**: the cell is
none of all these, and is written beside the symbols by a universal code. Where a symbol may not
take all of its alphabet, it takes the first few: `ends` says how many.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from dalm.errors import DalmError

Kind = Literal["category", "number", "time", "key", "text"]
PAIR = 100
"""Symbols of two decimal digits."""
MOST_SYMBOLS = 65_536


@dataclass(frozen=True)
class Column:
    """What a column holds.

    Args:
        name: of the column.
        kind: `"category"`, `"number"`, `"time"`, `"key"` or `"text"`.
        values: a category's spellings; their order is theirs if there is one.
        missing: the spellings of no value.
        origin: of numbers and times, a decimal number.
        step: likewise, above 0.
        spelling: how a number or time is written: `"short"` without needless zeros, `"point"` the
            same with at least one decimal, `"2"` with two decimals and so on; of a time its format.
        pairs: of decimal digits at the end of a code.
        edges: where bins of what is above begin, and the end of the last one, rising.

    Raises:
        DalmError: what does not fit together.

    >>> price = Column("price", "number", step="0.01", spelling="2", pairs=1, edges=(0, 1, 20))
    >>> price.alphabets  # 2 bins and the escape, 19 places in the wider bin, 100 pairs
    (3, 19, 100)
    """

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    origin: str = "0"
    step: str = "1"
    spelling: str = "short"
    pairs: int = 0
    edges: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("values", "missing", "edges"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if trouble := self._trouble():
            raise DalmError(f"column {self.name!r}: {trouble}")

    def _trouble(self) -> str:
        """What does not fit together, in words."""
        spellings = (*self.values, *self.missing)
        if self.kind not in get_args(Kind):
            return f"a column is one of {', '.join(get_args(Kind))}, got {self.kind!r}"
        if len(set(spellings)) < len(spellings):
            return "a spelling is there twice"
        if not self.is_counted and (self.edges or self.pairs):
            return f"a {self.kind} has neither edges nor pairs of digits"
        rising = all(low < high for low, high in zip(self.edges, self.edges[1:], strict=False))
        if self.is_counted and not (len(self.edges) > 1 and rising and self.pairs >= 0):
            return f"a {self.kind} needs rising edges of at least one bin"
        if any(size > MOST_SYMBOLS for size in self.alphabets):
            return f"an alphabet has at most {MOST_SYMBOLS:,} symbols, got {max(self.alphabets):,}"
        return ""

    @property
    def is_counted(self) -> bool:
        """Whether its values are origin + step · code."""
        return self.kind in ("number", "time")

    @property
    def bins(self) -> int:
        """How many first symbols stand for values."""
        return len(self.edges) - 1 if self.is_counted else len(self.values)

    @property
    def escape(self) -> int:
        """The first symbol of a cell that is none of the others."""
        return self.bins + len(self.missing)

    @cached_property
    def alphabets(self) -> tuple[int, ...]:
        """How many symbols there are at each place of the chain."""
        if self.kind in ("key", "text"):
            return ()
        first = self.escape + 1
        if not self.is_counted:
            return (first,)
        widest = max(high - low for low, high in zip(self.edges, self.edges[1:], strict=False))
        return (first, *([widest] if widest > 1 else []), *[PAIR] * self.pairs)

    @cached_property
    def widths(self) -> Tensor:
        """How many places each bin has, (bins,)."""
        edges = torch.tensor(self.edges)
        return edges[1:] - edges[:-1]

    def ends(self, place: int, first: Tensor) -> Tensor:
        """How many symbols a place may take, (B,): the first ones of its alphabet.

        Args:
            place: in the chain.
            first: the first symbol of the chain, (B,).

        >>> sizes = Column("n", "number", pairs=1, edges=(0, 1, 4), missing=("",))
        >>> sizes.ends(1, torch.tensor([0, 1, 2])), sizes.ends(2, torch.tensor([0, 1, 2]))
        (tensor([1, 3, 1]), tensor([100, 100,   1]))
        """
        if place == 0:
            return torch.full_like(first, self.alphabets[0], dtype=torch.int64)
        inside = first < self.bins
        ones = torch.ones_like(first, dtype=torch.int64)
        if place == 1 and len(self.alphabets) > 1 + self.pairs:
            return torch.where(inside, self.widths[first.long().clamp(max=self.bins - 1)], ones)
        return torch.where(inside, PAIR * ones, ones)

    def symbols(self, codes: Tensor) -> Tensor:
        """Codes of values as chains, (B, len(alphabets)); beyond the edges is the escape.

        Args:
            codes: (B,) int64: of a category the place in `values`.

        >>> Column("n", "number", pairs=1, edges=(0, 1, 4)).symbols(torch.tensor([7, 399, 400]))
        tensor([[ 0,  0,  7],
                [ 1,  2, 99],
                [ 2,  0,  0]])
        """
        chain = torch.zeros(len(codes), len(self.alphabets), dtype=torch.int64)
        if not self.is_counted:
            chain[:, 0] = torch.where((codes >= 0) & (codes < self.bins), codes, self.escape)
            return chain
        high = codes.div(PAIR**self.pairs, rounding_mode="floor")
        edges = torch.tensor(self.edges)
        within = (high >= edges[0]) & (high < edges[-1])
        bin_ = torch.searchsorted(edges, high, right=True) - 1
        chain[:, 0] = torch.where(within, bin_, self.escape)
        if len(self.alphabets) > 1 + self.pairs:
            chain[:, 1] = torch.where(within, high - edges[bin_.clamp(0, self.bins - 1)], 0)
        for pair in range(self.pairs):
            digits = codes.div(PAIR**pair, rounding_mode="floor").remainder(PAIR)
            chain[:, len(self.alphabets) - 1 - pair] = torch.where(within, digits, 0)
        return chain

    def codes(self, chain: Tensor) -> Tensor:
        """The opposite of `symbols`, (B,) int64, of chains that hold a value.

        Args:
            chain: (B, len(alphabets)).
        """
        first = chain[:, 0].long()
        if not self.is_counted:
            return first
        codes = torch.tensor(self.edges)[first.clamp(max=self.bins - 1)]
        if len(self.alphabets) > 1 + self.pairs:
            codes = codes + chain[:, 1]
        for place in range(len(self.alphabets) - self.pairs, len(self.alphabets)):
            codes = codes * PAIR + chain[:, place]
        return codes

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON values."""
        kept = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if getattr(self, one.name) != one.default
        }
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in kept.items()
        }
