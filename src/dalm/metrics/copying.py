"""Copying: are the samples nearer to the training data than unseen real data are?

C_T, the data-copying test (Meehan, Chaudhuri & Dasgupta 2020). Let d(x) be the distance of a point
to the nearest training row. Within each k-means cell c of the training data, U counts the pairs in
which a sample has a larger d than a held-out row, and

    Z_c = (U - mn/2) / sqrt(mn(m+n+1)/12),    C_T = Σ_c w_c Z_c,    w_c = the share of held-out rows
    in cell c.

Unit: standard errors within a cell. Ideal 0: far below it the samples are copies, far above it they
lie off the data. Interval: ± 1.96 times its standard deviation without copying, sqrt(Σ w_c²), with
the cells held fixed. The variance allows for ties. Cells with fewer than 20 samples or held-out
rows are left out, because Z is not normal there. d looks at all training rows, so that a cell's
edge hides no copy. There is one cell per 100 rows of the smaller set, between 1 and 10. When the
flag goes up is said in `nearness`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dalm.errors import DalmError
from dalm.metrics.intervals import around, share
from dalm.metrics.measure import Measure
from dalm.metrics.nearness import (
    FEWEST_ROWS,
    SIGNIFICANT,
    Near,
    Nearness,
    are_copied,
    near_copies,
    shared_nearness,
)
from dalm.records.score import Score

COPYING = Measure(
    name="copying",
    title="copying",
    unit="standard errors",
    direction=0.0,
    meaning="Whether samples lie nearer to training data than held-out data do: far below 0 "
    "suggests copies, far above 0 they are off.",
    needs={"samples"},
    compute=lambda evidence: copying(evidence.once(shared_nearness)),
)


def copying(near: Near) -> Score:
    """C_T of samples against held-out rows; see the module for its formula.

    Args:
        near: nearness of samples and of unsuspected rows.

    Raises:
        DalmError: no cell holds 20 samples and 20 held-out rows.

    >>> from dalm.core import Spec
    >>> from dalm.metrics.nearness import nearness
    >>> x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    >>> copying(nearness(x[:50], x[:50], x[50:], Spec((2,)))).flag
    'copies'
    """
    fake = near.fake
    pairs = _distances_by_cell(fake, near.real)
    total = sum(len(y) for _, y in pairs)
    value = sum(len(y) / total * mann_whitney_z(x, y) for x, y in pairs)
    error = math.sqrt(sum((len(y) / total) ** 2 for _, y in pairs))
    interval = around(value, error)

    significant = interval.high < -SIGNIFICANT
    flag = "copies" if significant and are_copied(near) else None
    return COPYING.score(
        interval, n=len(fake.cell), features=fake.space, flag=flag, note=_note(near)
    )


def _distances_by_cell(fake: Nearness, real: Nearness) -> list[tuple[Tensor, Tensor]]:
    """Distances of samples and of held-out rows in each cell that holds enough of both."""
    pairs = []
    for cell in torch.unique(real.cell):
        x = fake.distance[fake.cell == cell]
        y = real.distance[real.cell == cell]
        if min(len(x), len(y)) >= FEWEST_ROWS:
            pairs.append((x, y))
    if not pairs:
        raise DalmError(
            f"no region of the training data holds {FEWEST_ROWS} samples and {FEWEST_ROWS} "
            "held-out rows: the samples lie elsewhere"
        )
    return pairs


def _note(near: Near) -> str:
    same = share(near.fake.distance == 0)
    known = share(near.real.distance == 0)
    own, heldout, left_out = map(share, near_copies(near))
    return (
        f"{same:.1%} of samples equal a training row (held-out data: {known:.1%}), {own:.1%} are "
        f"near-copies (held-out data: {heldout:.1%}, training rows left out: {left_out:.1%})"
    )


def mann_whitney_z(x: Tensor, y: Tensor) -> float:
    """Standardised Mann–Whitney U of `x` over `y`, corrected for ties; 0 if all values are equal.

    Mann & Whitney 1947.

    Args:
        x: (m,).
        y: (n,).

    >>> round(mann_whitney_z(torch.tensor([4.0, 5.0, 6.0]), torch.tensor([1.0, 2.0, 3.0])), 4)
    1.964
    """
    m = len(x)
    n = len(y)
    _, group, counts = torch.unique(torch.cat([x, y]), return_inverse=True, return_counts=True)
    ties = counts.double()
    ranks = ties.cumsum(0) - (ties - 1) / 2
    u = ranks[group[:m]].sum() - m * (m + 1) / 2

    correction = (ties**3 - ties).sum() / ((m + n) * (m + n - 1))
    variance = m * n / 12 * (m + n + 1 - correction)
    return ((u - m * n / 2) / variance.sqrt()).item() if variance > 0 else 0.0
