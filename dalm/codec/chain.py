"""Coding by the chain rule: a range coder takes each entry at the price of its conditional probability (Rissanen 1976; Martin 1979).

Entries are coded in the order of the chain, and each for all data before the next, so that a network is asked about many data
at once. The stream depends on neither how many: a batch only says how many are asked about together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.core import Autoregressive
from dalm.dist import Mixture, Predictor

Words = NDArray[np.uint32]
Progress = Callable[[int], None]
"""Told how many entries of data are done."""

LEVELS = constriction.stream.model.Categorical(perfect=False)
"""Levels by table: whole parts that sum to 2²⁴ less one for each level come out of constriction's rounding unchanged."""


def flat(tables: Tensor) -> NDArray[np.float32]:
    """Tables (..., levels) as constriction takes them, (N, levels)."""
    array: NDArray[np.float32] = tables.reshape(-1, tables.shape[-1]).contiguous().cpu().numpy()
    return array


def symbols(values: Tensor) -> NDArray[np.int32]:
    """Levels as constriction takes them, (N,)."""
    array: NDArray[np.int32] = values.flatten().cpu().numpy().astype(np.int32)
    return array


class Lockstep:
    """A chunk of data, predicted in batches that take each step together.

    Args:
        model: in double precision.
        n: how many data.
        y: their labels, if they are known.
        batch: how many data a network is asked about at once.
    """

    def __init__(self, model: Autoregressive, n: int, y: Tensor | None, batch: int) -> None:
        self.rows = torch.arange(n).split(batch)
        self.parts = [_start(model, len(rows), None if y is None else y[rows]) for rows in self.rows]
        self.order = model.order()

    def steps(self) -> Iterator[Iterator[tuple[Predictor, Tensor, Tensor]]]:
        """For each block of entries, for each batch: its predictor, its rows and the entries' places."""
        for at in range(len(self.order)):
            yield ((part, rows, self.order[at : at + 1]) for part, rows in zip(self.parts, self.rows, strict=True))


def _start(model: Autoregressive, n: int, y: Tensor | None) -> Predictor:
    if y is None and model.conditional:
        classes = [model.predictor(n, torch.full((n,), k, device=model.device)) for k in range(model.spec.classes)]
        return Mixture(classes, (model.prior.double() * 2**24).floor(), n)
    return model.predictor(n, y if model.conditional else None)


def encode(model: Autoregressive, x: Tensor, y: Tensor | None, batch: int, progress: Progress) -> Words:
    """Flat levels (N, dims) as a stream; their labels (N,) are the decoder's too, if they are given."""
    coder = constriction.stream.queue.RangeEncoder()
    for step in Lockstep(model, len(x), y, batch).steps():
        for predictor, rows, places in step:
            tables, values = predictor.predict(), x[rows[:, None], places].to(model.device)
            coder.encode(symbols(values), LEVELS, flat(tables))
            predictor.update(values)
            progress(values.numel())
    words: Words = coder.get_compressed()
    return words


def decode(model: Autoregressive, words: Words, n: int, y: Tensor | None, batch: int, progress: Progress) -> Tensor:
    """The flat levels (n, dims) of a stream."""
    coder, x = constriction.stream.queue.RangeDecoder(words), torch.zeros(n, model.spec.dims, dtype=torch.int32)
    for step in Lockstep(model, n, y, batch).steps():
        for predictor, rows, places in step:
            tables = predictor.predict()
            values = torch.from_numpy(coder.decode(LEVELS, flat(tables))).view(len(rows), -1)
            x[rows[:, None], places] = values
            predictor.update(values.to(model.device))
            progress(values.numel())
    return x
