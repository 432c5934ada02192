"""Missing: which regions of the data do the samples never reach?

    share of held-out data in regions that hold less than a quarter of the samples they should

A region should hold the smaller one of its shares of training and of held-out rows, less a standard
error: what training rows do not reach, such as a later time, no model can know.
Regions are the classes, where there are labels, and k-means cells of the training data, so many
that each holds some 25 held-out rows. A sample belongs to the class of the nearest held-out row and
to the cell of the nearest centre. Unit: share of held-out data. Lower is better. It raises the flag
`missing` where a region should hold at least 20 samples, holds less than a quarter of that, and
would by chance in 1 of 100 million cases; but only where at least half of the samples lie as near
to training rows as 95 % of held-out rows do, since what lies off the data is in no region. The note
names cells by the training row nearest to their centre. Interval: none; regions are held fixed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dalm.metrics.evidence import Evidence, Sets, random_rows
from dalm.metrics.intervals import share
from dalm.metrics.measure import Measure
from dalm.metrics.nearness import cells, shared_nearness, shared_places
from dalm.metrics.neighbours import nearest
from dalm.records.score import Score

PER_REGION = 25
MOST_REGIONS = 64
FEWEST = 20
RARE = 1e-8
"""How rarely a region may be called missing by chance."""
CLASSED_ROWS = 10_000
"""Most training rows whose class is looked for."""
QUARTER = 0.25
"""Not less: of a class that no sample has, some lie nearer to it than to their own."""
NAMED = 5
"""Regions that the note names."""


class Region(NamedTuple):
    """A region that samples do not reach.

    Args:
        name: what people call it.
        held: which held-out rows it holds, (n,) booleans.
        found: how many samples it holds.
        expected: how many it should hold.
    """

    name: str
    held: Tensor
    found: int
    expected: float


def _compute(evidence: Evidence) -> Score:
    places, space = evidence.once(shared_places)
    fake, real, _ = evidence.once(shared_nearness)
    usual = torch.quantile(real.distance.double(), 0.95)
    like_data = share(fake.distance <= usual) >= 0.5
    regions = _missing_classes(evidence, places)
    regions += missing_cells(*places, evidence.seed)
    lost = torch.stack([region.held for region in regions]).any(0) if regions else torch.zeros(1)
    note = "; ".join(map(_words, regions[:NAMED]))
    if regions and not like_data:
        note = f"no alarm, since most samples lie off the data: {note}"
    return MISSING.score(
        share(lost),
        n=len(places.samples),
        features=space,
        flag="missing" if regions and like_data else None,
        note=note,
    )


MISSING = Measure(
    name="missing",
    title="missing",
    unit="share of held-out data",
    direction="lower",
    meaning="Share of held-out data in regions that samples never reach, though they should.",
    needs={"samples"},
    compute=_compute,
)


def missing_cells(fake: Tensor, train: Tensor, real: Tensor, seed: int = 0) -> list[Region]:
    """The cells that hold far fewer samples than they should, the largest first.

    Args:
        fake: samples, (m, d).
        train: training rows, (N, d), whose cells are the regions.
        real: held-out rows, (n, d), which say with `train` how much a region should hold.
        seed: of k-means.

    >>> two = torch.tensor([[0.0], [9.0]]).repeat(100, 1)
    >>> [(cell.name, cell.found, cell.expected) for cell in missing_cells(two[::2], two, two)]
    [('like training row 1', 0, 50.0)]
    """
    centres = cells(train, min(MOST_REGIONS, max(2, len(real) // PER_REGION)), seed)
    nearest_row = [int((train - centre).square().sum(1).argmin()) for centre in centres]
    names = [f"like training row {row}" for row in nearest_row]
    return _missing(names, *(nearest(x, centres)[1] for x in (fake, train, real)))


def _missing_classes(evidence: Evidence, places: Sets) -> list[Region]:
    """The classes that hold far fewer samples than they should."""
    fake, known, real = places
    labels = evidence.labels
    if labels is None or len(labels) != len(real) or not bool((labels >= 0).all()):
        return []
    labels = labels.cpu()
    count = int(labels.max()) + 1
    named = evidence.classes if len(evidence.classes) >= count else tuple(map(str, range(count)))
    names = [f"class {name}" for name in named[:count]]
    # A held-out row counts for its neighbour's class too, as a sample does: in many dimensions all
    # is nearest to the class of least spread.
    others = nearest(real, real, itself=torch.arange(len(real)))[1]
    some = random_rows(known, CLASSED_ROWS, evidence.seed)
    rows = nearest(fake, real)[1], nearest(some, real)[1], others
    return _missing(names, *(labels[row] for row in rows))


def _missing(names: list[str], fake: Tensor, known: Tensor, real: Tensor) -> list[Region]:
    """Of regions with these names, those that samples do not reach.

    Args:
        names: of regions 0, 1, …
        fake: the region of each sample.
        known: the region of each training row, found alike.
        real: the region of each held-out row, found alike.
    """
    from scipy.stats import binom  # type: ignore[import-untyped]

    regions = []
    for k, name in enumerate(names):
        held = real == k
        found = int((fake == k).sum())
        least = min(_surely(known == k), _surely(held))
        expected = least * len(fake)
        few = expected >= FEWEST and found < QUARTER * expected
        if few and binom.cdf(found, len(fake), least) < RARE:
            regions.append(Region(name, held, found, share(held) * len(fake)))
    return sorted(regions, key=lambda region: -int(region.held.sum()))


def _surely(inside: Tensor) -> float:
    """A share less one standard error, as few rows say little of what to expect."""
    count = int(inside.sum())
    return max(0.0, count - count**0.5) / len(inside)


def _words(region: Region) -> str:
    return f"{region.name}: {region.found} of {region.expected:.0f} samples"
