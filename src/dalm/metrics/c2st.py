"""Classifier two-sample test: can a classifier tell samples from held-out data?

    accuracy of extremely randomised trees on rows they never saw, half of each set

Lopez-Paz & Oquab 2017; the trees are Geurts et al. 2006. Of boosted trees, logistic regression and
these, on features and on raw numbers, these on raw numbers were the most powerful at 200 to 2,000
rows a set, and fast. Unit: share right. Ideal 0.5: no difference found; 1: told apart without fail.
Interval: Wilson's over the unseen rows, with the classifier held fixed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.errors import DalmError
from dalm.metrics.record import Metric, Scale, wilson

C2ST = {"c2st": Scale("share right", 0.5)}
FEWEST = 20
MOST = 2_500


def c2st(fake: Tensor, real: Tensor, *, features: str | None = None, seed: int = 0) -> Metric:
    """Accuracy with which samples and held-out data are told apart, from equally many of each
    (2,500 at most).

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
    size = min(len(fake), len(real), MOST)
    if size < FEWEST:
        raise DalmError(
            f"telling two sets apart needs at least {FEWEST} rows in each, got {len(fake)} samples "
            f"and {len(real)} held-out"
        )
    from sklearn.ensemble import ExtraTreesClassifier  # type: ignore[import-untyped]

    generator = torch.Generator().manual_seed(seed)
    known, unseen = zip(
        *(
            x[torch.randperm(len(x), generator=generator)[:size]].tensor_split([size // 2])
            for x in (fake, real)
        ),
        strict=True,
    )
    trees = ExtraTreesClassifier(200, random_state=seed).fit(
        torch.cat(known).numpy(), _labels(*known).numpy()
    )
    right = torch.as_tensor(trees.predict(torch.cat(unseen).numpy())) == _labels(*unseen)
    return Metric(*wilson(right), len(right), *C2ST["c2st"], features=features)


def _labels(fake: Tensor, real: Tensor) -> Tensor:
    return torch.cat([torch.ones(len(fake)), torch.zeros(len(real))])
