"""Kernel density against the sum that it is, and its bandwidth against a grid."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity

from dalm.core import Batch, Spec, Work
from dalm.models import KDE
from dalm.models.kde import maximise, next_trial
from dalm.probability import log_normal_mass
from dalm.testing.general import generator_of


def brute_kde(x, rows, h):
    distances = ((x[:, None] - rows[None]) ** 2).sum(2)
    return (
        logsumexp(-distances / (2 * h * h), axis=1)
        - math.log(len(rows))
        - x.shape[1] * math.log(h * math.sqrt(2 * math.pi))
    )


@pytest.mark.parametrize("d", [1, 2, 8, 64])
@pytest.mark.parametrize("h", [0.05, 1.0])
def test_kde_against_the_sum(teach, d, h):
    random = np.random.default_rng(d)
    rows = random.normal(size=(2500, d))
    x = np.concatenate([random.normal(size=(60, d)), 30 + random.normal(size=(5, d))])
    found = teach(KDE(Spec((d,)), bandwidth=h), rows).log_prob(torch.as_tensor(x))
    assert np.allclose(found, brute_kde(x, rows, h), atol=1e-6, rtol=1e-12)


@pytest.mark.parametrize("d", [2, 8])
def test_kde_against_scikit_learn(teach, d):
    random = np.random.default_rng(d)
    rows = random.normal(size=(500, d))
    x = random.normal(size=(50, d))
    theirs = KernelDensity(bandwidth=0.7).fit(rows).score_samples(x)
    assert np.allclose(
        teach(KDE(Spec((d,)), bandwidth=0.7), rows).log_prob(torch.as_tensor(x)),
        theirs,
        atol=1e-6,
    )


def test_kde_far_from_zero_keeps_its_precision(teach):
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 2))
    x = random.normal(size=(40, 2))
    found = teach(KDE(Spec((2,)), bandwidth=0.3), rows + 1e6).log_prob(torch.as_tensor(x + 1e6))
    assert np.allclose(found, brute_kde(x + 1e6, rows + 1e6, 0.3), atol=1e-6)


@pytest.mark.parametrize("h", [0.1, 0.8, 5.0])
def test_kde_of_levels_against_the_sum(teach, h):
    random = np.random.default_rng(0)
    rows = random.integers(0, 6, size=(200, 4))
    x = torch.from_numpy(random.integers(0, 6, size=(30, 4)))
    model = teach(KDE(Spec((4,), levels=6), bandwidth=h), rows)
    pair = log_normal_mass(
        x[:, None].double(), torch.from_numpy(rows)[None].double(), torch.tensor(h).double(), 6
    ).sum(2)
    expected = pair.logsumexp(1) - math.log(200)
    sure = expected > -30  # the factorised table keeps 14 digits of a mass, not of its logarithm
    assert sure.any()
    assert torch.allclose(model.log_prob(x)[sure], expected[sure], atol=1e-6)


@pytest.mark.parametrize("h", [0.05, 0.2])
def test_kde_of_levels_is_never_a_log_of_less_than_nothing(teach, h):
    rows = np.array([[0, 0, 0], [1, 1, 1]])
    x = torch.tensor([[15, 15, 15], [0, 15, 0], [1, 1, 0]])
    found = teach(KDE(Spec((3,), levels=16), bandwidth=h), rows).log_prob(x)
    assert not torch.isnan(found).any()
    assert (found <= 1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize("case", ["plane", "clusters", "levels", "sparse"])
def test_the_bandwidth_is_the_best_by_leaving_one_out(teach, case):
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 2)) * 3
    if case == "clusters":
        x = 0.1 * random.normal(size=(200, 2)) + 5 * random.integers(0, 3, size=(200, 1))
    if case == "levels":
        x = (x + 8).round().clip(0, 15).astype(np.int64)
    if case == "sparse":
        x = (np.arange(1000) == 7).astype(np.int64).reshape(100, 10)
    levels = {"levels": 16, "sparse": 2}.get(case)
    model = KDE(Spec(x.shape[1:], levels=levels), covariance="diagonal")
    chosen = teach(model, x).width.item()
    wide = stats.multivariate_t(np.zeros(x.shape[1]), df=3).logpdf(x)

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
        alone = logsumexp(pair, axis=1)
        if levels:
            return alone.mean()
        alone -= math.log((len(x) - 1) * 2 * math.pi)
        shares = np.linspace(1e-6, 0.5, 300)[:, None]
        mixed = np.logaddexp(alone + np.log1p(-shares), wide + np.log(shares))
        return mixed.mean(1).max()

    grid = np.exp(np.linspace(math.log(0.01), math.log(6), 400))
    scores = [left_out(float(h)) for h in grid]
    assert left_out(chosen) > max(scores) - 1e-3
    assert chosen == pytest.approx(grid[int(np.argmax(scores))], rel=0.05)


def test_kde_draws_rows_with_noise(teach):
    rows = np.array([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0]])
    drawn = (
        teach(KDE(Spec((2,)), bandwidth=0.5), rows).sample(6000, generator=generator_of()).numpy()
    )
    nearest = (drawn[:, :1] / 100).round()
    assert (
        stats.chisquare(np.bincount(nearest[:, 0].astype(int))).pvalue > 1e-6
    )  # fails by chance once in a million
    assert (drawn - nearest * [100, 0]).std() == pytest.approx(
        0.5, rel=0.05
    )  # more than six standard errors


def test_kde_of_a_class_remembers_its_rows_alone(correlated, teach):
    x, y = correlated(150, 2)
    model = teach(KDE(Spec((2,), classes=3), conditional=True, bandwidth=0.4), x, y)
    for k in range(3):
        assert np.allclose(
            model.log_prob(torch.as_tensor(x), k), brute_kde(x, x[y == k], 0.4), atol=1e-6
        )


@pytest.fixture
def points():
    return torch.as_tensor(np.random.default_rng(3).normal(size=(300, 2)))


def bandwidth_of(work, stops=()):
    """The bandwidth that is learned, by a new call after each of the passes named."""
    model = KDE(Spec((2,)))
    passes = iter(model.passes(work))
    while next(passes, None) is not None:
        work.number += 1
        if work.number in stops:
            passes = iter(model.passes(work))
    return model.width.item(), work.number


def test_the_bandwidth_search_makes_a_pass_for_each_trial(points):
    work = Work(Batch(points))
    _, passes = bandwidth_of(work)
    assert len(work.memory["diagonal"]) + len(work.memory["full"]) == passes > 10


@pytest.mark.parametrize("stops", [(1,), (3, 4), tuple(range(1, 30))])
def test_the_bandwidth_search_goes_on_where_it_was(points, stops):
    whole = bandwidth_of(Work(Batch(points)))
    assert bandwidth_of(Work(Batch(points)), stops) == whole


def test_the_bandwidth_is_the_best_tried_whenever_the_search_is_stopped(points):
    model = KDE(Spec((2,))).double()
    tried = {}
    for terms in model.passes(Work(Batch(points))):
        tried[terms["bandwidth"]] = terms["left-one-out"]
        if len(tried) == 4:
            break
    assert model.width.item() == max(tried, key=tried.__getitem__)


@pytest.mark.parametrize("peak", [0.02, 1.0, 40.0])
def test_trials_one_by_one_are_the_whole_search(peak):
    def objective(h):
        return -(math.log(h / peak) ** 2)

    scores = {}
    while (trial := next_trial(scores, 0.01, 100.0)) is not None:
        assert trial not in scores
        scores[trial] = objective(trial)
    assert maximise(scores.__getitem__, 0.01, 100.0) == maximise(objective, 0.01, 100.0)
    assert maximise(objective, 0.01, 100.0) == pytest.approx(peak, rel=0.02)


def test_a_bandwidth_that_is_given_is_not_searched(points):
    model = KDE(Spec((2,)), bandwidth=0.3).double()
    assert list(model.passes(Work(Batch(points)))) == []
    assert sorted(model.rows.tolist()) == sorted(points.tolist())
    assert model.width.item() == 0.3
