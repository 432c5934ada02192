"""The output head of PixelCNN++ (Salimans et al. 2017): a mixture of discretised logistics whose
channels see the channels before them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from dalm.exact import fixed
from dalm.probability.bins import log_logistic_mass
from dalm.probability.heads import LevelsHead, gumbel_max, uniform

SMALLEST_LOG_SCALE = -4.0
"""Of a logistic, in levels: a fiftieth of a bin."""
LARGEST_INVERSE_SCALE = 54.6
"""The same in exact arithmetic: e^4."""
FIRST_LOG_SCALE = -2.3
"""Log scale of an untrained head, in half the range: near a tenth of it."""


class Components(NamedTuple):
    """Parameters of a mixture, one entry for each component in axis 1: (B, components, …, *grid).

    Args:
        weights: logits, or their log probabilities, (B, components, *grid).
        means: in levels, (B, components, C, *grid).
        scales: log scales, likewise.
        couplings: of each channel to those before it, (B, components, C (C - 1) / 2, *grid).
    """

    weights: Tensor
    means: Tensor
    scales: Tensor
    couplings: Tensor


@dataclass(frozen=True)
class LogisticMixtureHead(LevelsHead):
    """Mixture of discretised logistics whose channels see the channels before them.

    Args:
        channels: channels of the image.
        levels: levels of an entry.
        components: logistics in the mixture.

    >>> head = LogisticMixtureHead(channels=1, levels=2)
    >>> head.log_prob(torch.zeros(1, head.size, 1, 1), torch.ones(1, 1, 1, 1)).exp()
    tensor([0.5000])
    """

    channels: int
    levels: int
    components: int = 1

    @property
    def size(self) -> int:
        """Weights, means and log scales, and a coefficient for each pair of channels."""
        return self.components * (1 + 2 * self.channels + self._pairs)

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """Sum over pixels of the log of the mixture."""
        parts = self._parts(params)
        values = x.to(parts.weights)
        means = torch.stack(self._channel_means(parts.means, parts.couplings, values), 2)
        masses = log_logistic_mass(values[:, None], means, parts.scales, self.levels).sum(2)
        return (parts.weights + masses).logsumexp(1).flatten(1).sum(1)

    def sample(self, params: Tensor, generator: torch.Generator | None) -> Tensor:
        """Pick a component for each pixel, then draw its channels in order."""
        parts = self._parts(params)
        component = gumbel_max(parts.weights, generator)[:, None, None]
        means = parts.means.take_along_dim(component, 1)
        scales = parts.scales.take_along_dim(component, 1)
        couplings = parts.couplings.take_along_dim(component, 1)
        noise = uniform(means[:, 0], generator)

        x = torch.zeros_like(noise)
        for channel in range(self.channels):
            mean = self._channel_means(means, couplings, x)[channel][:, 0]
            logistic = scales[:, 0, channel].exp() * noise[:, channel].logit()
            x[:, channel] = (mean + logistic).round().clamp(0, self.levels - 1)
        return x.long()

    def mean(self, params: Tensor) -> Tensor:
        """Weighted means of the components, clipped to the range."""
        parts = self._parts(params)
        weights = parts.weights.exp()
        x = (weights[:, :, None] * parts.means).sum(1)
        for channel in range(1, self.channels):
            means = self._channel_means(parts.means, parts.couplings, x)
            x[:, channel] = (weights * means[channel]).sum(1)
        return x.clamp(0, self.levels - 1)

    def at_temperature(self, params: Tensor, temperature: float) -> Tensor:
        """Logits of the components divided by it, their scales multiplied."""
        pixels = params.unflatten(1, (self.components, -1)).clone()
        pixels[:, :, 0] /= temperature
        scales = slice(1 + self.channels, 1 + 2 * self.channels)
        pixels[:, :, scales] += math.log(temperature)
        return pixels.flatten(1, 2)

    def table(self, params: Tensor, x: Tensor, channel: int) -> Tensor:
        """The mixture's distribution function at the upper edge of each level, its components
        weighed by the channels before.
        """
        parts = self._raw_parts(params)
        couplings = 2 * fixed.sigmoid(2 * parts.couplings) - 1  # the hyperbolic tangent
        means = self._channel_means(parts.means, couplings, x.to(params))
        log_weights = parts.weights / fixed.LOG_2
        for before in range(channel):
            ends = F.pad(self._ends(means[before], parts.scales[:, :, before]), (1, 0))
            value = x[:, None, before, ..., None].expand(*ends.shape[:-1], 1)
            mass = ends.gather(-1, value + 1) - ends.gather(-1, value)
            log_weights = log_weights + fixed.log2(mass.clamp_min(2.0**-9))[..., 0]
        shares = fixed.shares(log_weights.movedim(1, -1)).movedim(-1, 1)
        ends = self._ends(means[channel], parts.scales[:, :, channel])
        return fixed.table_of((shares[..., None] * ends).sum(1))

    @property
    def _pairs(self) -> int:
        """Pairs of channels."""
        return self.channels * (self.channels - 1) // 2

    @property
    def _half_range(self) -> float:
        return (self.levels - 1) / 2

    def _raw_parts(self, params: Tensor) -> Components:
        """Logits of the weights, means in levels, log scales in half the range, couplings before
        tanh.
        """
        by_component = params.unflatten(1, (self.components, -1))
        sizes = [1, self.channels, self.channels, self._pairs]
        weights, means, scales, couplings = by_component.split(sizes, 2)
        return Components(
            weights=weights[:, :, 0],
            # A unit output moves the mean by a quarter of the range.
            means=self._half_range * (1 + means / 2),
            scales=(scales + FIRST_LOG_SCALE).clamp(-12, 6),
            couplings=couplings,
        )

    def _parts(self, params: Tensor) -> Components:
        """Log probabilities of the weights, means and log scales in levels, couplings."""
        raw = self._raw_parts(params)
        scales = raw.scales + math.log(self._half_range)
        return Components(
            weights=raw.weights.log_softmax(1),
            means=raw.means,
            scales=scales.clamp_min(SMALLEST_LOG_SCALE),
            couplings=raw.couplings.tanh(),
        )

    def _ends(self, mean: Tensor, scales: Tensor) -> Tensor:
        """Whole probability of all levels up to each, (B, components, *grid, levels)."""
        inverse = fixed.exp(-scales) / self._half_range
        inverse = inverse.clamp_max(LARGEST_INVERSE_SCALE)[..., None]
        edges = torch.arange(self.levels - 1, device=mean.device) + 0.5
        below = fixed.whole(fixed.sigmoid((edges - mean[..., None]) * inverse))
        return F.pad(below, (0, 1), value=fixed.WHOLE)

    def _channel_means(self, means: Tensor, couplings: Tensor, x: Tensor) -> list[Tensor]:
        """Mean of each channel, given the values (B, C, *grid) of the channels before it."""
        result = []
        used = 0
        for channel in range(self.channels):
            shift = torch.zeros(()).to(x)
            for before in range(channel):
                centred = x[:, None, before] - self._half_range
                shift = shift + couplings[:, :, used + before] * centred
            result.append(means[:, :, channel] + shift)
            used += channel
        return result
