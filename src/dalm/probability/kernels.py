"""Sums of Gaussian kernels over many rows, exactly and in bounded memory.

The log kernel of a pair is an inner product of features plus a term for each side, so one matrix
product gives a block of pairs, and a running log-sum-exp over blocks keeps memory bounded. For real
data the features are x / h; for discrete data they come from the singular value decomposition of
the table of bin masses T = U Vᵀ, kept to double precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dalm.probability.bins import log_normal_mass

QUERIES = 256
"""Queries in a block of pairs: few enough for the cache, enough for the matrix product."""
ROWS = 1024
"""Rows in a block of pairs, likewise."""
KEPT = 3e7
"""Features of rows that are kept at once; beyond, they are made again for each block of queries,
which is then eight times as large."""
Features = tuple[Tensor, Tensor]


class Rows(NamedTuple):
    """Remembered rows, each with how often it was there.

    Args:
        x: (N, D).
        labels: (N,) classes, all 0 for a model without.
        counts: (N,) float64.
    """

    x: Tensor
    labels: Tensor
    counts: Tensor

    def of(self, label: int) -> Rows:
        """Those of a class."""
        mine = self.labels == label
        return Rows(self.x[mine], self.labels[mine], self.counts[mine])


def distinct(x: Tensor, labels: Tensor) -> tuple[Rows, Tensor]:
    """Each row with its label once, and where each row is among them, (N,).

    Args:
        x: (N, D).
        labels: (N,).

    >>> rows, place = distinct(torch.tensor([[1.0], [1.0], [0.0]]), torch.zeros(3))
    >>> rows.x[:, 0], rows.counts, place
    (tensor([0., 1.]), tensor([1., 2.], dtype=torch.float64), tensor([1, 1, 0]))
    """
    table = torch.cat([_bytes(x + 0), _bytes(labels[:, None])], 1).numpy()  # -0.0 becomes 0.0
    whole = np.ascontiguousarray(table).view(f"V{table.shape[1]}")[:, 0]
    _, first, place, counts = np.unique(
        whole, return_index=True, return_inverse=True, return_counts=True
    )
    index = torch.from_numpy(first).to(x.device)
    often = torch.from_numpy(counts).to(x.device, torch.float64)
    return Rows(x[index], labels[index], often), torch.from_numpy(place).to(x.device)


def _bytes(table: Tensor) -> Tensor:
    return table.cpu().contiguous().view(torch.uint8)


class RealKernel:
    """log N(x; c, h² L Lᵀ) as features.

    Args:
        width: h.
        rows: what was remembered, (N, D).
        factor: L, (D, D) lower triangular.
    """

    rank = 1

    def __init__(self, width: float, rows: Tensor, factor: Tensor) -> None:
        self.factor = width * factor
        self.centre = rows.double().mean(0)

    def query(self, x: Tensor) -> Features:
        """Features (B, D) and terms (B,) of data."""
        centred = (x.double() - self.centre).T
        scaled = torch.linalg.solve_triangular(self.factor, centred, upper=False).T
        return scaled, -scaled.square().sum(1) / 2

    def row(self, x: Tensor) -> Features:
        """Features (N, D) and terms (N,) of remembered rows."""
        scaled, term = self.query(x)
        volume = self.factor.diagonal().log().sum() + x.shape[1] * math.log(2 * math.pi) / 2
        return scaled, term - volume


class LevelKernel:
    """log T[x, c] summed over entries, as features."""

    def __init__(self, width: float, levels: int) -> None:
        grid = torch.arange(levels, dtype=torch.float64)
        table = log_normal_mass(
            grid[:, None], grid, torch.tensor(width, dtype=torch.float64), levels
        )
        u, s, vt = torch.linalg.svd(table)
        self.rank = r = int((s > s[0] * 1e-13).sum())
        self.left = u[:, :r] * s[:r].sqrt()
        self.right = (vt[:r] * s[:r, None].sqrt()).T.contiguous()

    def query(self, x: Tensor) -> Features:
        """Features (B, D rank) and terms (B,) of data."""
        return self._look(self.left, x)

    def row(self, x: Tensor) -> Features:
        """Features (N, D rank) and terms (N,) of remembered rows."""
        return self._look(self.right, x)

    def _look(self, table: Tensor, x: Tensor) -> Features:
        return table.to(x.device)[x.long()].flatten(1), torch.zeros(
            len(x), dtype=torch.float64, device=x.device
        )


Kernel = RealKernel | LevelKernel


def log_kernel_sums(
    kernel: Kernel,
    x: Tensor,
    rows: Tensor,
    own: Tensor | None = None,
    counts: Tensor | None = None,
) -> Tensor:
    """Log Σ_j n_j kernel(x, row_j) of flat data, (B, D) and (N, D) -> (B,) float64, in blocks of
    bounded memory.

    Args:
        kernel: gives the features.
        x: data.
        rows: what was remembered.
        own: (B,) index of the row to leave out for each datum.
        counts: n, how often each row was there, (N,); once if nobody says.
    """
    narrow = len(rows) * x.shape[1] * kernel.rank <= KEPT
    kept = list(_blocks(kernel, rows, counts)) if narrow else None
    sums = []
    for queries in torch.arange(len(x), device=x.device).split(QUERIES if narrow else 8 * QUERIES):
        blocks = kept or _blocks(kernel, rows, counts)
        sums.append(
            _log_sums(kernel.query(x[queries]), blocks, None if own is None else own[queries])
        )
    return torch.cat(sums) if sums else torch.zeros(0, dtype=torch.float64, device=x.device)


def _blocks(kernel: Kernel, rows: Tensor, counts: Tensor | None) -> Iterator[Features]:
    """Features and terms of remembered rows, block by block."""
    for start in range(0, len(rows), ROWS):
        features, term = kernel.row(rows[start : start + ROWS])
        yield features, term if counts is None else term + counts[start : start + ROWS].log()


def _log_sums(query: Features, blocks: Iterable[Features], own: Tensor | None) -> Tensor:
    """Running log-sum-exp of one block of queries over all blocks of rows."""
    features, term = query
    top = torch.full_like(term, -torch.inf)
    total = torch.zeros_like(term)
    start = 0
    for others, offset in blocks:
        scores = torch.addmm(offset, features, others.T)
        if own is not None:
            inside = ((own >= start) & (own < start + len(others))).nonzero()[:, 0]
            scores[inside, own[inside] - start] = -torch.inf
        higher = torch.maximum(top, scores.amax(1)).clamp_min(-1e300)
        # Past the maximum single precision is enough: each summand is at most one. Below e^-80 it
        # would be denormal, and ten times as slow.
        summands = scores.sub_(higher[:, None]).float().clamp_min_(-80).exp_()
        total = total * (top - higher).exp() + summands.sum(1, dtype=torch.float64)
        top = higher
        start = start + len(others)
    return term + top + total.log()
