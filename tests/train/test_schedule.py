"""When things happen in a fit, against hand computations."""

from __future__ import annotations

import math

import pytest

from dalm.train import FitOptions
from dalm.train.schedule import evenly, learning_rate
from dalm.train.seeds import derive_seed


@pytest.mark.parametrize(
    ("steps", "step", "expected"),
    [
        (100, 0, 1 / 5),  # warm-up is a twentieth of the steps
        (100, 3, 4 / 5),
        (100, 4, 1.0),
        (100, 5, 1.0),
        (100, 99, (1 + math.cos(math.pi * 94 / 95)) / 2),
        (205, 107, (1 + math.cos(math.pi * 97 / 195)) / 2),
        (20_000, 0, 1 / 500),  # and never longer than 500
        (20_000, 499, 1.0),
        (1, 0, 1.0),
    ],
)
def test_the_cosine_schedule(steps, step, expected):
    options = FitOptions(steps=steps, lr=0.3, schedule="cosine")
    assert learning_rate(options, step) == pytest.approx(0.3 * expected, rel=1e-12)


def test_the_schedule_rises_then_falls_and_stays_positive():
    options = FitOptions(steps=300, lr=1.0, schedule="cosine")
    values = [learning_rate(options, step) for step in range(300)]
    top = values.index(max(values))
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)
    assert 0 < values[-1] < 1e-3


def test_a_constant_rate_is_constant():
    options = FitOptions(steps=300, lr=0.7, schedule="constant")
    assert {learning_rate(options, step) for step in range(300)} == {0.7}


@pytest.mark.parametrize(
    ("steps", "times", "expected"),
    [
        (10, 2, {5, 10}),
        (10, 3, {4, 7, 10}),
        (3, 10, {1, 2, 3}),
        (7, 1, {7}),
        (7, 0, set()),
    ],
)
def test_looks_come_evenly_and_the_last_at_the_end(steps, times, expected):
    assert evenly(steps, times) == expected


def test_sources_of_randomness_are_apart():
    roles = ("noise", "order", "noise/1", "order/labelled", "absorb", "prior/noise")
    seeds = {
        derive_seed(seed, role, index)
        for seed in range(5)
        for role in roles
        for index in range(100)
    }
    assert len(seeds) == 5 * len(roles) * 100
    assert derive_seed(0, "noise", 0) == derive_seed(0, "noise", 0)
    assert max(seeds) < 2**63
