"""A chunk of data to a payload and back: the driver of a model is chosen by what the model can do,
the chain rule or bits-back.
"""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any, TypeVar

import constriction
import numpy as np
import torch
from torch import Tensor

from dalm.codec import bitsback, chain
from dalm.codec.archive import HASH_BYTES, MOST_CHUNK_ENTRIES, MOST_SAMPLES
from dalm.codec.stream import Words
from dalm.codec.tables import CodeLength, Progress, class_weights, flat, symbols
from dalm.core import Autoregressive, Density, Generative, Variational, config, without_places
from dalm.errors import DalmError
from dalm.exact import fixed
from dalm.options import Options, option

Model = TypeVar("Model", bound=Generative)

MOST_BATCH = 2500
"""Data that a network is asked about at once, where nobody says how many."""
MOST_BATCH_NUMBERS = 1 << 24
"""Numbers in the tables of such a batch, at one entry of each datum."""
MOST_CHUNK_BYTES = 1 << 32
"""Memory that coding a chunk may need, about."""


class ReadSettings(Options, owner="decompress"):
    """How to decompress; none of it changes what is decoded.

    >>> ReadSettings(batch=100).batch
    100
    """

    batch: int = option(
        "how many data a network is asked about at once; 0 chooses", default=0, at_least=0
    )


class Settings(ReadSettings, owner="compress"):
    """How to compress; none of it changes what is decoded.

    >>> Settings(samples=0)
    Traceback (most recent call last):
    dalm.errors.DalmError: compress's samples is from 1 to 65536, got 0
    """

    samples: int = option(
        "importance samples of a latent-variable model: of many data more make a smaller file, "
        "more slowly",
        default=1,
        at_least=1,
        at_most=MOST_SAMPLES,
    )
    chunk: int = option("data that are decoded together; 0 chooses", default=0, at_least=0)
    embed: bool = option(
        "put the model into the archive, its weights in as few bits as pay for themselves",
        default=False,
    )


def by_bits_back(model: Generative) -> bool:
    """Whether a model is coded by bits-back, else by the chain rule.

    Raises:
        DalmError: the model has no likelihood that could be coded.
    """
    if not isinstance(model, Density):
        raise DalmError(
            f"{model.family} has no likelihood, so there is nothing to code with; a density such "
            "as pixelcnn, vae or kde would work"
        )
    if model.spec.levels is None:
        raise DalmError(
            f"{model.family} gives real numbers a density, and only levels have probabilities to "
            "code with; fit it to whole numbers, such as real ones counted in steps of their "
            "precision (images from 0 to 1: --levels 256)"
        )
    if isinstance(model, Autoregressive):
        return False
    if isinstance(model, Variational):
        return True
    raise DalmError(
        f"{model.family} states neither conditionals (Autoregressive) nor a posterior "
        "(Variational), so no driver can code with it"
    )


def hash_of(model: Generative) -> bytes:
    """8 bytes that name a model: its configuration and its weights."""
    description = json.dumps(without_places(config(model)), sort_keys=True).encode()
    hasher = hashlib.blake2b(description, digest_size=HASH_BYTES)
    for name, value in sorted(model.state_dict().items()):
        hasher.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        hasher.update(value.cpu().contiguous().numpy().tobytes())
    return hasher.digest()


