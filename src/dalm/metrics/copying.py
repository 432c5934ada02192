"""Copying: are the samples nearer to the training data than unseen real data are?

For a point x let d(x) be its distance to the nearest training row. Held-out rows have the same d as
an honest model's samples; copies have smaller ones. Two tests ask so, and either may raise the flag
`copies`.

C_T, the data-copying test (Meehan, Chaudhuri & Dasgupta 2020). Within each k-means cell c of the
training data, U counts the pairs in which a sample has a larger d than a held-out row, and

    Z_c = (U - mn/2) / sqrt(mn(m+n+1)/12),    C_T = Σ_c w_c Z_c,    w_c = the share of held-out rows
    in cell c.

Unit: standard errors within a cell. Ideal 0: far below it the samples are copies, far above it they
lie off the data. Interval: ± 1.96 times its standard deviation without copying, sqrt(Σ w_c²), with
the cells held fixed. The variance allows for ties. Cells with fewer than 20 samples or held-out
rows are left out, because Z is not normal there. d looks at all training rows, so that a cell's
edge hides no copy. There is one cell per 100 rows of the smaller set, between 1 and 10.

Authenticity (Alaa et al. 2022): the share of samples that are farther from their nearest training
row than that row is from its own nearest training row. Unit: share of samples. Higher is better,
but its natural level is that of held-out data (in the note), and a model that is far off the data
has 1. Interval: Wilson's, with the training data held fixed.

**When the flag goes up.** Neither statistic alone proves copying: smooth samples (a VAE's, class
means) lie in the middle of the data, near everything, and held-out data by other writers lie
farther out. On scikit-learn's digits, whose test rows have other writers, 250 fresh rows by the
*training* writers have C_T -5, and class means have C_T -8 and authenticity 0.40 against 0.70 for
held-out rows, with nothing copied. So a flag needs two things.

1. The test is significant. C_T: the interval lies below -3. Authenticity: at least 3 standard
   errors below that of held-out rows and below two thirds of it, the level that one third of exact
   copies would bring.
2. Samples are near-copies: less than half as far from a training row as from any held-out row (or
   less than the median of that ratio over held-out rows, where half is nothing special: few
   dimensions, many more training rows). The same share among held-out rows, none of which counts as
   its own neighbour, is what chance gives, s0; with s the share of the samples, (s - s0) / (1 - s0)
   estimates how many are copied (Abbott 1925). It must be at least 1/5, and s must be 3 standard
   errors above s0.

Estimates of 2 measured on digits and on MNIST (2,000 samples): held-out real data 0.02 and 0.03,
fresh digits by the training writers 0.06, class means and Gaussians 0.01 at most; a tenth copied
0.12, half copied 0.5, all copied with noise of 10 % of the range 0.60 and 0.95, all copied 1. The
threshold of 1/5 lies between what honest models show and half copies, well off both.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.metrics.neighbours import copying_space, nearest
from dalm.metrics.record import Z95, Metric, Scale, wilson

COPYING = {"copying": Scale("standard errors", 0.0)}
AUTHENTICITY = {"authenticity": Scale("share of samples", "higher")}
FEWEST = 20


@dataclass(frozen=True)
class Nearness:
    """How a set of points lies to the training data.

    Args:
        distance: (B,) to the nearest training row.
        authentic: (B,) that row's own nearest training row is nearer to it than the point is.
        ratio: (B,) that distance over the one to the nearest held-out row.
        cell: (B,) k-means cell of the training data.
        space: name of the space in which distances are measured.
    """

    distance: Tensor
    authentic: Tensor
    ratio: Tensor
    cell: Tensor
    space: str


def nearness(
    samples: Tensor, train: Tensor, heldout: Tensor, spec: Spec, *, raw: str = "raw", seed: int = 0
) -> tuple[Nearness, Nearness]:
    """Nearness of samples and of held-out rows to the training data.

    Args:
        samples: (m, *shape).
        train: (N, *shape), all of which are searched.
        heldout: (n, *shape).
        spec: what one datum is.
        raw: what the data's own numbers are called.
        seed: of k-means.

    Raises:
        DalmError: fewer than 20 rows in any of the three.
    """
    if min(len(samples), len(train), len(heldout)) < FEWEST:
        sizes = f"{len(samples)} samples, {len(train)} training and {len(heldout)} held-out rows"
        raise DalmError(f"looking for copies needs at least {FEWEST} of each, got {sizes}")
    space = copying_space(train, spec, raw)
    fake = space(samples)
    pool = space(train)
    real = space(heldout)
    cells = _cells(pool, min(10, max(1, min(len(fake), len(real)) // 100)), seed)
    parts = []
    for x, itself in ((fake, None), (real, torch.arange(len(real)))):
        distance, row = nearest(x, pool)
        rows, back = torch.unique(row, return_inverse=True)
        own = nearest(pool[rows], pool, itself=rows)[0][back]
        # A point that lies on both a training and a held-out row, 0 / 0, is no copy.
        ratio = (distance / nearest(x, real, itself=itself)[0]).nan_to_num(
            nan=math.inf, posinf=math.inf
        )
        parts.append(Nearness(distance, distance > own, ratio, nearest(x, cells)[1], space.name))
    return parts[0], parts[1]


def _cells(x: Tensor, k: int, seed: int) -> Tensor:
    """Centres of k cells, (k, d), found on at most 10,000 rows."""
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        # Fewer distinct rows than cells is no fault here: the empty cells are left out later.
        warnings.simplefilter("ignore")
        centres = (
            KMeans(k, n_init=1, random_state=seed)
            .fit(x[:: -(-len(x) // 10_000)].numpy())
            .cluster_centers_
        )
    return torch.as_tensor(centres).to(x)


def copying(fake: Nearness, real: Nearness) -> Metric:
    """C_T of samples against held-out rows; see the module for its formula and the flag.

    Args:
        fake: nearness of the samples.
        real: nearness of the held-out rows.

    Raises:
        DalmError: no cell holds 20 samples and 20 held-out rows.

    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> copying(*nearness(x[:50], x[:50], x[50:], Spec((2,)))).flag
    'copies'
    """
    pairs = [
        (fake.distance[fake.cell == c], real.distance[real.cell == c])
        for c in torch.unique(real.cell)
    ]
    pairs = [pair for pair in pairs if min(map(len, pair)) >= FEWEST]
    if not pairs:
        raise DalmError(
            f"no region of the training data holds {FEWEST} samples and {FEWEST} held-out rows: "
            "the samples lie elsewhere"
        )
    total = sum(len(y) for _, y in pairs)
    value = sum(len(y) / total * mann_whitney_z(x, y) for x, y in pairs)
    error = Z95 * math.sqrt(sum((len(y) / total) ** 2 for _, y in pairs))
    flag = "copies" if value + error < -3 and _copied(fake, real) else None
    same, known, near, usual = (
        _share(hits) for hits in (fake.distance == 0, real.distance == 0, *_near_copies(fake, real))
    )
    note = f"{same:.1%} of samples equal a training row (held-out data: {known:.1%}), {near:.1%} are near-copies (held-out data: {usual:.1%})"
    return Metric(
        value,
        value - error,
        value + error,
        len(fake.cell),
        *COPYING["copying"],
        features=fake.space,
        flag=flag,
        note=note,
    )


def authenticity(fake: Nearness, real: Nearness) -> Metric:
    """Share of authentic samples; see the module for its meaning and the flag.

    Args:
        fake: nearness of the samples.
        real: nearness of the held-out rows.

    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> authenticity(*nearness(x[:50], x[:50], x[50:], Spec((2,)))).value
    0.0
    """
    share, low, high = wilson(fake.authentic)
    natural = _share(real.authentic)
    fewer = _proportions_z(fake.authentic, real.authentic) < -3 and share < natural * 2 / 3
    flag = "copies" if fewer and _copied(fake, real) else None
    note = f"held-out data have {natural:.3f}"
    return Metric(
        share,
        low,
        high,
        len(fake.authentic),
        *AUTHENTICITY["authenticity"],
        features=fake.space,
        flag=flag,
        note=note,
    )


def _share(hits: Tensor) -> float:
    return hits.double().mean().item()


def _near_copies(fake: Nearness, real: Nearness) -> tuple[Tensor, Tensor]:
    """Which samples and which held-out rows are suspiciously near to a training row, (m,) and (n,)."""
    limit = min(0.5, real.ratio.median().item())
    return fake.ratio < limit, real.ratio < limit


def _copied(fake: Nearness, real: Nearness) -> bool:
    near, usual = _near_copies(fake, real)
    return (
        _share(near) - _share(usual) >= 0.2 * (1 - _share(usual))
        and _proportions_z(near, usual) > 3
    )


def mann_whitney_z(x: Tensor, y: Tensor) -> float:
    """Standardised Mann-Whitney U of `x` (m,) over `y` (n,), corrected for ties (Mann & Whitney
    1947); 0 if all values are equal.

    >>> round(mann_whitney_z(torch.tensor([4.0, 5.0, 6.0]), torch.tensor([1.0, 2.0, 3.0])), 4)
    1.964
    """
    m = len(x)
    n = len(y)
    _, group, ties = torch.unique(torch.cat([x, y]), return_inverse=True, return_counts=True)
    ties = ties.double()
    ranks = ties.cumsum(0) - (ties - 1) / 2
    u = ranks[group[:m]].sum() - m * (m + 1) / 2
    variance = m * n / 12 * (m + n + 1 - (ties**3 - ties).sum() / ((m + n) * (m + n - 1)))
    return ((u - m * n / 2) / variance.sqrt()).item() if variance > 0 else 0.0


def _proportions_z(x: Tensor, y: Tensor) -> float:
    """Standardised difference of two shares under the hypothesis that they are equal; 0 if every
    entry is.
    """
    pooled = _share(torch.cat([x, y]))
    error = math.sqrt(pooled * (1 - pooled) * (1 / len(x) + 1 / len(y)))
    return (_share(x) - _share(y)) / error if error else 0.0
