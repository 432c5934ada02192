"""What every family promises: construction, sampling, and being written down."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tiny import config_of
from toys import MOONS, Coded, Mean, Mixture

from dalm.core import Spec, build, config
from dalm.errors import DalmError
from dalm.models import DCGAN, KDE, VAE, Gaussian, Histogram, Noise, PixelCNN
from dalm.testing.general import generator_of

TINY = Spec((2, 2), levels=3, classes=2)


# Construction


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VAE((2,)), "vae is built from the Spec of data"),
        (lambda: VAE(TINY, latent=0), "vae's latent is at least 1, got 0"),
        (lambda: VAE(TINY, latnt=3), "vae has no option 'latnt'. Did you mean 'latent'"),
        (lambda: VAE(TINY, net="cnn"), "vae's net is 'auto' or 'mlp' or 'conv', got 'cnn'"),
        (lambda: VAE(TINY, conditional=1), "vae's conditional is True or False, got 1"),
        (lambda: KDE(TINY, bandwidth=0.0), "kde's bandwidth is above 0, got 0.0"),
        (lambda: PixelCNN(TINY, dropout=1.0), "pixelcnn's dropout is from 0 to 0.99, got 1.0"),
        (lambda: VAE(Spec((2,)), conditional=True), "the data have no class labels"),
        (lambda: Coded(TINY, coder=3, prior_of_codes=VAE(TINY)), "coder is a Generative, got 3"),
        (lambda: Coded(TINY, coder=VAE(TINY)), "test-coded needs its prior_of_codes"),
    ],
)
def test_bad_options_are_refused_by_name(make, message):
    with pytest.raises(DalmError, match=message):
        make()


def test_options_are_given_by_name_alone():
    with pytest.raises(TypeError):
        VAE(TINY, 3)


def test_numpy_numbers_become_plain():
    model = VAE(TINY, latent=np.int64(3), width=np.int32(8))
    assert json.loads(json.dumps(config(model)))["latent"] == 3
    assert type(model.latent) is int


def test_a_model_shows_its_configuration():
    assert "latent=3" in repr(VAE(TINY, latent=3, width=8))


# Models inside models


def test_a_model_inside_a_model_is_a_module():
    coder = VAE(MOONS.spec, latent=2, width=8)
    model = Coded(MOONS.spec, coder=coder, prior_of_codes=Mixture(coder.codes))
    assert model.coder is coder
    assert dict(model.named_children()).keys() == {"coder", "prior_of_codes"}
    assert isinstance(Coded.declared()["coder"].meaning, str)
    again = build(json.loads(json.dumps(config(model))), model.state_dict())
    assert config_of(again) == config_of(model)
    first, second = (one.sample(5, generator=generator_of()) for one in (model, again))
    assert torch.equal(first, second)


def test_an_unknown_family_is_refused():
    with pytest.raises(DalmError, match=r"no family 'vea' among those imported.*'vae'"):
        build({"family": "vea", "spec": TINY})


def test_weights_of_another_model_are_refused():
    small, large = (VAE(MOONS.spec, latent=2, width=width) for width in (8, 9))
    with pytest.raises(DalmError, match="the weights do not fit this model"):
        build(config(small), large.state_dict())
    with pytest.raises(DalmError, match="the weights do not belong to this model"):
        build(config(small), Gaussian(MOONS.spec).state_dict())


# Sampling


@pytest.mark.parametrize("n", [-1, 2.0, True, "3"])
def test_a_bad_number_of_samples_is_refused(n):
    with pytest.raises(DalmError, match="the number of samples is a whole number from 0"):
        Noise(TINY).sample(n)


def test_a_family_without_sampling_options_takes_none():
    with pytest.raises(
        DalmError, match=r"noise has no options of sampling, got \{'temperature': 0\.5\}"
    ):
        Noise(TINY).sample(2, temperature=0.5)


@pytest.mark.parametrize("y", [2, -1, "a", torch.tensor([0.5, 0.5]), [0, 1, 1]])
def test_a_bad_class_is_refused(y):
    model = VAE(TINY, conditional=True, latent=2, width=8)
    with pytest.raises(DalmError, match=r"no such class|one for each datum"):
        model.sample(2, y)


# Known entries


KNOWN = torch.tensor([[True, False], [False, False]])
COMPLETERS = {
    "noise": Noise(TINY),
    "histogram": Histogram(TINY),
    "pixelcnn": PixelCNN(TINY, width=8, depth=1),
    "real noise": Noise(Spec((2, 2))),
    "real histogram": Histogram(Spec((2, 2))),
}


@pytest.mark.parametrize("name", COMPLETERS)
def test_known_entries_are_kept_and_the_others_drawn(name):
    model = COMPLETERS[name]
    x = torch.full((2, 2), 2).to(model.spec.dtype)
    drawn = model.sample(200, generator=generator_of(), given=(x, KNOWN))
    assert drawn.dtype == model.spec.dtype
    model.spec.check(drawn)
    assert (drawn[:, 0, 0] == 2).all()
    assert all(len(drawn[:, i, j].unique()) > 2 for i, j in ((0, 1), (1, 0), (1, 1)))
    again = model.sample(200, generator=generator_of(), given=(x, KNOWN))
    assert torch.equal(drawn, again)


@pytest.mark.parametrize(
    ("values", "known", "message"),
    [
        (torch.zeros(2, 2), torch.ones(2, 2), "a mask of booleans of shape"),
        (torch.zeros(2, 2), torch.ones(2, dtype=torch.bool), "a mask of booleans of shape"),
        (torch.zeros(2), KNOWN, "given values have the shape of a datum"),
        (torch.zeros(1, 1, 2, 2), KNOWN, "given values have the shape of a datum"),
        ([[0, 0], [0, 0]], KNOWN, "two tensors, values and a mask; got list and Tensor"),
        (torch.full((2, 2), 3), KNOWN, "integers from 0 to 2"),
    ],
)
def test_what_is_given_is_checked(values, known, message):
    with pytest.raises(DalmError, match=message):
        COMPLETERS["noise"].sample(5, given=(values, known))


@pytest.mark.parametrize("n", [3, 7])
def test_given_values_are_one_or_as_many_as_samples(n):
    x = torch.zeros(n, 2, 2, dtype=torch.uint8)
    if n == 3:
        assert COMPLETERS["noise"].sample(3, given=(x, KNOWN)).shape == (3, 2, 2)
        return
    with pytest.raises(DalmError, match="of 3 of them"):
        COMPLETERS["noise"].sample(3, given=(x, KNOWN))


@pytest.mark.parametrize("model", [Mean(TINY), DCGAN(Spec((1, 4, 4)), width=4, latent=2)])
def test_a_family_that_cannot_fill_in_says_so(model):
    x = torch.zeros(model.spec.shape)
    with pytest.raises(DalmError, match=f"{model.family} cannot be sampled given some entries"):
        model.sample(2, given=(x, x == 0))


def test_an_option_that_came_later_is_no_part_of_what_was_written_before():
    assert "covariance" not in config(KDE(Spec((2,))))
    full = KDE(Spec((2,)), covariance="full")
    assert config(full)["covariance"] == "full"
    assert build(config(full)).covariance == "full"
    assert build(config(KDE(Spec((2,))))).covariance == "auto"
