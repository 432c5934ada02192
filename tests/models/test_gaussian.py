"""The multivariate normal against SciPy, and its posterior mode against a numerical maximum."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize, stats

from dalm.core import Batch, Spec, Work
from dalm.errors import DalmError
from dalm.models import Gaussian
from dalm.models.gaussian import posterior_mode
from dalm.testing.general import generator_of


def test_gaussian_mle(correlated, teach):
    x, _ = correlated()
    model = teach(Gaussian(Spec((3,)), estimate="mle"), x)
    assert np.allclose(model.mean, x.mean(0))
    assert np.allclose(model.factor @ model.factor.T, np.cov(x.T, bias=True))
    assert np.allclose(
        model.log_prob(torch.as_tensor(x)),
        stats.multivariate_normal.logpdf(x, x.mean(0), np.cov(x.T, bias=True)),
    )


def test_gaussian_mle_is_where_the_likelihood_is_highest(correlated, teach):
    x, _ = correlated(60, 2)
    best = teach(Gaussian(Spec((2,)), estimate="mle"), x)
    top = best.log_prob(torch.as_tensor(x)).sum()
    random = generator_of()
    for _ in range(50):
        near = teach(Gaussian(Spec((2,)), estimate="mle"), x)
        near.mean += 0.05 * torch.randn(2, generator=random, dtype=torch.float64)
        near.factor += 0.05 * torch.randn(2, 2, generator=random, dtype=torch.float64).tril()
        assert near.log_prob(torch.as_tensor(x)).sum() < top


def test_posterior_mode_is_where_the_posterior_is_highest():
    """Against a numerical maximum of log N(x | μ, Σ) + log N(μ | m, Σ/κ) + log IW(Σ | Ψ, ν)."""
    random = np.random.default_rng(0)
    d = 2
    n = 15
    kappa = 3.0
    nu = 6.5
    x = random.normal(size=(n, d)) @ random.normal(size=(d, d)) + 1
    m = np.array([0.3, -2.0])
    psi = np.array([[2.0, 0.4], [0.4, 1.0]])

    def unpack(theta):
        factor = np.zeros((d, d))
        factor[np.tril_indices(d)] = theta[d:]
        factor[np.diag_indices(d)] = np.exp(np.diag(factor))
        return theta[:d], factor @ factor.T

    def negative(theta):
        mean, cov = unpack(theta)
        prior = stats.multivariate_normal.logpdf(mean, m, cov / kappa) + stats.invwishart.logpdf(
            cov, nu, psi
        )
        return -(stats.multivariate_normal.logpdf(x, mean, cov).sum() + prior)

    found = optimize.minimize(negative, np.zeros(d + 3), method="BFGS", options={"gtol": 1e-7}).x
    centred = x - x.mean(0)
    prior = torch.as_tensor(m), kappa, torch.as_tensor(psi), nu
    mean, cov = posterior_mode(
        torch.as_tensor(x.mean(0)), torch.as_tensor(centred.T @ centred), n, prior
    )
    assert np.allclose(mean, unpack(found)[0], atol=1e-5)
    assert np.allclose(cov, unpack(found)[1], atol=1e-5)


@pytest.mark.parametrize("n", [4, 50])
def test_gaussian_map_shrinks_towards_the_same_total_variance(correlated, teach, n):
    """The prior's mode is isotropic with the data's total variance and weighs as much as 2 D + 2
    data.
    """
    x = correlated(90, 3)[0][:n]
    model = teach(Gaussian(Spec((3,)), estimate="map"), x)
    cov = np.cov(x.T, bias=True)
    shrink = 8 / (8 + n)
    assert np.allclose(
        model.factor @ model.factor.T, (1 - shrink) * cov + shrink * np.trace(cov) / 3 * np.eye(3)
    )
    assert np.allclose(model.mean, x.mean(0))


@pytest.mark.parametrize(("n", "same"), [(29, "map"), (30, "mle")])
def test_gaussian_of_levels_chooses_by_the_number_of_data(correlated, teach, n, same):
    x = (10 * correlated(90, 3)[0][:n] + 50).round().clip(0, 99).astype(np.uint8)
    spec = Spec((3,), levels=100)
    chosen, expected = (
        teach(Gaussian(spec, estimate=estimate), x).factor for estimate in ("auto", same)
    )
    assert torch.equal(chosen, expected)


def test_gaussian_map_lives_where_mle_dies(teach):
    x = np.random.default_rng(0).normal(size=(5, 8))
    with pytest.raises(DalmError, match="singular: rank 4 of 8 from 5 data; use estimate='map'"):
        teach(Gaussian(Spec((8,)), estimate="mle"), x)
    model = teach(Gaussian(Spec((8,)), estimate="map"), x)
    assert torch.isfinite(model.log_prob(torch.as_tensor(x))).all()


def test_a_closed_form_makes_no_passes(correlated):
    x, _ = correlated()
    assert Gaussian(Spec((3,))).passes(Work(Batch(torch.as_tensor(x)))) == ()


def test_a_constant_pixel_does_not_make_many_rows_fail(teach):
    x = torch.randn(1500, 1, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, :, 0] = 0
    model = Gaussian(Spec((1, 5, 5)))
    teach(model, x)
    assert model.log_prob(x[:5]).isfinite().all()
