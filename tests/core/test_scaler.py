"""Standard units: inverse, Jacobian, rules between entries, precision, and what a run keeps."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import tiny

from dalm.core import Spec, build, config, restore
from dalm.core.scaler import Scaler
from dalm.data import load_data
from dalm.errors import DalmError
from dalm.models import KDE, VAE, Gaussian, Histogram
from dalm.testing.cases import learn
from dalm.testing.general import generator_of
from dalm.train import Run, fit

SPEC = Spec((4,))


@pytest.fixture
def rows():
    """A number far from zero, a constant, a number, and a sum of both."""
    a, b = torch.randn(2, 300, generator=generator_of(), dtype=torch.float64)
    return torch.stack([1e9 + a, torch.full_like(a, 7.0), 1e-6 * b, 3 * a - 2 * b], 1)


def test_units_are_undone(rows):
    scaler = Scaler.of(rows, SPEC)
    z = scaler.standard(rows)
    assert scaler.inner(SPEC) == Spec((2,))
    assert torch.allclose(z.mean(0), torch.zeros(2).double(), atol=1e-6)
    assert torch.allclose(z.square().mean(0), torch.ones(2).double())
    back = scaler.own(z, SPEC.shape)
    assert torch.equal(back[:, 1], rows[:, 1])
    assert torch.allclose(back, rows, rtol=1e-12, atol=1e-6)


def test_the_price_of_a_broken_rule(rows):
    scaler = Scaler.of(rows, SPEC)
    whole = scaler.log_density(rows)
    assert torch.equal(whole, torch.full_like(whole, -scaler.scale.log().sum().item()))
    broken = rows[:3].clone()
    broken[0, 1] += 1e-3
    broken[1, 3] += 1e-3
    broken[2, [1, 3]] += 1.0
    price = (scaler.log_density(broken) - whole[:3]) / math.log(302)
    assert torch.allclose(price, torch.tensor([-1.0, -1.0, -2.0]).double())


def test_entries_that_are_determined_are_said(rows):
    assert Scaler.of(rows, SPEC).words() == [
        "Entry 1 is 7 in every training row.",
        "Entry 3 is determined by 0, 2.",
    ]


def test_few_rows_are_no_rule():
    x = torch.randn(12, 10, generator=generator_of(), dtype=torch.float64)
    assert len(Scaler.of(x, Spec((10,))).kept) == 10
    assert len(Scaler.of(torch.ones(1, 3), Spec((3,))).kept) == 3


def test_an_image_has_one_unit_for_each_channel():
    x = torch.randn(50, 2, 3, 3, generator=generator_of()) * torch.tensor([1.0, 10.0]).view(2, 1, 1)
    scaler = Scaler.of(x, Spec((2, 3, 3)))
    assert len(scaler.scale.unique()) == 2
    assert scaler.standard(x).shape == x.shape
    assert torch.allclose(scaler.own(scaler.standard(x), (2, 3, 3)), x.double())


@pytest.mark.parametrize("family", [Gaussian, KDE, Histogram])
def test_a_density_far_from_zero_keeps_its_precision(family):
    """N(10⁹, 1) has an entropy of 1.419 nats."""
    x = 1e9 + torch.randn(2000, 1, generator=generator_of(), dtype=torch.float64)
    model = family(Spec((1,)))
    learn(model, x[:1000], None, 0)
    assert model.log_prob(x[1000:]).mean().item() == pytest.approx(-1.42, abs=0.1)


def test_a_model_keeps_its_units_in_single_precision(rows):
    model = VAE(SPEC, latent=2, width=8)
    model.measure(rows)
    before = model.scaler.centre.clone()
    model.float()
    assert torch.equal(model.scaler.centre, before)
    assert model.dtype == torch.float32


def test_a_model_comes_back_with_its_rules(rows):
    model = Gaussian(SPEC)
    learn(model, rows, None, 0)
    again = build(config(model))
    restore(again, model.state_dict())
    assert torch.equal(again.log_prob(rows), model.log_prob(rows))
    drawn = again.sample(50, generator=generator_of())
    assert drawn.dtype == torch.float64
    assert torch.equal(drawn[:, 1], torch.full((50,), 7.0).double())
    assert torch.equal(again.scaler.log_density(drawn), again.scaler.log_density(rows[:50]))


def test_weights_of_earlier_versions_are_in_the_datas_own_units():
    rows = torch.randn(20, 2, generator=generator_of())
    old = {"rows": rows, "labels": torch.zeros(20).long(), "width": torch.tensor(0.3).double()}
    model = KDE(Spec((2,)))
    restore(model, old)
    expected = KDE(Spec((2,)), bandwidth=0.3)
    learn_as_they_are(expected, rows)
    assert torch.allclose(model.log_prob(rows), expected.log_prob(rows))


def learn_as_they_are(model, rows):
    model.standardises = False
    learn(model, rows.double(), None, 0)


def test_units_for_levels_are_refused():
    model = KDE(Spec((2,), levels=3))
    state = model.state_dict() | {"scaler.kept": torch.zeros(1).long()}
    with pytest.raises(DalmError, match=r"cannot have 'scaler\.kept'"):
        restore(model, state)


def test_a_run_with_rules_is_resumed_to_the_same_bits(tmp_path, rows):
    data = load_data(rows.numpy())
    options = {"steps": 12, "progress": False, "seed": 3, "checkpoint": 1e-9}
    whole = fit(tiny("vae", data), data, out=tmp_path / "whole", **options)
    again = fit(tiny("vae", data), data, out=tmp_path / "again", **options)
    state = Run.open(again.path).model.state_dict()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, state[name]), name
