"""Entropy, divergences and mutual information of models: means of log probabilities over samples,
each with a standard error. `dalm.probability.information` has the formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dalm.probability.information import Unit, in_unit

LogProb = Callable[[Tensor], Tensor]
"""Log mass or log density of each datum: (n, *shape) -> (n,) nats."""


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
        """The sum of the means of independent groups of values.

        Args:
            *groups: values (n,) in nats, at least two in each.
            unit: of the result.

        Raises:
            ValueError: a group has fewer than two values.

        >>> Estimate.mean(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]), unit="nats")
        Estimate(value=2.5, error=1.0, n=4, unit='nats')
        """
        fewest = min(map(len, groups))
        if fewest < 2:
            raise ValueError(f"a standard error needs at least two samples, got {fewest}")
        value = sum(values.mean().item() for values in groups)
        error = math.sqrt(sum(values.var().item() / len(values) for values in groups))
        n = sum(map(len, groups))
        return cls(in_unit(value, unit), in_unit(error, unit), n, unit)

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

    >>> log_q = torch.distributions.Laplace(0, 0.5).log_prob
    >>> cross_entropy_of(log_q, torch.tensor([0.0, 1.0, 2.0]))
    Estimate(value=2.0, error=1.1547005383792515, n=3, unit='nats')
    """
    return Estimate.mean(-_scores(log_prob, x), unit=unit)


def entropy_of(log_prob: LogProb, samples: Tensor, unit: Unit = "nats") -> Estimate:
    """Entropy of a model from its own samples; for a density the differential entropy, which may be
    negative.

    Args:
        log_prob: log p; ValueError when it finds a sample of its own impossible.
        samples: of p, (n, *shape), at least two.
        unit: of the result.

    >>> log_p = torch.distributions.Normal(0, 1).log_prob
    >>> round(entropy_of(log_p, torch.tensor([-1.0, 1.0])).value, 3)
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

    >>> log_p = torch.distributions.Normal(0.0, 1).log_prob
    >>> log_q = torch.distributions.Normal(1.0, 1).log_prob
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

    >>> log_p = torch.distributions.Uniform(0.0, 1.0, validate_args=False).log_prob
    >>> log_q = torch.distributions.Uniform(5.0, 6.0, validate_args=False).log_prob
    >>> of_p, of_q = torch.tensor([0.2, 0.4]), torch.tensor([5.1, 5.9])
    >>> jensen_shannon_of(log_p, log_q, of_p, of_q, "bits").value
    1.0
    """
    half_p = _half_divergence(log_p, log_q, of_p)
    half_q = _half_divergence(log_q, log_p, of_q)
    return Estimate.mean(half_p, half_q, unit=unit)


def _half_divergence(log_own: LogProb, log_other: LogProb, x: Tensor) -> Tensor:
    """Half the log ratio of a model to its equal mixture with another, at samples of it, (n,)."""
    own = _own_scores(log_own, x)
    both = torch.logaddexp(own, _scores(log_other, x))
    return (own - both + math.log(2)) / 2


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
    >>> log_copied = lambda x, y: torch.where(x == y, 0.0, -torch.inf)
    >>> log_even = lambda x: torch.full((len(x),), 0.5).log()
    >>> round(mutual_information_of(log_copied, log_even, y, y, "bits").value, 3)
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
