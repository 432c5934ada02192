"""All measures at once: what they need, refuse, share and say."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
import torch
from draws import normals, number
from torch import Tensor

from dalm.core import Spec
from dalm.features import FeatureSpace, feature_space
from dalm.metrics import evaluate, meanings
from dalm.records.score import Score

POINTS = Spec((2,))
DIGITS = Spec((1, 8, 8), levels=17)
NAMES = [
    "frechet",
    "kid",
    "precision",
    "recall",
    "density",
    "coverage",
    "c2st",
    "copying",
    "authenticity",
    "copied",
    "repeated",
    "missing",
    "reproduced",
]


def scored(*sets: Tensor | Spec, **options: Any) -> dict[str, Score]:
    """`evaluate`, by name of the measure."""
    scores = evaluate(*sets, **options)
    named = {score.metric: score for score in scores}
    assert len(named) == len(scores)
    return named


def test_evaluate_repeats_itself_and_names_its_spaces(digits: tuple[Tensor, ...]) -> None:
    train, val, test, _ = digits
    scores = scored(val, train, test, DIGITS)
    assert scores == scored(val, train, test, DIGITS)
    assert list(scores) == NAMES
    assert set(NAMES) < set(meanings())
    assert [m.features for m in scores.values()] == [feature_space(DIGITS).name] * 6 + ["raw"] * 7
    assert scored(val, train, test, DIGITS, features="raw")["kid"].features == "raw"
    assert scored(val, train, test, DIGITS, limit=100)["density"].n == 100
    json.dumps([m.to_json() for m in scores.values()], allow_nan=False)


def test_a_feature_space_of_ones_own_gets_the_data_as_they_are() -> None:
    samples, train, heldout = (7.0 * normals(50, 2, seed=k).float() for k in range(3))
    seen = []
    own = FeatureSpace("mine", lambda x: seen.append(x) or x)
    scores = scored(samples, train, heldout, POINTS, features=own)
    assert torch.equal(seen[0], samples)
    assert torch.equal(seen[1], heldout)
    assert scores["frechet"].features == "mine"
    assert str(scores["c2st"].features).startswith("raw/std#")


def test_evaluate_gives_reasons_instead_of_errors() -> None:
    x = normals(100, 2).float()
    poor = {
        "samples: expected finite": (torch.full((50, 2), math.nan), x, x),
        "held-out rows: expected data of shape": (x, x, normals(50, 3).float()),
        "there are no samples": (x[:0], x, x),
    }
    for reason, sets in poor.items():
        scores = scored(*sets, POINTS)
        assert list(scores) == NAMES
        assert all(m.value is None and m.note.startswith(reason) for m in scores.values())
    few = scored(x[:2], x, x, POINTS)
    assert all(m.value is None and m.note for m in few.values())


@pytest.mark.parametrize("value", [0.0, 1e30])
def test_a_collapsed_generator_and_huge_values_do_no_harm(value: float) -> None:
    x = normals(100, 2).float()
    scores = scored(torch.full((60, 2), value), x, x[:50] + 0.1, POINTS)
    assert list(scores) == NAMES
    assert all(m.value is not None or m.note for m in scores.values())
    assert number(scores["coverage"].value) < 0.2


def test_a_tiny_discrete_space_is_full_of_ties_but_of_no_copies() -> None:
    bits = [
        torch.randint(0, 2, (200, 3), generator=torch.Generator().manual_seed(i)).to(torch.uint8)
        for i in range(3)
    ]
    scores = scored(bits[0], bits[1], bits[2], Spec((3,), levels=2))
    assert scores["copying"].value == 0
    assert scores["copying"].flag is scores["authenticity"].flag is None
    assert (
        "100.0% of samples equal a training row (held-out data: 100.0%)" in scores["copying"].note
    )


def test_bytes_with_all_256_levels_are_scored() -> None:
    x = torch.randint(0, 256, (90, 1, 12, 12), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    scores = scored(x[:30], x, x[60:], Spec((1, 12, 12), levels=256))
    assert scores["c2st"].value is not None
    assert scores["copying"].features is not None
    assert scores["frechet"].value is None
    assert "at least 81 rows" in scores["frechet"].note


def test_units_of_measurement_decide_nothing() -> None:
    samples, train, heldout = (
        normals(200, 2, seed=k).float() * torch.tensor([1.0, 0.5]) for k in range(3)
    )
    units = torch.tensor([1.0, 1024.0])
    plain = scored(samples, train, heldout, POINTS)
    scaled = scored(samples * units, train * units, heldout * units, POINTS)
    assert {name: metric.value for name, metric in plain.items()} == {
        name: metric.value for name, metric in scaled.items()
    }
    names = {metric.features for metric in (*plain.values(), *scaled.values())}
    assert len(names) == 2, "the units are part of the name"
    assert all(re.fullmatch(r"raw/std#[0-9a-f]{8}", name or "") for name in names)
    constant = torch.cat([train[:, :1], torch.ones(200, 1)], 1)
    assert scored(samples, constant, heldout, POINTS)["frechet"].value is not None
