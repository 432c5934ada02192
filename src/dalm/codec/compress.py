"""Data to an archive and back, with any model whose likelihood can be coded."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import constriction
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.codec import archive, bitsback, chain, weights
from dalm.codec.archive import Header
from dalm.codec.tables import CodeLength, Progress, Words, class_weights, flat, symbols
from dalm.core import Autoregressive, Density, Generative, Spec, Variational, config, within
from dalm.errors import DalmError
from dalm.exact import fixed

Array = NDArray[np.generic]
BATCH = 2500
MEMORY = 1 << 32  # bytes that coding a chunk may need, about


@dataclass(frozen=True)
class Settings:
    """How to compress; none of it changes what is decoded.

    Args:
        samples: importance samples of bits-back; 1 reaches the bound, more the tighter one.
        chunk: data in a chunk; 0 chooses.
        embed: put the model into the archive, its weights rounded to as few bits as pay for
            themselves.
        batch: how many data a network is asked about at once; 0 chooses.
    """

    samples: int = 1
    chunk: int = 0
    embed: bool = False
    batch: int = 0

    def __post_init__(self) -> None:
        within("compress", 0, chunk=self.chunk, batch=self.batch)
        within("compress", 1, archive.MOST, samples=self.samples)


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
            "code with; load the data with levels"
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
    hasher = hashlib.blake2b(
        json.dumps(config(model), sort_keys=True).encode(), digest_size=archive.HASH
    )
    for name, value in sorted(model.state_dict().items()):
        hasher.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        hasher.update(value.cpu().contiguous().numpy().tobytes())
    return hasher.digest()


def exact_copy(model: Generative) -> Generative:
    """The model in double precision, in which its exact arithmetic works."""
    return copy.deepcopy(model).double().eval().requires_grad_(False)


class Coder:
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
        self.batch = batch or max(1, min(BATCH, (1 << 24) // (model.spec.levels or 1)))

    @torch.no_grad()
    def encode(self, x: Tensor, y: Tensor | None) -> bytes:
        """Flat levels (N, dims), and their labels (N,) if there are any, as a payload."""
        given = y if self.model.conditional else None
        words = self._labels(y) if y is not None else np.zeros(0, np.uint32)
        if isinstance(self.model, Autoregressive):
            stream = chain.encode(self.model, x, given, self.batch, self.progress, self.tally)
        else:
            assert isinstance(self.model, Variational)
            stream = bitsback.encode(
                self.model, x, given, self.samples, self.batch, self.progress, self.tally
            )
        return np.concatenate([words, stream]).astype("<u4").tobytes()

    @torch.no_grad()
    def decode(self, payload: bytes, n: int, labels: bool) -> tuple[Tensor, Tensor | None]:
        """The levels (n, dims) and labels (n,) of a payload.

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
            given = y if self.model.conditional else None
            if isinstance(self.model, Autoregressive):
                return chain.decode(self.model, words, n, given, self.batch, self.progress), y
            assert isinstance(self.model, Variational)
            return bitsback.decode(
                self.model, words, n, given, self.samples, self.batch, self.progress
            ), y
        except DalmError:
            raise
        except Exception as error:  # a hostile model can make arithmetic raise anything
            raise DalmError(f"a chunk of the archive cannot be decoded: {error}") from error

    def _label_model(self) -> Any:
        """The classes' probabilities, as constriction takes them."""
        return constriction.stream.model.Categorical(
            flat(fixed.table(class_weights(self.model)))[0], perfect=False
        )

    def _labels(self, y: Tensor) -> Words:
        coder = constriction.stream.queue.RangeEncoder()
        coder.encode(symbols(y), self._label_model())
        words: Words = coder.get_compressed()
        return np.concatenate([np.array([len(words)], np.uint32), words])

    def _read_labels(self, words: Words, n: int) -> tuple[Tensor, Words]:
        count = int(words[0]) if len(words) else 0
        if not 0 < count < len(words):
            raise DalmError("a chunk of the archive is damaged: its labels do not fit into it")
        coder = constriction.stream.queue.RangeDecoder(words[1 : count + 1])
        return torch.from_numpy(coder.decode(self._label_model(), n)).long(), words[count + 1 :]


