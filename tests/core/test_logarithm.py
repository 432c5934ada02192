"""Logarithms as units: densities stay those of the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import lognorm

import dalm
from dalm.core import Spec
from dalm.core.scaler import Scaler
from dalm.errors import DalmError

QUIET = {"progress": False}


def long_tailed(n=2000, seed=0):
    """A lognormal column, and a normal one that has both signs."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.lognormal(0, 3, n), rng.normal(size=n)])


def test_a_gaussian_of_logarithms_has_the_lognormal_density(tmp_path):
    data = dalm.load_data(long_tailed()[:, :1], log=True)
    run = dalm.fit("gaussian", data, out=tmp_path / "run", **QUIET)
    x = data.test.x
    truth = lognorm.logpdf(x[:, 0].numpy(), 3)
    assert run.model.log_prob(x).mean().item() == pytest.approx(truth.mean(), abs=0.05)
    assert "Seen by their logarithm: entries 0." in data.notes
    again = dalm.load(run.path)
    assert torch.equal(again.log_prob(x), run.model.log_prob(x))


def test_it_integrates_to_one_and_samples_are_above_zero(tmp_path):
    data = dalm.load_data(long_tailed()[:, :1], log=True)
    model = dalm.fit("kde", data, out=tmp_path / "run", **QUIET).model
    grid = np.geomspace(1e-9, 1e9, 20_001)
    density = np.exp(model.log_prob(grid[:, None]))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    assert model.sample(500, seed=0).min() > 0


def test_zero_and_less_have_no_density_there(tmp_path):
    data = dalm.load_data(long_tailed(), log=True)
    model = dalm.fit("gaussian", data, out=tmp_path / "run", **QUIET).model
    x = np.array([[1.0, -1.0], [0.0, 1.0], [-2.0, 1.0]])
    assert np.isfinite(model.log_prob(x)).tolist() == [True, False, False]
    assert model.log_prob(x)[1] == -math.inf


def test_the_way_back_is_the_way_back():
    x = torch.from_numpy(long_tailed(60))
    x = torch.cat([x, x[:, :1] * 3], 1)  # its logarithm is determined by that of the first
    scaler = Scaler.of(x, Spec((3,)), log=True)
    assert scaler.words() == ["Entry 2 is determined by 0."]
    assert torch.allclose(scaler.own(scaler.standard(x), (3,)), x)


def test_levels_have_no_logarithm():
    with pytest.raises(DalmError, match="log is for real numbers, and these are 2 levels"):
        dalm.load_data(np.zeros((99, 3), np.uint8), log=True)


def test_a_comparison_takes_it_too(tmp_path):
    data = dalm.load_data(long_tailed(), log=True)
    board = dalm.compare(data, families=["gaussian"], out=tmp_path / "log", **QUIET)
    plain = dalm.compare(long_tailed(), families=["gaussian"], out=tmp_path / "plain", **QUIET)
    bits = [
        next(s["value"] for s in one["gaussian"]["scores"] if s["metric"] == "bits_per_dim")
        for one in (board, plain)
    ]
    assert bits[0] < bits[1] - 1


def test_a_sum_of_entries_keeps_its_rule():
    x = torch.rand(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1
    x = torch.cat([x, x[:, :2].sum(1, keepdim=True), torch.full((200, 1), 3.0)], 1)
    scaler = Scaler.of(x, Spec((5,)), log=True)
    assert scaler.logged.tolist() == [False, False, True, False, True]
    assert scaler.words() == [
        "Entry 3 is determined by 0, 1.",
        "Entry 4 is 3 in every training row.",
    ]
