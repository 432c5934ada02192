"""What the last layer of a network says: a distribution over one image given a map of parameters.

Each output states how many parameters it needs for a pixel, scores data and draws them. Entries are
independent given the parameters; `dalm.probability.logistic_mixture` holds the head in which
channels see the channels before them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from dalm.exact import fixed


class OutputHead(Protocol):
    """A distribution over data (B, C, *grid) given parameters (B, size, *grid)."""

    @property
    def size(self) -> int:
        """Parameters per pixel."""

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Log probability of each datum in nats, (B,).

        Args:
            params: what the network said, (B, size, *grid).
            x: the data, (B, C, *grid).
        """

    def sample(self, params: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw data, (B, C, *grid).

        Args:
            params: what the network said, (B, size, *grid).
            generator: of the noise.
        """

    def mean(self, params: Tensor) -> Tensor:
        """Expected data, (B, C, *grid), real."""


class LevelsHead(OutputHead, Protocol):
    """An output over levels, which can be coded."""

    def table(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """Tables of one channel, (B, *grid, levels); see `dalm.exact.fixed`.

        Args:
            params: what the network said, (B, size, *grid).
            x: data (B, C, *grid) whose channels before it are known.
            channel: which one.
        """

    def at_temperature(self, params: Tensor, temperature: float) -> Tensor:
        """Parameters of the distribution raised to 1 / temperature, or as near as it comes.

        Args:
            params: what the network said, (B, size, *grid).
            temperature: above 0; 1 changes nothing.
        """


def uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform noise strictly inside (0, 1).

    Args:
        like: whose shape, type and device it gets.
        generator: of the noise.
    """
    noise = torch.rand(like.shape, generator=generator, device=like.device, dtype=like.dtype)
    limits = torch.finfo(like.dtype)
    return noise.clamp(limits.tiny, 1 - limits.eps)


def gumbel_max(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw an index along axis 1 in proportion to e^logit, (B, K, …) -> (B, …).

    Args:
        logits: unnormalised log probabilities.
        generator: of the noise.
    """
    gumbel = -(-uniform(logits, generator).log()).log()
    return (logits + gumbel).argmax(1)


@dataclass(frozen=True)
class BernoulliHead(LevelsHead):
    """Two levels, one logit an entry.

    Args:
        channels: channels of the image.

    >>> BernoulliHead(1).log_prob(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).exp()
    tensor([0.0625])
    """

    channels: int

    @property
    def size(self) -> int:
        """One logit for each channel."""
        return self.channels

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Sum of log P(x) over entries."""
        nats = F.binary_cross_entropy_with_logits(params, x.to(params), reduction="none")
        return -nats.flatten(1).sum(1)

    def sample(self, params: Tensor, generator: torch.Generator | None) -> Tensor:
        """1 with probability σ(logit)."""
        return (uniform(params, generator) < params.sigmoid()).long()

    def mean(self, params: Tensor) -> Tensor:
        """P(x = 1)."""
        return params.sigmoid()

    def at_temperature(self, params: Tensor, temperature: float) -> Tensor:
        """Logits closer to 0 or farther from it."""
        return params / temperature

    def table(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """Two levels."""
        return fixed.binary_table(fixed.sigmoid(params[:, channel]))


@dataclass(frozen=True)
class CategoricalHead(LevelsHead):
    """Any number of levels, one logit for each level of each entry.

    Args:
        channels: channels of the image.
        levels: levels of an entry.

    >>> CategoricalHead(1, levels=4).log_prob(torch.zeros(1, 4, 1, 1), torch.ones(1, 1, 1, 1)).exp()
    tensor([0.2500])
    """

    channels: int
    levels: int

    @property
    def size(self) -> int:
        """Levels times channels."""
        return self.channels * self.levels

    def _logits(self, params: Tensor) -> Tensor:
        return params.unflatten(1, (self.levels, self.channels))

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Sum of log P(x) over entries."""
        logits = self._logits(params)
        if params.is_contiguous() or self.channels > 1:
            return -F.cross_entropy(logits, x.long(), reduction="none").flatten(1).sum(1)
        # Where channels lie together, log-softmax of rows copies nothing: 10.6 ms instead of 17.6.
        rows = logits.movedim(1, -1).flatten(0, -2)
        nats = F.cross_entropy(rows, x.long().flatten(), reduction="none")
        return -nats.view(len(x), -1).sum(1)

    def sample(self, params: Tensor, generator: torch.Generator | None) -> Tensor:
        """By the Gumbel-max trick."""
        return gumbel_max(self._logits(params), generator)

    def mean(self, params: Tensor) -> Tensor:
        """Expected level."""
        probabilities = self._logits(params).softmax(1)
        levels = torch.arange(self.levels).to(params)
        return torch.einsum("bl...,l->b...", probabilities, levels)

    def at_temperature(self, params: Tensor, temperature: float) -> Tensor:
        """Logits closer to each other or farther apart."""
        return params / temperature

    def table(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """The softmax of the logits."""
        logits = self._logits(params)[:, :, channel].movedim(1, -1)
        weights = fixed.exp(logits - logits.amax(-1, keepdim=True))
        return fixed.table(fixed.whole(weights))


@dataclass(frozen=True)
class NormalHead(OutputHead):
    """Real entries, each with a mean and a log standard deviation.

    Args:
        channels: channels of the image.

    >>> NormalHead(1).mean(torch.tensor([[[[0.5]], [[0.0]]]]))
    tensor([[[[0.5000]]]])
    """

    channels: int

    @property
    def size(self) -> int:
        """Two for each channel."""
        return 2 * self.channels

    def _density(self, params: Tensor) -> torch.distributions.Normal:
        mean, log_std = params.chunk(2, 1)
        return torch.distributions.Normal(mean, log_std.clamp(-7, 7).exp(), validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Sum of log densities over entries."""
        return self._density(params).log_prob(x).flatten(1).sum(1)

    def sample(self, params: Tensor, generator: torch.Generator | None) -> Tensor:
        """Mean plus scaled noise."""
        density = self._density(params)
        return torch.normal(density.mean, density.stddev, generator=generator)

    def mean(self, params: Tensor) -> Tensor:
        """The mean."""
        return self._density(params).mean
