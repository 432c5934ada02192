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

Intervals: Wilson's for the shares, ± 1.96 SE for density, over the set that is counted, with the
other set held fixed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.errors import DalmError
from dalm.metrics.record import Metric, Scale, normal, wilson

PRDC = {
    "precision": Scale("share of samples", "higher"),
    "recall": Scale("share of held-out data", "higher"),
    "density": Scale("balls per k", 1.0),
    "coverage": Scale("share of held-out data", "higher"),
}
BLOCK = 1024


def prdc(
    fake: Tensor, real: Tensor, *, k: int = 5, features: str | None = None
) -> dict[str, Metric]:
    """Precision, recall, density and coverage of samples against held-out data, in blocks of rows.

    The two sets should be of equal size: balls of a larger set are smaller, so recall and coverage
    depend on both sizes.

    Args:
        fake: features of samples, (m, d).
        real: features of held-out data, (n, d).
        k: neighbours to the rim of a ball.
        features: name of the feature space.

    Raises:
        DalmError: k rows or fewer in either set.

    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> prdc(x, x)["recall"].value
    1.0
    """
    if min(len(fake), len(real)) <= k:
        raise DalmError(
            f"balls to the {k}-th neighbour need more than {k} rows in each set, got {len(fake)} "
            f"samples and {len(real)} held-out"
        )
    centre = real.double().mean(0)
    x = fake.double() - centre
    y = real.double() - centre
    fake_rim = _rims(x, k)
    real_rim = _rims(y, k)
    balls = []
    in_fake = []
    hit = torch.zeros(len(y), dtype=torch.bool)
    for block, rims in zip(torch.split(x, BLOCK), torch.split(fake_rim, BLOCK), strict=True):
        squares = _squares(block, y)
        inside = squares <= real_rim
        balls.append(inside.sum(1))
        hit |= inside.any(0)
        in_fake.append((squares <= rims[:, None]).any(0))
    count = torch.cat(balls)
    return {
        "precision": Metric(*wilson(count > 0), len(x), *PRDC["precision"], features=features),
        "recall": Metric(
            *wilson(torch.stack(in_fake).any(0)), len(y), *PRDC["recall"], features=features
        ),
        "density": Metric(*normal(count / k), len(x), *PRDC["density"], features=features),
        "coverage": Metric(*wilson(hit), len(y), *PRDC["coverage"], features=features),
    }


def _rims(x: Tensor, k: int) -> Tensor:
    """Squared distance of each point to its k-th neighbour, a hair more so that rounding cannot
    push a point off the rim.
    """
    slack = 1e-12 * x.square().sum(1).max()
    return (
        torch.cat(
            [_squares(block, x).kthvalue(k + 1, dim=1).values for block in torch.split(x, BLOCK)]
        )
        + slack
    )


def _squares(x: Tensor, y: Tensor) -> Tensor:
    return (x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T).clamp(min=0)
