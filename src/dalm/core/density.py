"""Models that give each datum a log probability."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Callable
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from dalm.core.arrays import X, like
from dalm.core.model import Generative, Label, evaluating
from dalm.errors import DalmError, is_integer

Likelihood = Literal["exact", "bound", "estimate"]
"""What a likelihood claims; the three are never ranked together."""
WIDE = 1024
"""Pairs of a datum and a class that are scored at once."""


class Density(Generative):
    """A model that gives each datum a log probability (discrete data) or log density (real)."""

    likelihood: ClassVar[Likelihood]

    @abc.abstractmethod
    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor: ...

    @final
    def log_prob(
        self,
        x: X,
        y: Label = None,
        generator: torch.Generator | None = None,
    ) -> X:
        """Log probability of each datum in nats, (B,), always in data space.

        Discrete data get a log mass, real data a log density in their own units. Exact masses sum
        to 1 over all data. A bound is one in the mean of its noise: E[log_prob(x)] ≤ log P(x), so
        that the exponentials of these means sum to 1 at most, while those of single draws may sum
        to more. Of a conditional model without `y` it is log Σ_k P(k) exp(bound_k), a bound where
        each class's bound stands for its mean; the noise of a draw lifts that sum a little.

        Args:
            x: data, (B, *spec.shape), a tensor or an array; the result is what they are.
            y: class label or (B,) labels for log P(x|y); `None` gives log P(x).
            generator: noise of a stochastic bound. By default it is made from the data, so that
                the same data get the same noise at each call, and other data other noise.
        """
        if self.conditional and y is None:
            return like(x, self.spec, lambda x: self._joint(x, generator).logsumexp(1))
        return like(x, self.spec, lambda x: self._score(x, y, generator))

    def _score(self, x: Tensor, y: Label, generator: torch.Generator | None) -> Tensor:
        seen, labels = self._on_device(x, y)
        with evaluating(self):
            scores = self._log_prob(seen, labels, generator or self._noise_of(seen))
        return scores + self._volume(x)

    @final
    def class_log_probs(self, x: X, generator: torch.Generator | None = None) -> X:
        """Log P(x, y) for every class, (B, classes) in nats. Only for conditional models.

        Args:
            x: data, (B, *spec.shape), a tensor or an array.
            generator: as in `log_prob`.
        """
        return like(x, self.spec, lambda x: self._joint(x, generator))

    def _joint(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.conditional:
            raise DalmError(
                f"{self.family} was not built conditional, so it knows no classes; "
                "conditional=True (--conditional) builds one that can"
            )
        seen, _ = self._on_device(x, None)
        noise = generator or self._noise_of(seen)
        with evaluating(self):
            scores = self._each_class(seen, lambda some, y: self._log_prob(some, y, noise))
        joint = scores + self.prior.log().to(scores.dtype)
        return joint + self._volume(x)[:, None]

    def _each_class(self, x: Tensor, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Score every datum with every class, many pairs at once, (B, classes)."""
        classes = self.spec.classes
        scores = []
        for rows in x.split(max(1, WIDE // classes)):
            labels = torch.arange(classes, device=x.device).repeat(len(rows))
            pairs = score(rows.repeat_interleave(classes, 0), labels)
            scores.append(pairs.view(len(rows), classes))
        return torch.cat(scores) if scores else x.new_zeros(0, classes, dtype=self.dtype)

    def _volume(self, x: Tensor) -> Tensor:
        """What a log density of data in standard units lacks to be one of the data; (B,), or a
        single 0 for data that come as they are.
        """
        if self.scaler is None:
            return torch.zeros(1, device=self.device)
        return self.scaler.log_density(x.to(self.device))

    def _noise_of(self, x: Tensor) -> torch.Generator:
        """A generator seeded by the data; of an exact likelihood, which needs no noise, by 0."""
        generator = torch.Generator(self.device)
        if self.likelihood == "exact":
            return generator.manual_seed(0)
        content = x.detach().cpu().contiguous().numpy().tobytes()
        digest = hashlib.blake2b(content, digest_size=7).digest()
        return generator.manual_seed(int.from_bytes(digest, "big"))

    @final
    def classify(self, x: X) -> X:
        """The most probable class of each datum by Bayes' rule, (B,).

        Args:
            x: data, (B, *spec.shape), a tensor or an array.
        """
        return like(x, self.spec, lambda x: self._joint(x, None).argmax(1))


class Bound(Density):
    """A density known through a lower bound that importance samples tighten (Burda et al. 2016)."""

    likelihood = "bound"

    @abc.abstractmethod
    def _importance_bound(
        self, x: Tensor, y: Tensor | None, samples: int, generator: torch.Generator
    ) -> Tensor: ...

    @final
    @torch.no_grad()
    def importance_bound(
        self,
        x: X,
        y: Label = None,
        samples: int = 128,
        generator: torch.Generator | None = None,
    ) -> X:
        """The bound with `samples` importance samples, (B,) nats, which grows with their number.

        It is the log of a mean of weights w with E[w] = P(x): their expectation sums to 1 over all
        data, of a conditional model without `y` too, and by Jensen's inequality the mean of the log
        lies below log P(x).

        Args:
            x: data, (B, *spec.shape), a tensor or an array.
            y: class label or (B,) labels; `None` sums over the classes of a conditional model.
            samples: importance samples for each datum.
            generator: their noise; by default as in `log_prob`.
        """
        if not (is_integer(samples) and samples >= 1):
            raise DalmError(f"importance samples are a whole number from 1, got {samples!r}")
        return like(x, self.spec, lambda x: self._tightened(x, y, samples, generator))

    def _tightened(
        self, x: Tensor, y: Label, samples: int, generator: torch.Generator | None
    ) -> Tensor:
        seen, labels = self._on_device(x, y)
        noise = generator or self._noise_of(seen)

        def score(rows: Tensor, classes: Tensor | None) -> Tensor:
            return self._importance_bound(rows, classes, samples, noise)

        with evaluating(self):
            if not self.conditional or labels is not None:
                return score(seen, labels) + self._volume(x)
            bounds = self._each_class(seen, score)
        return (bounds + self.prior.log().to(bounds.dtype)).logsumexp(1) + self._volume(x)
