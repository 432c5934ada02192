r"""Bits-back coding with a stack of bits (Frey & Hinton 1996; Townsend et al. 2019), and its multi-sample form (Ruan et al. 2021).

A latent-variable model knows p(x|z) and p(z), not p(x). To send x, choose z by *reading* it off the stack of bits already
written, as if they had been coded with q(z|x); then push x with p(x|z) and z with p(z). The receiver pops z and x, knows
q(z|x), and pushes z back: what the choice of z cost is recovered, and the net length is the bound, log q(z|x) - log p(x, z).

With K samples, read z_1 … z_K and an index k, in proportion to the importance weights w_k = p(x, z_k) / q(z_k|x); push the
others back with q, x with p(x|z_k), z_k with p, and k. The net length is -log (1/K) Σ_k w_k, the importance-weighted bound.

z is coded in bins of equal mass under the prior. The stack starts with a few pseudo-random words, which are part of the file and which the receiver finds
again at its bottom. Data go in groups that grow with the stack, so that networks are asked about many at once.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator

import constriction
import mpmath
import numpy as np
import torch
from torch import Tensor

from dalm.codec.chain import LEVELS, Progress, Words, flat, symbols
from dalm.core import DalmError, Variational
from dalm.dist import Predictor, fixed

BINS = 256
"""Bins of each latent number, of equal mass under the prior."""
LARGEST = 256
"""Data in a group, at most."""


@functools.cache
def normal_quantiles() -> Tensor:
    """Φ⁻¹ of k / 2 BINS for k = 1 … 2 BINS - 1: the middles of the bins and, between them, their edges."""
    with mpmath.workprec(80):
        half = [float(-mpmath.sqrt(2) * mpmath.erfinv(1 - mpmath.mpf(k) / BINS)) for k in range(1, BINS)]
    return torch.tensor([*half, 0.0, *(-z for z in reversed(half))], dtype=torch.float64)


class Exhausted(Exception):
    """The stack has fewer bits than were to be read."""


class Stack:
    """A stack of symbols over one ANS coder: what was written before, or a few words to begin with."""

    def __init__(self, words: Words, new: bool = False) -> None:
        self.coder = constriction.stream.stack.AnsCoder(words, seal=new)

    def push(self, tables: Tensor, values: Tensor) -> None:
        """Write levels (...) with tables (..., levels)."""
        self.coder.encode_reverse(symbols(values), LEVELS, flat(tables))

    def pop(self, tables: Tensor) -> Tensor:
        """Read levels (...) with tables (..., levels)."""
        values = torch.from_numpy(self.coder.decode(LEVELS, flat(tables))).view(tables.shape[:-1])
        if self.coder.num_words() < 2:
            raise Exhausted(False)
        return values.to(tables.device, torch.long)

    def push_even(self, values: Tensor, size: int) -> None:
        """Write levels of which all `size` are alike."""
        if size > 1:
            self.coder.encode_reverse(symbols(values), constriction.stream.model.Uniform(size))

    def pop_even(self, shape: tuple[int, ...], size: int) -> Tensor:
        """Read levels of which all `size` are alike."""
        count = math.prod(shape)
        if size == 1:
            return torch.zeros(shape, dtype=torch.long)
        return torch.from_numpy(self.coder.decode(constriction.stream.model.Uniform(size), count)).view(shape).long()


def seed(count: int) -> Words:
    """`count` words that look random and are the same everywhere."""
    stream = hashlib.shake_128(b"dalm").digest(4 * count)
    return np.frombuffer(stream, "<u4").astype(np.uint32)


def groups(n: int, growth: int) -> list[slice]:
    """Slices of n data: the first of one datum, each next one of 1 / growth of those before it, at most `LARGEST`."""
    cuts = [0]
    while cuts[-1] < n:
        cuts.append(min(n, cuts[-1] + max(1, min(LARGEST, cuts[-1] // growth))))
    return [slice(a, b) for a, b in zip(cuts, cuts[1:], strict=False)]


class BitsBack:
    """Codes data of one model on one stack.

    Args:
        model: in double precision.
        samples: K; one is plain bits-back.
        batch: how many data a network is asked about at once.
    """

    def __init__(self, model: Variational, samples: int, batch: int) -> None:
        self.model, self.samples, self.batch, self.order = model, samples, batch, model.order()
        self.middles, self.edges = normal_quantiles()[::2].to(model.device), normal_quantiles()[1::2].to(model.device)

    def push(self, stack: Stack, x: Tensor, y: Tensor | None) -> None:
        """Write flat levels (B, dims)."""
        posterior = self._posterior(x, y)
        codes = torch.stack([stack.pop(posterior) for _ in range(self.samples)])
        chosen = torch.zeros(len(x), dtype=torch.long)
        if self.samples > 1:
            chosen = stack.pop(self._weights(posterior, codes, x, y))
            for k in reversed(range(self.samples)):
                stack.push(posterior[chosen != k], codes[k, chosen != k])
        z = codes[chosen, torch.arange(len(x))]
        for tables, values in reversed(self._blocks(z, x, y)):
            stack.push(tables, values)
        stack.push_even(z, BINS)
        stack.push_even(chosen, self.samples)

    def pop(self, stack: Stack, n: int, y: Tensor | None) -> Tensor:
        """Read n flat levels (n, dims), and put back what their codes cost."""
        chosen = stack.pop_even((n,), self.samples)
        z = stack.pop_even((n, self.model.latent), BINS)
        x = self._read(stack, z, y)
        posterior = self._posterior(x, y)
        codes = z.repeat(self.samples, 1, 1)
        if self.samples > 1:
            for k in range(self.samples):
                codes[k, chosen != k] = stack.pop(posterior[chosen != k])
            stack.push(self._weights(posterior, codes, x, y), chosen)
        for k in reversed(range(self.samples)):
            stack.push(posterior, codes[k])
        return x

    def _posterior(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Tables of q(z|x) over the bins, (B, latent, BINS)."""
        return torch.cat(
            [self._bins(*self.model.approximate_posterior(*part)) for part in self._batches(x.view(-1, *self.model.spec.shape), y)]
        )

    def _bins(self, mean: Tensor, std: Tensor) -> Tensor:
        below = fixed.whole(fixed.normal_cdf((self.edges - mean[..., None]) / std[..., None]))
        return fixed.table_of(torch.cat([below, torch.full_like(below[..., :1], fixed.WHOLE)], -1))

    def _batches(self, x: Tensor, y: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        for rows in torch.arange(len(x)).split(self.batch):
            yield x[rows].to(self.model.device), None if y is None else y[rows].to(self.model.device)

    def _predictors(self, z: Tensor, y: Tensor | None) -> list[Predictor]:
        return [self.model.predictor_given(self.middles[part], labels) for part, labels in self._batches(z, y)]

    def _blocks(self, z: Tensor, x: Tensor, y: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """Tables and values of each block of entries of data x with codes z, in order."""
        found, at, predictors = [], 0, self._predictors(z, y)
        while at < len(self.order):
            tables = torch.cat([predictor.predict() for predictor in predictors])
            values = x[:, self.order[at : at + tables.shape[1]]]
            for predictor, part in zip(predictors, values.split(self.batch), strict=True):
                predictor.update(part)
            found.append((tables, values))
            at += tables.shape[1]
        return found

    def _read(self, stack: Stack, z: Tensor, y: Tensor | None) -> Tensor:
        """The data that codes z were pushed with."""
        x, at, predictors = torch.zeros(len(z), len(self.order), dtype=torch.long), 0, self._predictors(z, y)
        while at < len(self.order):
            tables = torch.cat([predictor.predict() for predictor in predictors])
            values = stack.pop(tables)
            for predictor, part in zip(predictors, values.split(self.batch), strict=True):
                predictor.update(part)
            x[:, self.order[at : at + tables.shape[1]]] = values
            at += tables.shape[1]
        return x

    def _weights(self, posterior: Tensor, codes: Tensor, x: Tensor, y: Tensor | None) -> Tensor:
        """Table of p(x, z_k) / q(z_k|x) over k, (B, K)."""
        lengths = [sum(fixed.bits(*block).sum(1) for block in self._blocks(z, x, y)) - fixed.bits(posterior, z).sum(1) for z in codes]
        return fixed.table(fixed.shares(-torch.stack(lengths, 1)))


def encode(model: Variational, x: Tensor, y: Tensor | None, samples: int, batch: int, progress: Progress) -> tuple[int, int, Words]:
    """Flat levels (N, dims) as a stack of words; also how many of them it began with, and how slowly its groups grow."""
    first, growth = 4, 4
    while True:
        try:
            return first, growth, _encode(model, x, y, samples, batch, first, growth, progress)
        except Exhausted as short:
            if short.args[0]:
                growth *= 2
            else:
                first *= 2


def _encode(
    model: Variational, x: Tensor, y: Tensor | None, samples: int, batch: int, first: int, growth: int, progress: Progress
) -> Words:
    stack, coder = Stack(seed(first), new=True), BitsBack(model, samples, batch)
    for rows in groups(len(x), growth):
        try:
            coder.push(stack, x[rows], None if y is None else y[rows])
        except Exhausted:
            raise Exhausted(rows.start > 8 and growth < 1024) from None
        progress(x[rows].numel())
    words: Words = stack.coder.get_compressed()
    return words


def decode(
    model: Variational, words: Words, n: int, y: Tensor | None, start: tuple[int, int, int], batch: int, progress: Progress
) -> Tensor:
    """The flat levels (n, dims) of a stack.

    Args:
        model: in double precision.
        words: the stack.
        n: how many data.
        y: their labels, if the model is conditional.
        start: samples, words at first, growth.
        batch: how many data a network is asked about at once.
        progress: told of entries.

    Raises:
        DalmError: the stack does not end where it began.
    """
    samples, first, growth = start
    stack, coder, parts = Stack(words), BitsBack(model, samples, batch), []
    try:
        for rows in reversed(groups(n, growth)):
            parts.append(coder.pop(stack, rows.stop - rows.start, None if y is None else y[rows]))
            progress(parts[-1].numel())
    except Exhausted:
        raise DalmError("the stream ends too early: it is damaged, or was written with another model") from None
    if not np.array_equal(stack.coder.get_compressed(unseal=True), seed(first)):
        raise DalmError("the stream does not end where it began: it is damaged, or was written with another model")
    return torch.cat(parts[::-1])
