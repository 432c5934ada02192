"""Evidence: computed once, drawn as it says, and noise that is independent across data."""

from __future__ import annotations

import pytest
import torch
from draws import normals
from torch import Tensor

import dalm
from dalm.core import Spec
from dalm.errors import DalmError
from dalm.metrics import evaluate, prdc
from dalm.metrics.evidence import Evidence, even_places, random_rows
from dalm.models import VAE, Gaussian

POINTS = Spec((2,))
VAE_OPTIONS = {"latent": 2, "width": 8, "depth": 1}


def evidence(**material: object) -> Evidence:
    train, heldout = (normals(60, 2, seed=k).float() for k in range(2))
    return Evidence(**{"spec": POINTS, "train": train, "heldout": heldout} | material)


def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(POINTS, **VAE_OPTIONS)


# Sharing


def test_what_measures_share_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    compute = prdc.prdc
    monkeypatch.setattr(prdc, "prdc", lambda *x, **o: calls.append(1) or compute(*x, **o))
    x = normals(60, 2).float()
    names = [score.metric for score in evaluate(x[:20], x[20:40], x[40:], POINTS)]
    assert {"precision", "recall", "density", "coverage"} <= set(names)
    assert len(calls) == 1


def test_evidence_of_one_model_is_not_that_of_another() -> None:
    one = evidence()
    two = evidence()
    assert one.once(id) == one.once(id) != two.once(id)


# Rows


def test_even_places_are_those_of_a_split() -> None:
    split = dalm.load_data("ring8", n=200).test
    for limit in (1, 7, len(split) - 1, len(split), 10**6):
        assert torch.equal(split.x[even_places(len(split), limit)], split.subset(limit).x)


def test_random_rows_repeat_with_their_seed_and_hold_no_row_twice() -> None:
    x = torch.arange(100)
    rows = random_rows(x, 30, seed=1)
    assert len(rows.unique()) == 30
    assert torch.equal(rows, random_rows(x, 30, seed=1))
    assert not torch.equal(rows, random_rows(x, 30, seed=2))
    assert torch.equal(random_rows(x, 100, seed=1), x)


def test_a_feature_space_that_does_not_exist_is_the_callers_mistake() -> None:
    with pytest.raises(DalmError, match="no feature space"):
        evidence(features="inception")
    with pytest.raises(DalmError, match="does not suit"):
        evidence(features="digits-cnn-v1")


def test_material_that_is_not_there_is_refused() -> None:
    with pytest.raises(DalmError, match="there are no samples"):
        _ = evidence().sets
    with pytest.raises(DalmError, match="no model that gives log probabilities"):
        _ = evidence().log_probs
    with pytest.raises(DalmError, match="no bound"):
        _ = evidence(model=Gaussian(POINTS)).importance_bounds


# Noise of a bound


@pytest.mark.parametrize("name", ["log_probs", "importance_bounds"])
def test_the_noise_of_a_bound_is_independent_across_data(name: str) -> None:
    """1,200 times the same datum: any two values that agree shared their noise."""
    values: Tensor = getattr(evidence(model=vae(), heldout=torch.ones(1200, 2)), name)
    assert len(values) == {"log_probs": 1200, "importance_bounds": 500}[name]
    assert len(values.unique()) > 0.99 * len(values)


@pytest.mark.parametrize("name", ["log_probs", "importance_bounds"])
def test_the_noise_of_a_bound_repeats_with_its_seed(name: str) -> None:
    one, two, other = (getattr(evidence(model=vae(), seed=seed), name) for seed in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_the_first_part_is_scored_as_by_one_call() -> None:
    heldout = normals(700, 2).float()
    model = vae()
    generator = torch.Generator().manual_seed(0)
    log_probs = evidence(model=model, heldout=heldout).log_probs
    with torch.no_grad():
        first = model.log_prob(heldout[:500], generator=generator)
        rest = model.log_prob(heldout[500:], generator=generator)
    assert torch.equal(log_probs, torch.cat([first, rest]))


def test_likelihoods_come_without_samples() -> None:
    x = normals(60, 2).float()
    scores = evaluate(None, x, x, POINTS, model=vae())
    assert [score.metric for score in scores] == ["bits_per_dim", "importance_bits_per_dim"]
    assert {score.label for score in scores} == {"bound"}
