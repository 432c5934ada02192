"""Discriminant analysis against scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from tiny import DIGITS

from dalm.core import Batch, Spec, Work
from dalm.errors import DalmError
from dalm.models import Discriminant
from dalm.models.discriminant import POOLINGS
from dalm.testing.general import generator_of


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 1.0])
def test_lda_against_scikit_learn(correlated, teach, shrinkage):
    x, y = correlated()
    model = teach(Discriminant(Spec((3,), classes=3), kind="lda", shrinkage=shrinkage), x, y)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage or None).fit(x, y)
    mine = model.class_log_probs(torch.as_tensor(x)).softmax(1)
    assert np.allclose(mine, theirs.predict_proba(x), atol=1e-8)
    assert (model.classify(torch.as_tensor(x)).numpy() == theirs.predict(x)).all()


def test_qda_against_scikit_learn(correlated, teach):
    x, y = correlated()
    model = teach(Discriminant(Spec((3,), classes=3), kind="qda", shrinkage=0.0), x, y)
    theirs = QuadraticDiscriminantAnalysis().fit(x, y)
    for k, count in enumerate(
        np.bincount(y)
    ):  # before 1.8 theirs divided by n - 1, maximum likelihood divides by n
        theirs.scalings_[k] = np.linalg.svd(x[y == k] - x[y == k].mean(0))[1] ** 2 / count
    mine = model.class_log_probs(torch.as_tensor(x)).softmax(1)
    assert np.allclose(mine, theirs.predict_proba(x), atol=1e-8)


def test_qda_is_a_normal_for_each_class(correlated, teach):
    x, y = correlated()
    model = teach(Discriminant(Spec((3,), classes=3), kind="qda", shrinkage=0.1), x, y)
    for k in range(3):
        cov = np.cov(x[y == k].T, bias=True)
        shrunk = 0.9 * cov + 0.1 * np.trace(cov) / 3 * np.eye(3)
        expected = stats.multivariate_normal.logpdf(x, x[y == k].mean(0), shrunk)
        assert np.allclose(model.log_prob(torch.as_tensor(x), k), expected)
        assert model.prior[k].item() == pytest.approx((y == k).mean())


def test_the_default_shrinkage_is_that_of_ledoit_and_wolf(correlated, teach):
    x, y = correlated(90, 6)
    model = teach(Discriminant(Spec((6,), classes=3), kind="qda"), x, y)
    for k in range(3):
        own = x[y == k].std(0)
        expected = ledoit_wolf(x[y == k] / own)[0] * np.outer(own, own)
        assert np.allclose(model.factors[k] @ model.factors[k].T, expected)


def test_lda_shrinks_as_scikit_learn_does_by_itself(correlated, teach):
    x, y = correlated(90, 6)
    model = teach(Discriminant(Spec((6,), classes=3), kind="qda"), x, y)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", store_covariance=True)
    theirs.fit(x, y)
    own = (model.factors @ model.factors.mT * model.prior[:, None, None].double()).sum(0)
    assert np.allclose(own, theirs.covariance_)


def test_classes_share_a_covariance_as_far_as_that_helps(correlated, teach):
    x, y = correlated(60, 6)
    auto = teach(Discriminant(Spec((6,), classes=3)), x, y)
    kinds = [teach(Discriminant(Spec((6,), classes=3), kind=kind), x, y) for kind in ("qda", "lda")]
    own, common = (model.factors @ model.factors.mT for model in kinds)
    mixed = auto.factors @ auto.factors.mT
    shares = ((mixed - own) / (common - own)).flatten()
    assert torch.allclose(shares, shares[0])
    assert any(torch.isclose(shares[0], torch.tensor(share).double()) for share in POOLINGS)


@pytest.mark.parametrize("kind", ["lda", "qda"])
def test_discriminant_classifies_digits(kind):
    model = Discriminant(DIGITS.spec, kind=kind)
    model.passes(Work(Batch(DIGITS.train.x, DIGITS.train.y)))
    accuracy = (model.classify(DIGITS.test.x) == DIGITS.test.y).double().mean().item()
    assert accuracy > 0.85
    drawn = model.sample(300, 3, generator_of())
    assert (model.classify(drawn) == 3).double().mean() > 0.9


def test_discriminant_refuses_what_it_cannot_learn(correlated, teach):
    x, y = correlated()
    with pytest.raises(DalmError, match="there are none of class 3"):
        teach(Discriminant(Spec((3,), classes=4)), x, y)
    with pytest.raises(DalmError, match="no labels"):
        teach(Discriminant(Spec((3,), classes=3)), x)
    with pytest.raises(DalmError, match="a larger shrinkage"):
        teach(Discriminant(Spec((3,), classes=3), shrinkage=0.0), x * [1, 1, 0], y)


def test_a_tail_that_another_class_explains_pools_nothing(teach):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 1200)
    factor = rng.normal(size=1200) + y
    x = np.exp(0.7 * factor[:, None] + 0.5 * rng.normal(size=(1200, 5)))
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    nats = {}
    for kind in ("auto", "lda", "qda"):
        model = Discriminant(Spec((5,), classes=2), kind=kind)
        teach(model, x[:480], y[:480])
        nats[kind] = model.log_prob(x[480:]).mean().item()
    assert nats["auto"] > max(nats["lda"], nats["qda"]) - 0.02
