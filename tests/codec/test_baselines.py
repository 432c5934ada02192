"""The compressors that people use: what goes in comes out, sizes are those of other programs, and
pictures are pictures.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dalm.codec.baselines import (
    BASELINES,
    BYTES,
    PICTURES,
    Baseline,
    columns,
    mosaic,
    order0_entropy,
    unmosaic,
)
from dalm.data import load_data
from dalm.errors import DalmError

REFERENCE = {
    "gzip": 3.1107,
    "bz2": 2.7565,
    "xz": 2.7730,
    "zstd": 2.9625,
    "ppmd": 2.5957,
    "webp": 3.0425,
    "jpeg_xl": 2.5438,
}
"""Bits a pixel of the digits' last 500 images, measured elsewhere with other programs."""

modest = settings(max_examples=40, derandomize=True, deadline=None, database=None)


def digits():
    return load_data("digits").test.x.numpy()


@st.composite
def data(draw):
    """An array of a shape that every baseline takes, and levels."""
    shape = (
        draw(st.integers(1, 12)),
        draw(st.sampled_from([1, 3])),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 9)),
    )
    levels = draw(st.sampled_from([1, 2, 17, 256]))
    noise = np.random.default_rng(draw(st.integers(0, 2**32)))
    return noise.integers(0, draw(st.integers(1, levels)), shape), levels


@pytest.mark.parametrize("name", BASELINES)
@given(case=data())
@modest
def test_round_trip(name, case):
    x, levels = case
    baseline = Baseline(name, levels)
    for found in (
        baseline.restore(baseline.whole(x), x.shape),
        baseline.restore_each(baseline.each(x), x.shape),
    ):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, x)


@pytest.mark.parametrize("shape", [(0,), (5,), (3, 2), (1, 9000), (0, 1, 8, 8)])
@pytest.mark.parametrize("name", BYTES)
def test_bytes_of_any_shape_and_of_many_levels(name, shape):
    x = np.random.default_rng(0).integers(0, 65536, shape)
    baseline = Baseline(name, 65536)
    np.testing.assert_array_equal(baseline.restore(baseline.whole(x), shape), x)
    np.testing.assert_array_equal(baseline.restore_each(baseline.each(x), shape), x)
    assert len(baseline.each(x)) == len(x)


@pytest.mark.parametrize("seed", range(4))
def test_ppmd_refuses_what_its_library_would_lose(seed):
    x = np.random.default_rng(seed).integers(0, 256, (1, 140_000))
    baseline = Baseline("ppmd")
    try:
        stream = baseline.whole(x)
    except DalmError:
        return
    np.testing.assert_array_equal(baseline.restore(stream, x.shape), x)


@pytest.mark.parametrize("name", REFERENCE)
def test_sizes_are_those_of_other_programs(name):
    found = 8 * len(Baseline(name, 17).whole(digits())) / digits().size
    assert found == pytest.approx(REFERENCE[name], rel=0.02), "libraries improve"


def test_png_is_no_larger_than_pillows():
    file = io.BytesIO()
    Image.fromarray(mosaic(digits())[:, :, 0]).save(file, "PNG", optimize=True)
    assert len(Baseline("png", 17).whole(digits())) <= len(file.getvalue())


def test_the_entropy_of_the_digits():
    assert order0_entropy(digits()) == pytest.approx(2.9463, abs=1e-4)


@pytest.mark.parametrize(
    ("x", "expected"), [([], 0), ([3, 3], 0), ([[0, 1], [2, 3]], 2), ([0, 0, 0, 1], 0.811278)]
)
def test_entropy(x, expected):
    assert order0_entropy(np.array(x)) == pytest.approx(expected, abs=1e-6)


def test_a_mosaic_by_hand():
    pictures = np.arange(3)[:, None, None, None] + np.zeros((3, 1, 2, 2), np.uint8) + 1
    across = columns(3)
    assert across == 1
    np.testing.assert_array_equal(
        mosaic(pictures)[:, :, 0], np.repeat([[1, 1], [2, 2], [3, 3]], 2, 0)
    )


@given(st.integers(1, 2000))
@modest
def test_a_mosaic_is_near_square_and_nearly_full(n):
    across = columns(n)
    rows = -(-n // across)
    assert across <= rows <= 9 * across
    assert rows * across < n + across
    pictures = np.random.default_rng(n).integers(0, 9, (n, 3, 2, 1))
    assert mosaic(pictures).shape == (2 * rows, across, 3)
    np.testing.assert_array_equal(unmosaic(mosaic(pictures), pictures.shape), pictures)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    "shape", [(4,), (4, 8), (4, 8, 8), (4, 2, 8, 8), (4, 4, 8, 8), (0, 1, 8, 8), (4, 1, 0, 8)]
)
def test_what_is_no_picture_is_refused(name, shape):
    with pytest.raises(DalmError):
        Baseline(name).whole(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize(
    "x", [np.full((1, 1, 2, 2), 17), np.full((1, 1, 2, 2), -1), np.zeros((1, 1, 2, 2)), np.array(3)]
)
def test_what_are_no_levels_is_refused(name, x):
    for compress in (Baseline(name, 17).whole, Baseline(name, 17).each):
        with pytest.raises(DalmError):
            compress(x)


@pytest.mark.parametrize(
    ("name", "levels"), [("rar", 256), ("png", 257), ("gzip", 65537), ("gzip", 0), ("gzip", 2.0)]
)
def test_what_is_no_baseline_is_refused(name, levels):
    with pytest.raises(DalmError):
        Baseline(name, levels)
