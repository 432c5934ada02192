"""The Fréchet distance against closed forms and known expectations.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

import pytest
import torch
from draws import normals, number

from dalm.errors import DalmError
from dalm.metrics.frechet import frechet, frechet_distance


def test_frechet_closed_forms() -> None:
    a = torch.tensor([1.0, 4.0, 9.0]).double()
    b = torch.tensor([4.0, 1.0, 0.0]).double()
    turn, _ = torch.linalg.qr(normals(3, 3))
    expected = 14 + (a.sqrt() - b.sqrt()).square().sum().item()
    mean = torch.tensor([1.0, 2.0, 3.0]).double()
    assert frechet_distance(
        turn @ mean, turn @ a.diag() @ turn.T, mean * 0, turn @ b.diag() @ turn.T
    ) == pytest.approx(expected)


def test_frechet_is_freed_of_its_bias():
    """What is computed of two equal Gaussians is d²/2n = 2.05 on average, and 2.18 with terms
    beyond; the extrapolated value is 0, with an SD of 0.05: four of them fail once in 16,000 seeds.
    """
    x, y = normals(1000, 64), normals(1000, 64, seed=1)
    assert frechet_distance(x.mean(0), x.T.cov(), y.mean(0), y.T.cov()) == pytest.approx(
        2.18, abs=0.2
    )
    score = frechet(x, y)
    assert number(score.value) == pytest.approx(0, abs=0.2)
    assert number(score.low) < 0 < number(score.high)


@pytest.mark.parametrize(
    ("d", "shift", "scale"), [(8, 0.0, 1.0), (8, 0.1, 1.0), (8, 0.3, 1.2), (24, 0.2, 1.1)]
)
def test_frechet_intervals_hold_the_distance_of_the_distributions(d, shift, scale):
    """Of 60 intervals that hold it with 95 %, fewer than 51 do once in 2,000 seeds."""
    truth = d * (shift**2 + (scale - 1) ** 2)
    scores = [
        frechet(scale * normals(240, d, seed=i) + shift, normals(240, d, seed=999 - i))
        for i in range(60)
    ]
    held = sum(number(s.low) <= truth <= number(s.high) for s in scores)
    assert held >= 51
    mean = sum(number(s.value) for s in scores) / 60
    half = number(scores[0].high) - number(scores[0].value)
    assert abs(mean - truth) < half, "the mean of 60 errs by a quarter of this"


def test_frechet_refuses_fewer_rows_than_a_covariance_needs() -> None:
    with pytest.raises(DalmError, match="at least 9 rows"):
        frechet(normals(8, 8), normals(100, 8))
    assert frechet(torch.ones(50, 3), torch.ones(50, 3)).value == 0


def test_frechet_doubts_an_interval_from_few_rows_for_its_features():
    assert frechet(normals(90, 24), normals(90, 24, seed=1)).unreliable
    assert not frechet(normals(100, 24), normals(100, 24, seed=1)).unreliable
