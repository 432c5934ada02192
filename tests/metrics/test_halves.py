"""Standard errors from halves, against variances that are known.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

import math

import pytest
import torch
from draws import normals

from dalm.metrics.halves import CUTS, cuts, error, error_of_distance


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


def test_the_error_of_a_degenerate_distance_where_the_plain_one_is_too_large():
    """A squared distance between means of d = 8 entries, unbiased: its SD is 2 sqrt(2 d) / n.

    Over 200 repeats root mean squares err by 4 %. The larger of two estimates is taken, which makes
    it too wide by a fifth; the plain error is too wide by sqrt(2).
    """

    def statistic(x, y):
        noise = x.var(0).sum() / len(x) + y.var(0).sum() / len(y)
        return ((x.mean(0) - y.mean(0)).square().sum() - noise).item()

    halves = [
        of_halves(statistic, normals(60, 8, seed=i), normals(60, 8, seed=999 - i), seed=i)
        for i in range(200)
    ]
    sd = 2 * math.sqrt(2 * 8) / 60
    errors = torch.stack([error_of_distance(*half) for half in halves]).square().mean().sqrt()
    plain = torch.stack([error(*half) for half in halves]).square().mean().sqrt()
    assert 0.9 * sd < errors < 1.3 * sd
    assert plain.item() == pytest.approx(math.sqrt(2) * sd, rel=0.15)
