"""Fréchet distance between Gaussians fitted to two sets of features.

    FD = |m1 - m2|² + tr(S1 + S2 - 2 (S1 S2)^½)

Dowson & Landau 1982; as a score of generative models Heusel et al. 2017 (there in the space of the
Inception net and called FID; this is not FID). Unit: squared units of the features. Lower is
better, 0 is the ideal. From n rows it comes out too large: two sets from one Gaussian in d
dimensions score about d²/2n. That bias falls as 1/n, so the score of halves of the sets, F(n/2),
says how large it is, and the score is extrapolated to n = ∞ (Chong & Forsyth 2020):

    2 F(n) - mean F(n/2)

over 25 cuts of both sets into halves. It may fall below 0, as an unbiased estimate of 0 must.
Interval: from the same cuts, both sets redrawn (`halves`); it is doubted where features have heavy
tails (`tails`), since a distance of variances rests on fourth moments.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.errors import DalmError
from dalm.metrics.halves import cuts, interval_of_distance
from dalm.metrics.measure import Measure
from dalm.metrics.tails import doubt_of_squares
from dalm.records.score import Score

FRECHET = Measure(
    name="frechet",
    title="Fréchet",
    unit="squared feature units",
    direction="lower",
    meaning="Distance between Gaussians fitted to features of samples and of held-out data, freed "
    "of what small samples add; about 0, even below, when they agree.",
    needs={"samples", "features"},
    chooses=True,
    compute=lambda evidence: frechet(
        *evidence.equal_vectors, features=evidence.space.name, seed=evidence.seed
    ),
)
ROWS_A_FEATURE = 4
"""Rows for each feature below which terms beyond 1/n spoil the extrapolation."""


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
    >>> score = frechet(x[:100], x[100:])
    >>> score.low < 0 < score.high
    True
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
    plain = _distance(fake, real)
    first, second = _of_halves(fake, real, seed)
    value = 2 * plain - ((first + second) / 2).mean().item()
    interval = interval_of_distance(value, plain, first, second)
    note = f"{plain:.4g} before the bias of {len(fake)} and {len(real)} rows was taken off"
    few = f"{smaller} rows are too few to take the bias off in {d} dimensions"
    centred = torch.cat([fake - fake.mean(0), real - real.mean(0)])
    why = few if smaller < ROWS_A_FEATURE * d else doubt_of_squares(centred)
    return FRECHET.score(interval, n=smaller, features=features, note=note, unreliable=why)


def _of_halves(fake: Tensor, real: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Distances of the first halves and of the second, (cuts,) each."""
    distances = [
        [_distance(fake[half.fake], real[half.real]) for half in pair]
        for pair in cuts(len(fake), len(real), seed=seed)
    ]
    first, second = torch.tensor(distances, dtype=torch.float64).T
    return first, second


def _distance(fake: Tensor, real: Tensor) -> float:
    """Of the Gaussians fitted to two sets."""
    return frechet_distance(*_moments(fake), *_moments(real))


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance."""
    mean = x.mean(0)
    centred = x - mean
    return mean, centred.T @ centred / (len(x) - 1)