def most_chunk_data(model: Generative, labels: bool) -> int:
    """How many data a chunk may hold.

    Args:
        model: whose predictor is kept for each datum, for each class if it must mix them.
        labels: whether the archive holds the classes.
    """
    most = MOST_CHUNK_ENTRIES // model.spec.dims
    if not isinstance(model, Autoregressive):
        return most
    mixed = model.spec.classes if model.conditional and not labels else 1
    datum_bytes = max(1, model.predictor_bytes() * mixed)
    return min(most, max(1, MOST_CHUNK_BYTES // datum_bytes))


def exact_copy(model: Model) -> Model:
    """The model in double precision, in which its exact arithmetic works."""
    return copy.deepcopy(model).double().eval().requires_grad_(False)


class ChunkCoder:
    """Codes chunks of data with one model.

    Args:
        model: any that `by_bits_back` takes.
        samples: importance samples of bits-back, 0 for the chain rule.
        batch: how many data a network is asked about at once; 0 chooses.
        progress: told how many entries are done.
        tally: told what they cost in exact arithmetic.
    """

    def __init__(
        self,
        model: Generative,
        samples: int,
        batch: int = 0,
        progress: Progress = lambda entries: None,
        tally: CodeLength | None = None,
    ) -> None:
        self.model = exact_copy(model)
        self.samples = samples
        self.progress = progress
        self.tally = tally
        fitting = MOST_BATCH_NUMBERS // (model.spec.levels or 1)
        self.batch = batch or max(1, min(MOST_BATCH, fitting))

    @torch.no_grad()
    def encode(self, x: Tensor, y: Tensor | None) -> bytes:
        """Data as a payload.

        Args:
            x: flat levels, (N, dims).
            y: their labels, (N,), if there are any.
        """
        labels = self._write_labels(y) if y is not None else np.zeros(0, np.uint32)
        stream = self._write_levels(x, y if self.model.conditional else None)
        return np.concatenate([labels, stream]).astype("<u4").tobytes()

    @torch.no_grad()
    def decode(self, payload: bytes, n: int, labels: bool) -> tuple[Tensor, Tensor | None]:
        """The levels (n, dims) and labels (n,) of a payload.

        Args:
            payload: what `encode` gave.
            n: how many data it holds.
            labels: whether it holds labels.

        Raises:
            DalmError: the payload does not suit the model.
        """
        if len(payload) % 4:
            raise DalmError(
                f"a chunk of the archive is damaged: {len(payload)} bytes are no whole number of "
                "32-bit words"
            )
        words = np.frombuffer(payload, "<u4").astype(np.uint32)
        try:
            y, words = self._read_labels(words, n) if labels else (None, words)
            x = self._read_levels(words, n, y if self.model.conditional else None)
        except DalmError:
            raise
        except Exception as error:  # a hostile model can make arithmetic raise anything
            raise DalmError(f"a chunk of the archive cannot be decoded: {error}") from error
        return x, y

    def _write_levels(self, x: Tensor, y: Tensor | None) -> Words:
        if isinstance(self.model, Autoregressive):
            return chain.encode(self.model, x, y, self.batch, self.progress, self.tally)
        assert isinstance(self.model, Variational)
        return bitsback.encode(
            self.model, x, y, self.samples, self.batch, self.progress, self.tally
        )

    def _read_levels(self, words: Words, n: int, y: Tensor | None) -> Tensor:
        if isinstance(self.model, Autoregressive):
            return chain.decode(self.model, words, n, y, self.batch, self.progress)
        assert isinstance(self.model, Variational)
        return bitsback.decode(self.model, words, n, y, self.samples, self.batch, self.progress)

    def _label_model(self) -> Any:
        """The classes' probabilities, as constriction takes them."""
        table = fixed.table(class_weights(self.model))
        return constriction.stream.model.Categorical(flat(table)[0], perfect=False)

    def _write_labels(self, y: Tensor) -> Words:
        coder = constriction.stream.queue.RangeEncoder()
        coder.encode(symbols(y), self._label_model())
        words: Words = coder.get_compressed()
        return np.concatenate([np.array([len(words)], np.uint32), words])

    def _read_labels(self, words: Words, n: int) -> tuple[Tensor, Words]:
        """The labels, and the words that follow theirs."""
        count = int(words[0]) if len(words) else 0
        if not 0 < count < len(words):
            raise DalmError("a chunk of the archive is damaged: its labels do not fit into it")
        end = count + 1
        coder = constriction.stream.queue.RangeDecoder(words[1:end])
        labels = torch.from_numpy(coder.decode(self._label_model(), n)).long()
        return labels, words[end:]
