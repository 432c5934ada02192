"""Files whose rows depend on their place are told, and files of independent rows are not.

Statistical tests fix their seed.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import datasets

from dalm.data import load_data
from dalm.data.order import order_matters


def rng():
    return np.random.default_rng(0)


def turns(subjects, rounds):
    """Subjects that take turns, each time a bit different."""
    centres = rng().normal(size=(1, subjects, 4))
    return (centres + 0.3 * rng().normal(size=(rounds, subjects, 4))).reshape(-1, 4)


def drift(by):
    steady = np.zeros((2000, 4))
    steady[:, 2] = by * np.linspace(0, 1, 2000)
    return rng().normal(size=(2000, 4)) + steady


def blocks():
    centres = 4 * rng().normal(size=(4, 3))
    return centres[np.sort(rng().integers(0, 4, 1000))] + rng().normal(size=(1000, 3))


@pytest.mark.parametrize("subjects", [30, 300])
def test_subjects_that_take_turns_are_told(subjects):
    (said,) = order_matters(turns(subjects, 10))
    assert f"a multiple of {subjects} places away" in said


def test_a_slow_drift_is_told_with_its_column():
    (said,) = order_matters(drift(3))
    assert said.startswith("Column 2 rises steadily through the file (rank correlation")
    (said,) = order_matters(-drift(3))
    assert said.startswith("Column 2 falls")


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "diabetes", "digits"])
def test_independent_rows_are_not_accused(name):
    x, _ = getattr(datasets, f"load_{name}")(return_X_y=True)
    assert order_matters(x) == []


def test_a_file_sorted_by_blocks_or_by_a_column_does_not_drift():
    assert order_matters(blocks()) == []
    first = np.sort(rng().normal(size=(1000, 1)), 0)
    assert order_matters(np.hstack([first, first + rng().normal(size=(1000, 1))])) == []


def test_a_constant_column_hides_no_drift():
    assert order_matters(np.hstack([drift(3), np.zeros((2000, 1))]))


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_classes_that_alternate_are_no_turns(classes):
    y = np.arange(600) % classes
    assert order_matters(rng().normal(size=(600, 3)) + y[:, None], y) == []


def test_classes_in_blocks_do_not_drift():
    y = np.repeat([0, 1, 2], 400)
    x = rng().normal(size=(1200, 2)) + 3 * y[:, None]
    assert order_matters(x, y) == []


def test_rows_that_are_all_there_five_times_have_no_step():
    x = rng().normal(size=(60, 3)).repeat(5, 0)
    data = load_data(rng().permutation(x))
    assert not data.recorded
    assert "192 of 240 training rows (80%) are copies of other ones" in data.warnings[0]


@pytest.mark.parametrize(
    "x",
    [
        rng().integers(0, 60, (900, 1)) ** 3.0,
        1 / (rng().integers(10, 300, (900, 1)) / 10),
        (rng().normal(size=(300, 3)).round(1) ** 3)[rng().integers(0, 300, 900)],
    ],
    ids=["cubes", "1/price", "stations"],
)
def test_what_repeats_unevenly_is_recorded(x):
    assert load_data(x).recorded


def test_arrays_that_may_tell_groups_or_order_are_pointed_at(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, x=rng().normal(size=(200, 2)), subject=np.arange(200) // 10)
    notes = load_data(path).notes
    assert "Not used, of d.npz: subject." in notes
    assert any(note.startswith("An array that says which rows belong together") for note in notes)
    assert not any("belong together" in note for note in load_data(path, group="subject").notes)
