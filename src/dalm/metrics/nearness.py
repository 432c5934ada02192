"""Nearness: how samples and held-out rows lie to the training data, and when that looks like
copying.

For a point x let d(x) be its distance to the nearest training row. Held-out rows have the same d as
an honest model's samples; copies have smaller ones. Two tests ask so, `copying` and `authenticity`,
and either may raise the flag `copies`.

**When the flag goes up.** Neither statistic alone proves copying: smooth samples (a VAE's, class
means) lie in the middle of the data, near everything, and held-out data by other writers lie
farther out. On scikit-learn's digits, whose test rows have other writers, 250 fresh rows by the
*training* writers have C_T -5, and class means have C_T -8 and authenticity 0.40 against 0.70 for
held-out rows, with nothing copied. So a flag needs two things.

1. The test is significant. C_T: the interval lies below -3. Authenticity: at least 3 standard
   errors below that of held-out rows and below two thirds of it, the level that one third of exact
   copies would bring.
2. Samples are near-copies: less than half as far from a training row as from any held-out row (or
   less than the median of that ratio over unsuspected rows, where half is nothing special: few
   dimensions, many more training rows). The same share among unsuspected rows is what chance gives,
   s0; with s the share of the samples, (s - s0) / (1 - s0) estimates how many are copied (Abbott
   1925). It must be at least 1/5, and s must be 3 standard errors above s0.

**Unsuspected rows** are of two kinds, of which the more suspicious one counts: held-out rows, none
of which is its own neighbour, and training rows, each left out, with all that equal it unless rows
repeat by chance. Where the split follows time or groups, what an honest model draws is like the
training rows and unlike the held-out ones.

Estimates of 2 measured on digits and on MNIST (2,000 samples): held-out real data 0.02 and 0.03,
fresh digits by the training writers 0.06, class means and Gaussians 0.01 at most; a tenth copied
0.12, half copied 0.5, all copied with noise of 10 % of the range 0.60 and 0.95, all copied 1. The
threshold of 1/5 lies between what honest models show and half copies, well off both.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.features import principal_space
from dalm.metrics.evidence import Evidence, Sets, random_rows
from dalm.metrics.excess import explained, worst
from dalm.metrics.intervals import share
from dalm.metrics.left_out import kinds, left_out, shared_left_out
from dalm.metrics.neighbours import nearest

FEWEST_ROWS = 20
SIGNIFICANT = 3.0
"""Standard errors that a flag asks for."""
COPIED_SHARE = 0.2
"""Least estimated share of copies that raises a flag."""
NEAR = 0.5
"""A near-copy is this much nearer to a training row than to any held-out row."""
MOST_CELLS = 10
ROWS_PER_CELL = 100
CLUSTERED_ROWS = 10_000
LEFT_OUT_ROWS = 2000
"""Most training rows that are compared with the others."""


class Near(NamedTuple):
    """What tells copies from what is like the data.

    Args:
        fake: nearness of the samples.
        real: nearness of the held-out rows.
        left_out: (K,) the ratio (see `Nearness`) of training rows, each left out.
    """

    fake: Nearness
    real: Nearness
    left_out: Tensor


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


def shared_nearness(evidence: Evidence) -> Near:
    """Nearness of samples and of unsuspected rows, for `evidence.once`.

    >>> x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> evidence = Evidence(Spec((2,)), x[:20], x[20:40], x[40:])
    >>> len(evidence.once(shared_nearness).fake.distance)
    20
    """
    places, space = evidence.once(shared_places)
    return _of_places(places, space, evidence.once(shared_left_out), evidence.seed)


def shared_places(evidence: Evidence) -> tuple[Sets, str]:
    """Where samples, training and held-out rows lie when copies are looked for, (B, d) each, and
    the name of that space; for `evidence.once`.
    """
    return _places(*evidence.plain_sets, evidence.spec, evidence.plain_space.name)


def nearness(
    samples: Tensor, train: Tensor, heldout: Tensor, spec: Spec, *, raw: str = "raw", seed: int = 0
) -> Near:
    """Nearness of samples and of unsuspected rows to the training data.

    Copies are looked for in the data's own numbers, not in learned features, where different data
    may coincide. More than 64 dimensions are projected to the principal components of the training
    data, which bounds the cost and ignores noise that no eye sees.

    Args:
        samples: (m, *shape).
        train: (N, *shape), all of which are searched.
        heldout: (n, *shape).
        spec: what one datum is.
        raw: what the data's own numbers are called.
        seed: of k-means.

    Raises:
        DalmError: fewer than 20 rows in any of the three.

    >>> x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    >>> near = nearness(x[:20], x[:20], x[40:], Spec((2,)))
    >>> near.fake.distance.max().item(), near.real.distance.min().item() > 0
    (0.0, True)
    """
    rest = left_out(train, *kinds(train))
    return _of_places(*_places(samples, train, heldout, spec, raw), rest, seed)


def _places(
    samples: Tensor, train: Tensor, heldout: Tensor, spec: Spec, raw: str
) -> tuple[Sets, str]:
    if min(len(samples), len(train), len(heldout)) < FEWEST_ROWS:
        sizes = f"{len(samples):,} samples, {len(train):,} training, {len(heldout):,} held-out rows"
        raise DalmError(f"looking for copies needs at least {FEWEST_ROWS} of each, got {sizes}")
    space = principal_space(train, spec, raw)
    return Sets(space(samples), space(train), space(heldout)), space.name


def _of_places(places: Sets, space: str, rest: Tensor, seed: int) -> Near:
    fake, known, real = places
    surroundings = _Surroundings(space, known, real, min(len(fake), len(real)), seed)
    return Near(
        surroundings.of(fake),
        surroundings.of(real, itself=torch.arange(len(real))),
        surroundings.left_out(rest, seed),
    )


class _Surroundings:
    """What points are near to: training rows, held-out rows, and cells of the training rows."""

    def __init__(self, space: str, train: Tensor, heldout: Tensor, smaller: int, seed: int) -> None:
        self.space = space
        self.train = train
        self.heldout = heldout
        self.cells = cells(train, min(MOST_CELLS, max(1, smaller // ROWS_PER_CELL)), seed)

    def of(self, x: Tensor, itself: Tensor | None = None) -> Nearness:
        """Nearness of points, (B, d); `itself` says which held-out rows they are."""
        distance, row = nearest(x, self.train)
        return Nearness(
            distance=distance,
            authentic=distance > self._spacing(row),
            ratio=nearer(distance, nearest(x, self.heldout, itself=itself)[0]),
            cell=nearest(x, self.cells)[1],
            space=self.space,
        )

    def left_out(self, rest: Tensor, seed: int) -> Tensor:
        """The ratio of some training rows, each left out of these, (K,)."""
        if len(rest) < 2:
            return torch.tensor([math.inf])
        train = self.train[rest]
        itself = random_rows(torch.arange(len(train)), LEFT_OUT_ROWS, seed)
        rows = train[itself]
        return nearer(nearest(rows, train, itself=itself)[0], nearest(rows, self.heldout)[0])

    def _spacing(self, row: Tensor) -> Tensor:
        """Distance of training rows to their own nearest training row, (B,)."""
        rows, back = torch.unique(row, return_inverse=True)
        spacing, _ = nearest(self.train[rows], self.train, itself=rows)
        return spacing[back]


def nearer(to_train: Tensor, to_heldout: Tensor) -> Tensor:
    """How much nearer points are to a training row than to a held-out one, (B,); infinite for a
    point that lies on both, which is no copy.

    Args:
        to_train: distances, (B,).
        to_heldout: distances, (B,).

    >>> nearer(torch.tensor([1.0, 0.0]), torch.tensor([4.0, 0.0]))
    tensor([0.2500,    inf])
    """
    return (to_train / to_heldout).nan_to_num(nan=math.inf, posinf=math.inf)


def cells(x: Tensor, k: int, seed: int) -> Tensor:
    """Centres of k cells of rows (N, d), (k, d), by k-means.

    Args:
        x: the rows, of which some ten thousand are looked at.
        k: how many cells.
        seed: of where they begin.
    """
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    stride = -(-len(x) // CLUSTERED_ROWS)
    k = min(k, len(x[::stride]))
    with warnings.catch_warnings():
        # Fewer distinct rows than cells is no fault here: the empty cells are left out later.
        warnings.simplefilter("ignore")
        means = KMeans(k, n_init=1, random_state=seed).fit(x[::stride].numpy())
    return torch.as_tensor(means.cluster_centers_).to(x)


def near_copies(near: Near) -> tuple[Tensor, Tensor, Tensor]:
    """Which samples, held-out rows and left-out training rows are suspiciously near to a training
    row.

    Args:
        near: nearness of all.

    Returns:
        (m,), (n,) and (K,) booleans.
    """
    limit = min(NEAR, near.real.ratio.median().item(), near.left_out.median().item())
    return near.fake.ratio < limit, near.real.ratio < limit, near.left_out < limit


def are_copied(near: Near) -> bool:
    """Whether enough samples are near-copies for a flag; see the module.

    Args:
        near: nearness of samples and of unsuspected rows.
    """
    own, *unsuspected = near_copies(near)
    usual = worst(unsuspected)
    enough = explained(share(own), share(usual)) >= COPIED_SHARE
    return enough and shares_z(own, usual) > SIGNIFICANT


def shares_z(x: Tensor, y: Tensor) -> float:
    """Standardised difference of the shares of true entries, under the hypothesis that they agree.

    Args:
        x: booleans, (m,).
        y: booleans, (n,).

    >>> shares_z(torch.tensor([True, True]), torch.tensor([True]))
    0.0
    """
    pooled = share(torch.cat([x, y]))
    error = math.sqrt(pooled * (1 - pooled) * (1 / len(x) + 1 / len(y)))
    return (share(x) - share(y)) / error if error else 0.0
