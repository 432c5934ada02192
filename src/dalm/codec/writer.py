"""Data to an archive, with any model whose likelihood can be coded."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.codec import archive, rounding, weights
from dalm.codec.archive import Header
from dalm.codec.chunks import ChunkCoder, Settings, by_bits_back, hash_of, most_chunk_data
from dalm.codec.limits import check_readable
from dalm.codec.tables import CodeLength, Progress
from dalm.core import Generative, Spec
from dalm.errors import DalmError

Array = NDArray[np.generic]


DEFAULT = Settings()


def compress(
    model: Generative,
    x: Array,
    y: Array | None,
    file: BinaryIO,
    settings: Settings = DEFAULT,
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
        check_readable(model)
        model = _rounded_for(model, x, y)
        header = replace(header, model=hash_of(model))
    file.write(header.to_bytes())
    if settings.embed:
        archive.write_part(file, weights.pack_model(model))

    coder = ChunkCoder(model, header.samples, settings.batch, progress, tally)
    header = replace(header, checksum=_write_chunks(coder, header, x, y, file))
    file.seek(0)
    file.write(header.to_bytes())
    return header


def _rounded_for(model: Generative, x: Array, y: Array | None) -> Generative:
    """The model with weights of as few bits as pay for themselves over these data."""
    step = -(-len(x) // rounding.MOST_FISHER_DATA)
    labels = None if y is None else y[::step]
    return rounding.quantise(model, *_tensors(x[::step], labels, model.spec), len(x))


def _write_chunks(
    coder: ChunkCoder, header: Header, x: Array, y: Array | None, file: BinaryIO
) -> bytes:
    """Write all chunks; returns the checksum of data and labels."""
    hasher = hashlib.blake2b(digest_size=archive.HASH_BYTES)
    for start in range(0, len(x), header.chunk):
        end = start + header.chunk
        rows = np.ascontiguousarray(x[start:end])
        labels = None if y is None else y[start:end]
        hasher.update(rows.astype(header.dtype, copy=False).tobytes())
        if coder.tally:
            coder.tally.start = start
        payload = coder.encode(*_tensors(rows, labels, header.spec))
        archive.write_part(file, payload)
    if y is not None:
        hasher.update(y.astype(header.labels).tobytes())
    return hasher.digest()


def _header(model: Generative, x: Array, y: Array | None, settings: Settings) -> Header:
    """The header of an archive to be, without a checksum."""
    samples = settings.samples if by_bits_back(model) else 0
    dtype = _data_type(x, model.spec)
    most = most_chunk_data(model, y is not None)
    chunk = min(len(x), settings.chunk or max(1, most))
    if chunk > most:
        raise DalmError(
            f"a chunk holds at most {most:,} of these data, so that it fits into memory; got "
            f"{chunk:,}"
        )
    return Header(
        spec=model.spec,
        dtype=dtype,
        shape=x.shape[1:],
        count=len(x),
        chunk=chunk,
        model=hash_of(model),
        labels="" if y is None else _label_type(y, len(x), model.spec),
        inside=settings.embed,
        samples=samples,
    )


def _data_type(x: Array, spec: Spec) -> str:
    """The type of the data as an archive names it, or DalmError if they cannot be in one."""
    if not x.ndim or not len(x):
        raise DalmError("there are no data to compress")
    dtype = _archive_type(x)
    if not dtype:
        raise DalmError(
            f"data to compress are whole numbers from 0 to {(spec.levels or 0) - 1}, and these are "
            f"{x.dtype}"
        )
    if x.ndim < 2 or math.prod(x.shape[1:]) != spec.dims:
        raise DalmError(
            f"the model is of data of shape {spec.shape}, and these have shape {x.shape[1:]}"
        )
    return dtype


def _label_type(y: Array, n: int, spec: Spec) -> str:
    """The type of labels as an archive names it, or DalmError if they are none of n data."""
    if not spec.classes:
        raise DalmError(
            "the data have labels y, and the model was fitted to data without classes; leave them "
            "out"
        )
    dtype = _archive_type(y)
    if not dtype:
        raise DalmError(
            f"labels to compress are whole numbers from 0 to {spec.classes - 1}, and these are "
            f"{y.dtype}"
        )
    if y.shape != (n,):
        raise DalmError(
            f"there is a label for each of {n:,} data to compress, got labels of shape {y.shape}"
        )
    return dtype


def _archive_type(array: Array) -> str:
    """The type of an array as an archive names it; empty if it holds no whole numbers."""
    name = array.dtype.newbyteorder("<").str
    one_byte = {"<u1": "|u1", "<b1": "|b1", "<i1": "|i1"}
    name = one_byte.get(name, name)
    return name if name in archive.DTYPES else ""


def _tensors(x: Array, y: Array | None, spec: Spec) -> tuple[Tensor, Tensor | None]:
    """Data as flat levels (N, dims) and labels (N,), checked against the Spec."""
    levels = torch.from_numpy(x.reshape(len(x), -1).astype(np.int64))
    labels = None if y is None else torch.from_numpy(y.astype(np.int64))
    spec.check(levels.view(-1, *spec.shape), labels)
    return levels.to(spec.dtype), labels
