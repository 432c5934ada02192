r"""Bits-back coding with a stack of bits (Frey & Hinton 1996; Townsend et al. 2019), and its
multi-sample form (Ruan et al. 2021).

A latent-variable model knows p(x|z) and p(z), not p(x). To send x, choose z by *reading* it off the
stack of bits already written, as if they had been coded with q(z|x); then push x with p(x|z) and z
with p(z). The receiver pops z and x, knows q(z|x), and pushes z back: what the choice of z cost is
recovered, and the net length is the bound, log q(z|x) - log p(x, z).

With K samples, read z_1 … z_K and an index k, in proportion to the importance weights w_k = p(x,
z_k) / q(z_k|x); push the others back with q, x with p(x|z_k), z_k with p, and k. The net length is
-log (1/K) Σ_k w_k, the importance-weighted bound.

z is coded in bins of equal mass under the prior. The stack starts with a few pseudo-random words,
which are part of the file and which the receiver finds again at its bottom. Data go in groups that
grow with the stack, so that networks are asked about many at once.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator

import constriction
import numpy as np
import torch
from torch import Tensor

from dalm.codec.tables import LEVELS, CodeLength, Progress, Words, class_weights, flat, symbols
from dalm.core import Variational
from dalm.errors import DalmError
from dalm.exact import Predictor, fixed

BINS = 256
"""Bins of each latent number, of equal mass under the prior."""
LARGEST = 256
"""Data in a group, at most."""
CACHED = 8
"""Data whose tables are made at once: few enough for the processor's cache."""
EARLY = 8
SLOWEST = 1024
"""If the stack runs dry within so many data it needs more words to begin with, else slower growth,
down to 1 / `SLOWEST`.
"""


@fixed.once
def normal_quantiles() -> Tensor:
    """Φ⁻¹ of k / 2 BINS for k = 1 … 2 BINS - 1: the middles of the bins and, between them, their
    edges.
    """
    half = [
        float(-fixed.MP.sqrt(2) * fixed.MP.erfinv(1 - fixed.MP.mpf(k) / BINS))
        for k in range(1, BINS)
    ]
    return torch.tensor([*half, 0.0, *(-z for z in reversed(half))], dtype=torch.float64)


class ExhaustedError(Exception):
    """The stack has fewer bits than were to be read."""


class Stack:
    """A stack of symbols over one ANS coder: what was written before, or a few words to begin with."""

    def __init__(self, words: Words, new: bool = False, tally: CodeLength | None = None) -> None:
        self.coder = constriction.stream.stack.AnsCoder(words, seal=new)
        self.tally = tally

    def began_with(self, words: Words) -> bool:
        """Whether nothing but `words` is left."""
        try:
            return np.array_equal(self.coder.get_compressed(unseal=True), words)
        except AssertionError:  # not even a whole number of words
            return False

    def push(self, tables: Tensor, values: Tensor) -> None:
        """Write levels (...) with tables (..., levels)."""
        self.coder.encode_reverse(symbols(values), LEVELS, flat(tables))
        if self.tally:
            self.tally.add(tables, values)

    def pop(self, tables: Tensor) -> Tensor:
        """Read levels (...) with tables (..., levels)."""
        values = torch.from_numpy(self.coder.decode(LEVELS, flat(tables))).view(tables.shape[:-1])
        if self.coder.num_words() < 2:
            raise ExhaustedError
        if self.tally:
            self.tally.add(tables, values, -1)
        return values.to(tables.device, torch.long)

    def push_even(self, values: Tensor, size: int) -> None:
        """Write levels of which all `size` are alike."""
        if size > 1:
            self.coder.encode_reverse(symbols(values), constriction.stream.model.Uniform(size))
            if self.tally:
                self.tally.bits += values.numel() * math.log2(size)

    def pop_even(self, shape: tuple[int, ...], size: int) -> Tensor:
        """Read levels of which all `size` are alike."""
        count = math.prod(shape)
        if size == 1:
            return torch.zeros(shape, dtype=torch.long)
        return (
            torch.from_numpy(self.coder.decode(constriction.stream.model.Uniform(size), count))
            .view(shape)
            .long()
        )


def seed(count: int) -> Words:
    """`count` words that look random and are the same everywhere."""
    stream = hashlib.shake_128(b"dalm").digest(4 * count)
    return np.frombuffer(stream, "<u4").astype(np.uint32)


