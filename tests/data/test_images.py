"""Image files to pixels: every rule by exact values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dalm.data.images import read_image


def read(
    image: Image.Image, folder: Path, grey: bool = False, size: int | None = None, **saving: Any
) -> Any:
    """The pixels of an image that was saved to a file and read again."""
    path = folder / f"image.{saving.pop('format', 'png')}"
    image.save(path, **saving)
    with path.open("rb") as file:
        return read_image(file, grey, size).tolist()


def test_rgba_is_composited_over_white(tmp_path):
    image = Image.new("RGBA", (3, 1))
    for i, pixel in enumerate([(10, 20, 30, 255), (10, 20, 30, 0), (10, 20, 30, 100)]):
        image.putpixel((i, 0), pixel)
    over = [round(c * 100 / 255 + 155) for c in (10, 20, 30)]
    assert read(image, tmp_path) == [
        [[10, 255, over[0]]],
        [[20, 255, over[1]]],
        [[30, 255, over[2]]],
    ]


def test_grey_with_alpha_stays_one_channel(tmp_path):
    image = Image.new("LA", (3, 1))
    for i, pixel in enumerate([(40, 255), (40, 0), (40, 51)]):
        image.putpixel((i, 0), pixel)
    assert read(image, tmp_path) == [[[40, 255, 8 + 204]]]


def test_palette_becomes_rgb_and_its_transparency_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([1, 2, 3, 9, 8, 7])
    image.putpixel((1, 0), 1)
    assert read(image, tmp_path) == [[[1, 9]], [[2, 8]], [[3, 7]]]
    assert read(image, tmp_path, transparency=1) == [[[1, 255]], [[2, 255]], [[3, 255]]]
    assert read(image, tmp_path, transparency=bytes([255, 51])) == [
        [[1, 2 + 204]],
        [[2, 206]],
        [[3, 205]],
    ]


def test_transparent_colour_is_white(tmp_path):
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (4, 5, 6))
    assert read(image, tmp_path, transparency=(4, 5, 6)) == [[[1, 255]], [[2, 255]], [[3, 255]]]
    assert read(Image.new("L", (1, 1), 7), tmp_path, transparency=7) == [[[255]]]


@pytest.mark.parametrize("extension", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled(tmp_path, extension):
    values = np.array([[0, 128, 129, 257, 40_000, 65_535]], np.uint16)
    assert read(Image.fromarray(values), tmp_path, format=extension) == [
        [[round(v * 255 / 65535) for v in values[0].tolist()]]
    ]


def test_one_bit_is_black_and_white(tmp_path):
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert read(image, tmp_path) == [[[0, 255]]]


def test_other_colour_models_become_rgb(tmp_path):
    assert read(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), tmp_path, format="tif") == [
        [[255]],
        [[0]],
        [[0]],
    ]
    assert read(Image.new("RGB", (1, 1), (10, 20, 30)), tmp_path, grey=True) == [
        [[(10 * 19595 + 20 * 38470 + 30 * 7471 + 2**15) >> 16]]
    ]


def test_exif_orientation_is_applied(tmp_path):
    image = Image.fromarray(np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read(image, tmp_path, exif=exif) == [[[4, 1], [5, 2], [6, 3]]]


def test_size_cuts_the_centre_and_resizes(tmp_path):
    pixels = np.arange(60, dtype=np.uint8).reshape(6, 10)
    expected = np.asarray(Image.fromarray(pixels[:, 2:8]).resize((3, 3), Image.Resampling.LANCZOS))
    assert read(Image.fromarray(pixels), tmp_path, size=3) == [expected.tolist()]
    assert read(Image.fromarray(pixels), tmp_path, size=6) == [pixels[:, 2:8].tolist()]


def test_meaningless_ranges_are_refused(tmp_path):
    for image in (
        Image.new("F", (1, 1), 0.5),
        Image.new("I", (1, 1), 70_000),
        Image.new("I", (1, 1), -1),
    ):
        with pytest.raises(ValueError, match="no stated range"):
            read(image, tmp_path, format="tif")
