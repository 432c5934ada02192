r"""A model inside an archive: its configuration, and its weights behind an entropy coder.

A packed model, numbers little-endian: the length of its configuration (4 bytes) and that as JSON;
for each parameter the exponent of its step (1, signed), its spread (1) and its largest multiple
(2), or 127, 0, 0 where none would help; the number of words of one range-coded stream (4) and that,
the multiples of all parameters by discretised logistics; then all other tensors as safetensors.
How the steps are chosen is in `dalm.codec.rounding`.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import constriction
import numpy as np
import torch
from torch import Tensor, nn

from dalm.codec.limits import build_within
from dalm.codec.rounding import step_exponent
from dalm.codec.stream import Words
from dalm.codec.tables import symbols
from dalm.core import Generative, config, restore
from dalm.errors import DalmError
from dalm.exact import fixed

SIZE = struct.Struct("<I")
ENTRY = struct.Struct("<bBH")
AS_IT_IS = 127
"""In place of an exponent: the tensor is among the others."""


class Entry(NamedTuple):
    """How one parameter is coded: the exponent of its step, and a `LogisticModel` of multiples."""

    exponent: int
    spread: int
    largest: int


class LogisticModel:
    """Whole numbers from -largest to largest by a discretised logistic.

    Args:
        spread: its scale, eight to an octave.
        largest: the end of the range.
    """

    def __init__(self, spread: int, largest: int) -> None:
        self.spread = spread
        self.largest = largest

    @classmethod
    def fitted(cls, values: Tensor) -> LogisticModel:
        """The one that costs values least, of those near the spread that their mean size
        suggests.
        """
        largest = int(values.abs().max())
        size = max(values.abs().mean().item(), 2.0**-4)
        guess = round(8 * math.log2(size / 1.4)) + 56
        places = (values.flatten() + largest).long()
        counts = torch.bincount(places, minlength=2 * largest + 1).double()

        spreads = range(max(0, guess - 10), min(255, guess + 11))
        candidates = [cls(spread, largest) for spread in spreads]
        return min(candidates, key=lambda candidate: candidate._cost(counts))

    def _cost(self, counts: Tensor) -> float:
        """Bits of so many of each number, up to a constant."""
        return float(-(counts * (self.table().double() + 1).log2()).sum())

    def table(self) -> Tensor:
        """Parts of each number, as `fixed.table`."""
        edges = torch.arange(-self.largest, self.largest, dtype=torch.float64) + 0.5
        octave, eighths = divmod(self.spread, 8)
        scale = (8 + eighths) * 2.0 ** (octave - 10)
        below = fixed.whole(fixed.sigmoid(edges / scale))
        return fixed.table_of(torch.cat([below, below.new_full((1,), fixed.WHOLE)]))

    def encode(self, coder: Any, values: Tensor) -> None:
        """Write values; nothing, where all are zero.

        Args:
            coder: a range encoder of constriction.
            values: whole numbers of any shape.
        """
        if self.largest:
            coder.encode(symbols(values + self.largest), self._categorical())

    def decode(self, coder: Any, count: int) -> Tensor:
        """Read values, (count,) float64.

        Args:
            coder: a range decoder of constriction.
            count: how many.
        """
        if not self.largest:
            return torch.zeros(count, dtype=torch.float64)
        values = coder.decode(self._categorical(), count) - float(self.largest)
        return torch.from_numpy(values)

    def _categorical(self) -> Any:
        """As constriction takes it."""
        return constriction.stream.model.Categorical(self.table().numpy(), perfect=False)


def pack_model(model: Generative) -> bytes:
    """A model as it goes into an archive."""
    from safetensors.torch import save

    configuration = json.dumps(config(model), separators=(",", ":")).encode()
    coder = constriction.stream.queue.RangeEncoder()
    others = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    entries = []
    for name, _ in model.named_parameters():
        entry = _encode_parameter(coder, others[name])
        if entry.exponent != AS_IT_IS:
            del others[name]
        entries.append(ENTRY.pack(*entry))

    words: Words = coder.get_compressed()
    head = [SIZE.pack(len(configuration)), configuration, *entries]
    stream = [SIZE.pack(len(words)), words.astype("<u4").tobytes()]
    return b"".join([*head, *stream, save(others)])


def _encode_parameter(coder: Any, weight: Tensor) -> Entry:
    """Code a parameter as multiples of a step, if all its numbers are."""
    exponent = step_exponent(weight)
    if exponent is None:
        return Entry(AS_IT_IS, 0, 0)
    multiples = (weight.double() * 2.0**-exponent).flatten()
    distribution = LogisticModel.fitted(multiples)
    distribution.encode(coder, multiples)
    return Entry(exponent, distribution.spread, distribution.largest)


def unpack_model(content: bytes) -> Generative:
    """The model of `pack_model`.

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

    (size,) = SIZE.unpack_from(content)
    at = SIZE.size
    configuration = json.loads(content[at : at + size])
    model = build_within(configuration, most_tensors=len(content) // ENTRY.size)
    at += size

    parameters = dict(model.named_parameters())
    size = ENTRY.size * len(parameters)
    entries = [Entry(*entry) for entry in ENTRY.iter_unpack(content[at : at + size])]
    at += size

    (count,) = SIZE.unpack_from(content, at)
    at += SIZE.size
    words = np.frombuffer(content, "<u4", count, at).astype(np.uint32)
    at += words.nbytes

    state = load(content[at:]) | _decode_parameters(parameters, entries, words)
    return _with_weights(model, state)


def _decode_parameters(
    parameters: Mapping[str, nn.Parameter], entries: list[Entry], words: Words
) -> dict[str, Tensor]:
    """The parameters that were coded as multiples of steps, by name."""
    coder = constriction.stream.queue.RangeDecoder(words)
    state = {}
    for (name, parameter), entry in zip(parameters.items(), entries, strict=True):
        if entry.exponent == AS_IT_IS:
            continue
        distribution = LogisticModel(entry.spread, entry.largest)
        multiples = distribution.decode(coder, parameter.numel())
        weight = multiples * 2.0**entry.exponent
        state[name] = weight.view(parameter.shape).to(torch.float32)
    return state


def _with_weights(model: Generative, state: dict[str, Tensor]) -> Generative:
    """The model with its weights, in double precision if they are."""
    own = model.state_dict()
    wide = any(state[name].dtype == torch.float64 != own[name].dtype for name in own)
    restore(model.double() if wide else model, state)
    floats = [value for value in model.state_dict().values() if value.is_floating_point()]
    if not all(value.isfinite().all() for value in floats):
        raise DalmError("the model inside the archive holds numbers that are not finite")
    return model
