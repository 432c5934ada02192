"""Entropy, divergences and mutual information: exact for tables of probabilities, with a standard
error for models.

    H(p) = -Σ p log p        H(p, q) = -Σ p log q        KL(p‖q) = H(p, q) - H(p)        I(X; Y) =
    KL(p(x, y) ‖ p(x) p(y))

Shannon 1948; Kullback and Leibler 1951; Lin 1991 for the Jensen–Shannon divergence. Names without
an ending take probabilities; those that end in `_of` take log probabilities as functions and
average over samples. `dalm.probability.estimators` knows samples alone. All take a unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

Unit = Literal["nats", "bits"]
LogProb = Callable[[Tensor], Tensor]
"""Log mass or log density of each datum: (n, *shape) -> (n,) nats."""

TOLERANCE = 1e-5  # how far a sum of float32 probabilities may fall from one
NATS = {"nats": 1.0, "bits": math.log(2)}

Amount = TypeVar("Amount", float, Tensor)


def in_unit(nats: Amount, unit: Unit) -> Amount:
    """An amount of information in nats, in another unit; ValueError for a unit that is not known.

    >>> round(in_unit(math.log(8), "bits"), 9)
    3.0
    """
    if unit not in NATS:
        raise ValueError(f"information is measured in {' or '.join(NATS)}, got {unit!r}")
    return nats / NATS[unit]


# Tables of probabilities


def entropy(p: Tensor, unit: Unit = "nats") -> Tensor:
    """Entropy H(p) of discrete distributions, (..., K) -> (...), float64.

    Args:
        p: probabilities along the last axis, normalised again in float64; ValueError where they are
            negative or do not sum to one.
        unit: of the result.

    >>> entropy(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), "bits")
    tensor([1., 0.], dtype=torch.float64)
    """
    return cross_entropy(p, p, unit)


def cross_entropy(p: Tensor, q: Tensor, unit: Unit = "nats") -> Tensor:
    """Mean code length of data from p under a code for q, (..., K) and (..., K) -> (...); arguments
    as in `entropy`.

    Infinite where q makes impossible what p does not.

    >>> cross_entropy(torch.tensor([0.5, 0.5]), torch.tensor([[0.25, 0.75], [1.0, 0.0]]), "bits")
    tensor([1.2075,    inf], dtype=torch.float64)
    """
    p, q = _alike(p, q)
    return in_unit(-torch.xlogy(p, q).sum(-1), unit) + 0.0  # a sum of zeros loses its minus sign


def kl(p: Tensor, q: Tensor, unit: Unit = "nats") -> Tensor:
    """Kullback–Leibler divergence KL(p‖q), (..., K) and (..., K) -> (...); arguments as in
    `entropy`.

    Infinite where q makes impossible what p does not.

    >>> kl(torch.tensor([0.5, 0.5]), torch.tensor([[0.25, 0.75], [1.0, 0.0]]), "bits")
    tensor([0.2075,    inf], dtype=torch.float64)
    """
    p, q = _alike(p, q)
    return in_unit((torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1).clamp_min(0), unit)


def jensen_shannon(p: Tensor, q: Tensor, unit: Unit = "nats") -> Tensor:
    """Jensen–Shannon divergence, (..., K) and (..., K) -> (...), from 0 to one bit; arguments as in
    `entropy`.

    The mean divergence of p and of q from their equal mixture. Its square root is a metric (Endres
    and Schindelin 2003).

    >>> jensen_shannon(torch.tensor([1.0, 0.0]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "bits")
    tensor([0., 1.], dtype=torch.float64)
    """
    p, q = _alike(p, q)
    middle = (p + q) / 2
    return (kl(p, middle, unit) + kl(q, middle, unit)) / 2


def conditional_entropy(joint: Tensor, unit: Unit = "nats") -> Tensor:
    """H(Y|X) = H(X, Y) - H(X) from the table p(x, y), (..., X, Y) -> (...), float64; arguments as
    in `entropy`.

    H(X|Y) is that of the transposed table, `joint.mT`.

    >>> conditional_entropy(torch.tensor([[0.25, 0.25], [0.5, 0.0]]), "bits")
    tensor(0.5000, dtype=torch.float64)
    """
    joint = _probabilities(joint, axes=2)
    lengths = torch.xlogy(joint, joint.sum(-1, keepdim=True)) - torch.xlogy(joint, joint)
    return in_unit(lengths.sum((-2, -1)), unit)


def mutual_information(joint: Tensor, unit: Unit = "nats") -> Tensor:
    """I(X; Y) from the table p(x, y), (..., X, Y) -> (...), float64; arguments as in `entropy`.

    >>> mutual_information(torch.tensor([[[0.5, 0.0], [0.0, 0.5]], [[0.25, 0.25], [0.25, 0.25]]]), "bits")
    tensor([1., 0.], dtype=torch.float64)
    """
    joint = _probabilities(joint, axes=2)
    # Logs one by one: the product of the marginals may be too small for float64.
    terms = (
        torch.xlogy(joint, joint)
        - torch.xlogy(joint, joint.sum(-1, keepdim=True))
        - torch.xlogy(joint, joint.sum(-2, keepdim=True))
    )
    return in_unit(terms.sum((-2, -1)).clamp_min(0), unit)


def _alike(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Both as probabilities of the same outcomes."""
    p = _probabilities(p)
    q = _probabilities(q)
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(
            f"expected two distributions over the same outcomes, got {p.shape[-1]} and "
            f"{q.shape[-1]} of them"
        )
    try:
        torch.broadcast_shapes(p.shape, q.shape)
    except RuntimeError:
        raise ValueError(
            f"expected as many distributions p as q, got shapes {tuple(p.shape)} and "
            f"{tuple(q.shape)}"
        ) from None
    return p, q


def _probabilities(p: Tensor, axes: int = 1) -> Tensor:
    """In float64, normalised over the last axes, or ValueError."""
    if p.ndim < axes or not p.numel() or p.is_complex():
        raise ValueError(
            f"expected probabilities along the last {axes} axes, got a tensor of shape "
            f"{tuple(p.shape)} and type {p.dtype}"
        )
    p = p.double()
    total = p.sum(tuple(range(-axes, 0)), keepdim=True)
    if not (p.min() >= 0 and (total - 1).abs().max() <= TOLERANCE):  # so that NaN is refused too
        sums = f"sums from {total.min().item():.6g} to {total.max().item():.6g}"
        raise ValueError(
            "probabilities are not negative and sum to one; got a smallest entry of "
            f"{p.min().item():.3g} and {sums}"
        )
    return p / total


# Models


@dataclass(frozen=True)
class Estimate:
    """A number found from samples.

    Args:
        value: the estimate.
        error: its standard error; NaN where the value is infinite.
        n: how many samples it rests on.
        unit: of value and error.
    """

    value: float
    error: float
    n: int
    unit: Unit

    @classmethod
    def mean(cls, *groups: Tensor, unit: Unit) -> Estimate:
        """The sum of the means of independent groups of values (n,) in nats.

        >>> Estimate.mean(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]), unit="nats")
        Estimate(value=2.5, error=1.0, n=4, unit='nats')
        """
        if min(map(len, groups)) < 2:
            raise ValueError(
                f"a standard error needs at least two samples, got {min(map(len, groups))}"
            )
        value = sum(values.mean().item() for values in groups)
        variance = sum(values.var().item() / len(values) for values in groups)
        return cls(
            in_unit(value, unit), in_unit(math.sqrt(variance), unit), sum(map(len, groups)), unit
        )

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % interval of a normal variable, value ± 1.96 errors.

        >>> Estimate(0.0, 1.0, 100, "nats").interval
        (-1.96, 1.96)
        """
        return self.value - 1.96 * self.error, self.value + 1.96 * self.error


def cross_entropy_of(log_prob: LogProb, x: Tensor, unit: Unit = "nats") -> Estimate:
    """What a datum costs under a model: the mean of -log q(x) over independent data.

    Infinite when the model finds a datum impossible. From a lower bound of log q it is an upper
    bound of the cross-entropy.

    Args:
        log_prob: log q; ValueError unless it gives (n,) numbers that are not NaN and not +∞.
        x: data, (n, *shape), at least two.
        unit: of the result.

    >>> cross_entropy_of(torch.distributions.Laplace(0, 0.5).log_prob, torch.tensor([0.0, 1.0, 2.0]))
    Estimate(value=2.0, error=1.1547005383792515, n=3, unit='nats')
    """
    return Estimate.mean(-_scores(log_prob, x), unit=unit)


def entropy_of(log_prob: LogProb, samples: Tensor, unit: Unit = "nats") -> Estimate:
    """Entropy of a model from its own samples; for a density the differential entropy, which may be
    negative.

    Arguments as in `cross_entropy_of`, but ValueError when the model finds a sample of its own
    impossible.

    >>> round(entropy_of(torch.distributions.Normal(0, 1).log_prob, torch.tensor([-1.0, 1.0])).value, 3)
    1.419
    """
    return Estimate.mean(-_own_scores(log_prob, samples), unit=unit)


def kl_of(log_p: LogProb, log_q: LogProb, samples: Tensor, unit: Unit = "nats") -> Estimate:
    """KL(p‖q) of two models, the mean of log p - log q over samples of p: unbiased, so that it may
    fall below zero.

    Infinite when q finds a sample impossible. Where q all but excludes what p rarely does, the
    samples miss it and the error is too small.

    Args:
        log_p: log p; ValueError when it finds a sample impossible.
        log_q: log q, as in `cross_entropy_of`.
        samples: of p, (n, *shape), at least two.
        unit: of the result.

    >>> log_p, log_q = (torch.distributions.Normal(mean, 1).log_prob for mean in (0.0, 1.0))
    >>> round(kl_of(log_p, log_q, torch.tensor([-1.0, 1.0])).value, 3)
    0.5
    """
    return Estimate.mean(_own_scores(log_p, samples) - _scores(log_q, samples), unit=unit)


def jensen_shannon_of(
    log_p: LogProb, log_q: LogProb, of_p: Tensor, of_q: Tensor, unit: Unit = "nats"
) -> Estimate:
    """Jensen–Shannon divergence of two models from samples of both: unbiased, and never infinite.

    Args:
        log_p: log p; ValueError when it finds a sample of its own impossible.
        log_q: log q, likewise.
        of_p: samples of p, (n, *shape), at least two.
        of_q: samples of q, (m, *shape), at least two.
        unit: of the result.

    >>> log_p, log_q = (torch.distributions.Uniform(low, low + 1, validate_args=False).log_prob for low in (0.0, 5.0))
    >>> jensen_shannon_of(log_p, log_q, torch.tensor([0.2, 0.4]), torch.tensor([5.1, 5.9]), "bits").value
    1.0
    """
    halves = []
    for own, other, x in ((log_p, log_q, of_p), (log_q, log_p, of_q)):
        score = _own_scores(own, x)
        halves.append((score - torch.logaddexp(score, _scores(other, x)) + math.log(2)) / 2)
    return Estimate.mean(*halves, unit=unit)


def mutual_information_of(
    log_conditional: Callable[[Tensor, Tensor], Tensor],
    log_marginal: LogProb,
    x: Tensor,
    y: Tensor,
    unit: Unit = "nats",
) -> Estimate:
    """I(X; Y) of a model, the mean of log p(x|y) - log p(x) over samples of p(x, y).

    Args:
        log_conditional: log p(x|y), (n, *shape) and y -> (n,) nats; ValueError when it finds a
            sample impossible.
        log_marginal: log p(x), as in `cross_entropy_of`.
        x: (n, *shape), at least two.
        y: what `log_conditional` takes beside x, one for each.
        unit: of the result.

    >>> y = torch.tensor([0.0, 1.0])
    >>> given = lambda x, y: torch.where(x == y, 0.0, -torch.inf)  # x is a copy of y
    >>> round(mutual_information_of(given, lambda x: torch.full((len(x),), 0.5).log(), x=y, y=y, unit="bits").value, 3)
    1.0
    """
    return kl_of(lambda x: log_conditional(x, y), log_marginal, x, unit)


@torch.no_grad()
def _scores(log_prob: LogProb, x: Tensor) -> Tensor:
    """Log probabilities (n,) in float64, or ValueError."""
    scores = log_prob(x)
    if scores.shape != x.shape[:1]:
        raise ValueError(
            f"a log probability gives one number for each of {len(x)} data, got shape "
            f"{tuple(scores.shape)}"
        )
    if scores.isnan().any() or scores.isposinf().any():
        raise ValueError("a log probability is a number or -inf, got NaN or +inf")
    return scores.double()


def _own_scores(log_prob: LogProb, samples: Tensor) -> Tensor:
    """As `_scores`, where every datum is a sample of the model itself."""
    scores = _scores(log_prob, samples)
    if scores.isneginf().any():
        raise ValueError(
            f"{int(scores.isneginf().sum())} of {len(scores)} samples are impossible under the "
            "model that they are samples of"
        )
    return scores
