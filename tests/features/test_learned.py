"""Feature nets know what they learned from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from dalm.core import Spec
from dalm.data import load_data
from dalm.features import learned_note, space_name
from dalm.features.digits import learned_digits
from dalm.features.learned import count_learned, fingerprints, write_learned
from dalm.metrics import evaluate

DIGITS = Spec((1, 8, 8), levels=17)
IMAGES = torch.tensor(load_digits().images)[:, None]


def test_the_digits_net_knows_the_rows_that_it_learned_from_and_no_others() -> None:
    assert learned_digits(IMAGES[:1100]) == 1100
    assert learned_digits(IMAGES[1100:]) == 0
    for split in (load_data("digits").val, load_data("digits").test):
        assert learned_digits(split.x) == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32, torch.float64])
def test_a_row_is_known_again_in_any_type_and_order(dtype, tmp_path):
    x = torch.randint(0, 17, (50, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    write_learned(tmp_path / "rows.safetensors", x)
    seen = x.flip(0).to(dtype)
    assert count_learned(tmp_path / "rows.safetensors", seen) == 50
    assert count_learned(tmp_path / "rows.safetensors", seen[:7].flip(3)) == 0
    assert len(fingerprints(x).unique()) == 50


def test_held_out_rows_that_a_net_learned_from_are_scored_in_another_space():
    heldout = IMAGES[1000:1300].to(torch.uint8)
    assert space_name(DIGITS, None, heldout) == "random-conv-v1"
    assert space_name(DIGITS, None, heldout[100:]) == "digits-cnn-v1"
    assert space_name(DIGITS, "digits-cnn-v1", heldout) == "digits-cnn-v1"
    words = "digits-cnn-v1 learned from 100 of 300 held-out rows"
    assert learned_note(DIGITS, "random-conv-v1", heldout) == f"{words}, so random-conv-v1 is used"
    assert learned_note(DIGITS, "digits-cnn-v1", heldout) == f"{words}: these figures flatter"
    assert learned_note(DIGITS, "digits-cnn-v1", heldout[100:]) == ""


@pytest.mark.parametrize("asked", [None, "digits-cnn-v1"])
def test_scores_say_that_a_net_learned_from_held_out_rows(asked):
    x = load_digits().images.astype(np.uint8)[:, None]
    data = load_data(x, levels=17)
    scores = evaluate(data.val.x, data.train.x, data.test.x, data.spec, features=asked)
    [kid] = [score for score in scores if score.metric == "kid"]
    assert kid.features.startswith(asked or "random-conv-v1")
    assert "digits-cnn-v1 learned from" in kid.note
    [c2st] = [score for score in scores if score.metric == "c2st"]
    assert "learned from" not in c2st.note  # it looks at the data's own numbers
