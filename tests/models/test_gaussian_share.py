"""The share of the isotropic covariance, against leaving out each row by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from dalm.data import load_data
from dalm.models import Gaussian
from dalm.models.gaussian import best_share, left_out, shrunk
from dalm.testing.cases import learn


def rows(n=14, dims=3, seed=0):
    x = torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x[3] = x[7]
    return x


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7, 1.0])
def test_leaving_out_in_closed_form_is_leaving_out(share):
    x = rows()
    covariance = torch.cov(x.T, correction=0)
    values, axes = torch.linalg.eigh(covariance)
    copies = torch.ones(len(x), dtype=torch.float64)
    copies[[3, 7]] = 2
    found = left_out(share, values, ((x - x.mean(0)) @ axes).square(), copies)

    isotropic = covariance.trace() / 3 * torch.eye(3, dtype=torch.float64)
    each = []
    for row in x:
        rest = x[(x != row).any(1)]
        own = (1 - share) * torch.cov(rest.T, correction=0) + share * isotropic
        density = multivariate_normal(rest.mean(0).numpy(), own.numpy())
        each.append(density.logpdf(row.numpy()))
    assert found == pytest.approx(np.mean(each) + 1.5 * np.log(2 * np.pi), rel=1e-9)


def test_rows_twice_choose_the_same_share():
    x = rows(40, 12)
    once = best_share(x, torch.cov(x.T, correction=0))
    twice = torch.cat([x, x])
    assert best_share(twice, torch.cov(twice.T, correction=0)) == once


def test_fewer_rows_than_dimensions_are_enough():
    x = rows(10, 30).numpy()
    data = load_data({"x_train": x, "x_val": x[:2], "x_test": x})
    model = Gaussian(data.spec)
    learn(model, data.train.x, None, 0)
    assert model.log_prob(data.test.x).isfinite().all()


def test_many_rows_are_not_shrunk():
    x = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x @ torch.tensor([[1.0, 0.9], [0.0, 0.1]], dtype=torch.float64)
    covariance = torch.cov(x.T, correction=0)
    assert best_share(x, covariance) < 1e-3
    assert torch.equal(shrunk(covariance, 0.0), covariance)
