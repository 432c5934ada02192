"""Authenticity: how many samples are not the near twin of a training row?

    share of samples that are farther from their nearest training row than that row is from its own
    nearest training row

Alaa et al. 2022. Unit: share of samples. Higher is better, but its natural level is that of
held-out data (in the note), and a model that is far off the data has 1. Interval: Wilson's, with
the training data held fixed. When the flag goes up is said in `nearness`.
"""

from __future__ import annotations

from dalm.metrics.intervals import share, wilson_interval
from dalm.metrics.measure import Measure
from dalm.metrics.nearness import SIGNIFICANT, Near, are_copied, shared_nearness, shares_z
from dalm.records.score import Score

AUTHENTICITY = Measure(
    name="authenticity",
    title="authenticity",
    unit="share of samples",
    direction="higher",
    meaning="Share of samples that are not the near twin of a training row; far below that of "
    "held-out data, the model copies.",
    needs={"samples"},
    compute=lambda evidence: authenticity(evidence.once(shared_nearness)),
)


def authenticity(near: Near) -> Score:
    """Share of authentic samples; see the module for its meaning.

    Args:
        near: nearness of samples and of unsuspected rows.

    >>> import torch
    >>> from dalm.core import Spec
    >>> from dalm.metrics.nearness import nearness
    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> authenticity(nearness(x[:50], x[:50], x[50:], Spec((2,)))).value
    0.0
    """
    fake, real, _ = near
    interval = wilson_interval(fake.authentic)
    natural = share(real.authentic)

    significant = shares_z(fake.authentic, real.authentic) < -SIGNIFICANT
    fewer = significant and interval.value < natural * 2 / 3
    flag = "copies" if fewer and are_copied(near) else None
    return AUTHENTICITY.score(
        interval,
        n=len(fake.authentic),
        features=fake.space,
        flag=flag,
        note=f"held-out data have {natural:.3f}",
    )
