"""Coding by the chain rule: a range coder takes each entry at the price of its conditional probability (Rissanen 1976; Martin 1979).

Entries are coded in the order of the chain, and each for all data before the next, so that a network is asked about many data
at once. The stream does not depend on how many are asked about together.
"""

from __future__ import annotations

from collections.abc import Callable

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.core import Autoregressive, Generative
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
    array: NDArray[np.int32] = values.reshape(-1).int().cpu().numpy()
    return array


def class_weights(model: Generative) -> Tensor:
    """Whole weights of the classes, (classes,): of a conditional model its prior, else all alike."""
    return (model.prior.double() * 2**24).floor() if model.conditional else torch.ones(model.spec.classes, dtype=torch.float64)


def predictors(model: Autoregressive, n: int, y: Tensor | None, batch: int) -> list[tuple[slice, Predictor]]:
    """Batches of n data and a predictor for each."""
    rows = [slice(start, min(n, start + batch)) for start in range(0, n, batch)]
    return [(some, _start(model, some.stop - some.start, None if y is None else y[some])) for some in rows]


def _start(model: Autoregressive, n: int, y: Tensor | None) -> Predictor:
    if y is None and model.conditional:
        classes = [model.predictor(n, torch.full((n,), k, device=model.device)) for k in range(model.spec.classes)]
        return Mixture(classes, class_weights(model), n)
    return model.predictor(n, y if model.conditional else None)


def encode(model: Autoregressive, x: Tensor, y: Tensor | None, batch: int, progress: Progress) -> Words:
    """Flat levels (N, dims) as a stream; their labels (N,) are the decoder's too, if they are given."""
    coder, at, device = constriction.stream.queue.RangeEncoder(), 0, model.device
    parts, columns = predictors(model, len(x), y, batch), x.to(model.spec.dtype).T.contiguous()[model.order()]
    while at < len(columns):
        for rows, predictor in parts:
            tables = predictor.predict()
            values = columns[at : at + tables.shape[1], rows].T.int()
            coder.encode(symbols(values), LEVELS, flat(tables))
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
