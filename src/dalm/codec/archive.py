"""The archive: compressed data in a file that says how to decode it, checks itself, and can be read
a chunk at a time.

Version 1. Numbers marked n take as many bytes as they need: seven bits in each, lowest first, the
top bit set in all but the last (LEB128). All others are little-endian; none has a sign.

| bytes | content |
|---|---|
| 4 | magic, `DALM` |
| 1 | version, 1 |
| 1 | flags: 1 bits-back (else the chain rule), 2 labels, 4 model inside, 8 given in another shape |
| 1 | type of the original data: an index into `DTYPES` |
| 1 | with flag 2: type of the labels |
| n, n | levels and classes of the Spec |
| n, n each | axes of a datum in the model, then their sizes |
| n, n each | with flag 8: axes of a datum as it was given, then their sizes |
| n | with flag 1: samples |
| n | number of data |
| n | data in a chunk (the last one may hold fewer) |
| 8 | hash of the model |
| 8 | BLAKE2b of the original data, then of the labels, in their types |
| 4 | CRC-32 of everything before |
| 4, 4, then as many | the model, if inside: length, CRC-32, bytes (see `dalm.codec.weights`) |
| 4, 4, then as many | each chunk: length of its payload, CRC-32 of it, the payload |

A payload is 32-bit words: of the labels, if there are any, their number and then themselves; for
bits-back the number of words the stack began with and how slowly its groups grow; then the stream.
Nothing follows the last chunk.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from dalm.codec.stream import StreamReader, varint
from dalm.core import Spec
from dalm.errors import DalmError

MAGIC = b"DALM"
VERSION = 1
DTYPES = ("|u1", "|b1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8")
BITS_BACK = 1
LABELS = 2
INSIDE = 4
RESHAPED = 8

# What a header may ask for, at most.
MOST_CHUNK_ENTRIES = 1 << 24  # bounds the memory that a file can ask for
MOST_SPEC_LEVELS = 1 << 16
MOST_SAMPLES = 1 << 16
MOST_DATA = 1 << 56
MOST_AXES = 64  # as many as numpy takes
MOST_HEADER_BYTES = 2048

HASH_BYTES = 8
START = struct.Struct("<4sBB")
HASHES = struct.Struct(f"<{HASH_BYTES}s{HASH_BYTES}s")
CRC = struct.Struct("<I")
PART = struct.Struct("<II")


@dataclass(frozen=True)
class Header:
    """What an archive says about itself.

    Args:
        spec: of the model.
        dtype: of the original data, one of `DTYPES`.
        shape: of a datum as it was given.
        count: how many data.
        chunk: data in a chunk.
        model: hash of the model, 8 bytes.
        checksum: of data and labels, 8 bytes.
        labels: dtype of the labels, one of `DTYPES`; empty if there are none.
        inside: whether the model is inside.
        samples: of bits-back; 0 for the chain rule.
    """

    spec: Spec
    dtype: str
    shape: tuple[int, ...]
    count: int
    chunk: int
    model: bytes
    checksum: bytes = bytes(HASH_BYTES)
    labels: str = ""
    inside: bool = False
    samples: int = 0

    def to_bytes(self) -> bytes:
        """The header's bytes."""
        dtypes = [self.dtype, self.labels] if self.labels else [self.dtype]
        body = START.pack(MAGIC, VERSION, self._flags)
        body += bytes(DTYPES.index(dtype) for dtype in dtypes)
        body += varint(*self._numbers())
        body += HASHES.pack(self.model, self.checksum)
        return body + CRC.pack(zlib.crc32(body))

    @property
    def chunks(self) -> int:
        """How many chunks follow."""
        return -(-self.count // self.chunk)

    @property
    def _reshaped(self) -> bool:
        return self.shape != self.spec.shape

    @property
    def _flags(self) -> int:
        flags = {
            BITS_BACK: self.samples > 0,
            LABELS: bool(self.labels),
            INSIDE: self.inside,
            RESHAPED: self._reshaped,
        }
        return sum(flag for flag, is_set in flags.items() if is_set)

    def _numbers(self) -> list[int]:
        """What is written as numbers of varying length, in order."""
        numbers = [self.spec.levels or 0, self.spec.classes]
        numbers += [len(self.spec.shape), *self.spec.shape]
        if self._reshaped:
            numbers += [len(self.shape), *self.shape]
        if self.samples > 0:
            numbers.append(self.samples)
        return [*numbers, self.count, self.chunk]


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """Bytes of a file, or DalmError if it ends before.

    Args:
        file: opened for reading.
        size: how many bytes.
    """
    content = file.read(size)
    if len(content) < size:
        raise DalmError(
            f"the archive is cut short: {size} bytes were to follow and {len(content)} did; get "
            "the whole file again"
        )
    return content


def read_header(file: BinaryIO) -> Header:
    """The header at the start of an archive.

    Raises:
        DalmError: no archive, of a newer version, cut short, damaged, or asking for the impossible.
    """
    reader = StreamReader(file.read(MOST_HEADER_BYTES))
    flags = _read_start(reader)
    header = _read_body(reader, flags)

    body = reader.stream[: reader.at]
    (checksum,) = CRC.unpack(reader.take(CRC.size))
    if checksum != zlib.crc32(body):
        raise DalmError("the archive's header is damaged: its checksum does not match")
    if header is None or header.to_bytes() != reader.stream[: reader.at]:
        raise DalmError(
            "the archive's header asks for something that no dalm writes; it is damaged or was "
            "made up"
        )
    file.seek(reader.at)
    return header


def _read_start(reader: StreamReader) -> int:
    """The flags, after a magic and a version that are ours."""
    if reader.stream[: len(MAGIC)] != MAGIC:
        raise DalmError("this is no dalm archive: it does not begin with DALM")
    _, version, flags = START.unpack(reader.take(START.size))
    if version != VERSION:
        raise DalmError(
            f"the archive has version {version}, and this dalm reads version {VERSION}; use a "
            "newer dalm"
        )
    return int(flags)


def _read_body(reader: StreamReader, flags: int) -> Header | None:
    """What the bytes after the flags say, if it is possible."""
    dtypes = reader.take(2 if flags & LABELS else 1)
    levels = reader.number(MOST_SPEC_LEVELS)
    classes = reader.number(MOST_CHUNK_ENTRIES)
    inner = _read_shape(reader)
    outer = _read_shape(reader) if flags & RESHAPED else inner
    samples = reader.number(MOST_SAMPLES) if flags & BITS_BACK else 0
    count = reader.number(MOST_DATA)
    chunk = reader.number(MOST_CHUNK_ENTRIES)
    model, checksum = HASHES.unpack(reader.take(HASHES.size))

    dims = math.prod(inner)
    fits = 0 < chunk * dims <= MOST_CHUNK_ENTRIES and math.prod(outer) == dims
    if not (fits and count and inner and levels > 1 and max(dtypes) < len(DTYPES)):
        return None
    return Header(
        spec=Spec(inner, levels, classes),
        dtype=DTYPES[dtypes[0]],
        shape=outer,
        count=count,
        chunk=chunk,
        model=model,
        checksum=checksum,
        labels=DTYPES[dtypes[1]] if flags & LABELS else "",
        inside=bool(flags & INSIDE),
        samples=samples,
    )


def _read_shape(reader: StreamReader) -> tuple[int, ...]:
    axes = reader.number(MOST_AXES)
    return tuple(reader.number(MOST_CHUNK_ENTRIES) for _ in range(axes))


def write_part(file: BinaryIO, payload: bytes) -> None:
    """Append a chunk, or the model.

    Args:
        file: opened for writing.
        payload: the bytes of the part.
    """
    file.write(PART.pack(len(payload), zlib.crc32(payload)) + payload)


def read_part(file: BinaryIO, most: int) -> bytes:
    """The payload of the next chunk, or the model.

    Args:
        file: opened for reading.
        most: bytes in the whole file.

    Raises:
        DalmError: it is cut short or damaged.
    """
    size, checksum = PART.unpack(read_exactly(file, PART.size))
    if size > most:
        raise DalmError(
            f"the archive is cut short: a part of it has {size:,} bytes, and the file {most:,}; "
            "get the whole file again"
        )
    payload = read_exactly(file, size)
    if zlib.crc32(payload) != checksum:
        raise DalmError("a part of the archive is damaged: its checksum does not match")
    return payload


def survey(file: BinaryIO, header: Header, size: int) -> list[int]:
    """Places of the chunks, found without reading them.

    Args:
        file: opened for reading, at its first chunk.
        header: says how many chunks there are.
        size: of the whole file, in bytes.

    Raises:
        DalmError: chunks are missing, or something follows the last one.
    """
    if header.chunks * PART.size > size:
        raise DalmError(
            f"the archive is cut short: it should hold {header.chunks:,} chunks, and has {size:,} "
            "bytes"
        )
    places = []
    for _ in range(header.chunks):
        places.append(file.tell())
        length, _ = PART.unpack(read_exactly(file, PART.size))
        file.seek(length, 1)
    if file.tell() != size:
        trouble = "cut short" if file.tell() > size else "followed by something else"
        raise DalmError(f"the archive is {trouble}; get the whole file again")
    return places