def compress(
    model: Generative,
    x: Array,
    y: Array | None,
    file: BinaryIO,
    settings: Settings = Settings(),
    progress: Progress = lambda entries: None,
    tally: CodeLength | None = None,
) -> Header:
    """Write an archive of data to a file that can be sought.

    Args:
        model: whose likelihood sets the size.
        x: levels of any whole type, (N, *shape) where shape is the Spec's or has as many entries.
        y: class numbers (N,) of any whole type, or `None`.
        file: opened for writing, at its start.
        settings: samples, chunk, embed, batch.
        progress: told how many entries are done.
        tally: told what they cost in exact arithmetic.

    Raises:
        DalmError: the model has no likelihood to code with, or the data are none of its Spec.
    """
    header = _header(model, x, y, settings)
    if settings.embed:
        step = -(-len(x) // weights.LOOKS)
        model = weights.quantise(
            model, *_levels(x[::step], None if y is None else y[::step], model.spec), len(x)
        )
        header = replace(header, model=hash_of(model))
    file.write(header.pack())
    if settings.embed:
        archive.write_part(file, weights.pack(model))
    coder = Coder(model, header.samples, settings.batch, progress, tally)
    hasher = hashlib.blake2b(digest_size=archive.HASH)
    for start in range(0, len(x), header.chunk):
        end = start + header.chunk
        rows = np.ascontiguousarray(x[start:end])
        hasher.update(rows.astype(header.dtype, copy=False).tobytes())
        archive.write_part(
            file, coder.encode(*_levels(rows, None if y is None else y[start:end], model.spec))
        )
    if y is not None:
        hasher.update(y.astype(header.labels).tobytes())
    file.seek(0)
    header = replace(header, checksum=hasher.digest())
    file.write(header.pack())
    return header


def _header(model: Generative, x: Array, y: Array | None, settings: Settings) -> Header:
    """The header of an archive to be, without a checksum."""
    samples = settings.samples if by_bits_back(model) else 0
    spec = model.spec
    if not x.ndim or not len(x):
        raise DalmError("there are no data to compress")
    dtype = _dtype(x)
    most = _most(model, y is not None)
    if not dtype:
        raise DalmError(
            f"data to compress are whole numbers from 0 to {(spec.levels or 0) - 1}, and these are "
            f"{x.dtype}"
        )
    if x.ndim < 2 or math.prod(x.shape[1:]) != spec.dims:
        raise DalmError(
            f"the model is of data of shape {spec.shape}, and these have shape {x.shape[1:]}"
        )
    chunk = min(len(x), settings.chunk or max(1, most))
    if chunk > most:
        raise DalmError(
            f"a chunk holds at most {most:,} of these data, so that it fits into memory; got "
            f"{chunk:,}"
        )
    labels = "" if y is None else _label_type(y, len(x), spec)
    return Header(
        spec,
        dtype,
        x.shape[1:],
        len(x),
        chunk,
        hash_of(model),
        labels=labels,
        inside=settings.embed,
        samples=samples,
    )


def _most(model: Generative, labels: bool) -> int:
    """How many data a chunk may hold."""
    most = archive.LARGEST // model.spec.dims
    if not isinstance(model, Autoregressive):
        return most
    each = model.predictor_bytes() * (model.spec.classes if model.conditional and not labels else 1)
    return min(most, max(1, MEMORY // max(1, each)))


def _dtype(x: Array) -> str:
    """The type of an array as an archive names it; empty if it holds no whole numbers."""
    name = (
        x.dtype.newbyteorder("<")
        .str.replace("<u1", "|u1")
        .replace("<b1", "|b1")
        .replace("<i1", "|i1")
    )
    return name if name in archive.DTYPES else ""


def _label_type(y: Array, n: int, spec: Spec) -> str:
    if not spec.classes:
        raise DalmError(
            "the data have labels y, and the model was fitted to data without classes; leave them "
            "out"
        )
    if not (dtype := _dtype(y)):
        raise DalmError(
            f"labels to compress are whole numbers from 0 to {spec.classes - 1}, and these are "
            f"{y.dtype}"
        )
    if y.shape != (n,):
        raise DalmError(
            f"there is a label for each of {n:,} data to compress, got labels of shape {y.shape}"
        )
    return dtype


def _levels(x: Array, y: Array | None, spec: Spec) -> tuple[Tensor, Tensor | None]:
    levels = torch.from_numpy(x.reshape(len(x), -1).astype(np.int64))
    labels = None if y is None else torch.from_numpy(y.astype(np.int64))
    spec.check(levels.view(-1, *spec.shape), labels)
    return levels.to(spec.dtype), labels


def decompress(
    file: BinaryIO,
    size: int,
    find: Callable[[Header], Generative],
    batch: int = 0,
    progress: Progress = lambda entries: None,
) -> Reader:
    """Open an archive of `size` bytes for reading.

    Args:
        file: opened for reading, at its start.
        size: of the whole file, in bytes.
        find: gives the model of a header when it is not inside the archive.
        batch: how many data a network is asked about at once; any number decodes the same.
        progress: told how many entries are done.

    Raises:
        DalmError: no archive, cut short, damaged, of a newer version, or the model is another one.
    """
    within("decompress", 0, batch=batch)
    header = archive.read_header(file)
    model = weights.unpack(archive.read_part(file, size)) if header.inside else find(header)
    if hash_of(model) != header.model:
        raise DalmError(
            f"the archive was written with model {header.model.hex()}, and this is "
            f"{hash_of(model).hex()}; give the run it was written with"
        )
    if (
        model.spec != header.spec
        or by_bits_back(model) != bool(header.samples)
        or (header.labels and not model.spec.classes)
    ):
        raise DalmError(
            "the archive's header does not suit its model; it is damaged or was made up"
        )
    if header.chunk > 2 * _most(
        model, bool(header.labels)
    ):  # another dalm may have reckoned otherwise
        raise DalmError(
            f"the archive's chunks of {header.chunk:,} data would not fit into memory; it was made "
            "up"
        )
    return Reader(
        file,
        size,
        header,
        archive.survey(file, header, size),
        Coder(model, header.samples, batch, progress),
    )


class Reader:
    """An open archive.

    Args:
        file: opened for reading.
        size: of the file, in bytes.
        header: of the archive.
        places: where its chunks begin.
        coder: with its model.
    """

    def __init__(
        self, file: BinaryIO, size: int, header: Header, places: list[int], coder: Coder
    ) -> None:
        self.file = file
        self.size = size
        self.header = header
        self.places = places
        self.coder = coder

    def chunk(self, k: int) -> tuple[Array, Array | None]:
        """Data (n, *shape) in their original type, and labels, of chunk k alone."""
        header = self.header
        if not 0 <= k < len(self.places):
            raise DalmError(
                f"the archive has {len(self.places):,} chunks, from 0 on; there is no chunk {k}"
            )
        n = min(header.chunk, header.count - k * header.chunk)
        self.file.seek(self.places[k])
        x, y = self.coder.decode(archive.read_part(self.file, self.size), n, bool(header.labels))
        return x.numpy().astype(header.dtype).reshape(
            n, *header.shape
        ), None if y is None else y.numpy().astype(header.labels)

    def __iter__(self) -> Iterator[tuple[Array, Array | None]]:
        """All chunks in order; after the last one the checksum of everything is compared.

        Raises:
            DalmError: what was decoded is not what was compressed.
        """
        hasher = hashlib.blake2b(digest_size=archive.HASH)
        labels = []
        for k in range(len(self.places)):
            x, y = self.chunk(k)
            hasher.update(x.tobytes())
            labels.append(b"" if y is None else y.tobytes())
            yield x, y
        hasher.update(b"".join(labels))
        if hasher.digest() != self.header.checksum:
            raise DalmError(
                "what was decoded is not what was compressed: its checksum does not match; the "
                "archive or the model is damaged"
            )
