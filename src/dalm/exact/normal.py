"""The conditionals of a multivariate normal on levels, predicted entry by entry in exact
arithmetic.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from dalm.exact import fixed


class Chain(Protocol):
    """A product of discretised normal conditionals, such as `dalm.probability.NormalChain`."""

    @property
    def mean(self) -> Tensor:
        """μ, (D,), in levels."""

    @property
    def factor(self) -> Tensor:
        """L, (D, D), lower triangular with a positive diagonal."""

    @property
    def levels(self) -> int:
        """How many levels an entry has."""


class NormalPredictor:
    """Tables of a `NormalChain`, entry by entry, in exact arithmetic.

    Entry i has mean μ_i + Σ_j L_ij / L_jj d_j, where d_j is how far entry j fell from its own mean.

    Args:
        chain: what to predict, in double precision.
        n: how many data at once.

    >>> from dalm.probability import NormalChain
    >>> chain = NormalChain(torch.ones(1).double(), torch.eye(1).double(), levels=2)
    >>> NormalPredictor(chain, n=1).predict().int()  # of 2²⁴ - 2
    tensor([[[ 5176400, 11600814]]], dtype=torch.int32)
    """

    def __init__(self, chain: Chain, n: int) -> None:
        self.mean = chain.mean
        self.std = chain.factor.diagonal()
        self.at = 0
        self.edges = torch.arange(chain.levels - 1, device=self.mean.device) + 0.5
        self.furthest = 4.0 * chain.levels  # one further from its mean is taken as this far
        weights = (chain.factor / self.std).tril(-1)
        largest_sum = weights.abs().ceil().long().sum(1).amax() + 1
        longest = int(largest_sum * int(self.furthest))
        free = 52 - longest.bit_length()
        self.fine = min(16, free // 2)
        self.weights = fixed.on_grid(weights, min(24, free - self.fine))
        self.away = torch.zeros(n, len(self.mean), dtype=torch.float64, device=self.mean.device)

    def predict(self) -> Tensor:
        """(n, 1, levels)."""
        i = self.at
        self.now = self.mean[i] + self.away[:, :i] @ self.weights[i, :i]
        standardised = (self.edges - self.now[:, None]) / self.std[i]
        below = fixed.whole(fixed.normal_cdf(standardised))
        everything = torch.full_like(below[:, :1], fixed.WHOLE)
        return fixed.table_of(torch.cat([below, everything], 1))[:, None]

    def update(self, values: Tensor) -> None:
        """(n, 1)."""
        away = fixed.on_grid(values[:, 0] - self.now, self.fine)
        self.away[:, self.at] = away.clamp(-self.furthest, self.furthest)
        self.at += 1
