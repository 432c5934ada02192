r"""Student's distribution in D dimensions, with unit scale: a normal whose tails reach far.

t_ν(z) = Γ((ν + D)/2) / (Γ(ν/2) (ν π)^{D/2}) (1 + |z|²/ν)^{-(ν + D)/2}
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FREEDOM = 3
"""ν: the fewest degrees of freedom, a whole number, with which a variance is finite."""
ROUNDS = 50
"""Rounds of EM for the share of one of two densities."""


def student_log_prob(z: Tensor) -> Tensor:
    """Log t₃ of data, (B, D) -> (B,) nats.

    >>> student_log_prob(torch.zeros(1, 1, dtype=torch.float64)).exp()  # 2 / (π √3)
    tensor([0.3676], dtype=torch.float64)
    """
    dims = z.shape[1]
    half = (FREEDOM + dims) / 2
    constant = math.lgamma(half) - math.lgamma(FREEDOM / 2) - dims / 2 * math.log(FREEDOM * math.pi)
    return constant - half * torch.log1p(z.square().sum(1) / FREEDOM)


def student_sample(n: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw from t₃, (n, D): a normal over the root of a mean of squares.

    Args:
        n: how many.
        like: (…, D), whose type and device the draws get.
        generator: of the draws.
    """
    shape = (n, like.shape[-1] + FREEDOM)
    noise = torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)
    spread = noise[:, :FREEDOM].square().mean(1, keepdim=True).sqrt()
    return noise[:, FREEDOM:] / spread


def best_share(own: Tensor, other: Tensor) -> float:
    """The share ε of `other` in a mixture of two densities that makes data most likely, by EM
    (Dempster et al. 1977).

    Args:
        own: log density of each datum, (B,).
        other: likewise of the other.

    >>> best_share(torch.zeros(4), torch.tensor([-9.0, -9.0, 9.0, 9.0]))
    0.5
    """
    share = 0.1
    for _ in range(ROUNDS):
        odds = math.log(share) - math.log1p(-share)
        share = min(max((odds + other - own).sigmoid().mean().item(), 1e-6), 0.999)
    return round(share, 6)
