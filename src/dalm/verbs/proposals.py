r"""Densities fitted to a model's own samples, and what importance sampling from them says of it.

    E_r[p(x) / r(x)] = ∫ p(x) dx   wherever r > 0 where p > 0

For real data r is a mixture of normals in standard units, of as many as suit it best, with wide
ones beside them; for levels every entry's own histogram, mixed with the uniform. How many draws
count is (Σ w)² / Σ w² (Kong 1992): few in many dimensions, where no simple density is near enough.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from dalm.core import Bound, Density, Spec
from dalm.errors import DalmError

PARTS = (1, 4, 16, 64)
"""Normals in a mixture that are tried."""
ROWS_PER_NUMBER = 3
"""Samples for each dimension of each normal, at least."""
WIDE = {1.3: 0.1, 2.0: 0.05, 5.0: 0.02}
"""Shares of normals that are so many times as wide as all samples."""
PILOTS = 512
DRAWS = 8192
MOST_DRAWS = 65_536
"""Draws by which a density is chosen, and those that count: eight times as many where that may
settle it.
"""
MOST_DIMS = 256
LEAST_EFFECTIVE = 100
MOST_ERROR = 0.05
"""A sum is known if so many draws count, and its standard error is at most this share of it."""
UNIFORM = 0.05
"""Share of each entry's histogram that all levels have alike."""
AT_ONCE = 2048


@dataclass(frozen=True)
class Estimate:
    """A sum by importance.

    Args:
        mean: the estimate.
        error: its standard error.
        effective: how many draws count.
    """

    mean: float
    error: float
    effective: float

    @property
    def is_conclusive(self) -> bool:
        """Whether it says what the sum is, and none of it was missed."""
        is_known = self.effective >= LEAST_EFFECTIVE and self.error <= MOST_ERROR * self.mean
        return is_known and self.mean + 5 * self.error >= 0.95

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {2 * self.error:.3f}, {self.effective:,.0f} draws count"


class Proposal(Protocol):
    """A density to draw from."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Data (n, dims) in the data's own units."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of data (n, dims), (n,) float64."""


@torch.no_grad()
def importance(model: Density, samples: Tensor, seed: int = 0) -> Estimate:
    """The sum or integral of what a model claims, by the proposal of which most draws count.

    Args:
        model: with a likelihood, exact or a bound.
        samples: (m, *shape) of it, to which proposals are fitted.
        seed: of the draws.

    Raises:
        DalmError: nothing can be fitted to these samples.
    """
    spec = model.spec
    if spec.dims > MOST_DIMS:
        raise DalmError(
            f"sums are known by importance in at most {MOST_DIMS} dimensions, and these data have "
            f"{spec.dims}"
        )
    generator = torch.Generator().manual_seed(seed)
    flat = samples.cpu().flatten(1).double()
    proposals = [Histograms(flat, spec)] if spec.levels else list(normal_mixtures(flat, seed))
    counting = [_estimate(_logs(model, one, PILOTS, generator)).effective for one in proposals]
    return _settled(model, proposals[counting.index(max(counting))], generator)


def _settled(model: Density, proposal: Proposal, generator: torch.Generator) -> Estimate:
    """The estimate by ever more draws, as long as more would help."""
    logs = _logs(model, proposal, DRAWS, generator)
    while True:
        estimate = _estimate(logs)
        is_hopeless = estimate.effective * MOST_DRAWS / len(logs) < LEAST_EFFECTIVE
        if estimate.is_conclusive or is_hopeless or 2 * len(logs) > MOST_DRAWS:
            return estimate
        logs = torch.cat([logs, _logs(model, proposal, len(logs), generator)])


def _logs(model: Density, proposal: Proposal, n: int, generator: torch.Generator) -> Tensor:
    """Log of p / r at n draws from r."""
    x = proposal.sample(n, generator)
    data = x.view(-1, *model.spec.shape).to(model.spec.dtype)
    nats = torch.cat([_log_prob(model, part) for part in data.split(AT_ONCE)])
    return nats.double().cpu() - proposal.log_prob(data.flatten(1).double())


