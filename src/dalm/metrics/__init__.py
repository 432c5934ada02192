"""Scores of samples and of likelihoods, each with unit, direction, sample size, feature space and
interval.

One metric is one file of pure functions. `evaluate` runs all that need samples, `likelihood` turns
log probabilities into bits per dimension.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.features.spaces import FeatureSpace, feature_space, sha8
from dalm.metrics.c2st import C2ST, c2st
from dalm.metrics.copying import AUTHENTICITY, COPYING, authenticity, copying, nearness
from dalm.metrics.frechet import FRECHET, frechet
from dalm.metrics.kid import KID, kid
from dalm.metrics.likelihood import likelihood
from dalm.metrics.neighbours import flat, neighbours
from dalm.metrics.prdc import PRDC, prdc
from dalm.metrics.record import Metric, Scale

__all__ = [
    "EXPLAIN",
    "FeatureSpace",
    "Metric",
    "evaluate",
    "feature_space",
    "likelihood",
    "neighbours",
]

EXPLAIN: dict[str, str] = {
    "bits_per_dim": "How many bits a perfect coder with this model needs for each number of held-out data; lower is better.",
    "importance_bits_per_dim": "The same bound tightened with importance samples, nearer to the model's true likelihood.",
    "proven": "Bits for each number in a file that was written with the model and decoded by another process: the likelihood, proven.",
    "frechet": "Distance between Gaussians fitted to features of samples and of held-out data; 0 is ideal, and small samples raise it.",
    "kid": "Distance between samples and held-out data through a kernel; about 0, even below, when they cannot be told apart.",
    "precision": "Share of samples that lie where held-out data lie: are they realistic?",
    "recall": "Share of held-out data that lie where samples lie: is every kind of datum produced?",
    "density": "How thickly held-out data surround the samples; about 1 for samples as good as real data.",
    "coverage": "Share of held-out data that have a sample among their neighbours: does the model reach everywhere, and often enough?",
    "c2st": "How often a classifier tells samples from held-out data; 0.5 means that it can only guess.",
    "copying": "Whether samples lie nearer to training data than held-out data do: far below 0 suggests copies, far above 0 they are off.",
    "authenticity": "Share of samples that are not the near twin of a training row; far below that of held-out data, the model copies.",
    "samples_per_second": "How many samples the model draws in a second on this machine.",
    "parameters": "How many numbers the model learned.",
    "seconds": "How long fitting took.",
}
"""What each number means, in one plain sentence, for the report."""


def evaluate(
    samples: Tensor,
    train: Tensor,
    heldout: Tensor,
    spec: Spec,
    *,
    features: str | FeatureSpace | None = None,
    seed: int = 0,
    limit: int = 10_000,
) -> dict[str, Metric]:
    """Every metric of samples, by name. One that cannot be computed has no value, and the reason in
    its note.

    Precision, recall, density and coverage use equally many samples and held-out rows; copies are
    looked for among all training rows. Real vectors are first divided by the standard deviation of
    each entry in training, so that no unit of measurement decides a score; a feature space of the
    caller's own gets them as they are.

    Args:
        samples: (m, *shape) of the model.
        train: (N, *shape) rows that it learned from.
        heldout: (n, *shape) rows that it never saw: the reference for quality and for copying.
        spec: what one datum is.
        features: a feature space or its name; `None` chooses by the Spec.
        seed: of bootstrap, clusters, classifier and subsets.
        limit: most samples and most held-out rows that are used, drawn at random beyond.

    >>> x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    >>> scores = evaluate(x[:100], x[100:200], x[200:], Spec((2,)))
    >>> scores["copying"].flag, scores["precision"].features.split("#")[0]
    (None, 'raw/std')
    """
    space = features if isinstance(features, FeatureSpace) else feature_space(spec, features)
    unfit = _unfit({"samples": samples, "training rows": train, "held-out rows": heldout}, spec)
    if unfit:
        return _refuse(FRECHET | KID | PRDC | C2ST | COPYING | AUTHENTICITY, unfit, len(samples))
    plain = _plain(train, spec)
    if space.name == "raw" and space is not features:
        space = plain
    fake, real = (_subset(x, limit, seed) for x in (samples, heldout))
    vectors = functools.cache(lambda: (space(fake), space(real)))
    mine, pool, theirs = (
        plain.extract(x.cpu()).reshape(len(x), *spec.shape) for x in (fake, train, real)
    )
    equal = min(len(fake), len(real))
    near = functools.cache(lambda: nearness(mine, pool, theirs, spec, raw=plain.name, seed=seed))
    tasks: list[tuple[dict[str, Scale], Callable[[], dict[str, Metric]]]] = [
        (FRECHET, lambda: {"frechet": frechet(*vectors(), features=space.name, seed=seed)}),
        (KID, lambda: {"kid": kid(*vectors(), features=space.name)}),
        (PRDC, lambda: prdc(*(_subset(x, equal, seed) for x in vectors()), features=space.name)),
        (
            C2ST,
            lambda: {
                "c2st": c2st(flat(mine, spec), flat(theirs, spec), features=plain.name, seed=seed)
            },
        ),
        (COPYING, lambda: {"copying": copying(*near())}),
        (AUTHENTICITY, lambda: {"authenticity": authenticity(*near())}),
    ]
    scores: dict[str, Metric] = {}
    for scales, compute in tasks:
        try:
            scores |= compute()
        except DalmError as error:
            scores |= _refuse(scales, str(error), len(fake))
    return scores


def _refuse(scales: dict[str, Scale], reason: str, n: int) -> dict[str, Metric]:
    return {
        name: Metric(None, None, None, n, *scale, note=reason) for name, scale in scales.items()
    }


def _unfit(sets: dict[str, Tensor], spec: Spec) -> str:
    """Why the data cannot be scored, or nothing."""
    for name, x in sets.items():
        try:
            spec.check(x)
        except DalmError as error:
            return f"{name}: {error}"
        if not len(x):
            return f"there are no {name}"
    return ""


def _plain(train: Tensor, spec: Spec) -> FeatureSpace:
    """The data's own numbers, real vectors in units of each entry's standard deviation in training
    (of 1 where it is constant).
    """
    if spec.levels is not None or len(spec.shape) > 1:
        return feature_space(spec, "raw")
    std = train.cpu().double().std(0, correction=0)
    unit = std.where(std > 0, 1.0).float()
    return FeatureSpace(f"raw/std#{sha8(unit.numpy().tobytes())}", lambda x: x / unit)


def _subset(x: Tensor, limit: int, seed: int) -> Tensor:
    rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:limit]
    return x.detach().cpu()[rows] if len(x) > limit else x.detach().cpu()
