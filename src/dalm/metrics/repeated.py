"""Repeated: how many samples are there again among the samples?

    share of samples that equal another sample, or are much nearer to it than held-out rows are to
    each other

Unit: share of samples, at as many samples as held-out rows. Lower is better; the natural level is
that of held-out data (in the note). It raises the flag `repeats` where samples repeat earlier ones
more often than held-out rows do by Fisher's exact test at 1 in 100,000 (of two that equal each
other one counts, since both come at once), and by 2 % at least. *Much nearer* is below half of the
smallest distance but a hundredth among held-out rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.metrics.evidence import Evidence, random_rows
from dalm.metrics.excess import RARE, more_often
from dalm.metrics.intervals import share, wilson_interval
from dalm.metrics.measure import Measure
from dalm.metrics.nearness import shared_places
from dalm.metrics.neighbours import nearest
from dalm.records.score import Score

LEAST = 0.02
QUANTILE = 0.01
MOST_ROWS = 5000


def _compute(evidence: Evidence) -> Score:
    (samples, _, heldout), space = evidence.once(shared_places)
    size = min(len(samples), len(heldout), MOST_ROWS)
    fake, real = (random_rows(x, size, evidence.seed) for x in (samples, heldout))
    return repeated(fake, real, space)


REPEATED = Measure(
    name="repeated",
    title="repeated",
    unit="share of samples",
    direction="lower",
    meaning="Share of samples that are there again among the samples, beyond what data show.",
    needs={"samples"},
    compute=_compute,
)


def repeated(fake: Tensor, real: Tensor, features: str | None = None) -> Score:
    """The share of samples that repeat each other; see the module.

    Args:
        fake: samples, (m, d).
        real: as many held-out rows, (m, d).
        features: name of the space.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> score = repeated(x[:20].repeat(5, 1), x[100:])
    >>> score.value, score.flag
    (1.0, 'repeats')
    """
    own, own_row = _nearest_other(fake)
    usual, usual_row = _nearest_other(real)
    limit = torch.quantile(usual, QUANTILE) / 2
    again = own <= limit
    natural = usual <= limit
    excess = share(again) - share(natural)
    later = more_often(again & _is_earlier(own_row), natural & _is_earlier(usual_row))
    flag = "repeats" if excess >= LEAST and later < RARE else None
    note = f"held-out data: {share(natural):.1%}"
    return REPEATED.score(
        wilson_interval(again), n=len(fake), features=features, flag=flag, note=note
    )


def _nearest_other(x: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each row to the nearest other one, and which it is, (B,) each."""
    return nearest(x, x, itself=torch.arange(len(x)))


def _is_earlier(row: Tensor) -> Tensor:
    """Which of these rows come before the one that they are nearest to, (B,)."""
    return row < torch.arange(len(row))