def _estimate(logs: Tensor) -> Estimate:
    n = len(logs)
    weights = logs.exp().nan_to_num(0.0)
    mean = weights.mean().item()
    squares = weights.square().sum().item()
    effective = (mean * n) ** 2 / squares if 0 < squares < math.inf else 0.0
    return Estimate(mean, weights.std().item() / math.sqrt(n), effective)


def _log_prob(model: Density, x: Tensor) -> Tensor:
    """Log probability, or the log of an unbiased estimate of a probability."""
    if isinstance(model, Bound):
        return model.importance_bound(x, samples=1)
    return model.log_prob(x)


class Histograms:
    """Independent levels, each entry with its own histogram.

    Args:
        x: samples (m, dims).
        spec: of levels.
    """

    def __init__(self, x: Tensor, spec: Spec) -> None:
        levels = spec.levels or 1
        counts = torch.nn.functional.one_hot(x.long(), levels).double().mean(0)
        self.chances = (1 - UNIFORM) * counts + UNIFORM / levels

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Levels (n, dims)."""
        return torch.multinomial(self.chances, n, replacement=True, generator=generator).T

    def log_prob(self, x: Tensor) -> Tensor:
        """Log mass, (n,)."""
        return self.chances.log().T.gather(0, x.long()).sum(1)


class NormalMixture:
    """A mixture of normals in standard units, with wide ones beside it.

    Args:
        shift, scale: of the units, (dims,).
        weights, means, factors: of the normals in these units.
    """

    def __init__(
        self, shift: Tensor, scale: Tensor, weights: Tensor, means: Tensor, factors: Tensor
    ) -> None:
        self.shift = shift
        self.scale = scale
        self.weights = weights
        self.means = means
        self.factors = factors
        parts = MultivariateNormal(means, scale_tril=factors)
        self.mixture = MixtureSameFamily(Categorical(weights), parts)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Data (n, dims)."""
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, len(self.shift), generator=generator, dtype=torch.float64)
        z = self.means[which] + (self.factors[which] @ noise[..., None])[..., 0]
        return self.shift + self.scale * z

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density, (n,)."""
        nats: Tensor = self.mixture.log_prob((x - self.shift) / self.scale)
        return nats - self.scale.log().sum()


def normal_mixtures(x: Tensor, seed: int) -> Iterator[NormalMixture]:
    """Mixtures of ever more normals, fitted by expectation and maximisation.

    Args:
        x: samples (m, dims).
        seed: of where they begin.

    Raises:
        DalmError: the samples lie in a plane, or in a point.
    """
    from sklearn.mixture import GaussianMixture  # type: ignore[import-untyped]

    m, dims = x.shape
    shift = x.mean(0)
    scale = x.std(0)
    if not (len(x) > dims and (scale > 1e-9 * (1 + shift.abs())).all()):
        raise DalmError("the samples are too few, or constant in an entry, to fit a density to")
    z = (x - shift) / scale
    whole, failed = torch.linalg.cholesky_ex(z.T.cov().view(dims, dims))
    if failed:
        raise DalmError("the samples lie in a plane, where no density can be fitted to them")
    for parts in PARTS:
        if parts > 1 and parts * dims * ROWS_PER_NUMBER > m:
            return
        fitted = GaussianMixture(parts, reg_covar=1e-6, random_state=seed, max_iter=30, tol=1e-2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged does not matter here
            fitted.fit(z.numpy())
        factors = torch.linalg.cholesky(torch.as_tensor(fitted.covariances_))
        yield _with_wide(shift, scale, torch.as_tensor(fitted.weights_), fitted, factors, whole)


def _with_wide(
    shift: Tensor, scale: Tensor, weights: Tensor, fitted: object, factors: Tensor, whole: Tensor
) -> NormalMixture:
    means = torch.as_tensor(fitted.means_)  # type: ignore[attr-defined]
    wide = torch.tensor(list(WIDE.values()), dtype=torch.float64)
    return NormalMixture(
        shift,
        scale,
        torch.cat([(1 - wide.sum()) * weights, wide]),
        torch.cat([means, means.new_zeros(len(WIDE), means.shape[1])]),
        torch.cat([factors, torch.stack([width * whole for width in WIDE])]),
    )
