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

from dalm.data.options import Array
from dalm.errors import DalmError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def is_idx(magic: bytes) -> bool:
    """Whether the first four bytes are those of an IDX file.

    >>> is_idx(bytes([0, 0, 8, 3]))
    True
    """
    return len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in TYPES and magic[3] > 0


def open_maybe_gzipped(path: Path) -> IO[bytes]:
    """Open a file for reading, through gzip if its first bytes say so."""
    file = path.open("rb")
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return cast(IO[bytes], gzip.open(path))
    file.seek(0)
    return file


def read_idx(path: Path, memory: int) -> Array:
    """The array in an IDX or IDX.gz file of at most `memory` bytes.

    Raises:
        DalmError: if the file is no IDX file, too large, or not of the length that its header
            states.
    """
    with open_maybe_gzipped(path) as file:
        magic = file.read(4)
        if not is_idx(magic):
            raise DalmError(f"{path} is not an IDX file: it starts with the bytes {magic.hex(' ')}")
        dtype = np.dtype(TYPES[magic[2]])
        shape = _sizes(path, file.read(4 * magic[3]), magic[3])
        stated = math.prod(shape) * dtype.itemsize
        if stated > memory:
            raise DalmError(
                f"{path} states a shape of {shape}, {stated:,} bytes; this machine has {memory:,} "
                "bytes of memory"
            )
        content = file.read(stated + 1)
    if len(content) != stated:
        raise DalmError(
            f"{path} states a shape of {shape}, {stated:,} bytes, but holds "
            f"{'fewer' if len(content) < stated else 'more'}"
        )
    return np.frombuffer(content, dtype).reshape(shape)


def _sizes(path: Path, header: bytes, axes: int) -> tuple[int, ...]:
    if len(header) < 4 * axes:
        raise DalmError(f"{path} ends within its header")
    return struct.unpack(f">{axes}I", header)


def labels_beside(path: Path) -> Path | None:
    """The file of labels that belongs to a file of images by MNIST's naming, if there is one."""
    name = path.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    if name == path.name.removesuffix(".gz"):
        return None
    found = [
        path.with_name(name + end) for end in ("", ".gz") if path.with_name(name + end).is_file()
    ]
    return found[0] if found else None


def idx_folder(folder: Path) -> dict[str, Path] | None:
    """The images of a folder laid out like MNIST's, as x_train and x_test, or `None` if it is no
    such folder.
    """
    train, test = (
        [p for p in sorted(folder.glob(f"{part}-images*")) if p.is_file()]
        for part in ("train", "t10k")
    )
    return {"x_train": train[0], "x_test": test[0]} if train and test else None
