"""The split rule, and the rows of a split."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from dalm.data import Split, load_data
from dalm.data.splits import assign_splits, row_digests
from dalm.errors import DalmError


@pytest.mark.parametrize("n", [3, 7, 10, 14, 99, 1000])
def test_every_row_is_in_one_part_and_parts_are_tenths(n):
    train, val, test = assign_splits(row_digests(np.arange(n)[:, None], 0), 2)
    tenth = max(1, (n + 5) // 10)
    assert sorted([*train, *val, *test]) == list(range(n))
    assert len(val) == len(test) == tenth


def test_copies_fall_on_the_same_side(splits_of, values_of):
    x = np.random.default_rng(0).integers(0, 40, (500, 1))
    data = load_data(x)
    sides = [set(split.x.flatten().tolist()) for split in splits_of(data)]
    assert all(first.isdisjoint(second) for first, second in itertools.combinations(sides, 2))
    assert len(values_of(data)) == 500


def test_the_order_of_rows_does_not_matter_and_the_seed_does(splits_of):
    x = np.random.default_rng(0).integers(0, 40, (500, 1))
    data = load_data(x)
    shuffled = load_data(x[np.random.default_rng(1).permutation(500)])
    reseeded = load_data(x, seed=1)
    assert shuffled.fingerprint == data.fingerprint
    assert set(reseeded.test.x.flatten().tolist()) != set(data.test.x.flatten().tolist())


@pytest.mark.parametrize("x", [np.zeros((2, 3)), np.zeros((50, 3)), np.arange(100)[:, None] < 50])
def test_too_few_data(x):
    with pytest.raises(DalmError, match=r"too few data: \d+ \(\d distinct\)"):
        load_data(x)


def test_a_subset_is_spread_evenly():
    split = Split(torch.arange(10)[:, None], torch.arange(10))
    assert split.subset(3).y.tolist() == [0, 3, 6]
    assert split.subset(3).x[:, 0].tolist() == [0, 3, 6]
    assert split.subset(10) is split


def test_a_subset_of_rows_without_labels_has_none():
    subset = Split(torch.zeros(10, 2)).subset(3)
    assert len(subset) == 3
    assert subset.y is None


def test_labelled_and_unlabelled_rows_are_all_rows():
    split = Split(torch.arange(5)[:, None], torch.tensor([1, -1, 0, -1, 1]))
    assert split.labelled().x[:, 0].tolist() == [0, 2, 4]
    assert split.labelled().y.tolist() == [1, 0, 1]
    assert split.unlabelled().x[:, 0].tolist() == [1, 3]
    assert split.unlabelled().y.tolist() == [-1, -1]


def test_rows_of_data_without_classes_are_unlabelled():
    split = Split(torch.zeros(5, 2))
    assert split.unlabelled() is split
    assert len(split.labelled()) == 0
    assert split.labelled().x.shape == (0, 2)


def test_rows_that_all_have_labels_are_not_copied():
    split = Split(torch.zeros(5, 2), torch.tensor([0, 1, 0, 1, 0]))
    assert split.labelled() is split
    assert len(split.unlabelled()) == 0
