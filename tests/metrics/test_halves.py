"""Standard errors from halves, against variances that are known.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

import math

import pytest
import torch
from draws import normals

from dalm.metrics.halves import CUTS, cuts, error, interval_of_distance


def of_halves(statistic, x, y, seed=0):
    pairs = cuts(len(x), len(y), seed=seed)
    values = [[statistic(x[half.fake], y[half.real]) for half in pair] for pair in pairs]
    return torch.tensor(values).double().T


@pytest.mark.parametrize(("m", "n", "most"), [(10, 7, None), (100, 100, 20)])
def test_halves_are_disjoint_and_as_large_as_asked(m, n, most):
    pairs = list(cuts(m, n, most=most))
    assert len(pairs) == CUTS
    for first, second in pairs:
        assert len(set(first.fake.tolist()) | set(second.fake.tolist())) == 2 * len(first.fake)
        assert len(first.real) == len(second.real) == min(n // 2, most or n)


def test_the_error_of_a_difference_of_means():
    """It is sqrt(1/200 + 1/300). 25 squares err by 14 % in their root: ± 60 % is four of it."""
    halves = of_halves(lambda x, y: (x.mean() - y.mean()).item(), normals(200, 1), normals(300, 1))
    assert error(*halves).item() == pytest.approx(math.sqrt(1 / 200 + 1 / 300), rel=0.6)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.25, 1.0])
def test_intervals_of_a_distance_hold_however_near_it_is_to_nought(shift):
    """A squared distance between means of 4 entries: of 300 intervals 285 ± 4 should hold; fewer
    than 270 do once in 10,000 seeds.
    """

    def noise(x, y):
        return x.var(0).sum() / len(x) + y.var(0).sum() / len(y)

    def plain(x, y):
        return (x.mean(0) - y.mean(0)).square().sum().item()

    held = 0
    for seed in range(300):
        x, y = normals(80, 4, seed=seed) + shift, normals(80, 4, seed=9999 - seed)
        halves = of_halves(lambda x, y: plain(x, y) - noise(x, y), x, y, seed)
        value = plain(x, y) - noise(x, y).item()
        interval = interval_of_distance(value, plain(x, y), *halves)
        assert interval.low <= value <= interval.high
        held += interval.low <= 4 * shift**2 <= interval.high
    assert held >= 270


def test_equal_distances_have_an_interval_without_width():
    assert interval_of_distance(0.0, 0.0, torch.zeros(25), torch.zeros(25)) == (0, 0, 0)
