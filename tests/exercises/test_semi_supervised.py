"""A semi-supervised classifier with 10 % labels, as somebody outside the package would write it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dalm.core import Density, Learner, Recipe, Spec, Turn
from dalm.data import load_data
from dalm.errors import DalmError
from dalm.options import option
from dalm.train import fit


class NaiveBayes(Density, Learner):
    """Independent levels given the class, from labelled and unlabelled rows (Nigam 2000)."""

    family = "test-naive-bayes"
    year = 2000
    paper = "Nigam et al., Text classification from labeled and unlabeled documents using EM"
    likelihood = "exact"
    recipe = Recipe(lr=0.05, batch_size=256, ema=0.0)
    units = {"loss": "nats/entry", "labelled": "nats/entry", "unlabelled": "nats/entry"}
    conditional = True
    partial_labels = True
    share: float = option("weight of the unlabelled rows", default=0.3, at_least=0)

    def setup(self):
        shape = (self.spec.classes, self.spec.dims, self.spec.levels)
        self.logits = nn.Parameter(torch.zeros(shape))

    def joint(self, x):
        """Log P(x, y) of every class, (B, classes)."""
        levels = F.one_hot(x.flatten(1).long(), self.spec.levels).float()
        scores = torch.einsum("bdl,cdl->bc", levels, self.logits.log_softmax(2))
        return scores + self.prior.log()

    def turns(self, step):
        x, y, _ = step.batch("labelled")
        known = -self.joint(x).gather(1, y[:, None]).mean() / self.spec.dims
        hidden = -self.joint(step.batch("unlabelled").x).logsumexp(1).mean() / self.spec.dims
        terms = {"labelled": known.detach(), "unlabelled": hidden.detach()}
        smooth = 1e-4 * self.logits.square().sum() / self.spec.dims
        yield Turn("model", known + self.share * hidden + smooth, terms)

    def _log_prob(self, x, y, generator):
        return self.joint(x).gather(1, y[:, None])[:, 0] - self.prior.log()[y]

    def _sample(self, n, y, generator):
        chances = self.logits.softmax(2)[y].flatten(0, 1)
        return torch.multinomial(chances, 1, generator=generator).view(n, *self.spec.shape)


@pytest.fixture(scope="module")
def tenth():
    """The digits with the labels of nine training rows in ten taken away."""
    digits = load_data("digits")
    y = digits.train.y.clone()
    y[torch.arange(len(y)) % 10 != 0] = -1
    return dataclasses.replace(digits, train=dataclasses.replace(digits.train, y=y))


def accuracy(model, data):
    return (model.classify(data.test.x) == data.test.y).double().mean().item()


def test_unlabelled_rows_help(tenth, tmp_path):
    assert int((tenth.train.y >= 0).sum()) == 110
    scores = {}
    for share in (0.0, 0.3):
        model = NaiveBayes(tenth.spec, share=share)
        out = tmp_path / str(share)
        run = fit(model, tenth, out=out, steps=150, seed=0, progress=False, device="cpu")
        scores[share] = accuracy(run.model, tenth)
    assert scores[0.3] > scores[0.0] + 0.01, scores
    assert scores[0.3] > 0.75, scores


def test_a_family_that_needs_all_labels_says_so(tenth, tmp_path):
    from dalm.models import VAE

    with pytest.raises(DalmError, match=r"990 of 1,100 rows of train have none"):
        fit(VAE(tenth.spec, conditional=True), tenth, out=tmp_path / "run", progress=False)
    assert not list(tmp_path.iterdir())


def test_without_unlabelled_rows_it_says_so(tmp_path):
    digits = load_data("digits")
    with pytest.raises(DalmError, match="learns from unlabelled rows, and the data hold none"):
        fit(NaiveBayes(digits.spec), digits, out=tmp_path / "run", steps=2, progress=False)


def test_it_takes_other_specs():
    assert NaiveBayes(Spec((3,), levels=2, classes=2)).sample(2).shape == (2, 3)
