"""PixelCNN: causality, cached sampling, completion and temperature."""

from __future__ import annotations

import pytest
import torch
from tiny import DIGITS

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.models import PixelCNN
from dalm.testing.cases import TINY, everything
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
    first, second = (next(model.turns(one_batch(x))).loss for _ in range(2))
    assert first != second


# Temperature and completion


@pytest.fixture(scope="module")
def small(seeded):
    """A PixelCNN of all 81 tiny images, with preferences of its own."""
    model = seeded(PixelCNN, TINY, width=8, depth=2).eval()
    with torch.no_grad():
        model.head.weight.mul_(4)
    return model.requires_grad_(False)


OUTPUTS = {
    "categorical": (Spec((1, 3, 3), levels=5), {}),
    "bernoulli": (Spec((1, 3, 3), levels=2), {}),
    "logistic": (Spec((3, 3, 3), levels=6), {}),
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_temperature_1_changes_no_bit(output, seeded):
    spec, options = OUTPUTS[output]
    model = seeded(PixelCNN, spec, width=8, depth=2, **options)
    plain = model.sample(20, generator=generator_of(3))
    assert torch.equal(plain, model.sample(20, generator=generator_of(3), temperature=1))
    assert torch.equal(plain, model.sample(20, generator=generator_of(3), temperature=1.0))


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_lower_temperature_gives_likelier_samples(output, seeded):
    spec, options = OUTPUTS[output]
    model = seeded(PixelCNN, spec, width=8, depth=2, **options)
    with torch.no_grad():
        model.head.weight.mul_(8)
    nats = []
    for temperature in (0.1, 0.5, 1.0, 2.0):
        drawn = model.sample(300, generator=generator_of(), temperature=temperature)
        nats.append(model.log_prob(drawn).mean().item())
    assert min(nats[:2]) > nats[2] > nats[3]
    assert max(nats[:2]) > nats[2] + 0.5
    if output != "logistic":  # a mixture is sharpened only about
        assert nats[0] > nats[1]


def test_hardly_any_temperature_takes_the_likeliest_level_of_each_pixel(small):
    drawn = small.sample(50, generator=generator_of(), temperature=1e-6)
    x = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        x[:, :, i, j] = small.params(x, None)[:, :, i, j].argmax(1, keepdim=True)
    assert torch.equal(drawn, x.expand(50, 1, 2, 2))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 0}, "pixelcnn's temperature is above 0, got 0"),
        ({"temperature": "hot"}, "pixelcnn's temperature is a number, got 'hot'"),
        ({"temprature": 1.0}, "no option 'temprature'. Did you mean 'temperature'"),
    ],
    ids=str,
)
def test_bad_sampling_options_are_refused(small, options, words):
    with pytest.raises(DalmError, match=words):
        small.sample(2, **options)


def test_what_is_given_is_kept_and_the_rest_follows_bayes(small):
    """The upper row given, how often each lower row is drawn against the table of all images."""
    known = torch.tensor([[[True, True], [False, False]]])
    x = torch.tensor([[[0, 2], [0, 0]]], dtype=torch.uint8)
    drawn = small.sample(4000, generator=generator_of(), given=(x, known))
    assert (drawn[:, 0, 0] == torch.tensor([0, 2])).all()
    every = everything(TINY)
    fitting = every[(every[:, 0, 0] == torch.tensor([0, 2])).all(1)]
    expected = small.log_prob(fitting).softmax(0)
    index = 3 * drawn[:, 0, 1, 0].long() + drawn[:, 0, 1, 1].long()
    counts = torch.bincount(index, minlength=9) / 4000
    # Five standard errors: fails by chance once in 10^5.
    assert ((counts - expected).abs() < 5 * (expected / 4000).sqrt() + 1e-3).all()


def test_what_is_given_may_differ_from_datum_to_datum(small):
    known = torch.tensor([[[True, False], [False, False]]])
    x = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    x[:, 0, 0, 0] = torch.tensor([0, 1, 2, 0, 1, 2])
    drawn = small.sample(6, generator=generator_of(), given=(x, known))
    assert torch.equal(drawn[:, 0, 0, 0], x[:, 0, 0, 0])


def test_everything_given_comes_back(small):
    known = torch.ones(1, 2, 2, dtype=torch.bool)
    x = everything(TINY)
    assert torch.equal(small.sample(81, given=(x, known)), x)


def test_nothing_given_is_a_sample(small):
    known = torch.zeros(1, 2, 2, dtype=torch.bool)
    x = torch.zeros(1, 2, 2, dtype=torch.uint8)
    plain = small.sample(9, generator=generator_of(4))
    assert torch.equal(plain, small.sample(9, generator=generator_of(4), given=(x, known)))


def test_the_temperature_also_counts_where_some_is_given(small):
    known = torch.tensor([[[True, True], [False, False]]])
    x = torch.zeros(1, 2, 2, dtype=torch.uint8)
    drawn = small.sample(50, generator=generator_of(), given=(x, known), temperature=1e-6)
    assert len(drawn.unique(dim=0)) == 1


def test_what_cannot_be_conditioned_on_is_refused(small):
    x = torch.zeros(1, 2, 2, dtype=torch.uint8)
    lower = torch.tensor([[[False, False], [True, True]]])
    with pytest.raises(DalmError, match="draws pixels row by row"):
        small.sample(2, given=(x, lower))
