"""Copied: how many samples are training rows, or such rows shifted, mirrored, turned, inverted or
with another contrast?

    (s - s0) / (1 - s0),   s the share of copies among samples, s0 among held-out rows

which is what chance does not explain (Abbott 1925). A copy is r times as near to a training row as
to any held-out row, for r = 0 (equal to it) up to 1/2; no held-out row counts as its own neighbour.
Where equality is asked for, training rows count as held-out rows too: each is equal to another one
as often as a new row would be. Images are looked at as they are and in every pose of `POSES`, each
with its mean taken off and brought to unit length, so that brightness and contrast do not hide a
copy, and so that an inverted one is at the opposite place.

Unit: share of samples; the value is the largest over r. It raises the flag `copies` where at some r
the share is at least `LEAST` there, and the samples hold more copies than held-out rows do by
Fisher's exact test at 1 in 100,000 (Fisher 1935). Interval: Wilson's, with held-out rows held
fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from dalm.core import Spec
from dalm.metrics.evidence import Evidence, random_rows
from dalm.metrics.intervals import Interval, share, wilson_interval
from dalm.metrics.measure import Measure
from dalm.metrics.nearness import Nearness, shared_nearness
from dalm.records.score import Score

LEAST = {0.0: 0.01, 0.1: 0.02, 0.25: 0.04, 0.4: 0.06, 0.5: 0.15}
"""Least share of copies that raises a flag, by how near a copy is: what is very near needs fewer,
since honest samples are hardly ever there."""
RARE = 1e-5
"""How rarely an honest model may be accused at one r."""
MOST_REPEATS = 5000
POSED_ROWS = 400
"""Samples and held-out rows that are looked at in every pose."""
SIDE = 8
"""Pixels of the smallest side that has poses."""
COMPONENTS = 64
FITTED_ROWS = 10_000
AT_ONCE = 2048


def _compute(evidence: Evidence) -> Score:
    fake, real = evidence.once(shared_nearness)
    pairs = {"": (fake, _with_repeats(real, evidence.plain_sets.train))}
    if has_poses(evidence.spec):
        pairs[" in some pose"] = evidence.once(posed_nearness)
    return max(
        (copied(*pair, how) for how, pair in pairs.items()),
        key=lambda score: (score.flag is not None, score.value or 0.0),
    )


COPIED = Measure(
    name="copied",
    title="copied",
    unit="share of samples",
    direction="lower",
    meaning="Share of samples that are training data, as they are or shifted, mirrored, turned, "
    "inverted or with another contrast, beyond what held-out data show.",
    needs={"samples"},
    compute=_compute,
)


def copied(fake: Nearness, real: Nearness, how: str = "") -> Score:
    """The share of copies among samples; see the module.

    Args:
        fake: nearness of the samples.
        real: nearness of the held-out rows.
        how: what is said of how they were looked at.

    >>> from dalm.metrics.nearness import nearness
    >>> x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    >>> score = copied(*nearness(x[:100], x[:100], x[200:], Spec((2,))))
    >>> score.value, score.flag
    (1.0, 'copies')
    """
    found = {limit: _excess(_near(fake, limit), _near(real, limit)) for limit in LEAST}
    guilty = [limit for limit, (excess, chance) in found.items() if _raised(limit, excess, chance)]
    limit = max(guilty or LEAST, key=lambda limit: found[limit][0])
    own = _near(fake, limit)
    usual = share(_near(real, limit))
    nearer = "equal to" if not limit else f"{1 / limit:g} times nearer to"
    note = (
        f"{share(own):.1%} of samples are {nearer} a training row{how} "
        f"(held-out data: {usual:.1%})".replace("%", " %")
    )
    ends = [explained(end, usual) for end in wilson_interval(own)]
    flag = "copies" if guilty else None
    return COPIED.score(Interval(*ends), n=len(own), features=fake.space, flag=flag, note=note)


def _with_repeats(real: Nearness, train: Tensor) -> Nearness:
    """Held-out rows, and training rows as far as they say how often rows are equal by chance."""
    rows = train.flatten(1)[:MOST_REPEATS]
    _, place, counts = rows.unique(dim=0, return_inverse=True, return_counts=True)
    equal = torch.where(counts[place] > 1, 0.0, 1.0)
    return replace(real, distance=torch.cat([real.distance, equal.to(real.distance)]))


def _near(those: Nearness, limit: float) -> Tensor:
    return those.distance == 0 if not limit else those.ratio <= limit


def explained(observed: float, usual: float) -> float:
    """What chance does not explain of a share (Abbott 1925).

    Args:
        observed: a share.
        usual: what chance gives.

    >>> explained(0.75, 0.5)
    0.5
    """
    return max(0.0, (observed - usual) / (1 - usual)) if usual < 1 else 0.0


def _excess(fake: Tensor, real: Tensor) -> tuple[float, float]:
    """The share of copies, and the chance of as many if there were none."""
    return explained(share(fake), share(real)), more_often(fake, real)


def _raised(limit: float, excess: float, chance: float) -> bool:
    return excess >= LEAST[limit] and chance < RARE


def more_often(fake: Tensor, real: Tensor) -> float:
    """The chance that so many more of the first are true if both are true equally often, by
    Fisher's exact test.

    Args:
        fake: booleans, (m,).
        real: booleans, (n,).

    >>> round(more_often(torch.ones(3).bool(), torch.zeros(3).bool()), 4)  # 1 of 20
    0.05
    """
    from scipy.stats import hypergeom  # type: ignore[import-untyped]

    hits = int(fake.sum())
    total = hits + int(real.sum())
    return float(hypergeom.sf(hits - 1, len(fake) + len(real), total, len(fake)))


# Poses


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


def posed_nearness(evidence: Evidence) -> tuple[Nearness, Nearness]:
    """Nearness of samples and of held-out rows in their best pose, for `evidence.once`."""
    samples, train, heldout = evidence.plain_sets
    fake = random_rows(samples, POSED_ROWS, evidence.seed)
    real = random_rows(heldout, POSED_ROWS, evidence.seed)
    axes = _axes(train)
    known = _placed(train, axes)
    unseen = _placed(heldout, axes)
    itself = _numbers_of(heldout, POSED_ROWS, evidence.seed)
    return _posed(fake, known, unseen, axes), _posed(real, known, unseen, axes, itself)


def _numbers_of(x: Tensor, limit: int, seed: int) -> Tensor:
    """Which rows `random_rows` takes."""
    return random_rows(torch.arange(len(x)), limit, seed)


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


def _posed(
    x: Tensor, known: Tensor, unseen: Tensor, axes: Tensor, itself: Tensor | None = None
) -> Nearness:
    images = x.float().view(len(x), -1, *x.shape[-2:])
    near = torch.full((len(x),), math.inf)
    rival = near.clone()
    for pose in POSES:
        place = _placed(pose(images), axes)
        for sign in (1, -1):
            near = torch.minimum(near, _least(sign * place, known))
            rival = torch.minimum(rival, _least(sign * place, unseen, itself))
    ratio = (near / rival).nan_to_num(nan=math.inf, posinf=math.inf)
    nothing = torch.zeros(len(x))
    exact = torch.ones(len(x))  # equality is asked of rows as they are
    return Nearness(exact, nothing.bool(), ratio, nothing.long(), "poses")


def _least(x: Tensor, pool: Tensor, itself: Tensor | None = None) -> Tensor:
    """Distance of each row to the nearest one of a pool, (B,)."""
    least = torch.full((len(x),), math.inf)
    for start in range(0, len(pool), AT_ONCE * 4):
        part = pool[start : start + AT_ONCE * 4]
        squares = x.square().sum(1)[:, None] + part.square().sum(1) - 2 * x @ part.T
        if itself is not None:
            inside = ((itself >= start) & (itself < start + len(part))).nonzero()[:, 0]
            squares[inside, itself[inside] - start] = math.inf
        least = torch.minimum(least, squares.amin(1))
    # The products round to some 1e-7; nearer than that is as near as can be.
    return least.clamp_min(1e-6).sqrt()
