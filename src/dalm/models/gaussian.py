r"""Multivariate normal by maximum likelihood or maximum a posteriori, in closed form (Gauss 1809;
Murphy 2007).

    x ~ N(μ, Σ)

Maximum likelihood takes the mean x̄ and the covariance S / n, S = Σ_i (x_i - x̄)(x_i - x̄)ᵀ. With
the conjugate normal–inverse-Wishart prior μ | Σ ~ N(m, Σ/κ), Σ ~ IW(Ψ, ν) the mode of the posterior
is

    μ = (κ m + n x̄) / (κ + n)
    Σ = (Ψ + S + κ n / (κ + n) (x̄ - m)(x̄ - m)ᵀ) / (ν + n + D + 2)

The prior's centre is m = x̄ and its mode the isotropic covariance of the same total variance, with
the least weight that leaves it proper, ν = D: then Σ = (1 - λ) S / n + λ (tr S / nD) I with λ = (2
D + 2) / (2 D + 2 + n), a shrinkage that few data need and many data do not feel. For real data the
λ of most likelihood is found by leaving out each row, with all that equal it, in closed form
(Hoffbeck and Landgrebe 1996): without m of n rows at the distance d from the mean, S / n becomes

    n / (n - m) S / n - n m / (n - m)² d dᵀ

Discrete data are scored by the chain rule of binned conditionals (`dalm.probability.NormalChain`).
The moments are those of uniformly dequantised levels, which adds 1/12 to each variance and keeps
constant entries from having none; so on levels the fit is by maximum likelihood of the dequantised
data, not of the masses.
"""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn

from dalm.core import Autoregressive, Estimator, Work
from dalm.errors import DalmError
from dalm.exact import NormalPredictor, Predictor
from dalm.options import option
from dalm.probability import NormalChain, normal, scatter
from dalm.probability.normal import NormalLike

REGULAR = 1e-12
"""Of the mean variance: less along an axis is rounding."""
MANY = 50
"""Rows for each dimension from which on no shrinkage is felt."""
SHARES = (0.0, *(10 ** (k / 8) for k in range(-48, 1)))
"""Shares of the isotropic covariance that are tried."""


def posterior_mode(
    mean: Tensor, scatter: Tensor, n: int, prior: tuple[Tensor, float, Tensor, float]
) -> tuple[Tensor, Tensor]:
    """Mode of the normal–inverse-Wishart posterior.

    Args:
        mean: x̄, (D,).
        scatter: S, (D, D).
        n: how many data.
        prior: (m, κ, Ψ, ν).

    >>> eye = torch.eye(2)
    >>> posterior_mode(torch.ones(2), 10 * eye, 10, (torch.zeros(2), 10.0, eye, 4.0))[0]
    tensor([0.5000, 0.5000])
    """
    m, kappa, psi, nu = prior
    away = mean - m
    total = psi + scatter + kappa * n / (kappa + n) * torch.outer(away, away)
    return (kappa * m + n * mean) / (kappa + n), total / (nu + n + len(mean) + 2)


def shrunk(covariance: Tensor, share: float) -> Tensor:
    """A covariance with a share of the isotropic one of the same total variance.

    Args:
        covariance: (D, D).
        share: λ, from 0 to 1.

    >>> shrunk(torch.diag(torch.tensor([1.0, 3.0])), 0.5).diagonal()
    tensor([1.5000, 2.5000])
    """
    isotropic = covariance.diagonal().mean() * torch.eye(len(covariance)).to(covariance)
    return (1 - share) * covariance + share * isotropic


def is_regular(covariance: Tensor) -> bool:
    """Whether it has a density along each axis, beyond what rounding leaves.

    >>> is_regular(torch.ones(2, 2, dtype=torch.float64))
    False
    """
    values = torch.linalg.eigvalsh(covariance)
    return bool(values[0] > REGULAR * values.mean())


def best_share(x: Tensor, covariance: Tensor) -> float:
    """The share of the isotropic covariance with which rows that were left out are likeliest.

    Args:
        x: training rows, (n, D) float64.
        covariance: their own, (D, D).

    >>> x = torch.randn(40, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> best_share(x, torch.cov(x.T, correction=0)) > 0.5  # truly isotropic
    True
    """
    values, axes = torch.linalg.eigh(covariance)
    values = values.clamp(min=0)
    _, same, counts = x.unique(dim=0, return_inverse=True, return_counts=True)
    copies = counts[same].to(x)
    along = ((x - x.mean(0)) @ axes).square()
    likeliest = max(SHARES, key=lambda share: left_out(share, values, along, copies))
    return float(likeliest)


