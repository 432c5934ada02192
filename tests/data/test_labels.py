"""Labels: which values are classes, and -1, which is none."""

from __future__ import annotations

import numpy as np
import pytest

from dalm.data import load_data
from dalm.errors import DalmError


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([7, 3, 7, 9], ("3", "7", "9")),
        ([-5, 3, -5, 9], ("-5", "3", "9")),
        (["b", "a", "b", "c"], ("a", "b", "c")),
    ],
)
def test_labels_become_classes(save_npz, splits_of, labels, names):
    data = load_data(save_npz(x=np.arange(40), y=np.tile(labels, 10)))
    assert data.classes == names
    assert data.spec.classes == 3
    for split in splits_of(data):
        expected = [str(labels[i % 4]) for i in split.x.flatten().tolist()]
        assert [names[k] for k in split.y] == expected


@pytest.mark.parametrize("dtype", [np.int8, np.int64, ">i4"])
def test_labels_of_minus_one_are_no_class(save_npz, splits_of, dtype):
    labels = np.array([7, -1, 3, -1], dtype)
    data = load_data(save_npz(x=np.arange(40), y=np.tile(labels, 10)))
    number = {7: 1, 3: 0, -1: -1}
    assert data.classes == ("3", "7")
    assert data.spec.classes == 2
    for split in splits_of(data):
        assert split.y.tolist() == [number[labels[i % 4]] for i in split.x.flatten().tolist()]
        assert len(split.labelled()) + len(split.unlabelled()) == len(split)


def test_a_note_counts_what_is_unlabelled(save_npz):
    x = np.arange(16, dtype=np.uint8)
    y = np.array([0, 1, -1, -1, -1, 1, 0, 1, 0, 1, 0, -1, 1, 0, 1, 0])
    path = save_npz(
        x_train=x[:8], x_val=x[8:11], x_test=x[11:], y_train=y[:8], y_val=y[8:11], y_test=y[11:]
    )
    notes = " ".join(load_data(path).notes)
    assert "Labels of -1 mean unlabelled" in notes
    assert "3 of 8 in train, 1 of 5 in test." in notes


def test_a_split_may_be_wholly_unlabelled(save_npz):
    x = np.arange(12, dtype=np.uint8)
    path = save_npz(
        x_train=x[:6],
        x_val=x[6:9],
        x_test=x[9:],
        y_train=-np.ones(6, int),
        y_val=np.array([0, 1, 0]),
        y_test=np.array([1, 1, 0]),
    )
    data = load_data(path)
    assert data.train.y.tolist() == [-1] * 6
    assert data.test.y.tolist() == [1, 1, 0]
    assert data.spec.classes == 2


def test_data_whose_labels_are_all_minus_one_have_no_classes(save_npz, splits_of):
    data = load_data(save_npz(x=np.arange(40), y=-np.ones(40, int)))
    plain = load_data(np.arange(40))
    assert data.spec == plain.spec
    assert data.classes == ()
    assert [split.y for split in splits_of(data)] == [None, None, None]
    assert data.fingerprint == plain.fingerprint
    assert any("Every label is -1" in note for note in data.notes)


@pytest.mark.parametrize("labels", [np.array(["-1", "1"]), np.array([255, 1], np.uint8)])
def test_only_signed_integers_mean_unlabelled(save_npz, labels):
    data = load_data(save_npz(x=np.arange(40), y=np.tile(labels, 20)))
    assert data.spec.classes == 2
    assert len(data.train.labelled()) == len(data.train)
    assert not any("unlabelled" in note for note in data.notes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(3, int)}, "no data x"),
        (
            {"x": np.arange(20), "y": np.zeros(19, int)},
            r"should be \(20,\) integers.*they are \(19,\)",
        ),
        ({"x": np.arange(20), "y": np.zeros((20, 2), int)}, r"they are \(20, 2\)"),
        ({"x": np.arange(20), "y": np.arange(20) / 2}, "of type float64"),
        (
            {"x_train": np.arange(20), "y_train": np.zeros(20, int), "x_test": np.arange(20)},
            "some have none.*-1 for rows without a label",
        ),
    ],
)
def test_bad_labels(save_npz, arrays, message):
    with pytest.raises(DalmError, match=message):
        load_data(save_npz(**arrays))
