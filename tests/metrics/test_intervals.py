"""Intervals against SciPy."""

from __future__ import annotations

import math

import pytest
import torch
from draws import normals
from scipy.stats import binomtest, norm
from scipy.stats import t as student

from dalm.metrics.intervals import around, mean_interval, wilson_interval


def test_wilson_agrees_with_scipy() -> None:
    for hits, n in [(0, 7), (3, 10), (250, 500), (500, 500)]:
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        assert wilson_interval(torch.arange(n) < hits) == pytest.approx(
            (hits / n, expected.low, expected.high)
        )


def test_the_interval_of_a_mean_agrees_with_scipy() -> None:
    values = normals(40)
    error = values.std().item() / math.sqrt(40)
    mean = values.mean().item()
    assert mean_interval(values)[1:] == pytest.approx(student.interval(0.95, 39, mean, error))
    assert around(mean, error)[1:] == pytest.approx(norm.interval(0.95, mean, error))


def test_the_interval_of_the_mean_of_few_values_holds() -> None:
    values = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0))
    held = [low <= 0 <= high for _, low, high in map(mean_interval, values)]
    assert sum(held) / len(held) == pytest.approx(0.95, abs=0.012)


def test_one_value_says_nothing_of_its_error() -> None:
    assert mean_interval(torch.ones(1)) == (1.0, -math.inf, math.inf)