def left_out(share: float, values: Tensor, along: Tensor, copies: Tensor) -> float:
    """Mean log density, but for a constant, of rows under the moments of the others.

    Args:
        share: λ.
        values: eigenvalues of the covariance, (D,).
        along: squared distances from the mean along its eigenvectors, (n, D).
        copies: how many rows equal each, itself among them, (n,).
    """
    n = len(along)
    rest = n / (n - copies).clamp(min=1)
    spread = (1 - share) * rest[:, None] * values + share * values.mean()
    if not bool((spread > 0).all()):
        return -torch.inf
    quadratic = (along / spread).sum(1)
    lost = 1 - (1 - share) * rest.square() * copies / n * quadratic
    if not bool((lost > 0).all()):
        return -torch.inf
    log_density = spread.log().sum(1) + lost.log() + rest.square() * quadratic / lost
    return -log_density.mean().item() / 2


@final
class Gaussian(Autoregressive, Estimator):
    """Multivariate normal with a full covariance.

    >>> from dalm.core import Spec
    >>> model = Gaussian(Spec((2,)))
    >>> nats = model.log_prob(torch.zeros(1, 2))
    >>> round(nats.item(), 4)  # standard normal until it has learned: -log 2π
    -1.8379
    """

    family = "gaussian"
    year = 1809
    seeded = False
    paper = "Gauss, Theoria motus; Murphy 2007, Conjugate Bayesian analysis of the Gaussian"
    likelihood = "exact"
    estimate: Literal["auto", "mle", "map"] = option(
        "maximum likelihood, the mode of the posterior, or what suits rows that are left out (real "
        "data) or validation data (levels)",
        default="auto",
    )

    def setup(self) -> None:
        """Begin as a standard normal."""
        dims = self.inner.dims
        self.mean: Tensor = nn.Buffer(torch.zeros(dims, dtype=torch.float64))
        self.factor: Tensor = nn.Buffer(torch.eye(dims, dtype=torch.float64))

    def passes(self, work: Work) -> tuple[()]:
        """Take mean and covariance."""
        x = work.train.x
        mean, squares = scatter(x, self.spec.levels)
        likely = mean, squares / len(x)
        if self.estimate == "mle":
            self._take(*likely, len(x))
            return ()
        dims = len(mean)
        if self.estimate == "auto" and self.spec.levels is None:
            plain = len(x) >= MANY * dims and is_regular(likely[1])
            share = 0.0 if plain else best_share(x.flatten(1).double(), likely[1])
            self._take(mean, shrunk(likely[1], share), len(x))
            return ()
        spread = likely[1].diagonal().mean()
        psi = (2 * dims + 2) * spread * torch.eye(dims).to(squares)
        self._take(*posterior_mode(mean, squares, len(x), (mean, 0.01, psi, float(dims))), len(x))
        if self.estimate == "auto" and len(x) > dims:
            self._keep_better(*likely, work)
        return ()

    def _keep_better(self, mean: Tensor, covariance: Tensor, work: Work) -> None:
        """Take these moments instead if they give the validation rows more probability."""
        if work.validation is None or not len(work.validation.x):
            if len(work.train.x) >= 10 * len(mean):
                self._take(mean, covariance, len(work.train.x))
            return
        factor, failed = torch.linalg.cholesky_ex(covariance)
        rows = work.validation.x.flatten(1).to(self.mean)
        before = self._normal().log_prob(rows).sum()
        if not failed and normal(mean, factor, self.spec.levels).log_prob(rows).sum() > before:
            self._take(mean, covariance, len(work.train.x))

    def _take(self, mean: Tensor, covariance: Tensor, n: int) -> None:
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if failed:
            rank = int(torch.linalg.matrix_rank(covariance, hermitian=True))
            raise DalmError(
                f"gaussian's covariance is singular: rank {rank} of {len(covariance)} from {n} "
                "data; use estimate='map' (--estimate map)"
            )
        self.mean = mean.to(self.mean)
        self.factor = factor.to(self.mean).contiguous()

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        return self._normal().log_prob(x.flatten(1).to(self.mean))

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        return self._normal().sample(n, generator).view(n, *self.inner.shape)

    def _normal(self) -> NormalLike:
        return normal(self.mean, self.factor, self.spec.levels)

    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """The conditionals of the chain rule."""
        chain = NormalChain(self.mean, self.factor, self.spec.levels or 0)
        return NormalPredictor(chain, n)
