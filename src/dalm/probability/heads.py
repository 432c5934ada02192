"""What the last layer of a network says: a distribution over one image given a map of parameters.

Each output states how many parameters it needs for a pixel, scores data and draws them. Entries are
independent given the parameters, except that `LogisticMixtureHead` lets each channel see the
channels before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from dalm.exact import fixed
from dalm.probability.bins import log_logistic_mass

SMALLEST_LOG_SCALE = -4.0  # of a logistic: a fiftieth of a bin


class OutputHead(Protocol):
    """A distribution over data (B, C, *grid) given parameters (B, size, *grid)."""

    @property
    def size(self) -> int:
        """Parameters per pixel."""

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Log probability of each datum in nats, (B,)."""

    def sample(self, params: Tensor, generator: torch.Generator | None) -> Tensor:
        """Draw data, (B, C, *grid)."""

    def mean(self, params: Tensor) -> Tensor:
        """Expected data, (B, C, *grid), real."""


class LevelsHead(OutputHead, Protocol):
    """An output over levels, which can be coded."""

    def table(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """Tables of one channel, (B, *grid, levels), given data (B, C, *grid) whose channels before
        it are known; see `dalm.exact.fixed`.
        """

    def at_temperature(self, params: Tensor, temperature: float) -> Tensor:
        """Parameters of the distribution raised to 1 / temperature, or as near as it comes."""


def uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Uniform noise strictly inside (0, 1), shaped like `like`."""
    noise = torch.rand(like.shape, generator=generator, device=like.device, dtype=like.dtype)
    return noise.clamp(torch.finfo(like.dtype).tiny, 1 - torch.finfo(like.dtype).eps)


@dataclass(frozen=True)
class BernoulliHead:
    """Two levels, one logit an entry.

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
        return (
            -F.binary_cross_entropy_with_logits(params, x.to(params), reduction="none")
            .flatten(1)
            .sum(1)
        )

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
class CategoricalHead:
    """Any number of levels, one logit for each level of each entry."""

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
        return -F.cross_entropy(self._logits(params), x.long(), reduction="none").flatten(1).sum(1)

    def sample(self, params: Tensor, generator: torch.Generator | None) -> Tensor:
        """By the Gumbel-max trick."""
        logits = self._logits(params)
        return (logits - (-uniform(logits, generator).log()).log()).argmax(1)

    def mean(self, params: Tensor) -> Tensor:
        """Expected level."""
        weights = self._logits(params).softmax(1)
        return torch.einsum("bl...,l->b...", weights, torch.arange(self.levels).to(params))

    def at_temperature(self, params: Tensor, temperature: float) -> Tensor:
        """Logits closer to each other or farther apart."""
        return params / temperature

    def table(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """The softmax of the logits."""
        logits = self._logits(params)[:, :, channel].movedim(1, -1)
        return fixed.table(fixed.whole(fixed.exp(logits - logits.amax(-1, keepdim=True))))


@dataclass(frozen=True)
class LogisticMixtureHead:
    """Mixture of discretised logistics whose channels see the channels before them (PixelCNN++,
    Salimans et al. 2017).

    Args:
        channels: channels of the image.
        levels: levels of an entry.
        components: logistics in the mixture.
    """

    channels: int
    levels: int
    components: int = 1

    @property
    def size(self) -> int:
        """Weights, means and log scales, and a coefficient for each pair of channels."""
        return self.components * (1 + 2 * self.channels + self.channels * (self.channels - 1) // 2)

    def _split(self, params: Tensor) -> tuple[Tensor, ...]:
        """Logits of the weights, means in levels, log scales in half the range, couplings before
        tanh; (B, components, …, *grid).
        """
        c = self.channels
        weights, means, scales, couplings = params.unflatten(1, (self.components, -1)).split(
            [1, c, c, c * (c - 1) // 2], 2
        )
        # A unit output moves the mean by a quarter of the range; the scale starts near a tenth of
        # it.
        return (
            weights[:, :, 0],
            self._half * (1 + means / 2),
            (scales - 2.3).clamp(-12, 6),
            couplings,
        )

    def at_temperature(self, params: Tensor, temperature: float) -> Tensor:
        """Logits of the components divided by it, their scales multiplied."""
        pixels = params.unflatten(1, (self.components, -1)).clone()
        pixels[:, :, 0] /= temperature
        scales = slice(1 + self.channels, 1 + 2 * self.channels)
        pixels[:, :, scales] += math.log(temperature)
        return pixels.flatten(1, 2)

    @property
    def _half(self) -> float:
        return (self.levels - 1) / 2

    def _parts(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weights, means, scales, couplings = self._split(params)
        return (
            weights.log_softmax(1),
            means,
            (scales + math.log(self._half)).clamp_min(SMALLEST_LOG_SCALE),
            couplings.tanh(),
        )

    def table(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """The mixture's distribution function at the upper edge of each level, its components
        weighed by the channels before.
        """
        weights, means, scales, couplings = self._split(params)
        mean = self._means(means, 2 * fixed.sigmoid(2 * couplings) - 1, x.to(params))
        log_weights = weights / fixed.LOG_2
        for known in range(channel):
            ends = F.pad(self._ends(mean[known], scales[:, :, known]), (1, 0))
            value = x[:, None, known, ..., None].expand(*ends.shape[:-1], 1)
            mass = ends.gather(-1, value + 1) - ends.gather(-1, value)
            log_weights = log_weights + fixed.log2(mass.clamp_min(2.0**-9))[..., 0]
        share = fixed.shares(log_weights.movedim(1, -1)).movedim(-1, 1)
        return fixed.table_of(
            (share[..., None] * self._ends(mean[channel], scales[:, :, channel])).sum(1)
        )

    def _ends(self, mean: Tensor, scales: Tensor) -> Tensor:
        """Whole probability of all levels up to each, (B, components, *grid, levels)."""
        inverse = (fixed.exp(-scales) / self._half).clamp_max(54.6)[..., None]  # e^4, as `_parts`
        edges = torch.arange(self.levels - 1, device=mean.device) + 0.5
        below = fixed.whole(fixed.sigmoid((edges - mean[..., None]) * inverse))
        return F.pad(below, (0, 1), value=fixed.WHOLE)

    def _means(self, means: Tensor, couplings: Tensor, x: Tensor) -> list[Tensor]:
        """Mean of each channel, given the values (B, C, *grid) of the channels before it."""
        result = []
        used = 0
        for channel in range(self.channels):
            shift = sum(
                (
                    couplings[:, :, used + k] * (x[:, None, k] - (self.levels - 1) / 2)
                    for k in range(channel)
                ),
                torch.zeros(()).to(x),
            )
            result.append(means[:, :, channel] + shift)
            used += channel
        return result

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Sum over pixels of the log of the mixture."""
        weights, means, scales, couplings = self._parts(params)
        x = x.to(weights)
        shifted = torch.stack(self._means(means, couplings, x), 2)
        masses = log_logistic_mass(x[:, None], shifted, scales, self.levels).sum(2)
        return (weights + masses).logsumexp(1).flatten(1).sum(1)

    def sample(self, params: Tensor, generator: torch.Generator | None) -> Tensor:
        """Pick a component for each pixel, then draw its channels in order."""
        weights, means, scales, couplings = self._parts(params)
        chosen = (weights - (-uniform(weights, generator).log()).log()).argmax(1, keepdim=True)[
            :, :, None
        ]
        means, scales, couplings = (p.take_along_dim(chosen, 1) for p in (means, scales, couplings))
        noise = uniform(means[:, 0], generator)
        x = torch.zeros_like(noise)
        for channel in range(self.channels):
            mean = self._means(means, couplings, x)[channel][:, 0]
            x[:, channel] = (
                (mean + scales[:, 0, channel].exp() * noise[:, channel].logit())
                .round()
                .clamp(0, self.levels - 1)
            )
        return x.long()

    def mean(self, params: Tensor) -> Tensor:
        """Weighted means of the components, clipped to the range."""
        weights, means, _, couplings = self._parts(params)
        x = (weights.exp()[:, :, None] * means).sum(1)
        for channel in range(1, self.channels):
            x[:, channel] = (weights.exp() * self._means(means, couplings, x)[channel]).sum(1)
        return x.clamp(0, self.levels - 1)


@dataclass(frozen=True)
class NormalHead:
    """Real entries, each with a mean and a log standard deviation."""

    channels: int

    @property
    def size(self) -> int:
        """Two for each channel."""
        return 2 * self.channels

    def _normal(self, params: Tensor) -> torch.distributions.Normal:
        mean, log_std = params.chunk(2, 1)
        return torch.distributions.Normal(mean, log_std.clamp(-7, 7).exp(), validate_args=False)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Sum of log densities over entries."""
        return self._normal(params).log_prob(x).flatten(1).sum(1)

    def sample(self, params: Tensor, generator: torch.Generator | None) -> Tensor:
        """Mean plus scaled noise."""
        normal = self._normal(params)
        return torch.normal(normal.mean, normal.stddev, generator=generator)

    def mean(self, params: Tensor) -> Tensor:
        """The mean."""
        return self._normal(params).mean
