"""Decoded folders of images on disk, memory-mapped, so that they may be larger than memory.

An entry is two files, named by a hash of the folder, the files' relative paths, sizes and times,
and the options. The pixels hold the splits one after the other, so that each is a plain view of the
file. The content is checked against its fingerprint each time.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from dalm.core import Spec
from dalm.data.dataset import Array, Data, Grades, Split
from dalm.data.options import ImageOptions

CACHE_FORMAT = 3
IMAGE_LEVELS = 256
NO_RESERVE = 0x4000 if sys.platform == "linux" else 0
"""Linux's MAP_NORESERVE, which Python's `mmap` does not name."""


@dataclass(frozen=True)
class Decoded:
    """What is known of decoded images beside their pixels.

    Args:
        shape: (N, C, H, W) of all pixels.
        counts: rows of train, val and test.
        labels: the class of each row, 0 where there are none.
        classes: the classes' names.
        notes: how the images were read, in sentences.
        warnings: what would make figures wrong, in sentences.
    """

    shape: Sequence[int]
    counts: Sequence[int]
    labels: Sequence[int]
    classes: Sequence[str]
    notes: Sequence[str]
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class CacheEntry:
    """The place of one folder, decoded with some options.

    Args:
        root: the folder.
        options: what is done to its images.
        stem: path of the entry's two files, but for their endings.
    """

    root: Path
    options: ImageOptions
    stem: Path

    @property
    def pixels(self) -> Path:
        """The file of the values, one byte each."""
        return self.stem.with_suffix(".pixels")

    @property
    def description(self) -> Path:
        """The file of all the rest, JSON."""
        return self.stem.with_suffix(".json")

    def open(self) -> Data | None:
        """The data, or `None` if they are not there or not as they were written."""
        try:
            content = json.loads(self.description.read_text())
            fingerprint = content.pop("fingerprint")
            data = self._assemble(Decoded(**content))
        except Exception:  # whatever is wrong with a cache, the images can be decoded again
            return None
        return data if data.fingerprint == fingerprint else None

    def publish(self, pixels: Path, decoded: Decoded) -> Data:
        """Move a finished file of pixels here, describe it, and give the data.

        Args:
            pixels: a file in the folder of scratch files, on the same file system.
            decoded: what is known of it.
        """
        pixels.replace(self.pixels)
        data = self._assemble(decoded)
        content = asdict(decoded) | {"fingerprint": data.fingerprint}
        description = pixels.with_suffix(".json")
        description.write_text(json.dumps(content))
        description.replace(self.description)
        return data

    def _assemble(self, decoded: Decoded) -> Data:
        pixels = map_file(self.pixels, tuple(decoded.shape))
        labels = np.array(decoded.labels, np.int64)
        split_ends = np.cumsum(decoded.counts)
        xs = map(torch.from_numpy, np.split(pixels, split_ends[:-1]))
        ys = map(torch.from_numpy, np.split(labels, split_ends[:-1]))
        has_classes = len(decoded.classes) > 0
        train, val, test = (
            Split(x, y if has_classes else None) for x, y in zip(xs, ys, strict=True)
        )
        levels = self.options.levels_from(IMAGE_LEVELS)
        return Data(
            name=self.root.name,
            source=str(self.root),
            options=self.options.recorded(),
            spec=Spec(pixels.shape[1:], levels, len(decoded.classes)),
            train=train,
            val=val,
            test=test,
            classes=tuple(decoded.classes),
            notes=tuple(decoded.notes),
            warnings=tuple(decoded.warnings),
            grades=Grades(IMAGE_LEVELS),
        )


def cache_entry(root: Path, files: list[Path], options: ImageOptions) -> CacheEntry:
    """The entry of these files with these options.

    Args:
        root: the folder.
        files: all that are looked at.
        options: what is done to them, and where the cache lies.
    """
    listing = json.dumps(
        [CACHE_FORMAT, str(root), [_stamp(path) for path in files], options.recorded()]
    )
    key = hashlib.blake2b(listing.encode(), digest_size=16).hexdigest()
    return CacheEntry(root, options, Path(options.cache or default_cache()) / key)


def _stamp(path: Path) -> tuple[str, int, int]:
    status = os.stat(path, follow_symlinks=path.exists())
    return str(path), status.st_size, status.st_mtime_ns


def default_cache() -> Path:
    """Where decoded images are kept if nobody says."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("DALM_CACHE") or Path(home) / "dalm")


def map_file(path: Path, shape: tuple[int, ...]) -> Array:
    """The bytes of a file as an array that may be larger than memory; writing to it changes a copy,
    never the file.

    `numpy.memmap` cannot do this: Linux refuses a copy-on-write mapping larger than memory unless
    told not to reserve any.

    Args:
        path: the file.
        shape: of the array; its product is the file's size.
    """
    with path.open("rb") as file:
        return np.ndarray(shape, np.uint8, _copy_on_write(file))


def _copy_on_write(file: BinaryIO) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    flags = mmap.MAP_PRIVATE | NO_RESERVE
    return mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
