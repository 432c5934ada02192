"""Reproduced: how many samples are held-out rows, which the model cannot know?

    (s - s0) / (1 - s0),   s the share of samples that are much nearer to a held-out row than to any
    training row, s0 that share among training rows, none of which counts as its own neighbour

Unit: share of samples; the value is the largest over *much nearer*: at the same place, 10 and 4
times. It raises the flag `test rows` by the rule of `copied`: then the held-out data were learned
from, or leaked. Interval: Wilson's, with the training rows held fixed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.features import principal_space
from dalm.metrics.copied import RARE, explained, more_often
from dalm.metrics.evidence import Evidence, random_rows
from dalm.metrics.intervals import Interval, share, wilson_interval
from dalm.metrics.measure import Measure
from dalm.metrics.nearness import require_rows
from dalm.metrics.neighbours import nearest
from dalm.records.score import Score

LEAST = {0.0: 0.01, 0.1: 0.02, 0.25: 0.04}
"""Least share that raises a flag, by how near a row is."""
MOST_ROWS = 2000


def _compute(evidence: Evidence) -> Score:
    samples, train, heldout = evidence.plain_sets
    require_rows(samples, train, heldout)
    space = principal_space(train, evidence.spec, evidence.plain_space.name)
    known = space(train)
    unseen = space(heldout)
    fake = space(random_rows(samples, MOST_ROWS, evidence.seed))
    places = random_rows(torch.arange(len(train)), MOST_ROWS, evidence.seed)
    own = nearest(fake, unseen)[0], nearest(fake, known)[0]
    usual = nearest(known[places], unseen)[0], nearest(known[places], known, itself=places)[0]
    return reproduced(own, usual, space.name)


REPRODUCED = Measure(
    name="reproduced",
    title="reproduced",
    unit="share of samples",
    direction="lower",
    meaning="Share of samples that are held-out rows, which no honest model can know.",
    needs={"samples"},
    compute=_compute,
)


def reproduced(
    own: tuple[Tensor, Tensor], usual: tuple[Tensor, Tensor], features: str | None = None
) -> Score:
    """The share of held-out rows among samples; see the module.

    Args:
        own: distances of samples to the nearest held-out and training row, (m,) each.
        usual: those of training rows, (n,) each.
        features: name of the space.

    >>> near, far = torch.zeros(100), torch.ones(100)
    >>> score = reproduced((near, far), (far, far))
    >>> score.value, score.flag
    (1.0, 'test rows')
    """
    pairs = {limit: (_nearer(*own, limit), _nearer(*usual, limit)) for limit in LEAST}
    excess = {limit: explained(share(one), share(other)) for limit, (one, other) in pairs.items()}
    guilty = [
        limit
        for limit, (one, other) in pairs.items()
        if excess[limit] >= LEAST[limit] and more_often(one, other) < RARE
    ]
    limit = max(guilty or LEAST, key=excess.__getitem__)
    one, other = pairs[limit]
    ends = [explained(end, share(other)) for end in wilson_interval(one)]
    return REPRODUCED.score(
        Interval(*ends), n=len(one), features=features, flag="test rows" if guilty else None
    )


def _nearer(near: Tensor, far: Tensor, limit: float) -> Tensor:
    return (near == 0) & (far > 0) if not limit else (near <= limit * far) & (far > 0)
