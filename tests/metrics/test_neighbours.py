"""Nearest neighbours are exact, and copies lie at distance zero."""

from __future__ import annotations

import torch
from draws import normals

from dalm.core import Spec
from dalm.features import principal_space
from dalm.metrics.neighbours import nearest, neighbours


def test_nearest_is_exact_and_leaves_itself_out() -> None:
    pool = normals(300, 5).float()
    pool[7] = pool[8]
    distance, row = nearest(pool, pool, itself=torch.arange(300))
    assert not (row == torch.arange(300)).any()
    assert distance[7] == distance[8] == 0
    expected = (torch.cdist(pool.double(), pool.double()) + 99 * torch.eye(300)).min(1)
    assert torch.allclose(distance.double(), expected.values, atol=1e-6)
    assert torch.equal(nearest(pool[9:10], pool)[0], torch.zeros(1))


def test_copies_lie_at_distance_zero_after_the_projection_too() -> None:
    spec = Spec((1, 12, 12), levels=16)
    train = torch.randint(0, 16, (700, 1, 12, 12), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    space = principal_space(train, spec)
    assert space.name.startswith("pca64#")
    assert space(train).shape == (700, 64)
    assert torch.equal(nearest(space(train[500:507]), space(train))[0], torch.zeros(7).double())
    assert torch.equal(neighbours(train[[3, 600]], train, spec), torch.tensor([3, 600]))
