"""What is said of data that are not what they seem."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dalm.data import load_data


def test_columns_that_others_determine_are_named():
    x = np.random.default_rng(0).normal(size=(200, 2))
    data = load_data(np.column_stack([x, x.sum(1), np.full(200, 7.0)]))
    [note] = [note for note in data.notes if note.startswith("Left out of densities")]
    assert "Entry 2 is determined by 0, 1" in note
    assert "Entry 3 is 7 in every training row" in note
    assert not [note for note in load_data(x).notes if "Left out" in note]


@pytest.mark.parametrize("white", [1023, 65535])
def test_ten_bits_in_sixteen_are_said_and_scaled(tmp_path, white):
    values = np.random.default_rng(0).integers(0, 1024, (20, 4, 4), dtype=np.uint16)
    values[0, 0, 0] = 1023
    (tmp_path / "d").mkdir()
    for number, pixels in enumerate(values):
        Image.fromarray(pixels).save(tmp_path / "d" / f"{number:02}.png")
    data = load_data(tmp_path / "d", white=white, cache=str(tmp_path / "cache"))
    found = np.concatenate([split.x.numpy() for split in (data.train, data.val, data.test)])
    expected = np.round(values * (255 / white)).astype(np.uint8)
    assert sorted(map(bytes, found)) == sorted(map(bytes, expected[:, None]))
    said = any("go up to 1,023 only" in note for note in data.notes)
    assert said == (white == 65535)
