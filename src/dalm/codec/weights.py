r"""A model inside an archive: weights rounded to as few bits as pay for themselves, and coded.

Data and weights together are a two-part code (Rissanen 1978). Rounding a weight to multiples of Δ
moves it by Δ²/12 in the mean square, which costs N F Δ²/24 nats over N data, where F is the Fisher
information: the mean square of the gradient of log P(x). A finer step costs log 1/Δ more nats for
the weight itself. The sum is smallest where

    Δ = sqrt(12 / (N F)),

and then rounding costs half a nat a weight. Each tensor gets the power of two nearest to its Δ,
from its mean F. A tensor that the data do not ask about becomes zero.

A packed model, numbers little-endian: the length of its configuration (4 bytes) and that as JSON;
for each parameter the exponent of its step (1, signed), its spread (1) and its largest multiple
(2), or 127, 0, 0 where none would help; the number of words of one range-coded stream (4) and that,
the multiples of all parameters by discretised logistics; then all other tensors as safetensors.
"""

from __future__ import annotations

import copy
import json
import math
import struct
from typing import Any

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.codec.tables import symbols
from dalm.core import Density, Generative, build, config, restore
from dalm.errors import DalmError, is_integer
from dalm.exact import fixed

LOOKS = 256
"""Data that the Fisher information is measured on, at most."""
LARGEST = 1 << 12
"""Multiples beyond this are not coded: the tensor is stored as it is."""
FINEST = -39
COARSEST = 16
"""Exponents of steps."""
LARGEST_MODEL = 1 << 28
LARGEST_OPTION = 1 << 16
"""Numbers in a model and whole numbers in its configuration, at most: bounds the memory that a file
can ask for.
"""
SIZE = struct.Struct("<I")
ENTRY = struct.Struct("<bBH")
AS_IT_IS = 127


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
    result = copy.deepcopy(model)
    y = y.to(model.device) if y is not None and model.conditional else None
    information = _information(model, x.view(-1, *model.spec.shape).to(model.device), y)
    for parameter, fisher in zip(result.parameters(), information, strict=True):
        parameter.data = _rounded(parameter.data, n * fisher)
    return result


def _information(model: Density, x: Tensor, y: Tensor | None) -> list[float]:
    """Mean square of the gradient of log P(x) in the weights of each tensor."""
    model = copy.deepcopy(model).eval().requires_grad_(True)
    parameters = list(model.parameters())
    total = [0.0] * len(parameters)
    for k in range(len(x)):
        with torch.enable_grad():
            score = model.log_prob(x[k : k + 1], None if y is None else y[k : k + 1]).sum()
        gradients = torch.autograd.grad(score, parameters, allow_unused=True)
        total = [
            t + (0.0 if g is None else g.double().square().mean().item())
            for t, g in zip(total, gradients, strict=True)
        ]
    return [t / len(x) for t in total]


def _rounded(weight: Tensor, curvature: float) -> Tensor:
    """The nearest multiples of the tensor's step, given the mean curvature N F of the data's code
    length in its weights.
    """
    if not curvature or not weight.numel():
        return torch.zeros_like(weight)
    if not math.isfinite(curvature):
        return weight
    step = 2.0 ** min(COARSEST, max(FINEST, round(math.log2(12 / curvature) / 2)))
    multiples = (weight / step).round()
    return (
        weight if multiples.abs().max() > LARGEST else multiples * step + 0.0
    )  # no zero has a sign


