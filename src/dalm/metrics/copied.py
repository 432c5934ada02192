"""Copied: how many samples are training rows, or such rows shifted, mirrored, turned, inverted or
with another contrast?

The excess (see `excess`) of copies among samples over those among unsuspected rows: held-out rows
and training rows left out (see `nearness`). A copy is r times as near to a training row as to any
held-out row, for r = 0 (equal to it) up to 1/2. Where equality is asked for, training rows are
unsuspected as they are: each is equal to another one as often as a new row would be. Images are
looked at as they are and in every pose (see `poses`).

Unit: share of samples; the value is the largest over r. Interval: Wilson's, with unsuspected rows
held fixed. It raises the flag `copies`.
"""

from __future__ import annotations

from torch import Tensor

from dalm.metrics.evidence import Evidence
from dalm.metrics.excess import Hits, largest_excess
from dalm.metrics.left_out import shared_kinds
from dalm.metrics.measure import Measure
from dalm.metrics.nearness import shared_nearness
from dalm.metrics.poses import has_poses, posed_ratios
from dalm.records.score import Score

LEAST = {0.0: 0.01, 0.1: 0.02, 0.25: 0.04, 0.4: 0.06, 0.5: 0.15}
"""Least share of copies that raises a flag, by how near a copy is: what is very near needs fewer,
since honest samples are hardly ever there."""


def _compute(evidence: Evidence) -> Score:
    fake, real, left_out = evidence.once(shared_nearness)
    equal = (fake.distance == 0, real.distance == 0, evidence.once(shared_kinds)[1] > 1)
    hits: dict[float, Hits] = {0.0: equal}
    hits |= _near(fake.ratio, real.ratio, left_out)
    scores = [_copied(hits, fake.space)]
    if has_poses(evidence.spec):
        scores.append(_copied(_near(*posed_ratios(evidence)), "poses", " in some pose"))
    return max(scores, key=lambda score: (score.flag is not None, score.value or 0.0))


COPIED = Measure(
    name="copied",
    title="copied",
    unit="share of samples",
    direction="lower",
    meaning="Share of samples that equal a training row or lie at least twice as near to it as to "
    "any held-out row (images also shifted, mirrored, turned, inverted or with another contrast), "
    "beyond what rows show that nobody suspects.",
    needs={"samples"},
    compute=_compute,
)


def _near(*ratios: Tensor) -> dict[float, Hits]:
    """Which are so much nearer to a training row than to a held-out one, by how much."""
    return {limit: [ratio <= limit for ratio in ratios] for limit in LEAST if limit}


def _copied(hits: dict[float, Hits], space: str, how: str = "") -> Score:
    """The score of copies.

    Args:
        hits: which samples and which unsuspected rows are copies, by how near a copy is.
        space: in which nearness was measured.
        how: what is said of how rows were looked at.
    """
    found = largest_excess(hits, LEAST)
    nearer = f"{1 / found.degree:g} times nearer to" if found.degree else "equal to"
    note = (
        f"{found.observed:.1%} of samples are {nearer} a training row{how} "
        f"(data that nobody suspects: at most {found.usual:.1%})"
    )
    flag = "copies" if found.alarm else None
    return COPIED.score(found.interval, n=found.n, features=space, flag=flag, note=note)
