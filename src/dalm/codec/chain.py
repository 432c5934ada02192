"""Coding by the chain rule: a range coder takes each entry at the price of its conditional
probability (Rissanen 1976; Martin 1979).

Entries are coded in the order of the chain, and each for all data before the next, so that a
network is asked about many data at once. The stream does not depend on how many are asked about
together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import constriction
import torch
from torch import Tensor

from dalm.codec.tables import LEVELS, CodeLength, Progress, Words, class_weights, flat, symbols
from dalm.core import Autoregressive
from dalm.exact import Mixture, Predictor

Take = Callable[[slice, slice, Tensor], Tensor]
"""Given some data, some entries and their tables: the values."""


def encode(
    model: Autoregressive,
    x: Tensor,
    y: Tensor | None,
    batch: int,
    progress: Progress,
    tally: CodeLength | None = None,
) -> Words:
    """Flat levels (N, dims) as a stream; their labels (N,) are the decoder's too, if they are
    given.
    """
    coder = constriction.stream.queue.RangeEncoder()
    columns = x.to(model.spec.dtype).T.contiguous()[model.order()]

    def take(rows: slice, entries: slice, tables: Tensor) -> Tensor:
        values = columns[entries, rows].T.int()
        coder.encode(symbols(values), LEVELS, flat(tables))
        if tally:
            tally.add(tables, values)
        return values

    _walk(model, len(x), y, batch, progress, take)
    words: Words = coder.get_compressed()
    return words


def decode(
    model: Autoregressive, words: Words, n: int, y: Tensor | None, batch: int, progress: Progress
) -> Tensor:
    """The flat levels (n, dims) of a stream."""
    coder = constriction.stream.queue.RangeDecoder(words)
    columns = torch.empty(model.spec.dims, n, dtype=model.spec.dtype)

    def take(rows: slice, entries: slice, tables: Tensor) -> Tensor:
        values = torch.from_numpy(coder.decode(LEVELS, flat(tables))).view(tables.shape[:2])
        columns[entries, rows] = values.T
        return values

    _walk(model, n, y, batch, progress, take)
    return columns[model.order().argsort()].T


@torch.no_grad()
def _walk(
    model: Autoregressive, n: int, y: Tensor | None, batch: int, progress: Progress, take: Take
) -> None:
    """Ask for the tables of each block of entries of all batches, then take their values in order."""
    device = model.device
    rows, threads = _shared(n, batch, torch.get_num_threads() if device.type == "cpu" else 1)
    predictors = [
        _predictor(model, some.stop - some.start, None if y is None else y[some]) for some in rows
    ]
    values: list[Tensor | None] = [None] * len(rows)
    at = 0
    with _threads(threads) as run:
        while at < model.spec.dims:
            for start in range(0, len(rows), threads):  # no more tables at once than threads
                together = slice(start, start + threads)
                for k, tables in enumerate(
                    list(run(_advance, predictors[together], values[together])), start
                ):
                    entries = slice(at, at + tables.shape[1])
                    found = take(rows[k], entries, tables)
                    values[k] = found.to(device)
                    progress(found.numel())
            at = entries.stop


def _shared(n: int, batch: int, threads: int) -> tuple[list[slice], int]:
    """Batches of about the same size, at most `batch`, and if there is more than one, equally many
    for each of some threads.
    """
    count = -(-n // batch)
    threads = min(count, threads)
    count = min(n, -(-count // threads) * threads)
    return [slice(n * k // count, n * (k + 1) // count) for k in range(count)], threads


def _predictor(model: Autoregressive, n: int, y: Tensor | None) -> Predictor:
    if y is None and model.conditional:
        classes = [
            model.predictor(n, torch.full((n,), k, device=model.device))
            for k in range(model.spec.classes)
        ]
        return Mixture(classes, class_weights(model), n)
    return model.predictor(n, y if model.conditional else None)


def _advance(predictor: Predictor, values: Tensor | None) -> Tensor:
    """The next tables, once the predictor knows what the last block turned out to be."""
    if values is not None:
        predictor.update(values)
    return predictor.predict()


@contextlib.contextmanager
def _threads(count: int) -> Iterator[Callable[..., Iterator[Tensor]]]:
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
            yield lambda work, *given: pool.map(torch.no_grad()(work), *given)
    finally:
        torch.set_num_threads(before)
