"""NumPy in, NumPy out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import dalm
from dalm.core import Spec
from dalm.errors import DalmError
from dalm.models import VAE
from dalm.verbs.models import make


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return VAE(Spec((1, 4, 4), levels=4, classes=2), conditional=True, latent=2, net="mlp")


X = np.random.default_rng(0).integers(0, 4, (5, 1, 4, 4), dtype=np.uint8)
Y = np.array([0, 1, 1, 0, 1], np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint16])
def test_what_is_said_of_arrays_is_what_is_said_of_tensors(model, dtype):
    x = torch.from_numpy(X)
    y = torch.from_numpy(Y).long()
    pairs = [
        (model.log_prob(X.astype(dtype)), model.log_prob(x)),
        (model.log_prob(X.astype(dtype), Y), model.log_prob(x, y)),
        (model.class_log_probs(X.astype(dtype)), model.class_log_probs(x)),
        (model.classify(X.astype(dtype)), model.classify(x)),
        (model.importance_bound(X.astype(dtype), samples=3), model.importance_bound(x, samples=3)),
        (model.encode(X.astype(dtype), Y), model.encode(x, y)),
        (model.decode(model.encode(X, Y), Y), model.decode(model.encode(x, y), y)),
    ]
    for ours, theirs in pairs:
        assert isinstance(ours, np.ndarray)
        assert np.allclose(ours, theirs.detach().numpy())


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_real_data_may_come_in_any_type(dtype):
    data = dalm.load_data(np.random.default_rng(0).normal(size=(99, 2)))
    model = make("gaussian", data)
    x = np.array([[1, 2], [3, 4]], dtype)
    nats = model.log_prob(x)
    assert nats.dtype == model.log_prob(torch.from_numpy(x).double()).detach().numpy().dtype
    assert nats.shape == (2,)


@pytest.mark.parametrize("x", [X[:, 0], X + 9, X.astype(float), X.astype(str)])
def test_arrays_that_do_not_suit_are_refused_in_words(model, x):
    with pytest.raises((DalmError, TypeError), match=r"expected|numpy"):
        model.log_prob(x)


def test_a_seed_is_a_generator_of_its_own(model):
    once = model.sample(3, 1, seed=7)
    assert torch.equal(once, model.sample(3, 1, seed=7))
    assert torch.equal(once, model.sample(3, 1, torch.Generator().manual_seed(7)))
    assert not torch.equal(once, model.sample(3, 1, seed=8))
    with pytest.raises(DalmError, match="a seed or a generator, got both"):
        model.sample(3, 1, torch.Generator(), seed=7)
    with pytest.raises(DalmError, match="seed"):
        model.sample(3, 1, seed=-1)
