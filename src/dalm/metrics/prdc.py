"""Precision, recall, density and coverage: how far samples and held-out data lie inside each
other's neighbourhoods.

The ball of a point reaches to its k-th nearest neighbour in its own set (itself not counted), and
includes its rim.

- precision: share of samples inside some ball of held-out data (are they real?); unit share, higher
  is better.
- recall: share of held-out data inside some ball of samples (is everything there?); unit share,
  higher is better. Kynkäänniemi et al. 2019.
- density: number of held-out balls around a sample, over k, averaged; its ideal is 1, its
  expectation when the distributions agree.
- coverage: share of held-out balls with a sample inside; unit share, higher is better, 1 - Π_{i≤k}
  (N-i)/(2N-i) when they agree. Naeem et al. 2020.

Intervals: standard errors from 25 cuts of both sets into halves (`halves`), so both are redrawn;
Wilson's interval at the size that gives a share this error, ± 2.06 of them for density. All four
depend on the number of rows: what is estimated is their expectation at this number.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dalm.errors import DalmError
from dalm.metrics.evidence import Evidence
from dalm.metrics.halves import T95, Pair, cuts, error
from dalm.metrics.intervals import Interval, around, effective_size, share_interval
from dalm.metrics.measure import Measure
from dalm.records.score import Score

NEIGHBOURS = 5
BALL_ROWS = 1024
"""Rows of a distance matrix that are held at once."""
HALF_ROWS = 500
"""Most rows of a half: their figures cost a square of them."""


class PRDC(NamedTuple):
    """The four scores that one computation gives."""

    precision: Score
    recall: Score
    density: Score
    coverage: Score


def _shared(evidence: Evidence) -> PRDC:
    return prdc(*evidence.equal_vectors, features=evidence.space.name, seed=evidence.seed)


PRECISION = Measure(
    name="precision",
    title="precision",
    unit="share of samples",
    direction="higher",
    meaning="Share of samples that lie where held-out data lie: are they realistic?",
    needs={"samples", "features"},
    chooses=True,
    compute=lambda evidence: evidence.once(_shared).precision,
)
RECALL = Measure(
    name="recall",
    title="recall",
    unit="share of held-out data",
    direction="higher",
    meaning="Share of held-out data that lie where samples lie: is every kind of datum produced?",
    needs={"samples", "features"},
    chooses=True,
    compute=lambda evidence: evidence.once(_shared).recall,
)
DENSITY = Measure(
    name="density",
    title="density",
    unit="balls per k",
    direction=1.0,
    meaning="How thickly held-out data surround the samples; about 1 for samples as good as real "
    "data.",
    needs={"samples", "features"},
    chooses=True,
    compute=lambda evidence: evidence.once(_shared).density,
)
COVERAGE = Measure(
    name="coverage",
    title="coverage",
    unit="share of held-out data",
    direction="higher",
    meaning="Share of held-out data that have a sample among their neighbours: does the model "
    "reach everywhere, and often enough?",
    needs={"samples", "features"},
    chooses=True,
    compute=lambda evidence: evidence.once(_shared).coverage,
)


def prdc(
    fake: Tensor,
    real: Tensor,
    *,
    k: int = NEIGHBOURS,
    features: str | None = None,
    seed: int = 0,
) -> PRDC:
    """Precision, recall, density and coverage of samples against held-out data.

    The two sets should be of equal size: balls of a larger set are smaller, so recall and coverage
    depend on both sizes.

    Args:
        fake: features of samples, (m, d).
        real: features of held-out data, (n, d).
        k: neighbours to the rim of a ball.
        features: name of the feature space.
        seed: of the cuts behind the intervals.

    Raises:
        DalmError: k rows or fewer in either set.

    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> prdc(x, x).recall.value
    1.0
    """
    if min(len(fake), len(real)) <= k:
        raise DalmError(
            f"balls to the {k}-th neighbour need more than {k} rows in each set, got {len(fake)} "
            f"samples and {len(real)} held-out"
        )
    # Squared distances lose digits far from the origin.
    centre = real.double().mean(0)
    x = fake.double() - centre
    y = real.double() - centre
    values = _figures(x, y, k).tolist()
    errors = _errors(x, y, k, seed)
    m = len(x)
    n = len(y)
    thickness = around(values[2], errors[2], T95)
    return PRDC(
        precision=PRECISION.score(_share(values[0], errors[0], m), n=m, features=features),
        recall=RECALL.score(_share(values[1], errors[1], n), n=n, features=features),
        density=DENSITY.score(thickness, n=m, features=features),
        coverage=COVERAGE.score(_share(values[3], errors[3], n), n=n, features=features),
    )


def _figures(x: Tensor, y: Tensor, k: int) -> Tensor:
    """Precision, recall, density and coverage, (4,)."""
    balls = _count_balls(x, y, k)
    hits = (balls.around_fake > 0, balls.real_in_fake, balls.around_fake / k, balls.real_with_fake)
    return torch.stack([hit.double().mean() for hit in hits])


def _errors(x: Tensor, y: Tensor, k: int, seed: int) -> list[float]:
    """Their standard errors with both sets redrawn."""
    halves = []
    for pair in cuts(len(x), len(y), most=HALF_ROWS, seed=seed):
        halves.append([_figures(x[half.fake], y[half.real], _fewer(k, half)) for half in pair])
    first, second = (torch.stack(figures) for figures in zip(*halves, strict=True))

    smaller = min(len(x), len(y))
    cut = min(smaller // 2, HALF_ROWS)
    # Halves that were cut shorter vary more, by as much as they are shorter.
    shorter = 2 * cut / (smaller - smaller % 2)
    return (error(first, second) * shorter**0.5).tolist()


def _fewer(k: int, half: Pair) -> int:
    """Neighbours, or as many as a half has."""
    return min(k, len(half.fake) - 1, len(half.real) - 1)


def _share(p: float, error: float, n: int) -> Interval:
    return share_interval(p, effective_size(p, error, n), T95)


class _Balls(NamedTuple):
    """Who lies in whose balls.

    Args:
        around_fake: (m,) number of held-out balls around each sample.
        real_with_fake: (n,) whether a held-out ball has a sample inside.
        real_in_fake: (n,) whether a held-out row lies in the ball of a sample.
    """

    around_fake: Tensor
    real_with_fake: Tensor
    real_in_fake: Tensor


def _count_balls(x: Tensor, y: Tensor, k: int) -> _Balls:
    """Balls of samples `x`, (m, d), and of held-out rows `y`, (n, d), in blocks of samples."""
    x_rims = _rims(x, k)
    y_rims = _rims(y, k)
    counts = []
    with_x = torch.zeros(len(y), dtype=torch.bool)
    in_x = torch.zeros(len(y), dtype=torch.bool)

    blocks = zip(torch.split(x, BALL_ROWS), torch.split(x_rims, BALL_ROWS), strict=True)
    for block, rims in blocks:
        squares = _squares(block, y)
        in_y = squares <= y_rims
        counts.append(in_y.sum(1))
        with_x |= in_y.any(0)
        in_x |= (squares <= rims[:, None]).any(0)
    return _Balls(torch.cat(counts), with_x, in_x)


def _rims(x: Tensor, k: int) -> Tensor:
    """Squared distance of each point to its k-th neighbour.

    A hair more, so that rounding cannot push a point off the rim.
    """
    slack = 1e-12 * x.square().sum(1).max()
    blocks = torch.split(x, BALL_ROWS)
    # A point is nearest to itself, so its k-th neighbour is the (k + 1)-th smallest.
    squares = [_squares(block, x).kthvalue(k + 1, dim=1).values for block in blocks]
    return torch.cat(squares) + slack


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances, (m, n)."""
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp(min=0)
