"""The reference models against counts and formulas."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from dalm.core import Batch, Spec, Work
from dalm.models import Copycat, Histogram, Noise
from dalm.testing.general import generator_of


def test_the_copycat_gives_every_row_once_before_any_twice():
    model = Copycat(Spec((1,)))
    model.passes(Work(Batch(torch.arange(10.0)[:, None])))
    drawn = model.sample(25, generator=generator_of())[:, 0].tolist()
    assert sorted(drawn[:10]) == sorted(drawn[10:20]) == list(range(10))
    assert len(set(drawn[20:])) == 5


def test_the_histogram_counts():
    x = torch.tensor([[0, 2], [0, 1], [1, 2]], dtype=torch.uint8)
    model = Histogram(Spec((2,), levels=3))
    model.passes(Work(Batch(x)))
    counts = torch.tensor([[3, 2, 1], [1, 2, 3]]) / 6.0
    assert torch.allclose(
        model.log_prob(torch.tensor([[1, 2]], dtype=torch.uint8)).exp(),
        (counts[0, 1] * counts[1, 2]).double(),
    )


def test_the_histogram_of_real_data_integrates_to_one(correlated):
    x = torch.as_tensor(correlated(500, 1)[0]).float()
    model = Histogram(Spec((1,)))
    model.passes(Work(Batch(x)))
    grid = torch.linspace(x.min() - 30, x.max() + 30, 400_001, dtype=torch.float64)[:, None]
    total = torch.trapezoid(model.log_prob(grid).exp(), grid[:, 0]).item()
    assert total == pytest.approx(1, abs=1e-3)
    assert torch.isfinite(model.log_prob(torch.tensor([[1000.0]]))).all(), "no datum is impossible"


def test_noise_knows_one_mean_and_one_spread(correlated):
    x = torch.as_tensor(correlated(500, 4)[0]).float()
    model = Noise(Spec((4,)))
    model.passes(Work(Batch(x)))
    assert model.log_prob(x[:5]).tolist() == pytest.approx(
        stats.norm.logpdf(x[:5], x.mean(), x.std()).sum(1).tolist(), rel=1e-5
    )
    assert Noise(Spec((4,), levels=5)).log_prob(
        torch.zeros(1, 4, dtype=torch.uint8)
    ).item() == pytest.approx(-4 * math.log(5))
