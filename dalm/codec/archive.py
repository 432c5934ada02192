"""The archive: compressed data in a file that says how to decode it, checks itself, and can be read a chunk at a time.

Version 1, all numbers little-endian and without sign:

| bytes | content |
|---|---|
| 4 | magic, `DALM` |
| 1 | version, 1 |
| 1 | driver: 0 chain rule, 1 bits-back |
| 1 | flags: 1 labels, 2 the model is inside |
| 1 | type of the original data: an index into `DTYPES` |
| 2 | samples of bits-back, 0 for the chain rule |
| 4, 4 | levels and classes of the Spec |
| 1, 4 each | axes of a datum in the model, then their sizes |
| 1, 4 each | axes of a datum as it was given, then their sizes |
| 8 | number of data |
| 4 | data in a chunk (the last one may hold fewer) |
| 16 | hash of the model |
| 16 | BLAKE2b of the original data, then of the labels as int64 |
| 4 | CRC-32 of everything before |
| 4, 4, then as many | the model, if it is inside: length, CRC-32, bytes (`dalm.codec.weights` says which) |
| 4, 4, then as many | each chunk: length of its payload, CRC-32 of it, the payload |

A payload is 32-bit words: of the labels, if there are any, their number and then themselves; for bits-back the number of
words the stack began with and how slowly its groups grow; then the stream. Nothing follows the last chunk.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from dalm.core import DalmError, Spec

MAGIC, VERSION = b"DALM", 1
DTYPES = ("|u1", "|b1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8")
LABELS, INSIDE = 1, 2
CHAIN, BITS_BACK = 0, 1
LARGEST_CHUNK = 1 << 24  # entries: bounds the memory that a file can ask for
LARGEST_DATUM = 1 << 24
FRONT, MIDDLE, BACK, CHUNK = struct.Struct("<4sBBBBHII"), struct.Struct("<QI16s16s"), struct.Struct("<I"), struct.Struct("<II")


@dataclass(frozen=True)
class Header:
    """What an archive says about itself.

    Args:
        driver: `CHAIN` or `BITS_BACK`.
        spec: of the model.
        dtype: of the original data, one of `DTYPES`.
        shape: of a datum as it was given.
        count: how many data.
        chunk: data in a chunk.
        model: hash of the model, 16 bytes.
        checksum: of data and labels, 16 bytes.
        labels: whether there are labels.
        inside: whether the model is inside.
        samples: of bits-back.
    """

    driver: int
    spec: Spec
    dtype: str
    shape: tuple[int, ...]
    count: int
    chunk: int
    model: bytes
    checksum: bytes = bytes(16)
    labels: bool = False
    inside: bool = False
    samples: int = 0

    def pack(self) -> bytes:
        """The header's bytes."""
        flags = LABELS * self.labels | INSIDE * self.inside
        front = FRONT.pack(
            MAGIC, VERSION, self.driver, flags, DTYPES.index(self.dtype), self.samples, self.spec.levels or 0, self.spec.classes
        )
        middle = MIDDLE.pack(self.count, self.chunk, self.model, self.checksum)
        body = front + _pack_shape(self.spec.shape) + _pack_shape(self.shape) + middle
        return body + BACK.pack(zlib.crc32(body))

    @property
    def chunks(self) -> int:
        """How many chunks follow."""
        return -(-self.count // self.chunk)


def _pack_shape(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<B{len(shape)}I", len(shape), *shape)


def read_exactly(file: BinaryIO, size: int) -> bytes:
    """`size` bytes, or DalmError if the file ends before."""
    content = file.read(size)
    if len(content) < size:
        raise DalmError(f"the archive is cut short: {size} bytes were to follow and {len(content)} did; get the whole file again")
    return content


def read_header(file: BinaryIO) -> Header:
    """The header at the start of an archive.

    Raises:
        DalmError: no archive, of a newer version, cut short, damaged, or asking for the impossible.
    """
    start = file.read(FRONT.size)
    if start[:4] != MAGIC:
        raise DalmError("this is no dalm archive: it does not begin with DALM")
    if len(start) > 4 and start[4] != VERSION:
        raise DalmError(f"the archive has version {start[4]}, and this dalm reads version {VERSION}; use a newer dalm")
    front = start + read_exactly(file, FRONT.size - len(start))
    shapes = [_read_shape(file), _read_shape(file)]
    middle = read_exactly(file, MIDDLE.size)
    body = front + b"".join(_pack_shape(shape) for shape in shapes) + middle
    if BACK.unpack(read_exactly(file, BACK.size))[0] != zlib.crc32(body):
        raise DalmError("the archive's header is damaged: its checksum does not match")
    return _header(FRONT.unpack(front), MIDDLE.unpack(middle), *shapes)


def _read_shape(file: BinaryIO) -> tuple[int, ...]:
    (axes,) = read_exactly(file, 1)
    return struct.unpack(f"<{axes}I", read_exactly(file, 4 * axes))


def _header(front: tuple[int, ...], middle: tuple[int, int, bytes, bytes], inner: tuple[int, ...], outer: tuple[int, ...]) -> Header:
    _, _, driver, flags, dtype, samples, levels, classes = front
    count, chunk, model, checksum = middle
    known = driver in (CHAIN, BITS_BACK) and flags < 4 and dtype < len(DTYPES) and (samples > 0) == (driver == BITS_BACK)
    size = math.prod(inner)
    if not (known and count and 0 < size <= LARGEST_DATUM and math.prod(outer) == size and 0 < chunk * size <= max(size, LARGEST_CHUNK)):
        raise DalmError("the archive's header asks for something that no dalm writes; it is damaged or was made up")
    return Header(
        driver,
        Spec(inner, levels, classes),
        DTYPES[dtype],
        outer,
        count,
        chunk,
        model,
        checksum,
        bool(flags & LABELS),
        bool(flags & INSIDE),
        samples,
    )


def write_part(file: BinaryIO, payload: bytes) -> None:
    """Append a chunk, or the model."""
    file.write(CHUNK.pack(len(payload), zlib.crc32(payload)) + payload)


def read_part(file: BinaryIO, most: int) -> bytes:
    """The payload of the next chunk, or the model, in a file of `most` bytes.

    Raises:
        DalmError: it is cut short or damaged.
    """
    size, crc = CHUNK.unpack(read_exactly(file, CHUNK.size))
    if size > most:
        raise DalmError(f"the archive is cut short: a part of it has {size:,} bytes, and the file {most:,}; get the whole file again")
    payload = read_exactly(file, size)
    if zlib.crc32(payload) != crc:
        raise DalmError("a part of the archive is damaged: its checksum does not match")
    return payload


def survey(file: BinaryIO, header: Header, size: int) -> list[int]:
    """Places of the chunks in a file of `size` bytes, found without reading them.

    Raises:
        DalmError: chunks are missing, or something follows the last one.
    """
    if header.chunks * CHUNK.size > size:
        raise DalmError(f"the archive is cut short: it should hold {header.chunks:,} chunks, and has {size:,} bytes")
    places = []
    for _ in range(header.chunks):
        places.append(file.tell())
        length, _ = CHUNK.unpack(read_exactly(file, CHUNK.size))
        file.seek(length, 1)
    if file.tell() != size:
        raise DalmError(f"the archive is {'cut short' if file.tell() > size else 'followed by something else'}; get the whole file again")
    return places
