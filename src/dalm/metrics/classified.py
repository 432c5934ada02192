"""How well a conditional model classifies: by Bayes' rule a joint P(y) P(x|y) gives each class of a
datum a probability.

Accuracy is the share of held-out rows whose most probable class is theirs, with Wilson's score
interval (Wilson 1927), and of each class by itself, with what its rows were taken for; log loss is
the mean of -log P(y|x) in nats (Good 1952), 0 where every label was certain, log K where K classes
are guessed.
"""

from __future__ import annotations

from torch import Tensor

from dalm.errors import DalmError
from dalm.metrics.evidence import Evidence, Need
from dalm.metrics.intervals import mean_interval, wilson_interval
from dalm.metrics.measure import Measure
from dalm.metrics.tails import doubt
from dalm.records.score import Score

NEEDS: frozenset[Need] = frozenset({"labels", "classifier"})
MOST_CLASSES = 50
"""Classes that get a record each."""


def shared_classes(evidence: Evidence) -> tuple[Tensor, Tensor]:
    """Log P(y|x) of each class, (n, classes), and the true class, (n,), of held-out rows that have
    a label; for `evidence.once`.

    Raises:
        DalmError: no row has one.
    """
    assert evidence.labels is not None
    labels = evidence.labels[evidence.scored].cpu().long()
    known = labels >= 0
    if not known.any():
        raise DalmError("no held-out row has a label")
    joint = evidence.class_log_probs[known]
    return joint - joint.logsumexp(1, keepdim=True), labels[known]


def _accuracy(evidence: Evidence) -> list[Score]:
    log_probs, true = evidence.once(shared_classes)
    taken = log_probs.argmax(1)
    right = (taken == true) & log_probs.isfinite().any(1)  # of no class, so not of the right one
    counts = confusion(true, taken, log_probs.shape[1])
    whole = ACCURACY.score(wilson_interval(right), n=len(true), note=_guess(true))
    names = evidence.classes or tuple(str(y) for y in range(len(counts)))
    present = [y for y in range(len(counts)) if counts[y].sum()]
    if len(present) > MOST_CLASSES:
        return [whole]
    return [whole, *(_of_class(y, taken[true == y], right[true == y], names) for y in present)]


def _guess(true: Tensor) -> str:
    """What always naming the most frequent class would reach."""
    return f"the most frequent class alone: {true.bincount().max() / len(true):.3f}"


def _of_class(y: int, taken: Tensor, right: Tensor, names: tuple[str, ...]) -> Score:
    """How many rows of a class were named rightly, and what the others were taken for."""
    wrong = taken[taken != y].bincount()
    others = [f"{wrong[k]} × {names[k]}" for k in wrong.argsort(descending=True) if wrong[k]]
    note = f"taken for {', '.join(others)}" if others else ""
    interval = wilson_interval(right)
    return ACCURACY.score(interval, n=len(taken), subset=f"class {names[y]}", note=note)


def confusion(true: Tensor, taken: Tensor, classes: int) -> Tensor:
    """How many rows of each class (first axis) were taken for which (second), (classes, classes).

    Args:
        true: classes (n,).
        taken: what they were taken for, (n,).
        classes: how many there are.

    >>> import torch
    >>> confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return (true * classes + taken).bincount(minlength=classes**2).view(classes, classes)


def _log_loss(evidence: Evidence) -> Score:
    log_probs, true = evidence.once(shared_classes)
    nats = -log_probs.gather(1, true[:, None])[:, 0].double()
    if not nats.isfinite().all():
        zeros = int((~nats.isfinite()).sum())
        note = f"{zeros} of {len(nats)} rows have a class of probability zero"
        return LOG_LOSS.score(None, n=len(nats), note=note)
    return LOG_LOSS.score(mean_interval(nats), n=len(nats), unreliable=doubt(nats))


ACCURACY: Measure = Measure(
    name="accuracy",
    title="accuracy",
    unit="share right",
    direction="higher",
    meaning="Share of held-out rows whose class the model names rightly, by Bayes' rule.",
    needs=NEEDS,
    chooses=True,
    compute=_accuracy,
)
LOG_LOSS: Measure = Measure(
    name="log_loss",
    title="log loss",
    unit="nats",
    direction="lower",
    meaning="How much a label surprises the model, given the datum: 0 where it was certain of the "
    "right class.",
    needs=NEEDS,
    chooses=True,
    compute=_log_loss,
)
