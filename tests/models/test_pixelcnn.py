"""PixelCNN: causality, cached sampling, completion and temperature."""

from __future__ import annotations

import pytest
import torch
from tiny import DIGITS

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.models import PixelCNN
from dalm.testing.cases import everything
from dalm.testing.general import generator_of


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
def test_a_pixel_sees_all_earlier_pixels_and_no_other(spec, options, seeded):
    model = seeded(PixelCNN, spec, **{"width": 8, "depth": 5, "dropout": 0.0} | options).eval()
    x = (
        torch.randint(spec.levels, (1, *spec.shape), generator=generator_of())
        .double()
        .requires_grad_()
    )
    params = model.params(x, torch.ones(1, dtype=torch.long) if model.conditional else None)
    _, height, columns = model.grid
    weights = torch.randn(params.shape, generator=generator_of(1), dtype=torch.float64)
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
def test_cached_sampling_is_one_pass_for_each_pixel(spec, options, seeded):
    model = seeded(PixelCNN, spec, width=8, depth=3, **options).eval()
    y = torch.tensor([0, 2, 1, 1, 0, 2]) if model.conditional else None
    fast = model.sample(6, y, generator_of())
    channels, height, columns = model.grid
    slow = torch.zeros(6, channels, height, columns, dtype=torch.long)
    source = generator_of()
    with torch.no_grad():
        for i in range(height):
            for j in range(columns):
                params = model.params(slow, y)[:, :, i : i + 1, j : j + 1]
                slow[:, :, i, j] = model.output_head.sample(params, source)[:, :, 0, 0]
    assert torch.equal(fast.long().view_as(slow), slow)
    assert len(fast.unique()) > 1


def test_pixelcnn_is_the_product_of_its_conditionals(seeded):
    spec = Spec((1, 2, 2), levels=3)
    model = seeded(PixelCNN, spec, width=8, depth=2).eval().requires_grad_(False)
    x = everything(spec)
    logits = model.params(x, None)[:, :, :, :].log_softmax(1)
    picked = logits.gather(1, x.long()).flatten(1).sum(1)
    assert torch.allclose(model.log_prob(x), picked)
    assert picked.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_dropout_is_only_for_training(seeded, one_batch):
    model = seeded(PixelCNN, DIGITS.spec, width=8, depth=1, dropout=0.5)
    x = DIGITS.test.x[:4]
    assert torch.equal(model.log_prob(x), model.train().log_prob(x))
    losses = [model.losses(x, None, generator_of())[0][1]().item() for _ in range(2)]
    assert losses[0] != losses[1]
