"""Arrays: which axis is what, which numbers are levels, what options do, and splits that came."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from dalm.data import load_data
from dalm.errors import DalmError

# Layout


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5,), (5,)),
        ((4, 6), (1, 4, 6)),
        ((3, 4, 6), (3, 4, 6)),
        ((5, 6, 3), (3, 5, 6)),
        ((5, 6, 1), (1, 5, 6)),
        ((4, 6, 4), (4, 6, 4)),
        ((5, 6, 4), (4, 5, 6)),
    ],
)
def test_array_layout(random_pixels, shape, expected):
    assert load_data(random_pixels(20, *shape)).spec.shape == expected


def test_channels_last_moves_pixels_rightly(save_npz, random_pixels):
    x = random_pixels(6, 5, 7, 3)
    data = load_data(save_npz(x_train=x[:2], x_val=x[2:4], x_test=x[4:]))
    assert np.array_equal(data.test.x.numpy(), x[4:].transpose(0, 3, 1, 2))


# Splits


def test_val_is_carved_from_train(save_npz, random_pixels, splits_of):
    x = random_pixels(60, 4, 4)
    y = np.arange(50) % 3
    path = save_npz(x_train=x[:50], y_train=y, x_test=x[50:], y_test=np.zeros(10, int))
    data = load_data(path)
    assert [len(split) for split in splits_of(data)] == [45, 5, 10]
    assert np.array_equal(data.test.x[:, 0].numpy(), x[50:])

    label_of = {image.tobytes(): i % 3 for i, image in enumerate(x[:50])}
    for split in (data.train, data.val):
        labels = [label_of[image.numpy().tobytes()] for image in split.x[:, 0]]
        assert split.y.tolist() == labels


def test_splits_that_are_given_stay(save_npz, random_pixels, values_of):
    x = random_pixels(12, 2, 2)
    data = load_data(save_npz(x_train=x[:8], x_val=x[8:10], x_test=x[10:], extra=x))
    assert np.array_equal(values_of(data)[:, 0], x)
    assert data.name == "a"
    assert data.classes == ()
    assert any("extra" in note for note in data.notes)
    assert load_data(data.source, **data.options).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros(3), "x_train": np.zeros(3)}, "give x"),
        ({"x_train": np.zeros(3), "x_val": np.zeros(3)}, "x_train and x_test"),
        (
            {"x_train": np.zeros((20, 3)), "x_val": np.zeros((20, 2)), "x_test": np.zeros((20, 3))},
            "different shapes",
        ),
    ],
)
def test_splits_that_do_not_fit_together(save_npz, arrays, message):
    with pytest.raises(DalmError, match=message):
        load_data(save_npz(**arrays))


# Levels


@pytest.mark.parametrize(
    ("x", "levels", "dtype"),
    [
        (np.arange(40, dtype=np.uint8), 256, torch.uint8),
        (np.arange(40, dtype=np.int64), 40, torch.uint8),
        (np.arange(40, dtype=np.int16) * 10, 391, torch.int32),
        (np.arange(40, dtype=np.float16), None, torch.float64),
        (np.arange(40, dtype=">f8"), None, torch.float64),
        (np.arange(2**10).reshape(-1, 1) >> np.arange(10) & 1 == 1, 2, torch.uint8),
    ],
)
def test_levels_by_type(values_of, x, levels, dtype):
    data = load_data(x)
    assert data.spec.levels == levels
    assert data.train.x.dtype == dtype
    assert np.array_equal(np.sort(values_of(data).flatten()), np.sort(x.flatten()))


@pytest.mark.parametrize("options", [{}, {"levels": 2}, {"binary": True}])
def test_zeros_and_ones_stay(values_of, options):
    bits = np.random.default_rng(0).integers(0, 2, (64, 4, 4), dtype=np.uint8)
    data = load_data(bits, **options)
    assert data.spec.levels == 2
    assert values_of(data).sum() == bits.sum()


def test_values_that_are_levels_already_stay(values_of):
    x = np.random.default_rng(0).integers(0, 17, (64, 4, 4), dtype=np.uint8)
    data = load_data(x, levels=17)
    assert data.spec.levels == 17
    assert values_of(data).sum() == x.sum()
    assert any("below 17" in note for note in data.notes)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_zeros_and_ones_below_the_levels_asked_for_have_those(values_of, dtype):
    bits = np.random.default_rng(0).integers(0, 2, (64, 4, 4)).astype(dtype)
    data = load_data(bits, levels=4)
    assert data.spec.levels == 4
    assert values_of(data).sum() == bits.sum()
    assert any("below 4" in note for note in data.notes)


# What options do to images


@pytest.fixture
def colours(random_pixels):
    return random_pixels(30, 6, 8, 3)


@pytest.fixture
def colour_file(save_npz, colours):
    return save_npz(x_train=colours[:10], x_val=colours[10:20], x_test=colours[20:])


def test_levels_are_reduced(colour_file, colours):
    expected = colours[20:].transpose(0, 3, 1, 2).astype(int) * 5 // 256
    assert np.array_equal(load_data(colour_file, levels=5).test.x, expected)


def test_binary_draws_from_the_brightness(colour_file, colours):
    x = colours[20:].transpose(0, 3, 1, 2)
    expected = np.random.RandomState(2).random_sample(x.shape) < x / 255
    assert np.array_equal(load_data(colour_file, binary=True, seed=2).test.x, expected)


def test_binary_of_large_splits_is_one_stream(save_npz, random_pixels):
    x = random_pixels(9000, 28, 28)
    data = load_data(save_npz(x_train=x, x_val=x[:2], x_test=x[:2]), binary=True)
    expected = np.random.RandomState(0).random_sample(x.shape) < x / 255
    assert np.array_equal(data.train.x[:, 0], expected)


def test_grey_is_the_luminance_that_pillow_knows(colour_file, colours):
    data = load_data(colour_file, grey=True)
    assert data.spec.shape == (1, 6, 8)
    assert np.array_equal(data.test.x[0, 0], Image.fromarray(colours[20]).convert("L"))


def test_grey_of_real_numbers_is_not_rounded(save_npz):
    x = np.random.default_rng(0).random((12, 5, 6, 3))
    data = load_data(save_npz(x_train=x[:4], x_val=x[4:8], x_test=x[8:]), grey=True)
    expected = x[8:] @ np.array([19595, 38470, 7471]) / 2**16
    assert np.allclose(data.test.x[:, 0], expected, rtol=1e-6)


def test_size_cuts_the_centre_and_resizes(colour_file, colours):
    data = load_data(colour_file, size=3)
    square = Image.fromarray(colours[20]).crop((1, 0, 7, 6))
    expected = np.asarray(square.resize((3, 3), Image.Resampling.LANCZOS))
    assert np.array_equal(data.test.x[0].permute(1, 2, 0), expected)


def test_options_change_the_fingerprint(colour_file):
    options = ({}, {"seed": 1}, {"grey": True}, {"size": 3}, {"levels": 5}, {"binary": True})
    fingerprints = {load_data(colour_file, **given).fingerprint for given in options}
    assert len(fingerprints) == len(options)


# Bad input


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.array(3), {}, "single number: its shape is"),
        (np.zeros((0, 3)), {}, "empty"),
        (np.zeros((9, 1, 1, 1, 1)), {}, r"give \(N, D\)"),
        (np.array([object()]), {}, "type object"),
        (np.zeros(9, complex), {}, "type complex"),
        (np.arange(20) - 3, {}, "from -3 to 16"),
        (np.arange(20) * 10_000, {}, "at most 65535"),
        (
            np.array([[0, 1], [2, np.nan], [np.inf, 0]]),
            {},
            r"x has 2 values.*first is nan at \(1, 1\)",
        ),
        (np.array([0, 1e300]), {}, "1 values.*beyond 1e.100"),
        (np.linspace(0, 3.5, 20), {"binary": True}, "binary needs integers.*from 0 to 3.5"),
        (np.linspace(-2, 1, 20), {"levels": 4}, "levels needs integers.*from -2 to 1"),
        (np.arange(80) % 17 / 16, {"levels": 256}, "have 17 levels.*at most 17"),
        (np.linspace(0, 1, 320).reshape(20, 4, 4), {"size": 2}, "size needs images of 8-bit"),
        (np.arange(320).reshape(20, 4, 4).astype(np.uint8), {"grey": True}, "3 channels"),
    ],
)
def test_arrays_that_are_no_valid_data(x, options, message):
    with pytest.raises(DalmError, match=message):
        load_data(x, **options)
