"""The multivariate normal, on real numbers and, by the chain rule, on integer levels.

A normal density does not factorise over entries, so the bin integral of a whole datum has no closed
form. Its conditionals do: with covariance L Lᵀ, entry i given the entries before it is normal with
standard deviation L_ii and mean x_i - L_ii z_i, where z = L⁻¹(x - μ). The mass of a datum is
defined as the product of the bin integrals of these conditionals, which sums to one over all data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from dalm.probability.bins import log_normal_mass


def scatter(x: Tensor, levels: int | None) -> tuple[Tensor, Tensor]:
    """Mean (D,) and scatter matrix Σ (x - mean)(x - mean)ᵀ (D, D) of data (N, *shape), in float64.

    A level counts as uniform on its bin (dequantised), which adds 1/12 to each variance.

    Args:
        x: the data.
        levels: how many an entry has, or `None` for real numbers.

    >>> scatter(torch.tensor([[0.0], [2.0]]), levels=None)[1]
    tensor([[2.]], dtype=torch.float64)
    """
    blocks = x.flatten(1).split(4096)  # so that memory does not grow with the data
    total = torch.zeros(())
    for block in blocks:
        total = total + block.double().sum(0)
    mean = total / len(x)

    within_bins = 0.0 if levels is None else len(x) / 12
    result = within_bins * torch.eye(len(mean)).to(mean)
    for block in blocks:
        centred = block.double() - mean
        result = result + centred.T @ centred
    return mean, result


def ledoit_wolf(centred: Tensor) -> float:
    """The shrinkage of least expected squared error (Ledoit & Wolf 2004) for centred data (N, D).

    >>> axes = torch.eye(2, dtype=torch.float64)
    >>> ledoit_wolf(torch.cat([axes, -axes])), ledoit_wolf(torch.zeros(3, 2))
    (0.0, 0.0)
    """
    n, dims = centred.shape
    norms = centred.square().sum(1)
    product = centred @ centred.T if n < dims else centred.T @ centred  # of the same norm
    size = product.square().sum() / n**2
    noise = (norms.square().sum() / n - size) / n
    away = size - (norms.sum() / n).square() / dims
    return float((noise / away).clamp(0, 1)) if noise > 0 and away > 0 else 0.0


def normal(mean: Tensor, factor: Tensor, levels: int | None) -> NormalLike:
    """The normal distribution N(mean, factor factorᵀ) over data (B, D), real or on levels.

    Args:
        mean: μ, (D,).
        factor: L, (D, D), lower triangular with a positive diagonal.
        levels: how many an entry has, or `None` for real numbers.
    """
    return NormalDensity(mean, factor) if levels is None else NormalChain(mean, factor, levels)


class NormalLike(Protocol):
    """A distribution over vectors."""

    def log_prob(self, x: Tensor) -> Tensor:
        """(B, D) -> (B,) nats."""

    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw data, (n, D).

        Args:
            n: how many.
            generator: of the noise.
        """


@dataclass(frozen=True)
class NormalDensity(NormalLike):
    """The multivariate normal density.

    Args:
        mean: μ, (D,).
        factor: L, (D, D), lower triangular with a positive diagonal.
    """

    mean: Tensor
    factor: Tensor

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of each datum, (B, D) -> (B,), nats."""
        density = torch.distributions.MultivariateNormal(
            self.mean, scale_tril=self.factor, validate_args=False
        )
        return density.log_prob(x)

    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n data, (n, D)."""
        return self.mean + _noise(n, self.mean, generator) @ self.factor.T


def _noise(n: int, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise (n, D) of the type and on the device of a vector (D,)."""
    return torch.randn(n, len(like), generator=generator, device=like.device, dtype=like.dtype)


@dataclass(frozen=True)
class NormalChain(NormalLike):
    """Product of discretised normal conditionals.

    Args:
        mean: μ, (D,), in levels.
        factor: L, (D, D), lower triangular with a positive diagonal.
        levels: how many levels an entry has.

    >>> chain = NormalChain(torch.ones(1), torch.eye(1), levels=2)
    >>> round(chain.log_prob(torch.tensor([[0.], [1.]])).exp().sum().item(), 6)
    1.0
    """

    mean: Tensor
    factor: Tensor
    levels: int

    def log_prob(self, x: Tensor) -> Tensor:
        """Log mass of each datum, (B, D) -> (B,), nats."""
        std = self.factor.diagonal()
        z = torch.linalg.solve_triangular(self.factor, (x - self.mean).T, upper=False).T
        return log_normal_mass(x, x - std * z, std, self.levels).sum(1)

    def sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw n data, (n, D), entry by entry."""
        noise = _noise(n, self.mean, generator)
        z = torch.zeros_like(noise)
        x = torch.zeros_like(noise)
        std = self.factor.diagonal()
        for i in range(len(self.mean)):
            mean = self.mean[i] + z[:, :i] @ self.factor[i, :i]
            x[:, i] = (mean + std[i] * noise[:, i]).round().clamp(0, self.levels - 1)
            z[:, i] = (x[:, i] - mean) / std[i]
        return x
