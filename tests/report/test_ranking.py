"""Who is best, by which figures, and how sure that is.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dalm.report.paired import difference, holm
from dalm.report.ranking import best, blind, rank, rank_densities, separates, unranked
from dalm.report.score import seeds_phrase, tightest
from dalm.report.verdict import verdict

DIRECTIONS = {"c2st": 0.5}


def score(metric: str, value: float, half: float = 0.01, split: str = "test", **more: Any) -> dict:
    usual = {"direction": DIRECTIONS.get(metric, "lower"), "n": 500, "subset": None, "note": ""}
    ends = {"low": value - half, "high": value + half}
    return {"metric": metric, "split": split, "value": value} | ends | usual | more


def model(name: str, **values: tuple[float, float]) -> dict[str, Any]:
    """A row with figures on validation and test data, exact where they are likelihoods."""
    scores = [
        score(metric, value, split=split, label="exact")
        for metric, pair in values.items()
        for split, value in zip(("val", "test"), pair, strict=True)
    ]
    return {"name": name, "kind": "model", "error": None, "scores": scores}


def with_rows(row: dict, bits: np.ndarray, places: np.ndarray | None = None) -> dict:
    places = np.arange(len(bits)) if places is None else places
    each = {"bits_per_dim.test": bits, "bits_per_dim.test.rows": places}
    kept = [one for one in row["scores"] if one["split"] == "val"]
    half = 1.96 * bits.std() / len(bits) ** 0.5
    scores = [*kept, score("bits_per_dim", bits.mean(), half, label="exact")]
    return row | {"scores": scores, "each": each}


# Choosing


def test_validation_chooses_and_the_test_figure_is_told():
    rows = [model("lucky", bits_per_dim=(2.1, 1.5)), model("good", bits_per_dim=(2.0, 1.9))]
    assert [row["name"] for row in rank_densities(rows).rows] == ["good", "lucky"]
    assert best(rows, "bits_per_dim") == [1]
    found = dict(verdict(rows))["Best density"]
    assert found.startswith("good: 1.900 ± 0.010 bits/dim")
    assert "Chosen among 2 models on validation data." in found
    assert "Not settled between it and lucky" in found, "on test data it is not the better one"


def test_without_validation_figures_test_chooses_and_the_verdict_says_so():
    rows = [model("a", bits_per_dim=(2.0, 1.9)), model("b", bits_per_dim=(1.0, 1.8))]
    for row in rows[:1]:
        row["scores"] = [one for one in row["scores"] if one["split"] == "test"]
    assert rank_densities(rows).split == "test"
    assert rank_densities(rows).rows[0]["name"] == "b"
    assert "by this very figure, so it flatters" in dict(verdict(rows))["Best density"]


def test_what_validation_did_not_choose_is_not_bold_beside_what_it_chose():
    rows = [model("a", kid=(0.2, 0.1)), model("b", kid=(0.1, 0.2))]
    for row in rows:
        row["scores"].append(score("copying", 0.0 if row["name"] == "a" else 1.0))
    assert best(rows, "kid") == [1]
    assert best(rows, "copying") == []


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"kind": "reference"}, "it is there to compare with"),
        ({"error": "no"}, "it failed"),
        ({"scores": [score("copying", -9, flag="copies")]}, "it copies its training data"),
        ({"scores": [score("repeated", 0.9, flag="repeats")]}, "it repeats itself"),
        ({"scores": [score("kid", 0.0, unranked="for a reason")]}, "for a reason"),
        ({}, "it has no such figure"),
    ],
)
def test_what_is_not_ranked_says_why(row, why):
    assert unranked(model("a") | row, "kid") == why
    assert rank([model("a") | row, model("b", kid=(1, 1))], "kid").rows[0]["name"] == "b"


def test_alarms_about_samples_leave_likelihoods_in_the_ranking():
    row = model("a", bits_per_dim=(1, 1))
    row["scores"].append(score("copying", -9, flag="copies"))
    assert unranked(row, "bits_per_dim") is None


# Bounds


def bound(name: str, loose: float, tight: float) -> dict[str, Any]:
    scores = [
        score(metric, value, split=split, label="bound")
        for metric, value in (("bits_per_dim", loose), ("importance_bits_per_dim", tight))
        for split in ("val", "test")
    ]
    return model(name) | {"scores": scores}


def test_the_tightest_bound_ranks_beside_exact_values():
    rows = [bound("vae", 2.2, 1.9), model("kde", bits_per_dim=(2.0, 2.0))]
    assert tightest(rows[0]) == "importance_bits_per_dim"
    assert best(rows, "bits_per_dim") == [0]
    found = dict(verdict(rows))["Best density"]
    assert found.startswith("vae: ≤ 1.900 ± 0.010")
    assert "it is the better density" in found


def test_a_bound_above_an_exact_value_is_not_said_to_be_worse():
    ranking = rank_densities([bound("vae", 2.2, 2.1), model("kde", bits_per_dim=(2.0, 2.0))])
    assert [row["name"] for row in ranking.bounds] == ["vae"]
    assert not ranking.worse
    assert not ranking.close


# Pairs


def test_a_difference_on_the_same_rows_is_surer_than_two_intervals():
    rng = np.random.default_rng(0)
    shared = 2 + rng.normal(size=500)
    rows = [
        with_rows(model("kde", bits_per_dim=(2.0, 2.0)), shared + 0.1 * rng.normal(size=500)),
        with_rows(model("qda", bits_per_dim=(2.1, 2.1)), shared + 0.05),
    ]
    (_, pair), *others = rank_densities(rows).worse
    assert not others
    assert pair.value == pytest.approx(0.05, abs=0.02)
    assert pair.half == pytest.approx(1.96 * 0.1 / 500**0.5, rel=0.1)
    found = dict(verdict(rows))["Best density"]
    assert "Better than qda by 0.0" in found
    assert "on the same 500 rows" in found
    unpaired = [row | {"each": {}} for row in rows]
    assert "(by their 95 % intervals)" in dict(verdict(unpaired))["Best density"]


def test_pairs_are_matched_by_place():
    bits = np.arange(60.0)
    one = with_rows(model("a", bits_per_dim=(1, 1)), bits)
    other = with_rows(model("b", bits_per_dim=(1, 1)), bits[::2] + 1, np.arange(60)[::2])
    assert difference(one, other)[:3] == (1.0, 0.0, 30)
    assert difference(other, one).value == -1
    nowhere = with_rows(model("c", bits_per_dim=(1, 1)), bits, np.arange(60) + 100)
    assert difference(one, nowhere) is None
    assert difference(one, model("d")) is None


def test_a_difference_that_few_rows_decide_settles_nothing():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=500)
    tail = shared + 0.01 * rng.normal(size=500) + 0.001
    tail[0] += 30
    rows = [with_rows(model(name, bits_per_dim=(v, v)), bits)
            for name, v, bits in (("a", 1, shared), ("b", 2, tail))]  # fmt: skip
    assert difference(*rows).lopsided
    assert [row["name"] for row in rank_densities(rows).close] == ["b"]


def test_holm_keeps_false_claims_at_five_percent():
    """Of 2,000 families of ten true hypotheses, 100 ± 10 have a false claim: 4 SE are 40."""
    p = np.random.default_rng(0).uniform(size=(2000, 10))
    assert sum(any(holm(list(row))) for row in p) == pytest.approx(100, abs=40)
    assert sum(any(x < 0.05 for x in row) for row in p) > 700


def test_equal_models_without_validation_figures_are_seldom_told_apart():
    """Of 300 boards of ten equal models 15 at most name a better one, ± 3.8; with Holm's correction
    for the nine pairs of the winner alone it was one in seven.
    """
    rng = np.random.default_rng(0)
    named = 0
    for _ in range(300):
        bits = rng.normal(size=(10, 100))
        rows = [
            with_rows(model(str(i), bits_per_dim=(x.mean(), x.mean())), x)
            for i, x in enumerate(bits)
        ]
        for row in rows:
            row["scores"] = [score for score in row["scores"] if score["split"] == "test"]
        ranking = rank_densities(rows)
        assert ranking.split == "test"
        named += bool(ranking.worse)
    assert named <= 15 + 3 * 3.8


def test_the_interval_of_the_best_of_twenty_equals_holds():
    """Chosen on validation, 190 of 200 test intervals hold, ± 3: 181 is three SE off. Chosen on
    test data, as an earlier version did, four in ten miss.
    """
    rng = np.random.default_rng(0)
    held = {"val": 0, "test": 0}
    for _ in range(200):
        means = rng.normal(size=(20, 2)) * 0.05
        rows = [model(str(i), bits_per_dim=tuple(pair)) for i, pair in enumerate(means)]
        for split in held:
            shown = [row | {"scores": [s for s in row["scores"] if s["split"] in {"test", split}]}
                     for row in rows]  # fmt: skip
            winner = rank_densities(shown).rows[0]
            value = next(s["value"] for s in winner["scores"] if s["split"] == "test")
            held[split] += abs(value) < 1.96 * 0.05
    assert held["val"] >= 181
    assert held["test"] < 160


# Seeds


def test_families_whose_seeds_cross_are_not_settled():
    a = model("a", bits_per_dim=(1.0, 1.0))
    b = model("b", bits_per_dim=(2.0, 2.0))
    assert [row["name"] for row, _ in rank_densities([a, b]).worse] == ["b"]
    for values, close in (((1.1, 1.9), False), ((1.1, 2.1), True)):
        fits = [a, model("a", bits_per_dim=(values[1], values[1]))]
        b["seeds"] = [b, model("b", bits_per_dim=(2.0, 2.0))]
        ranking = rank_densities([a | {"seeds": fits}, b])
        assert bool(ranking.close) == close
    assert seeds_phrase(a | {"seeds": fits}, "bits_per_dim") == "1.000–2.100"
    assert "Its 2 seeds give 1.000–2.100." in dict(verdict(list(ranking.rows)))["Best density"]


# Samples


@pytest.mark.parametrize(
    ("figures", "separate"),
    [((0.55, 0.99), True), ((0.97, 0.999), False), ((0.6, 0.605), False), ((0.6,), False)],
)
def test_a_classifier_ranks_where_it_is_not_saturated(figures, separate):
    rows = [model(str(i), c2st=(v, v), frechet=(v, v)) for i, v in enumerate(figures)]
    assert separates(rank(rows, "c2st")) == separate


def test_where_the_classifier_is_saturated_the_frechet_distance_ranks():
    rows = [model("a", c2st=(0.97, 0.97), frechet=(9.0, 9.0)),
            model("b", c2st=(0.999, 0.999), frechet=(2.0, 2.0))]  # fmt: skip
    assert dict(verdict(rows))["Best samples"].startswith("b: Fréchet distance 2.00")


# What is bold


def quality(name: str, value: float, half: float, **more: Any) -> dict[str, Any]:
    """A row with a coverage of so much, on validation and test data."""
    record = {"metric": "coverage", "subset": None, "value": value, "direction": "higher"}
    ends = {"low": value - half, "high": value + half}
    return {"name": name, "family": name, "kind": "model", **more} | {
        "scores": [record | ends | {"split": split} for split in ("val", "test")]
    }


def references(noise: float) -> list[dict[str, Any]]:
    real = {"family": "copycat", "kind": "reference", "learn_from": "val"}
    return [
        quality("held-out real data", 0.9, 0.02, **real),
        quality("noise", noise, 0.02, kind="reference"),
    ]


@pytest.mark.parametrize(
    ("value", "half", "noise", "places"),
    [
        (0.7, 0.05, 0.1, [0]),
        (0.87, 0.05, 0.1, []),  # within noise of real data
        (0.99, 0.01, 0.1, []),  # beyond what they reach
        (0.7, 0.05, 0.89, []),  # noise scores as real data do
    ],
)
def test_bold_is_surely_below_real_data_where_the_measure_sees(value, half, noise, places):
    rows = [quality("a", value, half), quality("b", 0.3, 0.05), *references(noise)]
    assert best(rows, "coverage") == places
    assert blind(rows, "coverage") == (noise > 0.8)


def test_a_blind_measure_is_named():
    rows = [quality("a", 0.7, 0.05), quality("b", 0.3, 0.05), *references(0.95)]
    found = dict(verdict(rows))["Blind here"]
    assert found == "coverage does not tell noise from real data, and ranks nothing."


def test_a_family_that_is_not_for_the_data_has_not_failed():
    row = model("pixelcnn") | {"error": "pixelcnn needs discrete data", "suits": False}
    found = dict(verdict([row]))
    assert found == {"Not for these data": "pixelcnn: needs discrete data."}
