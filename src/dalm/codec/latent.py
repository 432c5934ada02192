"""Bits-back coding of one group of data on a stack; `dalm.codec.bitsback` has the idea."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dalm.codec.stack import Stack
from dalm.codec.tables import class_weights
from dalm.core import Variational
from dalm.exact import Predictor, fixed

LATENT_BINS = 256
"""Bins of each latent number, of equal mass under the prior."""
DATA_IN_CACHE = 8
"""Data whose tables are made at once: few enough for the processor's cache."""

Block = tuple[Tensor, Tensor]
"""Tables (B, block, levels) and values (B, block) of a block of entries."""


@fixed.once
def normal_quantiles() -> Tensor:
    """Φ⁻¹ of k / (2 LATENT_BINS) for k = 1 … 2 LATENT_BINS - 1: the middles of the bins and,
    between them, their edges.
    """
    mp = fixed.MP
    below = [
        float(-mp.sqrt(2) * mp.erfinv(1 - mp.mpf(k) / LATENT_BINS)) for k in range(1, LATENT_BINS)
    ]
    above = [-z for z in reversed(below)]
    return torch.tensor([*below, 0.0, *above], dtype=torch.float64)


class BitsBack:
    """Codes data of one model on one stack.

    Args:
        model: in double precision.
        samples: K; one is plain bits-back.
        batch: how many data a network is asked about at once.
    """

    def __init__(self, model: Variational, samples: int, batch: int) -> None:
        self.model = model
        self.samples = samples
        self.batch = batch
        self.middles = normal_quantiles()[::2].to(model.device)
        self.edges = normal_quantiles()[1::2].to(model.device)

    def push(self, stack: Stack, x: Tensor, y: Tensor | None) -> None:
        """Write data. A conditional model without labels treats the class as one more code.

        Args:
            stack: to write to.
            x: flat levels, (B, dims).
            y: labels (B,), if the reader will know them too.
        """
        if not self.model.conditional or y is not None:
            self._push_given(stack, x, y)
            return
        y = stack.pop(self._class_posterior(x))
        self._push_given(stack, x, y)
        stack.push(self._class_prior(len(x)), y)

    def pop(self, stack: Stack, n: int, y: Tensor | None) -> Tensor:
        """Read data, and put back what their codes cost.

        Args:
            stack: to read from.
            n: how many data.
            y: their labels (n,), if the writer knew them.

        Returns:
            Flat levels, (n, dims).
        """
        if not self.model.conditional or y is not None:
            return self._pop_given(stack, n, y)
        y = stack.pop(self._class_prior(n))
        x = self._pop_given(stack, n, y)
        stack.push(self._class_posterior(x), y)
        return x

    def _class_prior(self, n: int) -> Tensor:
        return fixed.table(class_weights(self.model)).expand(n, -1)

    def _class_posterior(self, x: Tensor) -> Tensor:
        """Table of about P(y|x), (B, classes), each class judged at its most probable code."""
        lengths = []
        for k in range(self.model.spec.classes):
            y = torch.full((len(x),), k)
            posterior = self._posterior(x, y)
            z = posterior.argmax(-1)
            prior_bits = fixed.bits(self._class_prior(len(x)), y)
            lengths.append(self._length(posterior, z, x, y) + prior_bits)
        return fixed.table(fixed.shares(-torch.stack(lengths, 1)))

    def _push_given(self, stack: Stack, x: Tensor, y: Tensor | None) -> None:
        posterior = self._posterior(x, y)
        codes = torch.stack([stack.pop(posterior) for _ in range(self.samples)])
        picked = torch.zeros(len(x), dtype=torch.long)
        if self.samples > 1:
            picked = stack.pop(self._weights(posterior, codes, x, y))
            for k in reversed(range(self.samples)):
                others = picked != k
                stack.push(posterior[others], codes[k, others])
        z = codes[picked, torch.arange(len(x))]
        for tables, values in reversed(self._blocks(z, x, y)):
            stack.push(tables, values)
        stack.push_even(z, LATENT_BINS)
        stack.push_even(picked, self.samples)

    def _pop_given(self, stack: Stack, n: int, y: Tensor | None) -> Tensor:
        picked = stack.pop_even((n,), self.samples)
        z = stack.pop_even((n, self.model.codes.dims), LATENT_BINS)
        x = self._read(stack, z, y)
        posterior = self._posterior(x, y)
        codes = z.repeat(self.samples, 1, 1)
        if self.samples > 1:
            for k in range(self.samples):
                others = picked != k
                codes[k, others] = stack.pop(posterior[others])
            stack.push(self._weights(posterior, codes, x, y), picked)
        for k in reversed(range(self.samples)):
            stack.push(posterior, codes[k])
        return x

    def _posterior(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Tables of q(z|x) over the bins, (B, latent, LATENT_BINS)."""
        images = x.view(-1, *self.model.spec.shape)
        moments = [self.model.approximate_posterior(*part) for part in self._parts(images, y)]
        means = torch.cat([mean for mean, _ in moments]).split(DATA_IN_CACHE)
        stds = torch.cat([std for _, std in moments]).split(DATA_IN_CACHE)
        return torch.cat(list(map(self._posterior_table, means, stds)))

    def _posterior_table(self, mean: Tensor, std: Tensor) -> Tensor:
        below = mean.new_full((*mean.shape, LATENT_BINS), fixed.WHOLE)
        standardised = (self.edges - mean[..., None]) / std[..., None]
        below[..., :-1] = fixed.whole(fixed.normal_cdf(standardised))
        return fixed.table_of(below)

    def _parts(self, x: Tensor, y: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Batches of data or codes and of their labels, on the model's device."""
        device = self.model.device
        for rows in torch.arange(len(x)).split(self.batch):
            yield x[rows].to(device), None if y is None else y[rows].to(device)

    def _predictors(self, z: Tensor, y: Tensor | None) -> list[Predictor]:
        return [
            self.model.predictor_given(self.middles[codes], labels)
            for codes, labels in self._parts(z, y)
        ]

    def _walk(
        self, z: Tensor, y: Tensor | None, learn: Callable[[Tensor, int], Tensor]
    ) -> list[Block]:
        """Tables and values of each block of entries of the data with codes z; `learn` gives values
        from tables and the place of their first entry.
        """
        blocks = []
        at = 0
        predictors = self._predictors(z, y)
        while at < self.model.spec.dims:
            tables = torch.cat([predictor.predict() for predictor in predictors])
            values = learn(tables, at)
            for predictor, part in zip(predictors, values.split(self.batch), strict=True):
                predictor.update(part)
            blocks.append((tables, values))
            at += tables.shape[1]
        return blocks

    def _blocks(self, z: Tensor, x: Tensor, y: Tensor | None) -> list[Block]:
        """Tables and values of known data x."""
        return self._walk(z, y, lambda tables, at: x[:, at : at + tables.shape[1]])

    def _read(self, stack: Stack, z: Tensor, y: Tensor | None) -> Tensor:
        """The data that codes z were pushed with."""
        blocks = self._walk(z, y, lambda tables, at: stack.pop(tables))
        return torch.cat([values for _, values in blocks], 1)

    def _length(self, posterior: Tensor, z: Tensor, x: Tensor, y: Tensor | None) -> Tensor:
        """-log₂ p(x|z) / q(z|x) of codes z (B, latent), in bits; p(z) is the same for all."""
        lengths = torch.zeros(len(x), dtype=torch.float64)
        for tables, values in self._blocks(z, x, y):
            lengths += fixed.bits(tables, values).sum(1)
        return lengths - fixed.bits(posterior, z).sum(1)

    def _weights(self, posterior: Tensor, codes: Tensor, x: Tensor, y: Tensor | None) -> Tensor:
        """Table of p(x, z_k) / q(z_k|x) over k, (B, K)."""
        lengths = torch.stack([self._length(posterior, z, x, y) for z in codes], 1)
        return fixed.table(fixed.shares(-lengths))
