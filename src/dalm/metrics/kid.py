"""Kernel distance: unbiased squared maximum mean discrepancy with a cubic kernel.

    MMD² = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) - 2 mean_{ij} k(x_i, y_j),    k(x, y) =
    (x·y/d + 1)³

Bińkowski et al. 2018 (there in the Inception space as KID), Gretton et al. 2012. Unit: that of the
kernel. Lower is better; its expectation is 0 when the distributions agree, so it may be negative.
Interval: ± 1.96 jackknife standard errors over both sets; near 0, where the statistic is
degenerate, the jackknife errs on the wide side.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dalm.errors import DalmError
from dalm.metrics.intervals import around
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
    compute=lambda evidence: kid(*evidence.vectors, features=evidence.space.name),
)
KERNEL_ROWS = 1024
"""Rows of a kernel matrix that are held at once."""
FEWEST_ROWS = 3
"""The jackknife leaves one out, and what remains must have pairs."""


def kid(fake: Tensor, real: Tensor, *, features: str | None = None) -> Score:
    """Unbiased MMD² between samples and held-out data.

    Args:
        fake: features of samples, (m, d).
        real: features of held-out data, (n, d).
        features: name of the feature space.

    Raises:
        DalmError: fewer than 3 rows in either set.

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
    xx = _row_sums(x, x) - _kernel_diagonal(x)
    yy = _row_sums(y, y) - _kernel_diagonal(y)
    xy = _row_sums(x, y)
    yx = _row_sums(y, x)
    value = _mmd(xx.sum(), m, yy.sum(), n, xy.sum()).item()

    # Jackknife: the statistic without each row, from the row sums alone.
    without_x = _mmd(xx.sum() - 2 * xx, m - 1, yy.sum(), n, xy.sum() - xy)
    without_y = _mmd(xx.sum(), m, yy.sum() - 2 * yy, n - 1, xy.sum() - yx)
    variance = (m - 1) * without_x.var(correction=0) + (n - 1) * without_y.var(correction=0)
    error = math.sqrt(variance.item())
    return KID.score(around(value, error), n=min(m, n), features=features)


def _mmd(xx: Tensor, m: int, yy: Tensor, n: int, xy: Tensor) -> Tensor:
    """MMD² from sums of the kernel over pairs of different rows."""
    return xx / (m * (m - 1)) + yy / (n * (n - 1)) - 2 * xy / (m * n)


def _row_sums(x: Tensor, y: Tensor) -> Tensor:
    """Σ_j k(x_i, y_j) for each i."""
    blocks = torch.split(x, KERNEL_ROWS)
    sums = [(block @ y.T / x.shape[1] + 1).pow(3).sum(1) for block in blocks]
    return torch.cat(sums)


def _kernel_diagonal(x: Tensor) -> Tensor:
    return (x.square().mean(1) + 1).pow(3)
