"""DCGAN: the rules of the paper, and its losses against the formula."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.models import DCGAN
from dalm.testing.general import generator_of


@pytest.fixture(scope="module", params=[(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 20, 24)], ids=str)
def gan(request, seeded):
    return seeded(DCGAN, Spec(request.param, levels=256), latent=5, width=4)


def layers(net):
    return [m for m in net.modules() if not list(m.children())]


def test_no_dense_and_no_pooling_layers(gan):
    pooling = ("Pool", "Upsample", "PixelShuffle", "Linear")
    assert not [m for m in gan.modules() if any(word in type(m).__name__ for word in pooling)]


def test_the_generator_follows_the_paper(gan):
    found = layers(gan.generator)
    convolutions = [m for m in found if isinstance(m, nn.ConvTranspose2d)]
    assert {type(m) for m in found} == {nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU, nn.Tanh}
    assert isinstance(found[-1], nn.Tanh)
    assert isinstance(found[-2], nn.ConvTranspose2d), "no batch normalisation at the output"
    assert sum(m.stride == (2, 2) for m in convolutions) >= 1, "fractionally strided convolutions"
    for k, layer in enumerate(found[:-2]):
        if isinstance(layer, nn.ConvTranspose2d):
            assert isinstance(found[k + 1], nn.BatchNorm2d)
            assert isinstance(found[k + 2], nn.ReLU)


def test_the_discriminator_follows_the_paper(gan):
    found = layers(gan.discriminator)
    convolutions = [m for m in found if isinstance(m, nn.Conv2d)]
    assert {type(m) for m in found} <= {nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU, nn.Flatten}
    assert isinstance(found[0], nn.Conv2d)
    assert isinstance(found[1], nn.LeakyReLU), "no batch normalisation at the input"
    assert all(m.negative_slope == 0.2 for m in found if isinstance(m, nn.LeakyReLU))
    assert sum(m.stride == (2, 2) for m in convolutions) >= 1, "strided convolutions"
    for layer, after in pairwise(found):
        if isinstance(layer, nn.Conv2d) and layer not in (convolutions[0], convolutions[-1]):
            assert isinstance(after, nn.BatchNorm2d)
    assert gan.critic(gan.generate(3, None, generator_of()), None).shape == (3, 1)


def test_the_weights_start_as_in_the_paper():
    model = DCGAN(Spec((1, 32, 32), levels=256), latent=64, width=32)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.25)
            assert abs(module.weight.mean().item()) < 0.004
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.05)
    assert model.recipe.lr == 2e-4
    assert {player.betas for player in model.players().values()} == {(0.5, 0.999)}
    assert {player.optimiser for player in model.players().values()} == {"AdamW"}


def test_the_losses_are_the_formula(gan, one_batch):
    """D minimises -E log D(x) - E log(1 - D(G(z))), G the non-saturating -E log D(G(z))."""
    x = torch.randint(256, (6, *gan.spec.shape), generator=generator_of(), dtype=torch.uint8)
    gan.train()
    judge, maker = gan.turns(one_batch(x, seed=1))
    source = generator_of(1)
    spread = (x + torch.rand(x.shape, generator=source, dtype=torch.float64)) / 256 * 2 - 1
    fake = gan.generate(6, None, source)
    real_says = gan.critic(spread.view(6, *gan.grid), None).sigmoid()
    fake_says = gan.critic(fake, None).sigmoid()
    assert judge.loss.item() == pytest.approx(
        (-real_says.log() - (1 - fake_says).log()).mean().item(), rel=1e-6
    )
    assert maker.loss.item() == pytest.approx(-fake_says.log().mean().item(), rel=1e-6)
    assert judge.log["D(x)"].item() == pytest.approx(real_says.mean().item(), rel=1e-6)
    assert judge.log["D(G(z))"].item() == pytest.approx(fake_says.mean().item(), rel=1e-6)
    players = gan.players()
    assert (judge.player, maker.player) == ("discriminator", "generator")
    assert set(players[judge.player].parameters) == set(gan.discriminator.parameters())
    assert set(players[maker.player].parameters) == set(gan.generator.parameters())


def test_the_players_do_not_teach_each_other(gan, one_batch):
    x = torch.randint(256, (6, *gan.spec.shape), generator=generator_of(), dtype=torch.uint8)
    judge = next(gan.train().turns(one_batch(x, seed=1)))
    makers = list(gan.generator.parameters())
    gradients = torch.autograd.grad(judge.loss, makers, allow_unused=True)
    assert all(g is None for g in gradients), "the discriminator's loss reaches the generator"


def test_samples_use_every_level(seeded):
    model = seeded(DCGAN, Spec((1, 8, 8), levels=4), latent=5, width=4)
    ends = torch.tensor([-1.0, -0.5, -0.01, 0.0, 0.49, 0.51, 1.0], dtype=torch.float64)
    model.generate = lambda n, *_: ends[:, None, None, None].expand(7, 1, 8, 8)
    assert model.sample(7)[:, 0, 0, 0].tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_dcgan_refuses_what_is_no_image():
    with pytest.raises(DalmError, match="at least 4 × 4"):
        DCGAN(Spec((7,)))
