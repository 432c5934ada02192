"""Reproduced: how many samples are held-out rows, which the model cannot know?

The excess (see `excess`) of rows that are much nearer to a held-out row than to any training row,
among samples over that among training rows, none of which counts as its own neighbour.

Unit: share of samples; the value is the largest over *much nearer*: at the same place, 10 and 4
times. Interval: Wilson's, with the training rows held fixed. It raises the flag `test rows`: then
the held-out data were learned from, or leaked.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.metrics.evidence import Evidence, random_rows
from dalm.metrics.excess import largest_excess
from dalm.metrics.measure import Measure
from dalm.metrics.nearness import shared_places
from dalm.metrics.neighbours import nearest
from dalm.records.score import Score

LEAST = {0.0: 0.01, 0.1: 0.02, 0.25: 0.04}
"""Least share that raises a flag, by how near a row is."""
MOST_ROWS = 2000


def _compute(evidence: Evidence) -> Score:
    (samples, known, unseen), space = evidence.once(shared_places)
    fake = random_rows(samples, MOST_ROWS, evidence.seed)
    some = random_rows(torch.arange(len(known)), MOST_ROWS, evidence.seed)
    own = nearest(fake, unseen)[0], nearest(fake, known)[0]
    usual = nearest(known[some], unseen)[0], nearest(known[some], known, itself=some)[0]
    return reproduced(own, usual, space)


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
    hits = {limit: (_nearer(*own, limit), _nearer(*usual, limit)) for limit in LEAST}
    found = largest_excess(hits, LEAST)
    flag = "test rows" if found.alarm else None
    return REPRODUCED.score(found.interval, n=found.n, features=features, flag=flag)


def _nearer(near: Tensor, far: Tensor, limit: float) -> Tensor:
    return (near <= limit * far) & (far > 0)
