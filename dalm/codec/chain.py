"""Coding by the chain rule: a range coder takes each entry at the price of its conditional probability (Rissanen 1976; Martin 1979).

Entries are coded in the order of the chain, and each for all data before the next, so that a network is asked about many data
at once. The stream does not depend on how many are asked about together.
"""

from __future__ import annotations

import constriction
import torch
from torch import Tensor

from dalm.codec.tables import LEVELS, Progress, Tally, Words, class_weights, flat, symbols
from dalm.core import Autoregressive
from dalm.dist import Mixture, Predictor


def predictors(model: Autoregressive, n: int, y: Tensor | None, batch: int) -> list[tuple[slice, Predictor]]:
    """Batches of n data and a predictor for each."""
    rows = [slice(start, min(n, start + batch)) for start in range(0, n, batch)]
    return [(some, _start(model, some.stop - some.start, None if y is None else y[some])) for some in rows]


def _start(model: Autoregressive, n: int, y: Tensor | None) -> Predictor:
    if y is None and model.conditional:
        classes = [model.predictor(n, torch.full((n,), k, device=model.device)) for k in range(model.spec.classes)]
        return Mixture(classes, class_weights(model), n)
    return model.predictor(n, y if model.conditional else None)


def encode(model: Autoregressive, x: Tensor, y: Tensor | None, batch: int, progress: Progress, tally: Tally | None = None) -> Words:
    """Flat levels (N, dims) as a stream; their labels (N,) are the decoder's too, if they are given."""
    coder, at, device = constriction.stream.queue.RangeEncoder(), 0, model.device
    parts, columns = predictors(model, len(x), y, batch), x.to(model.spec.dtype).T.contiguous()[model.order()]
    while at < len(columns):
        for rows, predictor in parts:
            tables = predictor.predict()
            values = columns[at : at + tables.shape[1], rows].T.int()
            coder.encode(symbols(values), LEVELS, flat(tables))
            if tally:
                tally.add(tables, values)
            predictor.update(values.to(device))
            progress(values.numel())
        at += tables.shape[1]
    words: Words = coder.get_compressed()
    return words


def decode(model: Autoregressive, words: Words, n: int, y: Tensor | None, batch: int, progress: Progress) -> Tensor:
    """The flat levels (n, dims) of a stream."""
    coder, at, device = constriction.stream.queue.RangeDecoder(words), 0, model.device
    parts, columns = predictors(model, n, y, batch), torch.empty(model.spec.dims, n, dtype=model.spec.dtype)
    while at < len(columns):
        for rows, predictor in parts:
            tables = predictor.predict()
            values = torch.from_numpy(coder.decode(LEVELS, flat(tables))).view(tables.shape[:2])
            columns[at : at + tables.shape[1], rows] = values.T
            predictor.update(values.to(device))
            progress(values.numel())
        at += tables.shape[1]
    return columns[model.order().argsort()].T
