"""Values of a column as chains of symbols and back; what no symbol holds is kept as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dalm.core.columns import Column
from dalm.data.tables.spelling import reader, writer

MOST_CODE = 2**62


def to_symbols(column: Column, values: Sequence[str]) -> tuple[Tensor, dict[int, str]]:
    """Values as chains, (N, len(alphabets)), and those that escaped, by their row.

    Args:
        column: what they are of.
        values: without quotes.

    >>> sizes = Column("size", "number", missing=("",), edges=(0, 1, 5))
    >>> chains, escaped = to_symbols(sizes, ["3", "", "3.5"])
    >>> chains.tolist(), escaped
    ([[1, 2], [2, 0], [3, 0]], {2: '3.5'})
    """
    if not column.alphabets:
        return torch.zeros(len(values), 0, dtype=torch.int64), dict(enumerate(values))
    kinds = list(dict.fromkeys(values))
    place = {value: row for row, value in enumerate(kinds)}
    chains = _chains(column, kinds)[torch.tensor([place[value] for value in values])]
    rows = (chains[:, 0] == column.escape).nonzero()[:, 0].tolist()
    return chains, {row: values[row] for row in rows}


def from_symbols(
    column: Column, chains: Tensor, escaped: Mapping[int, str] | None = None
) -> list[str]:
    """Values of chains; the opposite of `to_symbols`.

    Args:
        column: what they are of.
        chains: (N, len(alphabets)).
        escaped: what escaped, by row.
    """
    escaped = escaped or {}
    if not column.alphabets:
        return [escaped.get(row, "") for row in range(len(chains))]
    kinds, index = torch.unique(chains, dim=0, return_inverse=True)
    write = writer(column) if column.is_counted else column.values.__getitem__
    codes = column.codes(kinds).tolist()
    firsts = kinds[:, 0].tolist()
    names = [
        write(code) if first < column.bins else _unvalued(column, first)
        for first, code in zip(firsts, codes, strict=True)
    ]
    return [escaped.get(row, names[kind]) for row, kind in enumerate(index.tolist())]


def _chains(column: Column, kinds: Sequence[str]) -> Tensor:
    """The chain of each value; what has none is the escape."""
    known = {value: code for code, value in enumerate(column.values)}
    read = reader(column) if column.is_counted else known.get
    codes = [None if value in column.missing else read(value) for value in kinds]
    fit = torch.tensor([code is not None and abs(code) < MOST_CODE for code in codes])
    numbers = [code if ok else 0 for code, ok in zip(codes, fit.tolist(), strict=True)]
    chains = column.symbols(torch.tensor(numbers, dtype=torch.int64))
    chains[~fit] = 0
    chains[~fit, 0] = column.escape
    for row, value in enumerate(kinds):
        if value in column.missing:
            chains[row, 0] = column.bins + column.missing.index(value)
    return chains


def _unvalued(column: Column, first: int) -> str:
    """What a first symbol of no value is written as; an escape from nowhere is empty."""
    place = first - column.bins
    return column.missing[place] if place < len(column.missing) else ""