class _Logistic:
    """Whole numbers from -largest to largest by a discretised logistic.

    Args:
        spread: its scale, eight to an octave.
        largest: the end of the range.
    """

    def __init__(self, spread: int, largest: int) -> None:
        self.spread = spread
        self.largest = largest

    @staticmethod
    def of(values: Tensor) -> _Logistic:
        """The one that costs values least, of those near the spread that their mean size suggests."""
        largest = int(values.abs().max())
        size = values.abs().mean().item()
        guess = round(8 * math.log2(max(size, 2.0**-4) / 1.4)) + 56
        counts = torch.bincount(
            (values.flatten() + largest).long(), minlength=2 * largest + 1
        ).double()
        tried = [
            _Logistic(spread, largest) for spread in range(max(0, guess - 10), min(255, guess + 11))
        ]
        return min(
            tried, key=lambda one: float(-(counts * (one.table().double() + 1).log2()).sum())
        )

    def table(self) -> Tensor:
        """Parts of each number, as `fixed.table`."""
        edges = torch.arange(-self.largest, self.largest, dtype=torch.float64) + 0.5
        scale = (8 + self.spread % 8) * 2.0 ** (self.spread // 8 - 10)
        below = fixed.whole(fixed.sigmoid(edges / scale))
        return fixed.table_of(torch.cat([below, below.new_full((1,), fixed.WHOLE)]))

    def coder(self) -> Any:
        """As constriction takes it."""
        return constriction.stream.model.Categorical(self.table().numpy(), perfect=False)


def _exponent(weight: Tensor) -> int | None:
    """The power of two that all numbers are small multiples of, if there is one."""
    if (
        weight.dtype != torch.float32
        or not weight.numel()
        or (weight.signbit() & (weight == 0)).any()
    ):
        return None
    for exponent in range(COARSEST, FINEST - 1, -1):
        multiples = weight.double() * 2.0**-exponent
        if multiples.abs().max() > LARGEST:
            return None
        if torch.equal(multiples, multiples.round()):
            return exponent
    return None


def pack(model: Generative) -> bytes:
    """A model as it goes into an archive."""
    from safetensors.torch import save

    content = json.dumps(config(model), separators=(",", ":")).encode()
    coder = constriction.stream.queue.RangeEncoder()
    entries = []
    rest = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    for name, _ in model.named_parameters():
        exponent = _exponent(rest[name])
        if exponent is None:
            entries.append(ENTRY.pack(AS_IT_IS, 0, 0))
            continue
        multiples = (rest.pop(name).double() * 2.0**-exponent).flatten()
        model_of = _Logistic.of(multiples)
        entries.append(ENTRY.pack(exponent, model_of.spread, model_of.largest))
        if model_of.largest:
            coder.encode(symbols(multiples + model_of.largest), model_of.coder())
    words: NDArray[np.uint32] = coder.get_compressed()
    return b"".join(
        [
            SIZE.pack(len(content)),
            content,
            *entries,
            SIZE.pack(len(words)),
            words.astype("<u4").tobytes(),
            save(rest),
        ]
    )


def unpack(content: bytes) -> Generative:
    """The model of `pack`.

    Raises:
        DalmError: the bytes are no model.
    """
    try:
        return _unpack(content)
    except DalmError:
        raise
    except Exception as error:  # a hostile file can make a parser raise anything
        raise DalmError(
            f"the model inside the archive cannot be read: {error or type(error).__name__}"
        ) from error


def _unpack(content: bytes) -> Generative:
    from safetensors.torch import load

    size = SIZE.unpack_from(content)[0]
    at = SIZE.size
    model = _made(json.loads(content[at : at + size]), len(content) // ENTRY.size)
    at = at + size
    parameters = dict(model.named_parameters())
    entries = list(ENTRY.iter_unpack(content[at : at + ENTRY.size * len(parameters)]))
    at = at + ENTRY.size * len(parameters)
    (count,) = SIZE.unpack_from(content, at)
    at = at + SIZE.size
    words = np.frombuffer(content, "<u4", count, at).astype(np.uint32)
    at = at + 4 * count
    state = load(content[at:])
    coder = constriction.stream.queue.RangeDecoder(words)
    for (name, parameter), (exponent, spread, largest) in zip(
        parameters.items(), entries, strict=True
    ):
        if exponent == AS_IT_IS:
            continue
        found = np.zeros(parameter.numel())
        if largest:
            found = coder.decode(_Logistic(spread, largest).coder(), parameter.numel()) - float(
                largest
            )
        state[name] = (
            (torch.from_numpy(found) * 2.0**exponent).view(parameter.shape).to(torch.float32)
        )
    wide = any(
        state[name].dtype == torch.float64 != own.dtype for name, own in model.state_dict().items()
    )
    restore(model.double() if wide else model, state)
    if not all(
        value.isfinite().all() for value in model.state_dict().values() if value.is_floating_point()
    ):
        raise DalmError("the model inside the archive holds numbers that are not finite")
    return model


def _made(options: dict[str, Any], tensors: int) -> Generative:
    """The model of a configuration, if it is of a size that fits into memory and has at most so
    many tensors.
    """
    if options.get("depth", 0) > tensors:
        raise DalmError(
            f"the model inside the archive has {options['depth']} layers, more than its bytes can "
            "tell of"
        )
    if any(is_integer(value) and abs(value) > LARGEST_OPTION for value in options.values()):
        raise DalmError(f"the model inside the archive has an option beyond {LARGEST_OPTION:,}")
    with torch.device("meta"):
        size = sum(value.numel() for value in build(options).state_dict().values())
    if size > LARGEST_MODEL:
        raise DalmError(
            f"the model inside the archive has {size:,} numbers, more than {LARGEST_MODEL:,}"
        )
    return build(options)
