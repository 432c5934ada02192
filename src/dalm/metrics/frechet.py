"""Fréchet distance between Gaussians fitted to two sets of features.

    FD = |m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½)

Dowson & Landau 1982; as a score of generative models Heusel et al. 2017 (there in the space of the
Inception net and called FID; this is not FID). Unit: squared units of the features. Lower is
better, 0 is the ideal. It is biased upward: two sets of n from one Gaussian in d dimensions score
about d²/2n, so compare values of equal n only. Interval: value ± 1.96 standard errors, from 25
bootstrap resamples of both sets, clipped at 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.errors import DalmError
from dalm.metrics.intervals import around
from dalm.metrics.measure import Measure
from dalm.records.score import Score

FRECHET = Measure(
    name="frechet",
    title="Fréchet",
    unit="squared feature units",
    direction="lower",
    meaning="Distance between Gaussians fitted to features of samples and of held-out data; "
    "0 is ideal, and small samples raise it.",
    needs={"samples", "features"},
    compute=lambda evidence: frechet(
        *evidence.vectors, features=evidence.space.name, seed=evidence.seed
    ),
)
RESAMPLES = 25


def frechet_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Fréchet distance of two Gaussians.

    tr (S1 S2)^½ is the sum of the square roots of the eigenvalues of A S2 A with A = S1^½: that
    matrix is symmetric, so no complex numbers appear, and singular covariances do no harm.

    Args:
        mean1: (d,) of the first.
        cov1: its covariance, (d, d).
        mean2: (d,) of the second.
        cov2: its covariance, (d, d).

    >>> eye = torch.eye(2, dtype=torch.float64)
    >>> round(frechet_distance(torch.zeros(2), eye, torch.ones(2), 4 * eye), 6)
    4.0
    """
    values, vectors = torch.linalg.eigh(cov1)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cov2 @ root).clamp(min=0).sqrt().sum()
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * cross)


def frechet(fake: Tensor, real: Tensor, *, features: str | None = None, seed: int = 0) -> Score:
    """Fréchet distance between samples and held-out data.

    Args:
        fake: features of samples, (m, d).
        real: features of held-out data, (n, d).
        features: name of the feature space.
        seed: of the bootstrap.

    Raises:
        DalmError: fewer than d + 1 rows in either set. Their covariance is singular then and the
            distance mostly bias.

    >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> round(frechet(x, x).value, 6)
    0.0
    """
    fake = fake.double()
    real = real.double()
    smaller = min(len(fake), len(real))
    d = real.shape[1]
    if smaller < d + 1:
        raise DalmError(
            f"a covariance of {d} features needs at least {d + 1} rows in each set, got "
            f"{len(fake)} samples and {len(real)} held-out"
        )
    value = max(0.0, frechet_distance(*_moments(fake), *_moments(real)))
    interval = around(value, _standard_error(fake, real, seed))
    note = (
        f"biased upward by the sample size ({len(fake)} against {len(real)}): "
        "compare at equal sizes only"
    )
    clipped = interval._replace(low=max(0.0, interval.low))
    return FRECHET.score(clipped, n=smaller, features=features, note=note)


def _standard_error(fake: Tensor, real: Tensor, seed: int) -> float:
    """From bootstrap resamples of both sets."""
    generator = torch.Generator().manual_seed(seed)
    distances = []
    for _ in range(RESAMPLES):
        first = _moments(fake, generator)
        second = _moments(real, generator)
        distances.append(frechet_distance(*first, *second))
    return torch.tensor(distances).std().item()


def _moments(x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Mean and covariance; with a generator those of a bootstrap resample."""
    n = len(x)
    weights = torch.ones(n, dtype=x.dtype)
    if generator is not None:
        # Weights say how often each row was drawn: that is cheaper than gathering the rows.
        weights = torch.randint(n, (n,), generator=generator).bincount(minlength=n).to(x)

    mean = weights @ x / n
    centred = x - mean
    return mean, centred.T @ (centred * weights[:, None]) / (n - 1)