def groups(n: int, growth: int) -> list[slice]:
    """Slices of n data: the first of one datum, each next one of 1 / growth of those before it, at
    most `LARGEST`.
    """
    cuts = [0]
    while cuts[-1] < n:
        cuts.append(min(n, cuts[-1] + max(1, min(LARGEST, cuts[-1] // growth))))
    return list(itertools.starmap(slice, itertools.pairwise(cuts)))


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
        """Write flat levels (B, dims). A conditional model without labels treats the class as one
        more code.
        """
        if self.model.conditional and y is None:
            y = stack.pop(self._classes(x))
            self._push(stack, x, y)
            stack.push(self._prior(len(x)), y)
        else:
            self._push(stack, x, y)

    def pop(self, stack: Stack, n: int, y: Tensor | None) -> Tensor:
        """Read n flat levels (n, dims), and put back what their codes cost."""
        if not self.model.conditional or y is not None:
            return self._pop(stack, n, y)
        y = stack.pop(self._prior(n))
        x = self._pop(stack, n, y)
        stack.push(self._classes(x), y)
        return x

    def _prior(self, n: int) -> Tensor:
        return fixed.table(class_weights(self.model)).expand(n, -1)

    def _classes(self, x: Tensor) -> Tensor:
        """Table of about P(y|x), (B, classes), each class judged at its most probable code."""
        lengths = []
        for k in range(self.model.spec.classes):
            y = torch.full((len(x),), k)
            posterior = self._posterior(x, y)
            z = posterior.argmax(-1)
            lengths.append(self._length(posterior, z, x, y) + fixed.bits(self._prior(len(x)), y))
        return fixed.table(fixed.shares(-torch.stack(lengths, 1)))

    def _push(self, stack: Stack, x: Tensor, y: Tensor | None) -> None:
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

    def _pop(self, stack: Stack, n: int, y: Tensor | None) -> Tensor:
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
        shaped = x.view(-1, *self.model.spec.shape)
        means, stds = zip(
            *(self.model.approximate_posterior(*part) for part in self._batches(shaped, y)),
            strict=True,
        )
        blocks = zip(torch.cat(means).split(CACHED), torch.cat(stds).split(CACHED), strict=True)
        return torch.cat([self._bins(mean, std) for mean, std in blocks])

    def _bins(self, mean: Tensor, std: Tensor) -> Tensor:
        below = mean.new_full((*mean.shape, BINS), fixed.WHOLE)
        below[..., :-1] = fixed.whole(
            fixed.normal_cdf((self.edges - mean[..., None]) / std[..., None])
        )
        return fixed.table_of(below)

    def _batches(self, x: Tensor, y: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        for rows in torch.arange(len(x)).split(self.batch):
            yield (
                x[rows].to(self.model.device),
                None if y is None else y[rows].to(self.model.device),
            )

    def _predictors(self, z: Tensor, y: Tensor | None) -> list[Predictor]:
        return [
            self.model.predictor_given(self.middles[part], labels)
            for part, labels in self._batches(z, y)
        ]

    def _tell(
        self, z: Tensor, y: Tensor | None, learn: Callable[[Tensor, int], Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        """Tables and values of each block of entries of the data with codes z; `learn` gives values
        from tables and their place.
        """
        found = []
        at = 0
        predictors = self._predictors(z, y)
        while at < self.model.spec.dims:
            tables = torch.cat([predictor.predict() for predictor in predictors])
            values = learn(tables, at)
            for predictor, part in zip(predictors, values.split(self.batch), strict=True):
                predictor.update(part)
            found.append((tables, values))
            at += tables.shape[1]
        return found

    def _blocks(self, z: Tensor, x: Tensor, y: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        """Tables and values of known data x."""
        return self._tell(z, y, lambda tables, at: x[:, at : at + tables.shape[1]])

    def _read(self, stack: Stack, z: Tensor, y: Tensor | None) -> Tensor:
        """The data that codes z were pushed with."""
        return torch.cat(
            [values for _, values in self._tell(z, y, lambda tables, at: stack.pop(tables))], 1
        )

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


def encode(
    model: Variational,
    x: Tensor,
    y: Tensor | None,
    samples: int,
    batch: int,
    progress: Progress,
    tally: CodeLength | None = None,
) -> Words:
    """Flat levels (N, dims) as words: how many the stack began with, how slowly its groups grow,
    the stack.
    """
    first = 4
    growth = 4
    before = tally.bits if tally else 0.0
    while True:
        stack = Stack(seed(first), True, tally)
        coder = BitsBack(model, samples, batch)
        try:
            for rows in groups(len(x), growth):
                coder.push(stack, x[rows], None if y is None else y[rows])
                progress(x[rows].numel())
        except ExhaustedError:
            if tally:
                tally.bits = before
            late = rows.start > EARLY and growth < SLOWEST
            first, growth = (first, 2 * growth) if late else (2 * first, growth)
            continue
        return np.concatenate([np.array([first, growth], np.uint32), stack.coder.get_compressed()])


def decode(
    model: Variational,
    words: Words,
    n: int,
    y: Tensor | None,
    samples: int,
    batch: int,
    progress: Progress,
) -> Tensor:
    """The flat levels (n, dims) of what `encode` wrote.

    Raises:
        DalmError: the stack does not end where it began.
    """
    if len(words) < 2 or not (0 < words[0] <= len(words) and 0 < words[1] <= SLOWEST):
        raise DalmError("the stream does not begin as a bits-back stream does; it is damaged")
    stack = Stack(words[2:])
    coder = BitsBack(model, samples, batch)
    parts = []
    try:
        for rows in reversed(groups(n, int(words[1]))):
            parts.append(coder.pop(stack, rows.stop - rows.start, None if y is None else y[rows]))
            progress(parts[-1].numel())
    except ExhaustedError:
        raise DalmError(
            "the stream ends too early: it is damaged, or was written with another model"
        ) from None
    if not stack.began_with(seed(int(words[0]))):
        raise DalmError(
            "the stream does not end where it began: it is damaged, or was written with another "
            "model"
        )
    return torch.cat(parts[::-1])
