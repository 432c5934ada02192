"""Discretised likelihoods against high precision, enumeration and their own samples."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

from dalm.probability import (
    BernoulliHead,
    CategoricalHead,
    LogisticMixtureHead,
    NormalChain,
    NormalHead,
    log_logistic_mass,
    log_normal_mass,
    normal,
    scatter,
)

CHANCE = 1e-6  # failure rate of each statistical test, at a fixed seed


def double(value):
    return torch.tensor(value, dtype=torch.float64)


def exact_log_mass(cdf, level, mean, scale, levels):
    """Log of F(b) - F(a) from 60 digits, measured in the lower tail of a symmetric distribution."""
    with mpmath.workdps(60):
        low = (
            (mpmath.mpf(level) - 0.5 - mpmath.mpf(mean)) / mpmath.mpf(scale)
            if level > 0
            else -mpmath.inf
        )
        high = (
            (mpmath.mpf(level) + 0.5 - mpmath.mpf(mean)) / mpmath.mpf(scale)
            if level < levels - 1
            else mpmath.inf
        )
        if low + high > 0 or (low == -mpmath.inf and high == mpmath.inf):
            low, high = -high, -low
        return float(mpmath.log(cdf(high) - cdf(low)))


def normal_cdf(z):
    return mpmath.erfc(-z / mpmath.sqrt(2)) / 2


def logistic_cdf(z):
    return mpmath.mpf(0) if z == -mpmath.inf else 1 / (1 + mpmath.exp(-z))


PLACES = [0.0, 2.3, -7.5, 40.0, 300.0, -1000.25]
SPREADS = [0.02, 0.3, 1.0, 7.0, 400.0]


@pytest.mark.parametrize("mean", PLACES)
@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize(("mass", "cdf"), [("normal", normal_cdf), ("logistic", logistic_cdf)])
def test_masses_against_sixty_digits(mass, cdf, mean, spread):
    levels = 5
    x = torch.arange(levels, dtype=torch.float64)
    if mass == "normal":
        found = log_normal_mass(x, double(mean), double(spread), levels)
    else:
        found = log_logistic_mass(x, double(mean), double(spread).log(), levels)
        spread = math.exp(math.log(spread))
    for level in range(levels):
        expected = exact_log_mass(cdf, level, mean, spread, levels)
        assert found[level].item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [2, 3, 17, 256, 65536])
@pytest.mark.parametrize("mass", ["normal", "logistic"])
def test_masses_sum_to_one(mass, levels, dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.arange(levels, dtype=dtype)[:, None]
    mean = (torch.rand(20, generator=generator, dtype=dtype) * 1.4 - 0.2) * levels
    spread = 10 ** (torch.rand(20, generator=generator, dtype=dtype) * 3 - 1)
    logs = (
        log_normal_mass(x, mean, spread, levels)
        if mass == "normal"
        else log_logistic_mass(x, mean, spread.log(), levels)
    )
    assert (logs <= 1e-6).all()
    tolerance = 1e-12 if dtype == torch.float64 else 2e-4 if levels > 256 else 2e-5
    assert torch.allclose(
        logs.double().exp().sum(0), torch.ones(20, dtype=torch.float64), atol=tolerance
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mass", ["normal", "logistic"])
def test_gradients_are_finite_and_right(mass, dtype):
    levels = 9
    x = torch.arange(levels, dtype=dtype)[:, None, None]
    mean = torch.tensor([-500.0, -3.0, 4.2, 9.0, 800.0], dtype=dtype)[:, None].requires_grad_()
    log_spread = torch.tensor([-4.0, -1.0, 0.0, 2.0, 6.0], dtype=dtype).requires_grad_()

    def logs(m, s):
        return (
            log_normal_mass(x, m, s.exp(), levels)
            if mass == "normal"
            else log_logistic_mass(x, m, s, levels)
        )

    gradients = torch.autograd.grad(logs(mean, log_spread).sum(), [mean, log_spread])
    assert all(torch.isfinite(g).all() for g in gradients)
    if dtype == torch.float64:
        near = double([3.1, 4.2]).requires_grad_()
        wide = double([-0.5, 1.0]).requires_grad_()
        assert torch.autograd.gradcheck(lambda m, s: logs(m, s).sum(1), (near, wide))


# What a network's last layer says


def everything(channels, levels):
    return torch.tensor(list(itertools.product(range(levels), repeat=channels)))[:, :, None, None]


OUTPUTS = [
    BernoulliHead(1),
    BernoulliHead(3),
    CategoricalHead(1, 5),
    CategoricalHead(3, 4),
    LogisticMixtureHead(1, 5, 1),
    LogisticMixtureHead(1, 17, 3),
    LogisticMixtureHead(2, 6, 2),
    LogisticMixtureHead(3, 4, 3),
]


def some_params(output, seed=0, spread=1.5):
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(1, output.size, 1, 1, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("output", OUTPUTS, ids=repr)
@pytest.mark.parametrize("spread", [0.0, 1.5, 30.0])
def test_an_output_sums_to_one(output, spread):
    x = everything(output.channels, getattr(output, "levels", 2))
    for seed in range(5):
        params = some_params(output, seed, spread).expand(len(x), -1, -1, -1)
        assert output.log_prob(params, x).exp().sum().item() == pytest.approx(1, abs=1e-10)


@pytest.mark.parametrize("output", OUTPUTS, ids=repr)
def test_an_output_draws_what_it_scores(output):
    levels = getattr(output, "levels", 2)
    x = everything(output.channels, levels)
    params = some_params(output)
    n = 40_000
    drawn = output.sample(params.expand(n, -1, -1, -1), torch.Generator().manual_seed(1)).flatten(1)
    place = levels ** torch.arange(output.channels - 1, -1, -1)
    found = torch.bincount((drawn * place).sum(1), minlength=len(x)).double()
    expected = n * output.log_prob(params.expand(len(x), -1, -1, -1), x).exp()
    rare = expected < 5
    found = torch.cat([found[~rare], found[rare].sum()[None]])
    expected = torch.cat([expected[~rare], expected[rare].sum()[None] + 1e-9])
    statistic = ((found - expected).square() / expected).sum().item()
    assert stats.chi2.sf(statistic, len(found) - 1) > CHANCE


@pytest.mark.parametrize(
    "output", [o for o in OUTPUTS if not isinstance(o, LogisticMixtureHead)], ids=repr
)
def test_the_mean_of_an_output_is_its_expectation(output):
    x = everything(output.channels, getattr(output, "levels", 2))
    params = some_params(output)
    weights = output.log_prob(params.expand(len(x), -1, -1, -1), x).exp()
    assert torch.allclose(
        output.mean(params)[0], (weights[:, None, None, None] * x).sum(0), atol=1e-10
    )


def test_pixels_are_independent_given_the_parameters():
    output = LogisticMixtureHead(3, 4, 2)
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(2, output.size, 2, 3, generator=generator, dtype=torch.float64)
    x = torch.randint(4, (2, 3, 2, 3), generator=generator)
    parts = [
        output.log_prob(params[:, :, i : i + 1, j : j + 1], x[:, :, i : i + 1, j : j + 1])
        for i in range(2)
        for j in range(3)
    ]
    assert torch.allclose(output.log_prob(params, x), torch.stack(parts).sum(0))


def test_channels_of_the_logistic_mixture_see_the_channels_before_them():
    output = LogisticMixtureHead(3, 4, 1)
    x = everything(3, 4)
    params = some_params(output, 3).expand(len(x), -1, -1, -1)
    joint = output.log_prob(params, x).exp().view(4, 4, 4)
    red_green = joint.sum(2)
    independent = red_green.sum(1, keepdim=True) * red_green.sum(0, keepdim=True)
    assert (red_green - independent).abs().max() > 1e-3


def test_the_normal_output_is_the_normal_density():
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(3, 4, 2, 2, generator=generator, dtype=torch.float64)
    x = torch.randn(3, 2, 2, 2, generator=generator).double()
    expected = stats.norm.logpdf(x, params[:, :2], params[:, 2:].exp()).reshape(3, -1).sum(1)
    assert np.allclose(NormalHead(2).log_prob(params, x), expected)
    assert torch.equal(NormalHead(2).mean(params), params[:, :2])


# The chain of discretised conditionals


def random_normal(d, seed=0):
    random = np.random.default_rng(seed)
    a = random.normal(size=(d, d))
    return random.normal(size=d) + 1, a @ a.T / d + 0.3 * np.eye(d)


def brute_chain(x, mean, cov, levels):
    """Log mass by conditioning with Schur complements, entry by entry."""
    total = 0.0
    for i in range(len(mean)):
        weights = np.linalg.solve(cov[:i, :i], cov[:i, i])
        m = mean[i] + weights @ (x[:i] - mean[:i])
        s = math.sqrt(cov[i, i] - weights @ cov[:i, i])
        low = -np.inf if x[i] == 0 else (x[i] - 0.5 - m) / s
        high = np.inf if x[i] == levels - 1 else (x[i] + 0.5 - m) / s
        total += math.log(stats.norm.cdf(high) - stats.norm.cdf(low))
    return total


@pytest.mark.parametrize(("d", "levels"), [(1, 2), (2, 5), (3, 3), (4, 3)])
def test_the_chain_against_conditioning_by_hand(d, levels):
    mean, cov = random_normal(d, seed=d)
    chain = NormalChain(double(mean), torch.linalg.cholesky(double(cov)), levels)
    rows = np.array(list(itertools.product(range(levels), repeat=d)))
    found = chain.log_prob(double(rows))
    assert np.allclose(found, [brute_chain(row, mean, cov, levels) for row in rows], atol=1e-9)
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-12)
    n = 40_000
    drawn = chain.sample(n, torch.Generator().manual_seed(0))
    place = levels ** torch.arange(d - 1, -1, -1)
    counts = torch.bincount((drawn.long() * place).sum(1), minlength=len(rows)).double()
    expected = n * found.exp()
    likely = expected >= 5
    statistic = ((counts - expected).square() / expected)[likely].sum().item()
    assert stats.chi2.sf(statistic, int(likely.sum())) > CHANCE


def test_the_chain_becomes_the_density_for_fine_levels():
    mean, cov = random_normal(3)
    mean = 1000 + 300 * mean
    cov = 300**2 * cov
    factor = torch.linalg.cholesky(double(cov))
    x = NormalChain(double(mean), factor, 4096).sample(50, torch.Generator().manual_seed(0))
    mass = NormalChain(double(mean), factor, 4096).log_prob(x)
    density = normal(double(mean), factor, None).log_prob(x)
    assert torch.allclose(mass, density, atol=1e-4)


def test_the_density_is_scipys():
    mean, cov = random_normal(4)
    x = np.random.default_rng(1).normal(size=(30, 4))
    found = normal(double(mean), torch.linalg.cholesky(double(cov)), None).log_prob(double(x))
    assert np.allclose(found, stats.multivariate_normal.logpdf(x, mean, cov))


def test_scatter_is_the_second_moment_of_uniform_bins():
    random = np.random.default_rng(0)
    x = random.integers(0, 6, size=(500, 3))
    mean, s = scatter(torch.from_numpy(x), levels=6)
    assert np.allclose(s / 500, np.cov(x.T, bias=True) + np.eye(3) / 12)
    assert np.allclose(mean, x.mean(0))
    spread = (x[:, None] + (np.arange(1000) + 0.5)[:, None] / 1000 - 0.5).reshape(-1, 3)
    assert np.allclose(np.diag(s) / 500, spread.var(0), atol=1e-6), (
        "the variance of the data spread over their bins"
    )
    assert torch.allclose(
        scatter(torch.from_numpy(x).double(), None)[1] / 500, double(np.cov(x.T, bias=True))
    )
