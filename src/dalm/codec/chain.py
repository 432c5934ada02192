"""Coding by the chain rule: a range coder takes each entry at the price of its conditional
probability (Rissanen 1976; Martin 1979).

Entries are coded in the order of the chain, and each for all data before the next, so that a
network is asked about many data at once. The stream does not depend on how many are asked about
together.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import constriction
import torch
from torch import Tensor

from dalm.codec.stream import Words
from dalm.codec.tables import LEVELS, CodeLength, Progress, class_weights, flat, symbols
from dalm.core import Autoregressive
from dalm.exact import Mixture, Predictor

Take = Callable[[slice, slice, Tensor], Tensor]
"""Given the rows of some data, a block of their entries and its tables: the values (B, block)."""
Map = Callable[..., Iterator[Tensor]]
"""As the built-in `map`."""


def encode(
    model: Autoregressive,
    x: Tensor,
    y: Tensor | None,
    batch: int,
    progress: Progress,
    tally: CodeLength | None = None,
) -> Words:
    """Data as a stream.

    Args:
        model: in double precision.
        x: flat levels, (N, dims).
        y: labels (N,), if the decoder will know them too.
        batch: how many data a network is asked about at once.
        progress: told how many entries are done.
        tally: told what they cost in exact arithmetic.
    """
    coder = constriction.stream.queue.RangeEncoder()
    columns = x.to(model.spec.dtype).T.contiguous()[model.order()]

    def take(rows: slice, entries: slice, tables: Tensor) -> Tensor:
        values = columns[entries, rows].T.int()
        coder.encode(symbols(values), LEVELS, flat(tables))
        if tally:
            tally.add(tables, values, rows=rows)
        return values

    _walk(model, len(x), y, batch, progress, take)
    words: Words = coder.get_compressed()
    return words


@torch.no_grad()
def code_lengths(
    model: Autoregressive, x: Tensor, y: Tensor | None = None, batch: int = 500
) -> CodeLength:
    """What data cost under the tables that they would be coded with, without writing them.

    Args:
        model: of levels; its exact arithmetic works in double precision.
        x: data, (N, *shape).
        y: labels (N,), if the decoder will know them too.
        batch: how many data a network is asked about at once.
    """
    length = CodeLength(len(x))
    columns = x.flatten(1).to(model.spec.dtype).T.contiguous()[model.order()]

    def take(rows: slice, entries: slice, tables: Tensor) -> Tensor:
        values = columns[entries, rows].T.int()
        length.add(tables, values, rows=rows)
        return values

    _walk(model, len(x), y, batch, lambda entries: None, take)
    return length


def decode(
    model: Autoregressive, words: Words, n: int, y: Tensor | None, batch: int, progress: Progress
) -> Tensor:
    """The flat levels (n, dims) of a stream.

    Args:
        model: in double precision.
        words: what `encode` gave.
        n: how many data.
        y: their labels (n,), if the encoder knew them.
        batch: how many data a network is asked about at once; any number decodes the same.
        progress: told how many entries are done.
    """
    coder = constriction.stream.queue.RangeDecoder(words)
    columns = torch.empty(model.spec.dims, n, dtype=model.spec.dtype)

    def take(rows: slice, entries: slice, tables: Tensor) -> Tensor:
        levels = torch.from_numpy(coder.decode(LEVELS, flat(tables)))
        values = levels.view(tables.shape[:2])
        columns[entries, rows] = values.T
        return values

    _walk(model, n, y, batch, progress, take)
    return columns[model.order().argsort()].T


@torch.no_grad()
def _walk(
    model: Autoregressive, n: int, y: Tensor | None, batch: int, progress: Progress, take: Take
) -> None:
    """Ask for the tables of each block of entries of all batches, then take their values in
    order.
    """
    available = torch.get_num_threads() if model.device.type == "cpu" else 1
    batches, threads = _batches(n, batch, available)
    predictors = [
        _predictor(model, rows.stop - rows.start, None if y is None else y[rows])
        for rows in batches
    ]
    values: list[Tensor | None] = [None] * len(batches)
    done = 0
    with _threads(threads) as run:
        while done < model.spec.dims:
            for start in range(0, len(batches), threads):  # no more tables at once than threads
                group = slice(start, start + threads)
                blocks = list(run(_advance, predictors[group], values[group]))
                for k, tables in enumerate(blocks, start):
                    entries = slice(done, done + tables.shape[1])
                    taken = take(batches[k], entries, tables)
                    values[k] = taken.to(model.device)
                    progress(taken.numel())
            done = entries.stop


def _batches(n: int, batch: int, threads: int) -> tuple[list[slice], int]:
    """Batches of about the same size, at most `batch`, and if there is more than one, equally many
    for each of some threads; and how many threads that is.
    """
    count = -(-n // batch)
    threads = min(count, threads)
    count = min(n, -(-count // threads) * threads)
    cuts = [n * k // count for k in range(count + 1)]
    return list(itertools.starmap(slice, itertools.pairwise(cuts))), threads


def _predictor(model: Autoregressive, n: int, y: Tensor | None) -> Predictor:
    """A predictor of n data; without their labels, of a conditional model the mixture of all."""
    if not model.conditional:
        return model.predictor(n, None)
    if y is not None:
        return model.predictor(n, y)
    classes = [torch.full((n,), k, device=model.device) for k in range(model.spec.classes)]
    predictors = [model.predictor(n, labels) for labels in classes]
    return Mixture(predictors, class_weights(model), n)


def _advance(predictor: Predictor, values: Tensor | None) -> Tensor:
    """The next tables, once the predictor knows what the last block turned out to be."""
    if values is not None:
        predictor.update(values)
    return predictor.predict()


@contextlib.contextmanager
def _threads(count: int) -> Iterator[Map]:
    """A `map` over some threads, each with one of torch's: a batch is too small to share one
    operation among them.
    """
    if count == 1:
        yield map
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count) as pool:
            # A thread does not take over from the one that began it that no gradients are wanted.
            yield lambda work, *arguments: pool.map(torch.no_grad()(work), *arguments)
    finally:
        torch.set_num_threads(before)
