"""Classifier two-sample test: can a classifier tell samples from held-out data?

    accuracy of extremely randomised trees on rows they never saw, half of each set

Lopez-Paz & Oquab 2017; the trees are Geurts et al. 2006. Of boosted trees, logistic regression and
these, on features and on raw numbers, these on raw numbers were the most powerful at 200 to 2,000
rows a set, and fast. Unit: share right. Ideal 0.5: no difference found; 1: told apart without fail.
Interval: Wilson's at 0.85 times the number of unseen rows. That they are drawn explains most of the
accuracy's variance; that the known rows are drawn, and the classifier learns anew, adds 5 to 20 %
(`benchmarks/coverage.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.errors import DalmError
from dalm.features import flat
from dalm.metrics.evidence import Evidence
from dalm.metrics.intervals import share, share_interval
from dalm.metrics.measure import Measure
from dalm.records.score import Score

FEWEST_ROWS = 20
MOST_ROWS = 2_500
TREES = 200
REDRAWN = 0.85
"""Unseen rows with one classifier that vary as all of them do with the classifier learned anew."""


def _compute(evidence: Evidence) -> Score:
    samples, _, heldout = (flat(x, evidence.spec) for x in evidence.plain_sets)
    fake, real = evidence.equally_many(samples, heldout)
    return c2st(fake, real, features=evidence.plain_space.name, seed=evidence.seed)


C2ST = Measure(
    name="c2st",
    title="C2ST",
    unit="share right",
    direction=0.5,
    meaning="How often a classifier tells samples from held-out data; 0.5 means that it can only "
    "guess.",
    needs={"samples"},
    chooses=True,
    compute=_compute,
)


def c2st(fake: Tensor, real: Tensor, *, features: str | None = None, seed: int = 0) -> Score:
    """Accuracy with which samples and held-out data are told apart.

    Equally many rows of each are used, 2,500 at most.

    Args:
        fake: samples, (m, d).
        real: held-out data, (n, d).
        features: name of the space of the numbers.
        seed: of the choice of rows and of the trees.

    Raises:
        DalmError: fewer than 20 rows in either set.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> c2st(x, x + 9).value
    1.0
    """
    size = min(len(fake), len(real), MOST_ROWS)
    if size < FEWEST_ROWS:
        raise DalmError(
            f"telling two sets apart needs at least {FEWEST_ROWS} rows in each, got {len(fake)} "
            f"samples and {len(real)} held-out"
        )
    from sklearn.ensemble import ExtraTreesClassifier  # type: ignore[import-untyped]

    generator = torch.Generator().manual_seed(seed)
    known_fake, unseen_fake = _halves(fake, size, generator)
    known_real, unseen_real = _halves(real, size, generator)

    trees = ExtraTreesClassifier(TREES, random_state=seed)
    known = torch.cat([known_fake, known_real])
    trees.fit(known.numpy(), _labels(known_fake, known_real).numpy())

    unseen = torch.cat([unseen_fake, unseen_real])
    predicted = torch.as_tensor(trees.predict(unseen.numpy()))
    right = predicted == _labels(unseen_fake, unseen_real)
    interval = share_interval(share(right), REDRAWN * len(right))
    return C2ST.score(interval, n=len(right), features=features)


def _halves(x: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two halves of `size` rows drawn at random."""
    rows = x[torch.randperm(len(x), generator=generator)[:size]]
    return rows[: size // 2], rows[size // 2 :]


def _labels(fake: Tensor, real: Tensor) -> Tensor:
    return torch.cat([torch.ones(len(fake)), torch.zeros(len(real))])
