"""Families that are fitted in stages: a coder, then a prior over its codes."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from tiny import (
    FIT,
    Killed,
    config_of,
    events_of,
    kill_at,
    log_of,
    press_ctrl_c_at,
    raise_killed,
    weights,
)
from toys import MOONS, Coded, Mixture
from watchers import AtLook, Watcher

from dalm.core import build, config
from dalm.models import VAE, Gaussian
from dalm.train import Run, fit, following

ASKED = FIT | {"steps": 24, "checkpoint": 1e-9, "seed": 5}
PRIORS = {
    "closed form": lambda spec: Gaussian(spec),
    "passes": lambda spec: Mixture(spec, components=3),
    "steps": lambda spec: VAE(spec, latent=2, width=8, depth=1),
}


def coded(prior="steps"):
    """A VAE with another family as prior of its codes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        coder = VAE(MOONS.spec, latent=2, width=8, depth=1)
        return Coded(MOONS.spec, coder=coder, prior_of_codes=PRIORS[prior](coder.codes))


def fitted(out, prior="steps", listeners=(), **options):
    return fit(coded(prior), MOONS, out=out, listeners=listeners, **ASKED | options)


def losses_of(run):
    return [(line["step"], line["loss"]) for line in log_of(run) if "loss" in line]


@pytest.mark.parametrize("prior", PRIORS)
def test_each_stage_learns_its_own_part(tmp_path, prior):
    run = fitted(tmp_path / "run", prior)
    before = coded(prior).state_dict()
    after = run.model.state_dict()
    moved = {name.split(".")[0] for name in before if not torch.equal(after[name], before[name])}
    assert moved == {"coder", "prior_of_codes"}
    alone = coded(prior).coder
    run_alone = fit(alone, MOONS, out=tmp_path / "alone", **ASKED | {"steps": 12})
    for name, value in run_alone.model.state_dict().items():
        assert torch.equal(value, run.model.coder.state_dict()[name]), "as if it were alone"


def test_the_second_stage_learns_codes(tmp_path):
    run = fitted(tmp_path / "run", "closed form")
    codes = run.model.encode(MOONS.train.x).double()
    assert torch.allclose(run.model.prior_of_codes.scaler.centre, codes.mean(0))
    drawn = run.model.sample(100)
    assert drawn.shape == (100, 2)
    assert torch.isfinite(drawn).all()


def test_a_run_notes_its_stages(tmp_path):
    run = fitted(tmp_path / "run")
    meta = json.loads((run.path / "run.json").read_text())
    assert meta["state"] == "done"
    assert meta["fit"]["steps"] == 24, "the budget of all stages"
    assert [stage["name"] for stage in meta["stages"]] == ["codes", "prior"]
    assert [stage["steps"] for stage in meta["stages"]] == [12, 12]
    assert [set(stage["players"]) for stage in meta["stages"]] == 2 * [{"model"}]
    assert log_of(run)[-1]["step"] == 24
    assert events_of(run) == ["start", "end", "start", "end"]


def test_steps_and_seconds_of_the_log_go_on_in_the_second_stage(tmp_path):
    run = fitted(tmp_path / "run", validations=3)
    for name in ("step", "seconds"):
        values = [line[name] for line in log_of(run)]
        assert values == sorted(values)
    assert [step for step, _ in losses_of(run)][-1] == 24


def test_a_family_in_parts_is_written_down_and_rebuilt(tmp_path):
    run = fitted(tmp_path / "run")
    plain = json.loads(json.dumps(config(run.model)))
    assert plain["coder"]["family"] == plain["prior_of_codes"]["family"] == "vae"
    assert config_of(build(plain)) == config_of(run.model)
    again = Run.open(run.path)
    source = [torch.Generator().manual_seed(3) for _ in range(2)]
    drawn = [
        model.sample(9, generator=s)
        for model, s in zip((run.model, again.model), source, strict=True)
    ]
    assert torch.equal(*drawn)


@pytest.mark.parametrize(("stage", "step", "saved"), [(0, 7, 5), (1, 0, 0), (1, 7, 0), (1, 7, 6)])
def test_killed_in_any_stage_it_ends_with_the_same_bits(tmp_path, monkeypatch, stage, step, saved):
    whole = fitted(tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_at(patch, step, saved, stage)
        with pytest.raises(Killed):
            fitted(tmp_path / "killed")
    again = fitted(tmp_path / "killed", resume=True)
    assert weights(again) == weights(whole)
    assert [step for step, _ in losses_of(again)] == [step for step, _ in losses_of(whole)]
    assert again.meta["stages"] == whole.meta["stages"]


def test_killed_twice_in_two_stages(tmp_path, monkeypatch):
    whole = fitted(tmp_path / "whole")
    for stage in (0, 1):
        with monkeypatch.context() as patch:
            kill_at(patch, 9, 4, stage)
            with pytest.raises(Killed):
                fitted(tmp_path / "killed", resume=True)
    assert weights(fitted(tmp_path / "killed", resume=True)) == weights(whole)


@pytest.mark.parametrize("checkpoint", [1e-9, 1e9])
def test_killed_in_the_passes_of_the_second_stage(tmp_path, checkpoint):
    whole = fitted(tmp_path / "whole", "passes")
    die = AtLook(3, raise_killed, "prior")
    with pytest.raises(Killed):
        fitted(tmp_path / "killed", "passes", [die], checkpoint=checkpoint)
    again = fitted(tmp_path / "killed", "passes", resume=True, checkpoint=checkpoint)
    assert weights(again) == weights(whole)
    assert [line["step"] for line in log_of(again)] == [line["step"] for line in log_of(whole)]


@pytest.mark.parametrize("step", [5, 11])
def test_ctrl_c_in_stages(tmp_path, monkeypatch, step):
    """In the first stage, or at its last step."""
    whole = fitted(tmp_path / "whole")
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, step)
        run = fitted(tmp_path / "run")
    assert run.meta["state"] == "stopped"
    again = fitted(tmp_path / "run", resume=True)
    assert again.meta["state"] == "done"
    assert weights(again) == weights(whole)


def test_a_listener_s_state_comes_back_in_the_second_stage(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 0, 0, stage=1)
        with pytest.raises(Killed):
            fitted(tmp_path / "killed", listeners=[Watcher()])
    watcher = Watcher()
    fitted(tmp_path / "killed", listeners=[watcher], resume=True)
    assert watcher.steps == 24
    assert watcher.told.count("step") == 12


def test_the_seconds_of_all_stages_count(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 7, 6, stage=1)
        with pytest.raises(Killed):
            fitted(tmp_path / "killed")
    first = max(line["seconds"] for line in log_of(tmp_path / "killed") if line["step"] <= 12)
    again = fitted(tmp_path / "killed", resume=True)
    assert again.meta["seconds"] > first


def test_a_plan_is_followed_stage_by_stage(tmp_path, monkeypatch):
    first = fit(coded(), MOONS, out=tmp_path / "first", **ASKED)
    meta = copy.deepcopy(first.meta)
    meta["stages"][0] |= {"lr": 0.03, "layout": "channels_last", "precision": "bfloat16"}
    monkeypatch.setattr(following, "read_meta", lambda path: meta)
    asked = ASKED | {"steps": None, "batch_size": None, "plan": str(first.path)}
    again = fit(coded(), MOONS, out=tmp_path / "again", **asked)
    for stage, noted in zip(again.meta["stages"], meta["stages"], strict=True):
        for name in following.WAY:
            assert stage.get(name) == noted.get(name), name
