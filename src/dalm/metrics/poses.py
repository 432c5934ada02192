"""Poses: images shifted, mirrored, turned and inverted, and how near they are to training data in
the best of them.

Images are vectors of mean zero and length one here, so that neither brightness nor contrast counts,
and an inverted image is at the opposite place; then their 64 principal components.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from dalm.core import Spec
from dalm.metrics.evidence import Evidence, random_rows
from dalm.metrics.left_out import shared_left_out
from dalm.metrics.nearness import nearer

POSED_ROWS = 400
"""Samples and held-out rows that are looked at in every pose."""
SIDE = 8
"""Pixels of the smallest side that has poses."""
COMPONENTS = 64
FITTED_ROWS = 10_000
AT_ONCE = 2048
Pool = tuple[Tensor, Tensor | None]
"""Rows, and which of them the points are."""


def has_poses(spec: Spec) -> bool:
    """Whether data are images large enough to be shifted and turned.

    >>> has_poses(Spec((1, 28, 28), levels=256)), has_poses(Spec((2,)))
    (True, False)
    """
    return len(spec.shape) in (2, 3) and min(spec.shape[-2:]) >= SIDE


def _shifted(down: int, right: int) -> Callable[[Tensor], Tensor]:
    def shift(x: Tensor) -> Tensor:
        far = max(1, min(x.shape[-2:]) // 28)
        return torch.roll(x, (down * far, right * far), (-2, -1))

    return shift


def _turned(degrees: float) -> Callable[[Tensor], Tensor]:
    angle = math.radians(degrees)
    matrix = [[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]]

    def turn(x: Tensor) -> Tensor:
        grid = F.affine_grid(
            torch.tensor(matrix).expand(len(x), 2, 3), list(x.shape), align_corners=False
        )
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)

    return turn


POSES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x,
    lambda x: x.flip(-1),
    lambda x: x.flip(-2),
    *(_shifted(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right),
    *(_turned(degrees) for degrees in (-15, -10, -5, 5, 10, 15)),
)
"""As it is, mirrored, shifted by a pixel (of 28) and turned; each also inverted."""


def posed_ratios(evidence: Evidence) -> tuple[Tensor, Tensor, Tensor]:
    """Of some samples, held-out rows and training rows left out, (B,) each: the distance to the
    nearest training row over the one to the nearest held-out row, each in its best pose.

    Args:
        evidence: of images.
    """
    samples, train, heldout = evidence.plain_sets
    train = train[evidence.once(shared_left_out)]
    fake, real, left_out = (
        random_rows(torch.arange(len(rows)), POSED_ROWS, evidence.seed)
        for rows in (samples, heldout, train)
    )
    axes = _axes(train)
    known = _placed(train, axes)
    unseen = _placed(heldout, axes)
    return (
        _ratios(samples[fake], (known, None), (unseen, None), axes),
        _ratios(heldout[real], (known, None), (unseen, real), axes),
        _ratios(train[left_out], (known, left_out), (unseen, None), axes),
    )


def _unit(x: Tensor) -> Tensor:
    """Images as vectors of mean zero and length one, (B, D)."""
    flat = x.float().flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-6)


def _axes(train: Tensor) -> Tensor:
    """Principal axes of training images, (D, 64)."""
    from sklearn.decomposition import PCA  # type: ignore[import-untyped]

    rows = _unit(train[:: -(-len(train) // FITTED_ROWS)])
    count = min(COMPONENTS, *rows.shape)
    axes = PCA(count, random_state=0).fit(rows.numpy()).components_
    return torch.as_tensor(axes).float().T


def _placed(x: Tensor, axes: Tensor) -> Tensor:
    return torch.cat([_unit(part) @ axes for part in x.split(AT_ONCE)])


def _ratios(x: Tensor, known: Pool, unseen: Pool, axes: Tensor) -> Tensor:
    images = x.float().view(len(x), -1, *x.shape[-2:])
    near = torch.full((len(x),), math.inf)
    rival = near.clone()
    for pose in POSES:
        place = _placed(pose(images), axes)
        near = torch.minimum(near, _least(place, *known))
        rival = torch.minimum(rival, _least(place, *unseen))
    return nearer(near, rival)


def _least(x: Tensor, pool: Tensor, itself: Tensor | None) -> Tensor:
    """Distance of each row, or of its inverse, to the nearest one of a pool, (B,)."""
    least = torch.full((len(x),), math.inf)
    for start in range(0, len(pool), AT_ONCE):
        part = pool[start : start + AT_ONCE]
        # Both signs at once: |x ∓ p|² = |x|² + |p|² ∓ 2 x·p.
        squares = torch.sub(part.square().sum(1), (x @ part.T).abs_(), alpha=2)
        if itself is not None:
            inside = ((itself >= start) & (itself < start + len(part))).nonzero()[:, 0]
            squares[inside, itself[inside] - start] = math.inf
        least = torch.minimum(least, squares.amin(1))
    # The products round to some 1e-7; nearer than that is as near as can be.
    return (least + x.square().sum(1)).clamp_min(1e-6).sqrt()
