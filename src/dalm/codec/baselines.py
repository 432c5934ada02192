"""Compressors that people use, which a model must beat: five for bytes and three for pictures.

`whole` compresses all data as one file, `each` one datum at a time, as one needs for access in any
order. Data are arrays (N, *shape) of levels; a level is a byte, or two, the low one first, if there
are more than 256. Pictures (N, C, H, W) of 1 or 3 channels go into one mosaic, near square.

Every compressor runs at its smallest result: gzip -9, bzip2 -9, xz -9e, zstd -19, PPMd of order 6
(Cleary & Witten 1984; Shkarin 2002, variant I), PNG with the best of six settings, WebP and JPEG XL
without loss and at their highest effort. Containers are part of the figure, as they are part of the
file.
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dalm.codec.extra import require
from dalm.errors import DalmError, did_you_mean, is_integer

PPM_ORDER = 6
PPM_MEMORY = 1 << 24
PPM_LOSES = "pyppmd cannot read back what it wrote for these data; leave ppmd out for them"
_Pixels = NDArray[np.uint8]


class _Method(NamedTuple):
    """A compressor and the way back, of bytes or of a picture (H, W, channels)."""

    compress: Callable[[Any], bytes]
    restore: Callable[[Any], Any]


def _xz(data: bytes) -> bytes:
    dictionary = min(max(1 << 12, len(data)), 1 << 26)  # more than the data costs only time
    preset = 9 | lzma.PRESET_EXTREME
    lzma2 = {"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": dictionary}
    return lzma.compress(data, filters=[lzma2])


def _zstd(data: bytes) -> bytes:
    return bytes(require("zstandard").ZstdCompressor(level=19).compress(data))


def _from_zstd(stream: bytes) -> bytes:
    return bytes(require("zstandard").ZstdDecompressor().decompress(stream))


def _ppmd(data: bytes) -> bytes:
    encoder = require("pyppmd").Ppmd8Encoder(PPM_ORDER, PPM_MEMORY)
    stream = bytes(encoder.encode(data) + encoder.flush())
    # pyppmd 1.3.1 loses about one in ten messages of 10^5 random bytes
    if _from_ppmd(stream) != data:
        raise DalmError(PPM_LOSES)
    return stream


def _from_ppmd(stream: bytes) -> bytes:
    decoder = require("pyppmd").Ppmd8Decoder(PPM_ORDER, PPM_MEMORY)
    try:
        return bytes(decoder.decode(stream))
    except ValueError:
        raise DalmError(PPM_LOSES) from None


def _png(picture: _Pixels) -> bytes:
    """The smallest of six settings: filters help photographs and spoil drawings; there is no
    telling but to try.
    """
    imagecodecs = require("imagecodecs")
    filters = imagecodecs.PNG.FILTER
    strategies = imagecodecs.PNG.STRATEGY
    settings = itertools.product(
        (filters.NO, filters.ALL),
        (strategies.DEFAULT, strategies.FILTERED, strategies.HUFFMAN_ONLY),
    )
    files = [
        imagecodecs.png_encode(picture, level=9, filter=kind, strategy=strategy)
        for kind, strategy in settings
    ]
    return bytes(min(files, key=len))


def _webp(picture: _Pixels) -> bytes:
    colours = np.repeat(picture, 3 // picture.shape[2], 2)  # WebP has no grey
    encode = require("imagecodecs").webp_encode
    return bytes(encode(colours, level=100, lossless=True, method=6))


def _jpeg_xl(picture: _Pixels) -> bytes:
    return bytes(require("imagecodecs").jpegxl_encode(picture, lossless=True, effort=9))


def _decoder(name: str) -> Callable[[bytes], _Pixels]:
    """A function of imagecodecs, looked for when it is called."""
    return lambda stream: np.asarray(getattr(require("imagecodecs"), name)(stream))


BYTES = {
    "gzip": _Method(lambda data: gzip.compress(data, 9, mtime=0), gzip.decompress),
    "bz2": _Method(lambda data: bz2.compress(data, 9), bz2.decompress),
    "xz": _Method(_xz, lzma.decompress),
    "zstd": _Method(_zstd, _from_zstd),
    "ppmd": _Method(_ppmd, _from_ppmd),
}
"""Compressors of bytes."""

PICTURES = {
    "png": _Method(_png, _decoder("png_decode")),
    "webp": _Method(_webp, _decoder("webp_decode")),
    "jpeg_xl": _Method(_jpeg_xl, _decoder("jpegxl_decode")),
}
"""Compressors of pictures."""

BASELINES = (*BYTES, *PICTURES)
"""The names of all."""


@dataclass(frozen=True)
class Baseline:
    """A compressor that people use.

    Args:
        name: one of `BASELINES`.
        levels: of the data, from 1 to 65536; for pictures at most 256.

    >>> baseline, x = Baseline("bz2", levels=2), np.zeros((9, 1, 28, 28), np.int64)
    >>> stream = baseline.whole(x)
    >>> len(stream), np.array_equal(baseline.restore(stream, x.shape), x)
    (45, True)
    """

    name: str
    levels: int = 256

    def __post_init__(self) -> None:
        if self.name not in BASELINES:
            raise DalmError(
                f"there is no baseline {self.name!r}. {did_you_mean(self.name, BASELINES)}"
            )
        most = 256 if self.name in PICTURES else 65536
        if not (is_integer(self.levels) and 1 <= self.levels <= most):
            raise DalmError(f"{self.name} takes from 1 to {most} levels, got {self.levels!r}")

    def whole(self, x: NDArray[Any]) -> bytes:
        """All data (N, *shape) as one file.

        Raises:
            DalmError: x are not levels, or not pictures (N, C, H, W) of 1 or 3 channels where these
                are needed, or the library loses them or is not installed.
        """
        data = self._check(x)
        if self.name in PICTURES:
            return PICTURES[self.name].compress(mosaic(data))
        return BYTES[self.name].compress(data.tobytes())

    def restore(self, stream: bytes, shape: Sequence[int]) -> NDArray[Any]:
        """The data that `whole` compressed.

        Args:
            stream: the file.
            shape: of the data, (N, *shape).
        """
        if self.name not in PICTURES:
            data = BYTES[self.name].restore(stream)
            return np.frombuffer(data, self._type).reshape(shape)
        picture = PICTURES[self.name].restore(stream)
        return unmosaic(picture if picture.ndim == 3 else picture[:, :, None], shape)

    def each(self, x: NDArray[Any]) -> list[bytes]:
        """A file for each datum of (N, *shape); errors as in `whole`."""
        return [self.whole(datum[None]) for datum in self._check(x)]

    def restore_each(self, streams: Sequence[bytes], shape: Sequence[int]) -> NDArray[Any]:
        """The data that `each` compressed.

        Args:
            streams: the files.
            shape: of all data, (N, *shape).
        """
        data = [self.restore(stream, (1, *shape[1:])) for stream in streams]
        return np.concatenate([np.zeros((0, *shape[1:]), self._type), *data])

    @property
    def _type(self) -> np.dtype[Any]:
        return np.dtype("u1" if self.levels <= 256 else "<u2")

    def _check(self, x: NDArray[Any]) -> NDArray[Any]:
        """The data in bytes or pairs of bytes, or DalmError if this compressor does not take
        them.
        """
        whole_numbers = np.issubdtype(x.dtype, np.integer)
        inside = not x.size or (whole_numbers and 0 <= int(x.min()) <= int(x.max()) < self.levels)
        if not (whole_numbers and x.ndim and inside):
            values = whole_numbers and x.size
            got = f"values from {x.min()} to {x.max()}" if values else f"{x.shape} of {x.dtype}"
            raise DalmError(
                f"{self.name} takes an array (N, ...) of whole numbers from 0 to "
                f"{self.levels - 1}, got {got}"
            )
        if self.name in PICTURES and not (x.ndim == 4 and x.shape[1] in (1, 3) and x.size):
            raise DalmError(
                f"{self.name} takes one or more pictures (N, C, H, W) of 1 or 3 channels, got "
                f"{x.shape}"
            )
        return np.ascontiguousarray(x, self._type)


def columns(n: int) -> int:
    """Pictures in a row of a mosaic of n: from half of √n to √n, so that few are missing from the
    last row, then near square.

    >>> columns(500), columns(9), columns(7)
    (20, 3, 1)
    """
    root = math.isqrt(n)
    return min(range((root + 1) // 2, root + 1), key=lambda count: (-n % count, -count))


def mosaic(pictures: NDArray[Any]) -> NDArray[Any]:
    """Pictures (N, C, H, W) row by row as one (rows·H, columns·W, C), filled up with zeros."""
    n, channels, height, width = pictures.shape
    across = columns(n)
    missing = np.zeros((-n % across, channels, height, width), pictures.dtype)
    rows = np.concatenate([pictures, missing]).reshape(-1, across, channels, height, width)
    grid = rows.transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(grid.reshape(-1, across * width, channels))


def unmosaic(picture: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """The pictures in a mosaic.

    Args:
        picture: the mosaic, of whose channels there may be more.
        shape: of the pictures, (N, C, H, W).
    """
    n, channels, height, width = shape
    rows = picture[:, :, :channels].reshape(-1, height, columns(n), width, channels)
    grid = rows.transpose(0, 2, 4, 1, 3)
    return grid.reshape(-1, channels, height, width)[:n]


def order0_entropy(x: NDArray[Any]) -> float:
    """Entropy of the frequencies of the values in x, of any shape, in bits per entry: what a code
    of single entries cannot beat.

    >>> order0_entropy(np.array([0, 1, 2, 2]))
    1.5
    """
    counts = np.unique(x, return_counts=True)[1]
    return float(counts @ np.log2(x.size / counts) / max(1, x.size))
