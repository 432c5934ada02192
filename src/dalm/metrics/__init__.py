"""Scores of samples and of likelihoods, each with unit, direction, sample size, feature space and
interval.

One metric is one file with one `Measure`; the tuple `MEASURES` holds them all. A new one touches
its file and that tuple: columns, titles, explanations and refusals come from them.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace

from torch import Tensor

from dalm.core import Generative, Spec
from dalm.features import FeatureSpace
from dalm.metrics.authenticity import AUTHENTICITY
from dalm.metrics.c2st import C2ST
from dalm.metrics.classified import ACCURACY, LOG_LOSS
from dalm.metrics.copied import COPIED
from dalm.metrics.copying import COPYING
from dalm.metrics.evidence import IMPORTANCE_ROWS, Evidence
from dalm.metrics.frechet import FRECHET
from dalm.metrics.kid import KID
from dalm.metrics.likelihood import BITS_PER_DIM, IMPORTANCE_BITS_PER_DIM, rows_of
from dalm.metrics.measure import Measure
from dalm.metrics.missing import MISSING
from dalm.metrics.neighbours import neighbours
from dalm.metrics.prdc import COVERAGE, DENSITY, PRECISION, RECALL
from dalm.metrics.proven import PROVEN
from dalm.metrics.repeated import REPEATED
from dalm.metrics.reproduced import REPRODUCED
from dalm.records.score import Score

__all__ = [
    "ALARMS",
    "COSTS",
    "MEASURES",
    "Evidence",
    "Measure",
    "evaluate",
    "meanings",
    "neighbours",
]

MEASURES: tuple[Measure, ...] = (
    BITS_PER_DIM,
    IMPORTANCE_BITS_PER_DIM,
    PROVEN,
    ACCURACY,
    LOG_LOSS,
    FRECHET,
    KID,
    PRECISION,
    RECALL,
    DENSITY,
    COVERAGE,
    C2ST,
    COPYING,
    AUTHENTICITY,
    COPIED,
    REPEATED,
    MISSING,
    REPRODUCED,
)
"""Every measure, in the order of the columns."""

ALARMS = (COPYING, AUTHENTICITY, COPIED, REPEATED, MISSING, REPRODUCED)
"""The measures that raise alarms."""

COSTS = {
    "samples_per_second": "How many samples the model draws in a second on this machine.",
    "parameters": "How many numbers the model learned.",
    "seconds": "How long fitting took.",
}
"""Facts of a run beside its scores, each with its meaning in a plain sentence."""


def evaluate(
    samples: Tensor | None,
    train: Tensor,
    heldout: Tensor,
    spec: Spec,
    *,
    model: Generative | None = None,
    labels: Tensor | None = None,
    features: str | FeatureSpace | None = None,
    seed: int = 0,
    limit: int = 10_000,
    size: int | None = None,
    split: str = "test",
    choosing: bool = False,
    each: MutableMapping[str, Tensor] | None = None,
    recorded: bool = False,
    classes: tuple[str, ...] = (),
    checked: tuple[str, str] | None = None,
    likelihoods: int | None = None,
    importance_rows: int = IMPORTANCE_ROWS,
) -> list[Score]:
    """Scores of samples, and of the model if it is given, in the order of `MEASURES`.

    Measures whose needs are not met are left out. A score that cannot be computed has no value, and
    the reason in its note.

    All but the measures of copying use equally many samples and held-out rows; copies are looked
    for among all training rows. Real vectors are first divided by the standard deviation of
    each entry in training, so that no unit of measurement decides a score; a feature space of the
    caller's own gets them as they are.

    Args:
        samples: (m, *shape) of the model, or `None`.
        train: (N, *shape) rows that it learned from.
        heldout: (n, *shape) rows that it never saw: the reference for quality and for copying.
        spec: what one datum is.
        model: for measures of its likelihood.
        labels: (n,) class labels of the held-out rows.
        features: a feature space or its name; `None` chooses by the Spec.
        seed: of bootstrap, clusters, classifier, subsets and the noise of bounds.
        limit: most samples and most held-out rows that are used.
        size: most of each where as many of both are compared; see `Evidence`.
        split: the part of the data that the held-out rows are.
        choosing: only the measures that models are chosen by.
        each: gets the bits per dimension of every row that was scored, and the places of these
            rows, named as `dalm.records.each` says.
        recorded: whether real numbers are recorded with a step, so that no density is ranked.
        classes: names of the classes.
        checked: what speaks for an exact likelihood, and how that was found; see `Evidence`.
        likelihoods: most held-out rows whose likelihood is computed, as many if nothing is said.
        importance_rows: most held-out rows that importance samples are spent on.

    Raises:
        DalmError: an unknown feature space, or one that does not suit the data.

    >>> import torch
    >>> x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    >>> scores = evaluate(x[:100], x[100:200], x[200:], Spec((2,)))
    >>> by_name = {score.metric: score for score in scores}
    >>> by_name["copying"].flag, by_name["precision"].features.split("#")[0]
    (None, 'raw/std')
    """
    evidence = Evidence(
        spec=spec,
        train=train,
        heldout=heldout,
        samples=samples,
        model=model,
        labels=labels,
        features=features,
        seed=seed,
        limit=limit,
        size=size,
        recorded=recorded,
        classes=classes,
        checked=checked,
        likelihoods=limit if likelihoods is None else likelihoods,
        importance_rows=importance_rows,
    )
    scores = _scores(evidence, choosing)
    if each is not None:
        each.update({f"{name}.{split}{end}": x for (name, end), x in rows_of(evidence).items()})
    return [replace(score, split=split) for score in scores]


def _scores(evidence: Evidence, choosing: bool) -> list[Score]:
    """Of all measures whose needs are met, or of those alone that models are chosen by."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    asked = [measure for measure in MEASURES if measure.chooses or not choosing]
    computable = [measure for measure in asked if measure.needs <= evidence.offers]
    # NumPy's threads spin while they wait for one that was interrupted: on a busy machine several
    # take fifty times as long as one.
    with threadpool_limits(1, user_api="blas"):
        return [score for measure in computable for score in measure.scores(evidence)]


def meanings() -> dict[str, str]:
    """What each measure and each cost means, in one plain sentence.

    >>> meanings()["parameters"]
    'How many numbers the model learned.'
    """
    return {measure.name: measure.meaning for measure in MEASURES} | COSTS
