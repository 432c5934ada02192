"""What tests of data share: an empty cache, files of arrays, folders of pictures."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dalm.data import Data, Split

Array = NDArray[Any]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test."""
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DALM_CACHE", str(path))
    return path


@pytest.fixture
def save_npz(tmp_path: Path) -> Callable[..., Path]:
    """Write arrays by name to a file `a.npz`."""

    def save(**arrays: Any) -> Path:
        path = tmp_path / "a.npz"
        np.savez(path, **arrays)
        return path

    return save


@pytest.fixture
def write_idx() -> Callable[..., Path]:
    """Write an array as an IDX file of the given type."""

    def write(path: Path, array: Array, code: int = 0x08, packed: bool = False) -> Path:
        header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        content = header + array.astype(array.dtype.newbyteorder(">")).tobytes()
        path.write_bytes(gzip.compress(content) if packed else content)
        return path

    return write


@pytest.fixture
def random_pixels() -> Callable[..., Array]:
    """Draw `n` arrays of 8-bit pixels, always the same."""

    def draw(n: int, *shape: int) -> Array:
        return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)

    return draw


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Write an image file of one colour."""

    def write(path: Path, value: int, mode: str = "L", size: tuple[int, int] = (4, 4)) -> Path:
        path.parent.mkdir(exist_ok=True)
        colour = value if mode in "L1" else (value,) * len(mode)
        Image.new(mode, size, colour).save(path)
        return path

    return write


@pytest.fixture
def fill(picture: Callable[..., Path]) -> Callable[..., Path]:
    """Write `n` image files of grey values 0, 10, 20 … into a folder."""

    def write(root: Path, n: int = 20, mode: str = "L") -> Path:
        for i in range(n):
            picture(root / f"{i:02}.png", 10 * i, mode)
        return root

    return write


@pytest.fixture
def splits_of() -> Callable[[Data], list[Split]]:
    """The three splits, in order."""
    return lambda data: [data.train, data.val, data.test]


@pytest.fixture
def values_of() -> Callable[[Data], Array]:
    """The data of all splits, one after the other."""

    def concatenate(data: Data) -> Array:
        splits = (data.train, data.val, data.test)
        return np.concatenate([split.x.numpy() for split in splits])

    return concatenate
