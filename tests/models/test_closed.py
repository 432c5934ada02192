"""Closed forms against other people's: Gaussian, discriminant analysis and KDE."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from scipy.special import logsumexp
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.neighbors import KernelDensity

from dalm.core import Spec
from dalm.data import load_data
from dalm.errors import DalmError
from dalm.models import KDE, Copycat, Discriminant, Gaussian, Histogram, Noise
from dalm.models.gaussian import posterior_mode
from dalm.probability import log_normal_mass


def data(n=400, d=3, seed=0, classes=3):
    """Correlated real data whose classes differ in mean and covariance."""
    random = np.random.default_rng(seed)
    y = np.repeat(np.arange(classes), n // classes + 1)[:n]
    mix = random.normal(size=(classes, d, d))
    x = (
        np.einsum("nd,nde->ne", random.normal(size=(n, d)), mix[y])
        + 2 * random.normal(size=(classes, d))[y]
        + 10
    )
    return x, y


def learned(model, x, y=None):
    model.double().passes(
        torch.as_tensor(x),
        None if y is None else torch.as_tensor(y),
        torch.Generator().manual_seed(0),
    )
    return model


# Gaussian


def test_gaussian_mle():
    x, _ = data()
    model = learned(Gaussian(Spec((3,)), estimate="mle"), x)
    assert np.allclose(model.mean, x.mean(0))
    assert np.allclose(model.factor @ model.factor.T, np.cov(x.T, bias=True))
    assert np.allclose(
        model.log_prob(torch.as_tensor(x)),
        stats.multivariate_normal.logpdf(x, x.mean(0), np.cov(x.T, bias=True)),
    )


def test_gaussian_mle_is_where_the_likelihood_is_highest():
    x, _ = data(60, 2)
    best = learned(Gaussian(Spec((2,)), estimate="mle"), x)
    top = best.log_prob(torch.as_tensor(x)).sum()
    random = torch.Generator().manual_seed(0)
    for _ in range(50):
        near = learned(Gaussian(Spec((2,)), estimate="mle"), x)
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
def test_gaussian_map_shrinks_towards_the_same_total_variance(n):
    """The prior's mode is isotropic with the data's total variance and weighs as much as 2 D + 2
    data.
    """
    x = data(90, 3)[0][:n]
    model = learned(Gaussian(Spec((3,)), estimate="map"), x)
    cov = np.cov(x.T, bias=True)
    shrink = 8 / (8 + n)
    assert np.allclose(
        model.factor @ model.factor.T, (1 - shrink) * cov + shrink * np.trace(cov) / 3 * np.eye(3)
    )
    assert np.allclose(model.mean, x.mean(0))


@pytest.mark.parametrize(("n", "same"), [(29, "map"), (30, "mle")])
def test_gaussian_chooses_by_the_number_of_data(n, same):
    x = data(90, 3)[0][:n]
    chosen, expected = (
        learned(Gaussian(Spec((3,)), estimate=estimate), x).factor for estimate in ("auto", same)
    )
    assert torch.equal(chosen, expected)


def test_gaussian_map_lives_where_mle_dies():
    x = np.random.default_rng(0).normal(size=(5, 8))
    with pytest.raises(DalmError, match="singular: rank 4 of 8 from 5 data; use estimate='map'"):
        learned(Gaussian(Spec((8,)), estimate="mle"), x)
    model = learned(Gaussian(Spec((8,)), estimate="map"), x)
    assert torch.isfinite(model.log_prob(torch.as_tensor(x))).all()


# Discriminant analysis


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_lda_against_scikit_learn(shrinkage):
    x, y = data()
    model = learned(Discriminant(Spec((3,), classes=3), kind="lda", shrinkage=shrinkage), x, y)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage or None).fit(x, y)
    mine = model.class_log_probs(torch.as_tensor(x)).softmax(1)
    assert np.allclose(mine, theirs.predict_proba(x), atol=1e-8)
    assert (model.classify(torch.as_tensor(x)).numpy() == theirs.predict(x)).all()


def test_qda_against_scikit_learn():
    x, y = data()
    model = learned(Discriminant(Spec((3,), classes=3), kind="qda", shrinkage=0.0), x, y)
    theirs = QuadraticDiscriminantAnalysis().fit(x, y)
    for k, count in enumerate(
        np.bincount(y)
    ):  # before 1.8 theirs divided by n - 1, maximum likelihood divides by n
        theirs.scalings_[k] = np.linalg.svd(x[y == k] - x[y == k].mean(0))[1] ** 2 / count
    mine = model.class_log_probs(torch.as_tensor(x)).softmax(1)
    assert np.allclose(mine, theirs.predict_proba(x), atol=1e-8)


def test_qda_is_a_normal_for_each_class():
    x, y = data()
    model = learned(Discriminant(Spec((3,), classes=3), kind="qda", shrinkage=0.1), x, y)
    for k in range(3):
        cov = np.cov(x[y == k].T, bias=True)
        shrunk = 0.9 * cov + 0.1 * np.trace(cov) / 3 * np.eye(3)
        expected = stats.multivariate_normal.logpdf(x, x[y == k].mean(0), shrunk)
        assert np.allclose(model.log_prob(torch.as_tensor(x), k), expected)
        assert model.prior[k].item() == pytest.approx((y == k).mean())


def test_the_default_shrinkage_is_that_of_ledoit_and_wolf():
    x, y = data(90, 6)
    model = learned(Discriminant(Spec((6,), classes=3)), x, y)
    for k in range(3):
        assert np.allclose(model.factors[k] @ model.factors[k].T, ledoit_wolf(x[y == k])[0])


@pytest.mark.parametrize("kind", ["lda", "qda"])
def test_discriminant_classifies_digits(kind):
    digits = load_data("digits")
    model = Discriminant(digits.spec, kind=kind)
    model.passes(digits.train.x, digits.train.y, torch.Generator())
    accuracy = (model.classify(digits.test.x) == digits.test.y).double().mean().item()
    assert accuracy > 0.85
    drawn = model.sample(300, 3, torch.Generator().manual_seed(0))
    assert (model.classify(drawn) == 3).double().mean() > 0.9


def test_discriminant_refuses_what_it_cannot_learn():
    x, y = data()
    with pytest.raises(DalmError, match="there are none of class 3"):
        learned(Discriminant(Spec((3,), classes=4)), x, y)
    with pytest.raises(DalmError, match="no labels"):
        learned(Discriminant(Spec((3,), classes=3)), x)
    with pytest.raises(DalmError, match="a larger shrinkage would work"):
        learned(Discriminant(Spec((3,), classes=3), shrinkage=0.0), x * [1, 1, 0], y)


# Kernel density


def brute_kde(x, rows, h):
    distances = ((x[:, None] - rows[None]) ** 2).sum(2)
    return (
        logsumexp(-distances / (2 * h * h), axis=1)
        - math.log(len(rows))
        - x.shape[1] * math.log(h * math.sqrt(2 * math.pi))
    )


@pytest.mark.parametrize("d", [1, 2, 8, 64])
@pytest.mark.parametrize("h", [0.05, 1.0])
def test_kde_against_the_sum(d, h):
    random = np.random.default_rng(d)
    rows = random.normal(size=(2500, d))
    x = np.concatenate([random.normal(size=(60, d)), 30 + random.normal(size=(5, d))])
    found = learned(KDE(Spec((d,)), bandwidth=h), rows).log_prob(torch.as_tensor(x))
    assert np.allclose(found, brute_kde(x, rows, h), atol=1e-6, rtol=1e-12)


@pytest.mark.parametrize("d", [2, 8])
def test_kde_against_scikit_learn(d):
    random = np.random.default_rng(d)
    rows = random.normal(size=(500, d))
    x = random.normal(size=(50, d))
    theirs = KernelDensity(bandwidth=0.7).fit(rows).score_samples(x)
    assert np.allclose(
        learned(KDE(Spec((d,)), bandwidth=0.7), rows).log_prob(torch.as_tensor(x)),
        theirs,
        atol=1e-6,
    )


def test_kde_far_from_zero_keeps_its_precision():
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 2))
    x = random.normal(size=(40, 2))
    found = learned(KDE(Spec((2,)), bandwidth=0.3), rows + 1e6).log_prob(torch.as_tensor(x + 1e6))
    assert np.allclose(found, brute_kde(x + 1e6, rows + 1e6, 0.3), atol=1e-6)


@pytest.mark.parametrize("h", [0.1, 0.8, 5.0])
def test_kde_of_levels_against_the_sum(h):
    random = np.random.default_rng(0)
    rows = random.integers(0, 6, size=(200, 4))
    x = torch.from_numpy(random.integers(0, 6, size=(30, 4)))
    model = learned(KDE(Spec((4,), levels=6), bandwidth=h), rows)
    pair = log_normal_mass(
        x[:, None].double(), torch.from_numpy(rows)[None].double(), torch.tensor(h).double(), 6
    ).sum(2)
    expected = pair.logsumexp(1) - math.log(200)
    sure = expected > -30  # the factorised table keeps 14 digits of a mass, not of its logarithm
    assert sure.any()
    assert torch.allclose(model.log_prob(x)[sure], expected[sure], atol=1e-6)


@pytest.mark.parametrize("h", [0.05, 0.2])
def test_kde_of_levels_is_never_a_log_of_less_than_nothing(h):
    rows = np.array([[0, 0, 0], [1, 1, 1]])
    x = torch.tensor([[15, 15, 15], [0, 15, 0], [1, 1, 0]])
    found = learned(KDE(Spec((3,), levels=16), bandwidth=h), rows).log_prob(x)
    assert not torch.isnan(found).any()
    assert (found <= 1e-9).all()


@pytest.mark.parametrize("case", ["plane", "clusters", "levels", "sparse"])
def test_the_bandwidth_is_the_best_by_leaving_one_out(case):
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 2)) * 3
    if case == "clusters":
        x = 0.1 * random.normal(size=(200, 2)) + 5 * random.integers(0, 3, size=(200, 1))
    if case == "levels":
        x = (x + 8).round().clip(0, 15).astype(np.int64)
    if case == "sparse":
        x = (np.arange(1000) == 7).astype(np.int64).reshape(100, 10)
    levels = {"levels": 16, "sparse": 2}.get(case)
    chosen = learned(KDE(Spec(x.shape[1:], levels=levels)), x).width.item()

    def left_out(h):
        if levels:
            a = torch.from_numpy(x).double()
            pair = (
                log_normal_mass(a[:, None], a[None], torch.tensor(h).double(), levels)
                .sum(2)
                .numpy()
            )
        else:
            pair = -((x[:, None] - x[None]) ** 2).sum(2) / (2 * h * h) - 2 * math.log(h)
        np.fill_diagonal(pair, -np.inf)
        return logsumexp(pair, axis=1).mean()

    grid = np.exp(np.linspace(math.log(0.01), math.log(6), 400))
    scores = [left_out(float(h)) for h in grid]
    assert left_out(chosen) > max(scores) - 1e-3
    assert chosen == pytest.approx(grid[int(np.argmax(scores))], rel=0.05)


def test_kde_draws_rows_with_noise():
    rows = np.array([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0]])
    drawn = (
        learned(KDE(Spec((2,)), bandwidth=0.5), rows)
        .sample(6000, generator=torch.Generator().manual_seed(0))
        .numpy()
    )
    nearest = (drawn[:, :1] / 100).round()
    assert (
        stats.chisquare(np.bincount(nearest[:, 0].astype(int))).pvalue > 1e-6
    )  # fails by chance once in a million
    assert (drawn - nearest * [100, 0]).std() == pytest.approx(
        0.5, rel=0.05
    )  # more than six standard errors


def test_kde_of_a_class_remembers_its_rows_alone():
    x, y = data(150, 2)
    model = learned(KDE(Spec((2,), classes=3), conditional=True, bandwidth=0.4), x, y)
    for k in range(3):
        assert np.allclose(
            model.log_prob(torch.as_tensor(x), k), brute_kde(x, x[y == k], 0.4), atol=1e-6
        )


# References


def test_the_copycat_gives_every_row_once_before_any_twice():
    model = Copycat(Spec((1,)))
    model.passes(torch.arange(10.0)[:, None], None, torch.Generator())
    drawn = model.sample(25, generator=torch.Generator().manual_seed(0))[:, 0].tolist()
    assert sorted(drawn[:10]) == sorted(drawn[10:20]) == list(range(10))
    assert len(set(drawn[20:])) == 5


def test_the_histogram_counts():
    x = torch.tensor([[0, 2], [0, 1], [1, 2]], dtype=torch.uint8)
    model = Histogram(Spec((2,), levels=3))
    model.passes(x, None, torch.Generator())
    counts = torch.tensor([[3, 2, 1], [1, 2, 3]]) / 6.0
    assert torch.allclose(
        model.log_prob(torch.tensor([[1, 2]], dtype=torch.uint8)).exp(),
        (counts[0, 1] * counts[1, 2]).double(),
    )


def test_the_histogram_of_real_data_integrates_to_one():
    x = torch.as_tensor(data(500, 1)[0]).float()
    model = Histogram(Spec((1,)))
    model.passes(x, None, torch.Generator())
    grid = torch.linspace(x.min() - 30, x.max() + 30, 400_001, dtype=torch.float64)[:, None]
    total = torch.trapezoid(model.log_prob(grid).exp(), grid[:, 0]).item()
    assert total == pytest.approx(1, abs=1e-3)
    assert torch.isfinite(model.log_prob(torch.tensor([[1000.0]]))).all(), "no datum is impossible"


def test_noise_knows_one_mean_and_one_spread():
    x = torch.as_tensor(data(500, 4)[0]).float()
    model = Noise(Spec((4,)))
    model.passes(x, None, torch.Generator())
    assert model.log_prob(x[:5]).tolist() == pytest.approx(
        stats.norm.logpdf(x[:5], x.mean(), x.std()).sum(1).tolist(), rel=1e-5
    )
    assert Noise(Spec((4,), levels=5)).log_prob(
        torch.zeros(1, 4, dtype=torch.uint8)
    ).item() == pytest.approx(-4 * math.log(5))
