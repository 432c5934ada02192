"""Accuracy, log loss and what classes are taken for, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import dalm
from dalm.core import Density, Spec
from dalm.metrics import evaluate
from dalm.metrics.classified import confusion
from dalm.models import Discriminant
from dalm.testing.cases import learn


class Table(Density):
    """P(x|y) of one number of three levels."""

    family = "table-of-classes"
    year = 2026
    paper = "none"
    likelihood = "exact"
    conditional = True
    rows = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])

    def _log_prob(self, x, y, generator):
        return self.rows[y, x[:, 0].long()].log()

    def _sample(self, n, y, generator):
        raise NotImplementedError


def scores(x, y, classes=("cat", "dog")):
    spec = Spec((1,), levels=3, classes=2)
    x = torch.tensor(x, dtype=torch.uint8)[:, None]
    found = evaluate(None, x, x, spec, model=Table(spec), labels=torch.tensor(y), classes=classes)
    return {(one.metric, one.subset): one for one in found}


def test_accuracy_and_log_loss_are_those_of_bayes_rule():
    # P(cat | 0) = 2/3, P(dog | 2) = 1; zeros and ones are called cats.
    found = scores([0, 0, 1, 2], [0, 1, 1, 1])
    assert found["accuracy", None].value == 0.5
    assert found["accuracy", "class cat"].value == 1
    assert found["accuracy", "class dog"].value == pytest.approx(1 / 3)
    assert found["accuracy", "class dog"].note == "taken for 2 × cat"
    assert found["accuracy", None].note == "the most frequent class alone: 0.750"
    nats = [-math.log(2 / 3), -math.log(1 / 3), -math.log(1 / 3), 0]
    assert found["log_loss", None].value == pytest.approx(sum(nats) / 4, rel=1e-6)


def test_a_class_of_probability_zero_is_told_not_averaged():
    found = scores([2, 0], [0, 0])
    assert found["log_loss", None].value is None
    assert "1 of 2 rows have a class of probability zero" in found["log_loss", None].note


def test_rows_without_a_label_do_not_count():
    assert scores([0, 0, 2], [0, -1, 1])["accuracy", None].n == 2
    assert "no held-out row has a label" in scores([0], [-1])["accuracy", None].note


def test_models_that_are_not_conditional_have_neither():
    data = dalm.load_data("ring8", n=300)
    model = dalm.models.Gaussian(data.spec)
    learn(model, data.train.x, data.train.y, 0)
    found = evaluate(None, data.train.x, data.test.x, data.spec, model=model, labels=data.test.y)
    assert not {"accuracy", "log_loss"} & {one.metric for one in found}


def test_the_likelihood_is_the_sum_over_classes():
    data = dalm.load_data("ring8", n=900)
    model = Discriminant(data.spec)
    learn(model, data.train.x, data.train.y, 0)
    found = evaluate(None, data.train.x, data.test.x, data.spec, model=model, labels=data.test.y)
    by_name = {one.metric: one for one in found if one.subset is None}
    nats = model.log_prob(data.test.x).double().numpy()
    assert by_name["bits_per_dim"].value == pytest.approx(-nats.mean() / (2 * np.log(2)), rel=1e-6)
    right = (model.classify(data.test.x) == data.test.y).double().mean().item()
    assert by_name["accuracy"].value == right


def test_confusion_counts_pairs():
    true = torch.tensor([0, 0, 2, 1])
    taken = torch.tensor([0, 2, 2, 1])
    assert confusion(true, taken, 3).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert confusion(true, taken, 3).sum() == 4
