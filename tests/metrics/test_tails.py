"""Whether a mean's interval holds: false alarms and what is found, against distributions that are
known.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dalm.metrics.intervals import median_interval
from dalm.metrics.likelihood import bits_per_dim
from dalm.metrics.tails import doubt, doubt_of_squares, is_heavy

DRAWS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "laplace": lambda rng, n: rng.laplace(size=n),
    "uniform": lambda rng, n: rng.uniform(size=n),
    "t3": lambda rng, n: rng.standard_t(3, size=n),
    "t2": lambda rng, n: rng.standard_t(2, size=n),
}


def marked(name: str, n: int, power: int = 2) -> float:
    """In what share of 200 draws a normal's costs, or the draws themselves, are called heavy."""
    rng = np.random.default_rng(0)
    draws = (torch.from_numpy(DRAWS[name](rng, n)) ** power for _ in range(200))
    return sum(map(is_heavy, draws)) / 200


@pytest.mark.parametrize("name", ["normal", "exponential", "laplace", "uniform"])
@pytest.mark.parametrize("power", [1, 2])
def test_intervals_that_hold_are_not_doubted(name, power):
    """Of 1,000 rows at most 5 % are marked; 200 draws have more than 10 % once in 700 seeds. Of 200
    rows skewness adds some, such as 10.5 % of squares of exponential variables.
    """
    heaviest = power == 2 and name in ("exponential", "laplace")
    assert marked(name, 200, power) <= (0.15 if heaviest else 0.1)
    assert marked(name, 1000, power) <= 0.1


@pytest.mark.parametrize(("name", "n", "least"), [("t3", 1000, 0.7), ("t2", 500, 0.8)])
def test_intervals_of_heavy_tails_are_doubted(name, n, least):
    """86 and 92 % are marked, SE 2 %."""
    assert marked(name, n) >= least


def test_few_values_are_doubted_unless_all_are_equal():
    assert doubt(torch.arange(24.0)) == "24 rows are too few to show a heavy tail"
    assert doubt(torch.arange(25.0)) is None
    assert doubt(torch.full((3,), 3.0)) is doubt(torch.full((500,), 3.0)) is None


def test_squares_are_doubted_where_a_feature_that_matters_has_a_heavy_tail():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
    assert doubt_of_squares(x) is None
    assert "few rows decide" in doubt_of_squares(torch.cat([x, x[:, :1].pow(5)], 1))
    assert "49 rows are too few" in doubt_of_squares(x[:49])
    assert doubt_of_squares(torch.cat([x, 1e-3 * x[:, :1].pow(5)], 1)) is None


def test_the_score_says_what_few_rows_carry_and_where_the_median_is():
    nats = -torch.ones(500).double()
    nats[:250] += 0.1
    score = bits_per_dim(nats * 0.6931471805599453, 1, "exact")
    assert score.unreliable is None
    assert score.note.startswith("median ")
    nats[3] = -1e5
    score = bits_per_dim(nats, 1, "exact")
    assert "5 of 500 rows carry 100% of what exceeds the median" in score.unreliable
    assert score.note.startswith("median ")


def test_the_median_interval_holds_for_every_tail():
    """At least 95 % hold; of 400, fewer than 363 do once in 20,000 seeds."""
    rng = np.random.default_rng(0)
    for n in (9, 30, 101):
        intervals = [median_interval(torch.from_numpy(rng.standard_t(1, n))) for _ in range(400)]
        assert sum(low <= 0 <= high for _, low, high in intervals) >= 363
        assert all(low <= value <= high for value, low, high in intervals)
