r"""Weights rounded to as few bits as pay for themselves.

Data and weights together are a two-part code (Rissanen 1978). Rounding a weight to multiples of Δ
moves it by Δ²/12 in the mean square, which costs N F Δ²/24 nats over N data, where F is the Fisher
information: the mean square of the gradient of log P(x). A finer step costs log 1/Δ more nats for
the weight itself. The sum is smallest where

    Δ = sqrt(12 / (N F)),

and then rounding costs half a nat a weight. Each tensor gets the power of two nearest to its Δ,
from its mean F. A tensor that the data do not ask about becomes zero.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from dalm.core import Density, Generative

MOST_FISHER_DATA = 256
"""Data that the Fisher information is measured on."""
MOST_MULTIPLE = 1 << 12
"""A tensor with a larger multiple of its step is stored as it is."""
FINEST_STEP = -39
COARSEST_STEP = 16
"""Exponents of steps, as powers of two."""


def quantise(model: Generative, x: Tensor, y: Tensor | None, n: int) -> Generative:
    """A copy of a model whose parameters have as few bits as pay for themselves.

    Args:
        model: a density; its buffers stay as they are.
        x: some of the data, flat (B, dims).
        y: their labels (B,), if there are any.
        n: how many data there are in all.
    """
    assert isinstance(model, Density)
    if not any(p.numel() for p in model.parameters()):
        return model
    images = x.view(-1, *model.spec.shape).to(model.device)
    labels = y.to(model.device) if y is not None and model.conditional else None
    information = fisher_information(model, images, labels)

    result = copy.deepcopy(model)
    for parameter, fisher in zip(result.parameters(), information, strict=True):
        parameter.data = round_to_step(parameter.data, n * fisher)
    return result


def fisher_information(model: Density, x: Tensor, y: Tensor | None) -> list[float]:
    """Mean square of the gradient of log P(x) in the weights, one number for each tensor.

    Args:
        model: a density; its own gradients stay as they are.
        x: data, (B, *shape).
        y: their labels (B,), if there are any.
    """
    model = copy.deepcopy(model).eval().requires_grad_(True)
    parameters = list(model.parameters())
    totals = [0.0] * len(parameters)
    for k in range(len(x)):
        row = slice(k, k + 1)
        with torch.enable_grad():
            log_prob = model.log_prob(x[row], None if y is None else y[row]).sum()
        gradients = torch.autograd.grad(log_prob, parameters, allow_unused=True)
        for index, gradient in enumerate(gradients):
            if gradient is not None:
                totals[index] += gradient.double().square().mean().item()
    return [total / len(x) for total in totals]


def round_to_step(weight: Tensor, curvature: float) -> Tensor:
    """The nearest multiples of a tensor's step.

    Args:
        weight: of any shape.
        curvature: the mean curvature N F of the data's code length in these weights, nats.
    """
    if not curvature or not weight.numel():
        return torch.zeros_like(weight)
    if not math.isfinite(curvature):
        return weight
    exponent = round(math.log2(12 / curvature) / 2)
    step = 2.0 ** min(COARSEST_STEP, max(FINEST_STEP, exponent))
    multiples = (weight / step).round()
    if multiples.abs().max() > MOST_MULTIPLE:
        return weight
    return multiples * step + 0.0  # no zero has a sign


def step_exponent(weight: Tensor) -> int | None:
    """The power of two that all numbers are small multiples of, if there is one.

    >>> step_exponent(torch.tensor([0.25, -0.5, 1.0]))
    -2
    """
    if weight.dtype != torch.float32 or not weight.numel():
        return None
    if (weight.signbit() & (weight == 0)).any():  # a zero with a sign is no multiple
        return None
    for exponent in range(COARSEST_STEP, FINEST_STEP - 1, -1):
        multiples = weight.double() * 2.0**-exponent
        if multiples.abs().max() > MOST_MULTIPLE:
            return None
        if torch.equal(multiples, multiples.round()):
            return exponent
    return None
