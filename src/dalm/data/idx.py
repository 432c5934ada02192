"""IDX, the format of MNIST: two zero bytes, a type, the number of axes, big-endian sizes, then the
values; often gzipped.

Reference: LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import IO, cast

import numpy as np

from dalm.data.dataset import Array
from dalm.data.reading import check_memory
from dalm.errors import DalmError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"


def is_idx(magic: bytes) -> bool:
    """Whether the first four bytes are those of an IDX file.

    >>> is_idx(bytes([0, 0, 8, 3]))
    True
    """
    return len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in TYPES and magic[3] > 0


def open_maybe_gzipped(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip if its first bytes say so."""
    file = path.open("rb")
    if file.read(2) == GZIP_MAGIC:
        file.close()
        return cast(IO[bytes], gzip.open(path))
    file.seek(0)
    return file


def read_idx(path: Path) -> Array:
    """The array in an IDX or IDX.gz file.

    Raises:
        DalmError: if the file is no IDX file, larger than memory, or not of the length that its
            header states.
    """
    with open_maybe_gzipped(path) as file:
        magic = file.read(4)
        if not is_idx(magic):
            raise DalmError(f"{path} is not an IDX file: it starts with the bytes {magic.hex(' ')}")
        dtype = np.dtype(TYPES[magic[2]])
        shape = _sizes(path, file.read(4 * magic[3]), magic[3])
        stated_bytes = math.prod(shape) * dtype.itemsize
        check_memory(f"{path} states a shape of {shape},", stated_bytes)
        content = file.read(stated_bytes + 1)

    if len(content) != stated_bytes:
        length = "fewer" if len(content) < stated_bytes else "more"
        raise DalmError(
            f"{path} states a shape of {shape}, {stated_bytes:,} bytes, but holds {length}"
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _sizes(path: Path, header: bytes, axes: int) -> tuple[int, ...]:
    if len(header) < 4 * axes:
        raise DalmError(f"{path} ends within its header")
    return struct.unpack(f">{axes}I", header)
