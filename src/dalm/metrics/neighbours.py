"""Exact nearest neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.core import Spec
from dalm.features import flat, standardised_space

POOL_ROWS = 16_384
"""Rows of a pool that are searched at once."""


def nearest(x: Tensor, pool: Tensor, *, itself: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Distance to, and index of, the nearest row of `pool` for each row of `x`, (B,) each.

    Args:
        x: (B, d).
        pool: (N, d).
        itself: (B,) the index in `pool` of each row of `x`, which then does not count as its own
            neighbour.

    >>> line = torch.tensor([[0.0], [1.0], [5.0]])
    >>> nearest(torch.tensor([[4.0]]), line)
    (tensor([1.]), tensor([2]))
    >>> nearest(line, line, itself=torch.arange(3))[1]
    tensor([1, 0, 1])
    """
    from sklearn.neighbors import NearestNeighbors  # type: ignore[import-untyped]

    count = 1 if itself is None else 2
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(pool.numpy())
    candidates = torch.as_tensor(search.kneighbors(x.numpy(), return_distance=False))

    index = candidates[:, 0]
    if itself is not None:
        index = torch.where(index == itself, candidates[:, 1], index)
    # The search rounds: distances are computed again, so that a copy is at distance 0 exactly.
    return (x - pool[index]).norm(dim=1), index


def neighbours(samples: Tensor, pool: Tensor, spec: Spec) -> Tensor:
    """Index of the row of `pool` nearest to each sample in the data's own numbers, those of real
    vectors in units of their spread in the pool, (B,).

    A gallery shows that row beside the sample.

    Args:
        samples: (B, *shape).
        pool: training or held-out rows, (N, *shape).
        spec: what one datum is.

    >>> neighbours(torch.tensor([[0.9]]), torch.tensor([[0.0], [1.0]]), Spec((1,)))
    tensor([1])
    """
    units = standardised_space(pool, spec)
    points = flat(units.extract(samples), spec)
    distances = []
    indices = []
    for block in pool.split(POOL_ROWS):
        distance, index = nearest(points, flat(units.extract(block), spec))
        distances.append(distance)
        indices.append(index)

    best_block = torch.stack(distances).argmin(0)
    inside = torch.stack(indices).gather(0, best_block[None])[0]
    return inside + POOL_ROWS * best_block
