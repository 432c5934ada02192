"""Intervals against SciPy."""

from __future__ import annotations

import math

import pytest
import torch
from draws import normals
from scipy.stats import binomtest, norm

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
    expected = norm.interval(0.95, values.mean().item(), error)
    assert mean_interval(values)[1:] == pytest.approx(expected)
    assert around(values.mean().item(), error) == pytest.approx(mean_interval(values))


def test_one_value_says_nothing_of_its_error() -> None:
    assert mean_interval(torch.ones(1)) == (1.0, -math.inf, math.inf)
