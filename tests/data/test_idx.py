"""IDX: files with labels beside them, folders laid out like MNIST's, and all number types."""

from __future__ import annotations

import numpy as np
import pytest

from dalm.core import Spec
from dalm.data import load_data
from dalm.errors import DalmError


@pytest.mark.parametrize("packed", [False, True])
def test_idx_file_with_labels_beside(tmp_path, random_pixels, write_idx, packed):
    x = random_pixels(20, 5, 4)
    y = np.arange(20, dtype=np.uint8) % 2
    ending = ".gz" if packed else ""
    path = write_idx(tmp_path / f"train-images-idx3-ubyte{ending}", x, packed=packed)
    assert load_data(path).train.y is None

    write_idx(tmp_path / "train-labels-idx1-ubyte", y)
    data = load_data(path)
    label_of = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    assert data.train.y.tolist() == [label_of[image.numpy().tobytes()] for image in data.train.x]
    assert data.spec == Spec((1, 5, 4), 256, 2)


def test_folder_laid_out_like_mnist(tmp_path, random_pixels, write_idx, splits_of):
    x = random_pixels(30, 5, 4)
    y = np.arange(30, dtype=np.uint8) % 3
    for part, rows in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", x[rows], packed=True)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", y[rows], packed=True)
    data = load_data(tmp_path)
    assert [len(split) for split in splits_of(data)] == [18, 2, 10]
    assert np.array_equal(data.test.x[:, 0], x[20:])
    assert data.test.y.tolist() == y[20:].tolist()


def test_damaged_folder_laid_out_like_mnist(tmp_path, random_pixels, write_idx):
    for part in ("train", "t10k"):
        path = write_idx(tmp_path / f"{part}-images.gz", random_pixels(9, 5, 4), packed=True)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DalmError, match="cannot be read"):
        load_data(tmp_path)


@pytest.mark.parametrize(
    ("dtype", "code"), [("i2", 0x0B), ("i4", 0x0C), ("f4", 0x0D), ("f8", 0x0E)]
)
def test_idx_types(tmp_path, write_idx, values_of, dtype, code):
    x = np.arange(300).astype(dtype)
    data = load_data(write_idx(tmp_path / "a.idx", x, code))
    assert np.array_equal(np.sort(values_of(data).flatten()), x)
