"""Precision, recall, density and coverage against known expectations and plain loops.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

import math

import pytest
import torch
from draws import normals, number

from dalm.metrics.prdc import prdc


def test_precision_means_samples_in_real_balls() -> None:
    scores = prdc(0.1 * normals(200, 16), 3 * normals(200, 16, seed=1))
    assert number(scores.precision.value) > 0.8
    assert number(scores.recall.value) < 0.3
    assert number(scores.density.value) > 5


def test_coverage_has_its_expectation_when_the_distributions_agree() -> None:
    """The SD of coverage at n = 1000 is about 0.007: five of them fail less than once in a million
    seeds.
    """
    n = 1000
    k = 5
    expected = 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))
    scores = prdc(normals(n, 8), normals(n, 8, seed=1), k=k)
    assert expected == pytest.approx(0.96898, abs=1e-5)
    assert number(scores.coverage.value) == pytest.approx(expected, abs=0.035)
    assert number(scores.density.value) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 + 0.1])
def test_constant_features_lie_in_each_others_balls(constant: float) -> None:
    scores = prdc(torch.full((30, 4), constant), torch.full((30, 4), constant))
    assert [s.value for s in (scores.precision, scores.recall, scores.coverage)] == [1, 1, 1]
    assert number(scores.density.value) == 6


def test_balls_agree_with_plain_loops_across_blocks() -> None:
    x = normals(1100, 2)
    y = normals(40, 2, seed=1)
    k = 3
    rims = torch.cdist(y, y).sort(1).values[:, k]
    inside = torch.cdist(x, y) <= rims
    scores = prdc(x, y, k=k)
    assert scores.precision.value == inside.any(1).double().mean().item()
    assert scores.coverage.value == inside.any(0).double().mean().item()
    assert number(scores.density.value) == pytest.approx(inside.sum().item() / (k * 1100))
