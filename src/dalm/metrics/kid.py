"""Kernel distance: unbiased squared maximum mean discrepancy with a cubic kernel.

    MMD² = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) - 2 mean_{ij} k(x_i, y_j),    k(x, y) =
    (x·y/d + 1)³

Bińkowski et al. 2018 (there in the Inception space as KID), Gretton et al. 2012. Unit: that of the
kernel. Lower is better; its expectation is 0 when the distributions agree, so it may be negative.
Interval: from 25 cuts of both sets into halves (`halves`), near 0 too, where the statistic is
degenerate and a jackknife or a bootstrap errs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.errors import DalmError
from dalm.metrics.halves import cuts, interval_of_distance
from dalm.metrics.measure import Measure
from dalm.records.score import Score

KID = Measure(
    name="kid",
    title="KID",
    unit="squared MMD",
    direction="lower",
    meaning="Distance between samples and held-out data through a kernel; about 0, even below, "
    "when they cannot be told apart.",
    needs={"samples", "features"},
    chooses=True,
    compute=lambda evidence: kid(
        *evidence.equal_vectors, features=evidence.space.name, seed=evidence.seed
    ),
)
KERNEL_ROWS = 1024
"""Rows of a kernel matrix that are held at once."""
FEWEST_ROWS = 4
"""A half must have pairs."""


def kid(fake: Tensor, real: Tensor, *, features: str | None = None, seed: int = 0) -> Score:
    """Unbiased MMD² between samples and held-out data.

    Args:
        fake: features of samples, (m, d).
        real: features of held-out data, (n, d).
        features: name of the feature space.
        seed: of the cuts behind the interval.

    Raises:
        DalmError: fewer than 4 rows in either set.

    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> kid(x, x + 3).value > 1
    True
    """
    m = len(fake)
    n = len(real)
    if min(m, n) < FEWEST_ROWS:
        raise DalmError(
            f"the kernel distance needs at least {FEWEST_ROWS} rows in each set, got {m} samples "
            f"and {n} held-out"
        )
    x = fake.double()
    y = real.double()
    in_x = [torch.ones(m)]
    in_y = [torch.ones(n)]
    for pair in cuts(m, n, seed=seed):
        in_x += [torch.zeros(m).index_fill(0, half.fake, 1) for half in pair]
        in_y += [torch.zeros(n).index_fill(0, half.real, 1) for half in pair]

    mmd, biased = _mmd(x, torch.stack(in_x, 1).double(), y, torch.stack(in_y, 1).double())
    interval = interval_of_distance(mmd[0].item(), biased[0].item(), mmd[1::2], mmd[2::2])
    return KID.score(interval, n=min(m, n), features=features)


def _mmd(x: Tensor, in_x: Tensor, y: Tensor, in_y: Tensor) -> tuple[Tensor, Tensor]:
    """MMD² of each of S pairs of subsets, (S,): unbiased, and with pairs of a row and itself.

    Args:
        x: (m, d).
        in_x: (m, S), one where a row is in a subset, else zero.
        y: (n, d).
        in_y: (n, S), likewise.
    """
    m = in_x.sum(0)
    n = in_y.sum(0)
    of_x = _kernel_diagonal(x) @ in_x
    of_y = _kernel_diagonal(y) @ in_y
    xx = _sums(x, in_x, x, in_x)
    yy = _sums(y, in_y, y, in_y)
    between = 2 * _sums(x, in_x, y, in_y) / (m * n)
    unbiased = (xx - of_x) / (m * (m - 1)) + (yy - of_y) / (n * (n - 1)) - between
    return unbiased, xx / m**2 + yy / n**2 - between


def _sums(x: Tensor, in_x: Tensor, y: Tensor, in_y: Tensor) -> Tensor:
    """Σ_ij k(x_i, y_j) over the rows of each subset, (S,)."""
    blocks = zip(torch.split(x, KERNEL_ROWS), torch.split(in_x, KERNEL_ROWS), strict=True)
    sums = [
        ((block @ y.T / x.shape[1] + 1).pow(3) @ in_y * inside).sum(0) for block, inside in blocks
    ]
    return torch.stack(sums).sum(0)


def _kernel_diagonal(x: Tensor) -> Tensor:
    return (x.square().mean(1) + 1).pow(3)
