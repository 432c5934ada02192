"""Exact nearest neighbours, and the plain space in which copying is looked for.

Copies are looked for in the data's own numbers, not in learned features, where different data may
coincide. More than 64 dimensions are projected to the 64 principal components of the training data,
which bounds the cost and ignores noise that no eye sees.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.features.spaces import FeatureSpace, sha8

COMPONENTS = 64
BLOCK = 16_384  # rows of a pool that are searched at once


def flat(x: Tensor, spec: Spec) -> Tensor:
    """Data as (B, dims) float32, discrete levels scaled to [0, 1].

    >>> flat(torch.tensor([[0, 4]]), Spec((2,), levels=5))
    tensor([[0., 1.]])
    """
    scale = 1.0 if spec.levels is None else 1.0 / (spec.levels - 1)
    return x.cpu().float().flatten(1) * scale


def copying_space(train: Tensor, spec: Spec, raw: str = "raw") -> FeatureSpace:
    """The data's own numbers, called `raw`, up to 64 dimensions, else `pca64` with the hash of the
    training rows that define it.

    >>> copying_space(torch.zeros(9, 2), Spec((2,))).name
    'raw'
    """
    if spec.dims <= COMPONENTS:
        return FeatureSpace(raw, lambda x: flat(x, spec))
    from sklearn.decomposition import PCA  # type: ignore[import-untyped]

    if len(train) < COMPONENTS:
        raise DalmError(
            f"looking for copies among {spec.dims} dimensions needs at least {COMPONENTS} training "
            f"rows, got {len(train)}"
        )
    rows = flat(train[:: -(-len(train) // 10_000)], spec)
    pca = PCA(COMPONENTS, random_state=0).fit(rows.numpy())
    mean = torch.as_tensor(pca.mean_).double()
    axes = torch.as_tensor(pca.components_).double().T
    # Projected in float64 and rounded after, or equal rows in blocks of different size would differ
    # by a rounding error.
    name = f"pca64#{sha8(rows.numpy().tobytes())}"

    def project(x: Tensor) -> Tensor:
        return torch.cat(
            [((flat(block, spec).double() - mean) @ axes).float() for block in x.split(BLOCK)]
        )

    return FeatureSpace(name, project)


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

    search = NearestNeighbors(n_neighbors=1 if itself is None else 2, algorithm="brute").fit(
        pool.numpy()
    )
    index = torch.as_tensor(search.kneighbors(x.numpy(), return_distance=False))
    found = (
        index[:, 0]
        if itself is None
        else torch.where(index[:, 0] == itself, index[:, 1], index[:, 0])
    )
    # The search rounds: distances are computed again, so that a copy is at distance 0 exactly.
    return (x - pool[found]).norm(dim=1), found


def neighbours(samples: Tensor, pool: Tensor, spec: Spec) -> Tensor:
    """Index of the row of `pool` nearest to each sample in the data's own numbers, (B,): what a
    gallery shows beside it.

    Args:
        samples: (B, *shape).
        pool: training or held-out rows, (N, *shape).
        spec: what one datum is.

    >>> neighbours(torch.tensor([[0.9]]), torch.tensor([[0.0], [1.0]]), Spec((1,)))
    tensor([1])
    """
    points = flat(samples, spec)
    found = [nearest(points, flat(block, spec)) for block in pool.split(BLOCK)]
    best = torch.stack([distance for distance, _ in found]).argmin(0)
    return torch.stack([index for _, index in found]).gather(0, best[None])[0] + BLOCK * best
