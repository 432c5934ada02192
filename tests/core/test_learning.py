"""The words of the contract: players, recipes, batches, capabilities, codes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toys import MOONS, Coded, Duel, Mean, Mixture

from dalm.core import Batch, Latent, Player, Spec, Work, capabilities
from dalm.errors import DalmError
from dalm.models import DCGAN, FAMILIES, KDE, REFERENCES, VAE, PixelCNN


def test_a_player_keeps_its_parameters():
    """An iterator of them may be used up only once."""
    layer = nn.Linear(2, 3)
    player = Player(layer.parameters())
    assert list(player.parameters) == list(player.parameters) == list(layer.parameters())


def test_a_learner_is_one_player_unless_it_says_else():
    model = Mean(MOONS.spec)
    [(name, player)] = model.players().items()
    assert name == "model"
    assert list(player.parameters) == list(model.parameters())
    assert (player.optimiser, player.lr, player.betas) == ("AdamW", 1.0, (0.9, 0.999))
    assert list(Duel(MOONS.spec).players()) == ["critic", "generator"]


def test_class_frequencies_count_labelled_rows_alone():
    model = VAE(Spec((2,), classes=3), conditional=True, latent=2, width=8)
    model.count_classes(torch.tensor([0, -1, 2, 2, -1, 0, 0, 1]))
    assert torch.allclose(model.prior, torch.tensor([3, 1, 2]) / 6)
    model.count_classes(None)
    assert torch.allclose(model.prior, torch.tensor([3, 1, 2]) / 6)


def test_work_begins_at_nothing():
    work = Work(Batch(MOONS.train.x))
    assert (work.number, work.memory, work.validation) == (0, {}, None)
    other = Work(Batch(MOONS.train.x))
    assert work.memory is not other.memory
    assert torch.rand((), generator=work.generator) == torch.rand((), generator=other.generator)


def test_a_batch_may_have_no_labels():
    batch = Batch(MOONS.train.x)
    assert (batch.y, batch.weight) == (None, None)


@pytest.mark.parametrize(
    ("family", "names"),
    [
        (Mixture, ["Density", "Estimator"]),
        (Duel, ["Learner"]),
        (Coded, ["Latent"]),
        (DCGAN, ["Learner", "conditional"]),
        (KDE, ["Density", "Autoregressive", "Estimator", "conditional"]),
        (PixelCNN, ["Density", "Autoregressive", "Completer", "Learner", "conditional"]),
        (VAE, ["Density", "Bound", "Variational", "Latent", "Learner", "conditional"]),
    ],
)
def test_what_a_family_can_do_follows_from_what_it_is(family, names):
    assert capabilities(family) == names


@pytest.mark.parametrize("family", [*FAMILIES, *REFERENCES], ids=lambda family: family.family)
def test_every_learner_gives_the_unit_of_its_loss(family):
    if "Learner" in capabilities(family):
        assert family.units["loss"]


# Codes


class Layered(Latent):
    """Codes of two layers: levels and a real number."""

    family = "test-layered"
    year = 2026
    paper = "this test"
    codes = (Spec((2,), levels=4), Spec((1,)))

    def _encode(self, x, y):
        return x.clamp(0, 3).to(torch.uint8), x[:, :1]

    def _decode(self, z, y):
        levels, rest = z
        return levels.float() + rest

    def _sample(self, n, y, generator):
        return torch.zeros(n, 2)


def test_codes_may_have_layers():
    model = Layered(MOONS.spec)
    levels, rest = model.encode(MOONS.test.x[:5])
    assert (levels.dtype, tuple(levels.shape)) == (torch.uint8, (5, 2))
    assert tuple(rest.shape) == (5, 1)
    assert model.decode((levels, rest)).shape == (5, 2)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(5, 2), "expected codes of 2 layers, got 1"),
        ((torch.zeros(5, 2, dtype=torch.uint8),), "expected codes of 2 layers, got 1"),
        ((torch.full((5, 2), 4), torch.zeros(5, 1)), "integers from 0 to 3"),
        ((torch.zeros(5, 3, dtype=torch.uint8), torch.zeros(5, 1)), r"a tensor \(B, 2\)"),
    ],
    ids=["one", "one in a tuple", "a level too high", "a wrong shape"],
)
def test_layers_that_do_not_suit_are_refused(codes, message):
    with pytest.raises(DalmError, match=message):
        Layered(MOONS.spec).decode(codes)


def test_layers_of_different_length_are_refused():
    codes = (torch.zeros(5, 2, dtype=torch.uint8), torch.zeros(4, 1))
    with pytest.raises(DalmError, match="as many"):
        Layered(MOONS.spec).decode(codes)


def test_codes_of_a_conditional_model_need_the_class():
    model = VAE(MOONS.spec, conditional=True, latent=2, width=8)
    with pytest.raises(DalmError, match="depend on the class; give the labels y"):
        model.encode(MOONS.test.x[:2])
    assert model.encode(MOONS.test.x[:2], 1).shape == (2, 2)
