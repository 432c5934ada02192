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

import itertools

import numpy as np
import torch
from torch import Tensor

from dalm.codec.latent import BitsBack
from dalm.codec.stack import ExhaustedError, Stack, initial_words
from dalm.codec.stream import Words
from dalm.codec.tables import CodeLength, Progress
from dalm.core import Variational
from dalm.errors import DalmError

MOST_GROUP_DATA = 256
"""Data in a group."""
INITIAL_WORDS = 4
"""Words of the first stack that is tried."""
FASTEST_GROWTH = 4
"""A group is at most 1 / this of the data before it, at first."""
EARLY_DATA = 8
SLOWEST_GROWTH = 1024
"""If the stack runs dry within so many data it needs more words to begin with, else slower growth,
down to 1 / `SLOWEST_GROWTH`.
"""


def groups(n: int, growth: int) -> list[slice]:
    """Slices of data: the first of one datum, each next one of a share of those before it, at most
    `MOST_GROUP_DATA`.

    Args:
        n: how many data.
        growth: the share is 1 / growth.

    >>> [rows.stop - rows.start for rows in groups(9, growth=2)]
    [1, 1, 1, 1, 2, 3]
    """
    cuts = [0]
    while cuts[-1] < n:
        size = max(1, min(MOST_GROUP_DATA, cuts[-1] // growth))
        cuts.append(min(n, cuts[-1] + size))
    return list(itertools.starmap(slice, itertools.pairwise(cuts)))


def encode(
    model: Variational,
    x: Tensor,
    y: Tensor | None,
    samples: int,
    batch: int,
    progress: Progress,
    tally: CodeLength | None = None,
) -> Words:
    """Data as words: how many the stack began with, how slowly its groups grow, the stack.

    Args:
        model: in double precision.
        x: flat levels, (N, dims).
        y: labels (N,), if the reader will know them too.
        samples: importance samples; one is plain bits-back.
        batch: how many data a network is asked about at once.
        progress: told how many entries are done.
        tally: told what they cost in exact arithmetic.
    """
    first = INITIAL_WORDS
    growth = FASTEST_GROWTH
    coder = BitsBack(model, samples, batch)
    before = (tally.bits, tally.rare) if tally else (0.0, 0)
    while True:
        stack = Stack(initial_words(first), True, tally)
        try:
            for rows in groups(len(x), growth):
                coder.push(stack, x[rows], None if y is None else y[rows])
                progress(x[rows].numel())
        except ExhaustedError:
            if tally:
                tally.bits, tally.rare = before
            if rows.start > EARLY_DATA and growth < SLOWEST_GROWTH:
                growth *= 2
            else:
                first *= 2
            continue
        head = np.array([first, growth], np.uint32)
        return np.concatenate([head, stack.coder.get_compressed()])


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

    Args:
        model: in double precision.
        words: what `encode` gave.
        n: how many data.
        y: their labels (n,), if the writer knew them.
        samples: as they were written with.
        batch: how many data a network is asked about at once; any number decodes the same.
        progress: told how many entries are done.

    Raises:
        DalmError: the stack does not end where it began.
    """
    if len(words) < 2 or not (0 < words[0] <= len(words) and 0 < words[1] <= SLOWEST_GROWTH):
        raise DalmError("the stream does not begin as a bits-back stream does; it is damaged")
    first, growth = map(int, words[:2])
    stack = Stack(words[2:])
    coder = BitsBack(model, samples, batch)
    parts = []
    try:
        for rows in reversed(groups(n, growth)):
            labels = None if y is None else y[rows]
            parts.append(coder.pop(stack, rows.stop - rows.start, labels))
            progress(parts[-1].numel())
    except ExhaustedError:
        raise DalmError(
            "the stream ends too early: it is damaged, or was written with another model"
        ) from None
    if not stack.began_with(initial_words(first)):
        raise DalmError(
            "the stream does not end where it began: it is damaged, or was written with another "
            "model"
        )
    return torch.cat(parts[::-1])
