"""The networks against mathematics: causality and cached sampling, bounds by quadrature, the rules
of the DCGAN paper.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from tiny import DIGITS
from torch import nn

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.models import DCGAN, VAE, PixelCNN
from dalm.testing.cases import TINY, everything


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def seeded(family, spec, seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return family(spec, **options).double()


# PixelCNN


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (Spec((1, 5, 5), levels=3), {}),
        (Spec((1, 6, 4), levels=2), {"kernel": 5, "depth": 4}),
        (Spec((3, 4, 4), levels=5), {}),
        (Spec((9,), levels=4), {}),
        (Spec((1, 5, 5), levels=3, classes=2), {"conditional": True}),
    ],
    ids=["grey", "wide kernel", "colour", "vector", "conditional"],
)
def test_a_pixel_sees_all_earlier_pixels_and_no_other(spec, options):
    model = seeded(PixelCNN, spec, **{"width": 8, "depth": 5, "dropout": 0.0} | options).eval()
    x = (
        torch.randint(spec.levels, (1, *spec.shape), generator=generator())
        .double()
        .requires_grad_()
    )
    params = model.params(x, torch.ones(1, dtype=torch.long) if model.conditional else None)
    _, height, columns = model.grid
    weights = torch.randn(params.shape, generator=generator(1), dtype=torch.float64)
    for i in range(height * columns):
        out = (params * weights)[0, :, i // columns, i % columns].sum()
        [seen] = torch.autograd.grad(out, x, retain_graph=True)
        seen = seen.view(-1, height * columns).abs().sum(0) > 0
        assert seen[:i].all(), f"pixel {i} is blind to {(~seen[:i]).nonzero()[:, 0].tolist()}"
        assert not seen[i:].any(), (
            f"pixel {i} sees itself or later ones: {(i + seen[i:].nonzero()[:, 0]).tolist()}"
        )


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (Spec((1, 6, 5), levels=4), {}),
        (Spec((3, 4, 4), levels=6), {"kernel": 5}),
        (Spec((1, 5, 5), levels=2, classes=3), {"conditional": True}),
        (Spec((7,), levels=3), {"output": "logistic"}),
    ],
    ids=["grey", "colour", "conditional", "vector"],
)
def test_cached_sampling_is_one_pass_for_each_pixel(spec, options):
    model = seeded(PixelCNN, spec, width=8, depth=3, **options).eval()
    y = torch.tensor([0, 2, 1, 1, 0, 2]) if model.conditional else None
    fast = model.sample(6, y, generator())
    channels, height, columns = model.grid
    slow = torch.zeros(6, channels, height, columns, dtype=torch.long)
    source = generator()
    with torch.no_grad():
        for i in range(height):
            for j in range(columns):
                params = model.params(slow, y)[:, :, i : i + 1, j : j + 1]
                slow[:, :, i, j] = model.output_head.sample(params, source)[:, :, 0, 0]
    assert torch.equal(fast.long().view_as(slow), slow)
    assert len(fast.unique()) > 1


def test_pixelcnn_is_the_product_of_its_conditionals():
    spec = Spec((1, 2, 2), levels=3)
    model = seeded(PixelCNN, spec, width=8, depth=2).eval().requires_grad_(False)
    x = everything(spec)
    logits = model.params(x, None)[:, :, :, :].log_softmax(1)
    picked = logits.gather(1, x.long()).flatten(1).sum(1)
    assert torch.allclose(model.log_prob(x), picked)
    assert picked.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_dropout_is_only_for_training():
    model = seeded(PixelCNN, DIGITS.spec, width=8, depth=1, dropout=0.5)
    x = DIGITS.test.x[:4]
    assert torch.equal(model.log_prob(x), model.train().log_prob(x))
    losses = [model.losses(x, None, generator())[0][1]().item() for _ in range(2)]
    assert losses[0] != losses[1]


# VAE


@pytest.fixture(scope="module")
def line():
    """A VAE with one latent dimension, a little trained, and its exact log probability by
    quadrature.
    """
    model = seeded(VAE, TINY, latent=1, width=12, depth=1, samples=64)
    x = torch.randint(3, (256, 1, 2, 2), generator=generator(), dtype=torch.uint8)
    x[:, :, 1] = x[:, :, 0].flip(2)  # the second row mirrors the first
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(150):
        [(_, closure)] = model.losses(x, None, generator(step))
        optimiser.zero_grad()
        closure().backward()
        optimiser.step()
    model = model.eval().requires_grad_(False)
    grid = torch.linspace(-9, 9, 6001, dtype=torch.float64)[:, None]
    prior = -grid[:, 0].square() / 2 - math.log(2 * math.pi) / 2
    rows = everything(TINY)
    likelihoods = torch.stack(
        [model.log_likelihood(row.expand(len(grid), *TINY.shape), grid, None) for row in rows]
    )
    exact = torch.trapezoid((likelihoods + prior).exp(), grid[:, 0], dim=1).log()
    return model, rows, exact, (grid, likelihoods, prior)


def test_the_quadrature_sums_to_one(line):
    _, _, exact, _ = line
    assert exact.exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_the_bounds_stand_in_their_order(line):
    """ELBO ≤ importance bound ≤ log p(x), where the ELBO and log p(x) are exact up to quadrature."""
    model, rows, exact, (grid, likelihoods, prior) = line
    mean, log_std = model.posterior(rows, None)
    log_q = (
        -((grid[:, 0] - mean) / log_std.exp()).square() / 2 - log_std - math.log(2 * math.pi) / 2
    )
    elbo = torch.trapezoid(log_q.exp() * (likelihoods + prior - log_q), grid[:, 0], dim=1)
    assert (elbo < exact).all()
    few = torch.stack(
        [model.importance_bound(rows, samples=5, generator=generator(k)) for k in range(400)]
    )
    error = few.std(0) / 20
    assert (
        few.mean(0) > elbo - 6 * error
    ).all()  # six standard errors: fails by chance once in 10^7
    assert (few.mean(0) < exact + 6 * error).all()
    many = model.importance_bound(rows, samples=5000, generator=generator())
    assert ((many - exact).abs() * exact.exp()).sum() < 0.05, (
        "5,000 samples are nearly exact where there are data"
    )
    assert (exact - elbo).mean() > (exact - few.mean(0)).mean() > (exact - many).mean()


def test_the_importance_bound_sums_over_classes():
    model = (
        seeded(VAE, TINY, conditional=True, latent=1, width=12, depth=1)
        .eval()
        .requires_grad_(False)
    )
    model.decoder[0][0].weight[:, 1:] *= 8  # the classes differ
    model.prior = torch.tensor([0.3, 0.7], dtype=torch.float64)
    rows = everything(TINY)
    grid = torch.linspace(-9, 9, 1001, dtype=torch.float64)[:, None]
    density = torch.exp(-grid[:, 0].square() / 2) / math.sqrt(2 * math.pi)
    exact = torch.zeros(len(rows), dtype=torch.float64)
    for k, share in enumerate((0.3, 0.7)):
        label = torch.full((len(grid),), k)
        likelihoods = [
            model.log_likelihood(row.expand(len(grid), *TINY.shape), grid, label).exp()
            for row in rows
        ]
        exact += share * torch.trapezoid(torch.stack(likelihoods) * density, grid[:, 0], dim=1)
    assert exact.sum().item() == pytest.approx(1, abs=1e-9)
    found = model.importance_bound(rows, samples=500, generator=generator()).exp()
    assert (found - exact).abs().sum() < 0.05, (
        "with one class, or with equal classes, it is off by more than 0.2"
    )


def test_log_prob_is_the_elbo(line):
    model, rows, _, (grid, likelihoods, prior) = line
    mean, log_std = model.posterior(rows, None)
    log_q = (
        -((grid[:, 0] - mean) / log_std.exp()).square() / 2 - log_std - math.log(2 * math.pi) / 2
    )
    elbo = torch.trapezoid(log_q.exp() * (likelihoods + prior - log_q), grid[:, 0], dim=1)
    draws = torch.stack([model.log_prob(rows, generator=generator(k)) for k in range(60)])
    assert (
        (draws.mean(0) - elbo).abs() < 6 * draws.std(0) / 60**0.5 + 1e-9
    ).all()  # fails by chance once in 10^7
    assert torch.equal(model.log_prob(rows), model.log_prob(rows)), "the same noise at each call"


def test_the_divergence_is_the_closed_form(line):
    model, rows, _, _ = line
    mean, log_std = model.posterior(rows, None)
    q = torch.distributions.Normal(mean, log_std.exp())
    p = torch.distributions.Normal(0.0, 1.0)
    z = mean + log_std.exp() * torch.randn(mean.shape, generator=generator(3), dtype=torch.float64)
    expected = model.log_likelihood(rows, z, None) - torch.distributions.kl_divergence(q, p).sum(1)
    assert torch.allclose(model.elbo(rows, None, generator(3)), expected)


def test_a_vae_of_real_data_scores_in_their_own_units():
    """Stretching the data by c costs log c nats an entry, whatever the scaling inside."""
    x = torch.randn(500, 3, generator=generator(), dtype=torch.float64)
    scores = []
    for c in (1.0, 100.0):
        model = seeded(VAE, Spec((3,)), latent=2, width=8)
        model.adapt(c * x, None)
        scores.append(model.log_prob(c * x[:20]))
    assert torch.allclose(
        scores[0] - scores[1], torch.full((20,), 3 * math.log(100.0), dtype=torch.float64)
    )


# DCGAN


@pytest.fixture(scope="module", params=[(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 20, 24)], ids=str)
def gan(request):
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
    assert gan.critic(gan.generate(3, None, generator()), None).shape == (3, 1)


def test_the_weights_start_as_in_the_paper():
    model = DCGAN(Spec((1, 32, 32), levels=256), latent=64, width=32)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.25)
            assert abs(module.weight.mean().item()) < 0.004
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.05)
    assert (model.recipe.lr, model.recipe.betas) == (2e-4, (0.5, 0.999))


def test_the_losses_are_the_formula(gan):
    """D minimises -E log D(x) - E log(1 - D(G(z))), G the non-saturating -E log D(G(z))."""
    x = torch.randint(256, (6, *gan.spec.shape), generator=generator(), dtype=torch.uint8)
    gan.train()
    [(judges, discriminate), (makers, generator_loss)] = gan.losses(x, None, generator(1))
    source = generator(1)
    spread = (x + torch.rand(x.shape, generator=source, dtype=torch.float64)) / 256 * 2 - 1
    fake = gan.generate(6, None, source)
    real_says = gan.critic(spread.view(6, *gan.grid), None).sigmoid()
    fake_says = gan.critic(fake, None).sigmoid()
    assert discriminate().item() == pytest.approx(
        (-real_says.log() - (1 - fake_says).log()).mean().item(), rel=1e-6
    )
    assert generator_loss().item() == pytest.approx(-fake_says.log().mean().item(), rel=1e-6)
    assert set(judges) == set(gan.discriminator.parameters())
    assert set(makers) == set(gan.generator.parameters())


def test_the_players_do_not_teach_each_other(gan):
    x = torch.randint(256, (6, *gan.spec.shape), generator=generator(), dtype=torch.uint8)
    [(_, discriminate), _] = gan.train().losses(x, None, generator(1))
    gradients = torch.autograd.grad(
        discriminate(), list(gan.generator.parameters()), allow_unused=True
    )
    assert all(g is None for g in gradients), "the discriminator's loss reaches the generator"


def test_samples_use_every_level():
    model = seeded(DCGAN, Spec((1, 8, 8), levels=4), latent=5, width=4)
    ends = torch.tensor([-1.0, -0.5, -0.01, 0.0, 0.49, 0.51, 1.0], dtype=torch.float64)
    model.generate = lambda n, *_: ends[:, None, None, None].expand(7, 1, 8, 8)
    assert model.sample(7)[:, 0, 0, 0].tolist() == [0, 1, 1, 2, 2, 3, 3]


def test_dcgan_refuses_what_is_no_image():
    with pytest.raises(DalmError, match="at least 4 × 4"):
        DCGAN(Spec((7,)))
