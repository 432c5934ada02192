"""The embedded digits: the values, the split by position, and what options do."""

from __future__ import annotations

import numpy as np
import torch
from sklearn import datasets  # type: ignore[import-untyped]

from dalm.core import Spec
from dalm.data import load_data


def test_digits_are_split_by_position(splits_of, values_of):
    data = load_data("digits")
    original = datasets.load_digits()
    labels = torch.cat([split.y for split in splits_of(data)])
    assert [len(split) for split in splits_of(data)] == [1100, 197, 500]
    assert np.array_equal(values_of(data)[:, 0], original.images)
    assert np.array_equal(labels.numpy(), original.target)
    assert "1,100" in data.notes[0]


def test_digits_have_their_types():
    data = load_data("digits")
    assert data.spec == Spec((1, 8, 8), 17, 10)
    assert data.train.x.dtype == torch.uint8
    assert data.train.y.dtype == torch.int64


def test_binary_digits_are_drawn_from_their_brightness():
    raw = load_data("digits").test.x[:, 0].numpy()
    binary = load_data("digits", binary=True, seed=3)
    expected = np.random.RandomState(3).random_sample((500, 8, 8)) < raw / 16
    assert np.array_equal(binary.test.x[:, 0].numpy(), expected)
    assert binary.spec.levels == 2
    assert binary.options == {"binary": True, "seed": 3}


def test_digits_are_reduced_to_fewer_levels():
    raw = load_data("digits").val.x.long()
    few = load_data("digits", levels=4)
    assert torch.equal(few.val.x.long(), raw * 4 // 17)
    assert few.spec.levels == 4
