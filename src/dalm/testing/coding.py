"""What every family that can be coded must satisfy: its exact arithmetic says what its likelihood
says, and its archives decode.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from dalm.codec import Settings, compress, decompress
from dalm.core import Autoregressive, Density, Variational
from dalm.errors import DalmError
from dalm.exact import fixed
from dalm.testing.cases import TestCase, everything, examples

LOST = 0.003
"""Share of its length that rounding may add to the code of a datum."""


def predictions_are_the_likelihood(case: TestCase) -> None:
    """The tables of all tiny data, entry after entry, multiply to each datum's probability."""
    for model in _models(case):
        assert isinstance(model, Autoregressive)
        x = everything(case.discrete)[:500]
        y = torch.arange(len(x)) % case.discrete.classes if model.conditional else None
        with torch.no_grad():
            told = predicted_bits(model, x, y)
            claimed = -model.log_prob(x, y) / np.log(2)
        # Every level keeps at least one part of 2²⁴, so what the likelihood all but excludes costs
        # less than it claims.
        worst = ((told - claimed) / claimed).where(claimed < 20, 0.0).abs().max().item()
        assert worst <= LOST, (
            f"predictions are off by up to {worst:.2%} of the code length of a datum"
        )


def _models(case: TestCase) -> list[Density]:
    """Trained models of discrete data, conditional and not, as far as the family goes."""
    asked = {case.takes_classes, case.always_conditional}
    models = [case.trained(case.discrete, conditional) for conditional in sorted(asked)]
    return [model for model in models if isinstance(model, Density)]


def predicted_bits(model: Autoregressive, x: Tensor, y: Tensor | None) -> Tensor:
    """Code length of data (B, *shape) under a model's predictor, (B,) bits."""
    flat = x.flatten(1).long()
    at = 0
    total = torch.zeros(len(x), dtype=torch.float64)
    predictor = model.predictor(len(x), y)
    order = model.order()
    while at < len(order):
        tables = predictor.predict()
        values = flat[:, order[at : at + tables.shape[1]]]
        total += fixed.bits(tables, values).sum(1)
        predictor.update(values)
        at += tables.shape[1]
    return total


def archives_give_the_data_back(case: TestCase) -> None:
    """An archive decodes at another batch size, with labels and without, and is as long as the
    likelihood says.
    """
    x, y = examples(case.discrete, 300, seed=3)
    for model in _models(case):
        for labels in (None, y):
            size, back = _round_trip(model, x, labels)
            assert torch.equal(back, x), (
                "an archive did not give its data back at another batch size"
            )
            nats = model.log_prob(x, labels if model.conditional else None).sum().item()
            claim = -nats / np.log(2) / 8
            most = claim * (1.05 if isinstance(model, Variational) else 1 + LOST) + (
                250 if labels is None else 350
            )
            assert size <= most, (
                f"an archive has {size:,} bytes, and the likelihood claims {claim:,.0f}"
            )


def _round_trip(model: Density, x: Tensor, y: Tensor | None) -> tuple[int, Tensor]:
    file = io.BytesIO()
    compress(model, x.numpy(), None if y is None else y.numpy(), file, Settings(batch=100))
    size = file.tell() if file.seek(0, 2) else 0
    file.seek(0)
    try:
        chunks = list(decompress(file, size, lambda header: model, batch=33))
    except DalmError as error:
        raise AssertionError(f"an archive did not decode at another batch size: {error}") from error
    assert y is None or np.array_equal(
        np.concatenate([labels for _, labels in chunks if labels is not None]), y.numpy()
    ), "labels were lost"
    return size, torch.from_numpy(np.concatenate([rows for rows, _ in chunks]))
