"""Intervals against SciPy."""

from __future__ import annotations

import math

import pytest
import torch
from draws import normals
from scipy.stats import binomtest, norm, skew
from scipy.stats import t as student

from dalm.metrics.intervals import around, mean_interval, wilson_interval


def test_wilson_agrees_with_scipy() -> None:
    for hits, n in [(0, 7), (3, 10), (250, 500), (500, 500)]:
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        assert wilson_interval(torch.arange(n) < hits) == pytest.approx(
            (hits / n, expected.low, expected.high)
        )


def test_the_interval_of_a_mean_agrees_with_scipy() -> None:
    values = normals(20)
    values = 3 + torch.cat([values, -values])  # without skewness
    error = values.std().item() / math.sqrt(40)
    mean = values.mean().item()
    assert mean_interval(values)[1:] == pytest.approx(student.interval(0.95, 39, mean, error))
    assert around(mean, error)[1:] == pytest.approx(norm.interval(0.95, mean, error))


def test_the_interval_of_the_mean_of_few_values_holds() -> None:
    values = torch.randn(4000, 5, generator=torch.Generator().manual_seed(0))
    held = [low <= 0 <= high for _, low, high in map(mean_interval, values)]
    assert sum(held) / len(held) == pytest.approx(0.95, abs=0.012)


def test_the_ends_of_a_mean_are_where_the_transformed_t_is_students() -> None:
    values = normals(50).double() ** 2
    value, *ends = mean_interval(values)
    error = values.std().item() / math.sqrt(50)
    a = skew(values.numpy()) / math.sqrt(50)
    for end, quantile in zip(ends, (0.975, 0.025), strict=True):
        t = (value - end) / error
        assert t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6 == pytest.approx(
            student.ppf(quantile, 49)
        )


def test_the_interval_of_a_skewed_mean_holds() -> None:
    """Squares of exponential variables, 50 at a time: 94 % hold the mean, 2, with SE 0.5 %; by
    Student's t 87 %.
    """
    values = torch.empty(2000, 50).exponential_(generator=torch.Generator().manual_seed(0)) ** 2
    held = [low <= 2 <= high for _, low, high in map(mean_interval, values)]
    assert sum(held) / len(held) >= 0.92


def test_one_value_says_nothing_of_its_error() -> None:
    assert mean_interval(torch.ones(1)) == (1.0, -math.inf, math.inf)
