"""Toy distributions: each density integrates to 1, agrees with its samples and with an integral
done another way.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dalm.data import load_data
from dalm.errors import DalmError

GRIDS = {  # σ, and a box that holds all but 1e-9 of the mass
    "ring8": (0.02, (-2.2, 2.2), (-2.2, 2.2)),
    "grid25": (0.05, (-4.4, 4.4), (-4.4, 4.4)),
    "moons": (0.1, (-1.7, 2.7), (-1.2, 1.7)),
    "spirals": (0.1, (-4, 4), (-4, 4)),
    "checkerboard": (0.2, (-5, 5), (-5, 5)),
}


@pytest.mark.parametrize("name", GRIDS)
def test_toy_density_integrates_to_one_and_matches_its_samples(name):
    sigma, *box = GRIDS[name]
    step = 0.4 * sigma
    axes = [torch.arange(low + step / 2, high, step, dtype=torch.float64) for low, high in box]
    grid = torch.cartesian_prod(*axes)
    log_p = load_data(name, n=1).log_prob(grid)
    mass = log_p.exp() * step**2
    tolerance = 1e-6 if name != "checkerboard" else 1e-12
    assert mass.sum().item() == pytest.approx(1, abs=tolerance)

    data = load_data(name, n=20_000)
    assert data.log_prob is not None
    scores = data.log_prob(data.train.x)
    assert scores.dtype == torch.float64
    assert torch.isfinite(scores).all()
    entropy = -(mass * log_p.nan_to_num(neginf=0)).sum()
    mean = mass @ grid
    spread = (mass[:, None] * (grid - mean) ** 2).sum(0).sqrt()
    # Four standard errors: a right implementation fails with probability under 1e-3 over all toys,
    # and the seed is fixed.
    assert abs(scores.mean() + entropy) <= 4 * scores.std() / math.sqrt(20_000) + 1e-9
    assert ((data.train.x.double().mean(0) - mean).abs() < 4 * spread / math.sqrt(20_000)).all()
    assert ((data.train.x.double().std(0) / spread - 1).abs() < 0.03).all()


@pytest.mark.parametrize("name", ["moons", "spirals"])
def test_curve_density_against_an_integral_of_another_form(name):
    u = (np.arange(400_000) + 0.5) / 400_000
    t = math.pi * u if name == "moons" else 3 * math.pi * np.sqrt(u)
    if name == "moons":
        arms = [(np.cos(t), np.sin(t)), (1 - np.cos(t), 0.5 - np.sin(t))]
    else:
        arms = [(-t * np.cos(t) / 3, t * np.sin(t) / 3), (t * np.cos(t) / 3, -t * np.sin(t) / 3)]
    points = torch.tensor(
        [[0, 0], [1, 0.5], [-1, 0.1], [0.3, -0.4], [2.5, 0], [0, 3], [6, -5]], dtype=torch.float64
    )
    for point, got in zip(points.numpy(), load_data(name, n=1).log_prob(points), strict=True):
        exponents = np.concatenate(
            [-((point[0] - a) ** 2 + (point[1] - b) ** 2) / 0.02 for a, b in arms]
        )
        expected = exponents.max() + math.log(
            np.exp(exponents - exponents.max()).mean() / (0.02 * math.pi)
        )
        assert got.item() == pytest.approx(expected, abs=1e-6)


def test_toy_labels_name_the_component():
    ring = load_data("ring8")
    angle = torch.arange(8).double() * (math.pi / 4)
    nearest = torch.cdist(ring.train.x, 2 * torch.stack([angle.cos(), angle.sin()], 1)).argmin(1)
    assert torch.equal(nearest, ring.train.y)
    assert set(ring.train.y.tolist()) == set(range(8))


def test_labels_of_moons_name_the_moon():
    moons = load_data("moons").train
    upper = moons.x[moons.y == 0]
    assert ((upper.norm(dim=1) - 1).abs() < 0.5).all()


def test_the_checkerboard_has_no_classes():
    assert load_data("checkerboard").train.y is None


def test_toy_splits_are_independent_and_sized():
    data = load_data("grid25", n=77)
    assert [len(data.train), len(data.val), len(data.test)] == [77, 2000, 2000]
    assert not torch.equal(data.train.x, data.val.x[:77])
    assert not torch.equal(data.val.x, data.test.x)


def test_toy_samples_follow_from_size_and_seed():
    options = ({"n": 77}, {"n": 78}, {"n": 77, "seed": 1}, {"n": 77})
    fingerprints = [load_data("grid25", **given).fingerprint for given in options]
    assert len(set(fingerprints)) == 3
    assert fingerprints[0] == fingerprints[3]


def test_checkerboard_is_zero_outside():
    log_prob = load_data("checkerboard").log_prob
    assert log_prob is not None
    inside = torch.tensor([[1.0, 1.0], [-3.0, 1.0], [3.0, -1.0]])
    outside = torch.tensor([[1.0, 3.0], [5.0, 5.0], [-5.0, 1.0], [9.0, 9.0]])
    assert log_prob(inside).tolist()[0] == -math.log(32)
    assert log_prob(outside).isneginf().all()
    with pytest.raises(DalmError, match="shape"):
        log_prob(torch.zeros(3))
