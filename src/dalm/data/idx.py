"""IDX, the format of MNIST: two zero bytes, a type, the number of axes, big-endian sizes, then the
values; often gzipped. And folders laid out like MNIST's: `train-images…`, `t10k-images…` and the
labels beside them.

Reference: LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO, cast

import numpy as np

from dalm.data.arrays import from_arrays
from dalm.data.dataset import Array, Data
from dalm.data.options import RowOptions
from dalm.data.reading import check_memory, decoding
from dalm.data.source import Source, existing_path
from dalm.errors import DalmError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
MNIST_PREFIXES = {"x_train": "train", "x_test": "t10k"}


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


def find_images(folder: Path) -> dict[str, Path] | None:
    """The files of images as x_train and x_test, or `None` if the folder is not laid out so.

    >>> find_images(Path("no/such/folder"))
    """
    images = {}
    for name, prefix in MNIST_PREFIXES.items():
        files = [path for path in sorted(folder.glob(f"{prefix}-images*")) if path.is_file()]
        if not files:
            return None
        images[name] = files[0]
    return images


def labels_beside(path: Path) -> Path | None:
    """The file of labels that belongs to a file of images by MNIST's naming, if there is one."""
    name = path.name.removesuffix(".gz")
    labels_name = name.replace("images", "labels").replace("idx3", "idx1")
    if labels_name == name:
        return None
    candidates = [path.with_name(labels_name + suffix) for suffix in ("", ".gz")]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def read_with_labels(images: Mapping[str, Path]) -> dict[str, Array]:
    """The arrays in files of images `x…`, and the labels beside them as `y…`."""
    arrays = {name: read_idx(path) for name, path in images.items()}
    for name, path in images.items():
        if labels := labels_beside(path):
            arrays[name.replace("x", "y")] = read_idx(labels)
    return arrays


def is_mnist_folder(value: object) -> bool:
    """Whether a value names a folder laid out like MNIST's."""
    path = existing_path(value)
    return path is not None and path.is_dir() and find_images(path) is not None


def _load(value: str | Path, options: RowOptions) -> Data:
    path = Path(value).resolve()
    with decoding(path):
        arrays = read_with_labels(find_images(path) or {})
    return from_arrays(path.name.partition(".")[0], str(path), arrays, options)


MNIST_FOLDER = Source(
    "a folder laid out like MNIST's",
    "a folder laid out like MNIST's (train-images…, t10k-images… and their labels)",
    RowOptions,
    matches=is_mnist_folder,
    load=_load,
)
