"""A run that was killed ends with the bits of one that was not, and bad requests change nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from tiny import FIT, Killed, kill_at, listing, log_of, raise_killed, run_of, tiny, weights
from toys import MOONS, Duel, Streamed

from dalm.data import load_data
from dalm.errors import DalmError
from dalm.testing.general import generator_of
from dalm.train import Run, fit
from dalm.train.state import State

LEARNERS = ["vae", "pixelcnn", "dcgan"]


@pytest.mark.parametrize("saved", [0, 11, 17])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_killed_run_ends_with_the_same_bits(tmp_path, monkeypatch, name, saved):
    whole = run_of(name, tmp_path / "whole", checkpoint=1e-9)
    with monkeypatch.context() as patch:
        kill_at(patch, step=17, saved=saved)
        with pytest.raises(Killed):
            run_of(name, tmp_path / "killed", checkpoint=1e-9)
    assert json.loads((tmp_path / "killed/run.json").read_text())["state"] == "running"
    with pytest.raises(DalmError, match="incomplete"):
        Run.open(tmp_path / "killed")
    again = run_of(name, tmp_path / "killed", checkpoint=1e-9, resume=True)
    assert weights(whole) == weights(again)
    assert again.meta["state"] == "done"
    assert not (again.path / "checkpoint.safetensors").exists()
    snapshot = "samples/step-00000020.npy"
    assert (whole.path / snapshot).read_bytes() == (again.path / snapshot).read_bytes()
    returned = again.model.state_dict()
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, returned[key]), f"{key} of the returned model differs"
    assert not any(module.training for module in again.model.modules())


@pytest.mark.parametrize("saved", [0, 6, 8])
@pytest.mark.parametrize("family", [Duel, Streamed])
def test_several_batches_a_step_are_resumed(tmp_path, monkeypatch, part_labelled, family, saved):
    """Each step draws several batches, and not from all streams."""
    torch.manual_seed(0)
    first = family(MOONS.spec)
    weights_before = {name: value.clone() for name, value in first.state_dict().items()}
    asked = FIT | {"checkpoint": 1e-9, "steps": 13, "batch_size": 24}

    def run(name: str, **more: Any) -> Run:
        model = family(MOONS.spec)
        model.load_state_dict(weights_before)
        return fit(model, part_labelled, out=tmp_path / name, **asked, **more)

    whole = run("whole")
    with monkeypatch.context() as patch:
        kill_at(patch, step=8, saved=saved)
        with pytest.raises(Killed):
            run("killed")
    assert weights(run("killed", resume=True)) == weights(whole)


def test_two_shards_are_resumed(tmp_path, monkeypatch):
    whole = run_of("vae", tmp_path / "whole", shards=2)
    with monkeypatch.context() as patch:
        kill_at(patch, step=17, saved=11)
        with pytest.raises(Killed):
            run_of("vae", tmp_path / "killed", shards=2, checkpoint=1e-9)
    again = run_of("vae", tmp_path / "killed", shards=2, checkpoint=1e-9, resume=True)
    assert weights(again) == weights(whole)
    assert weights(whole) != weights(run_of("vae", tmp_path / "one"))


def test_killed_twice_with_early_stopping_and_a_conditional_model(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "dalm.train.learning.validate", lambda state, *_: abs(state.step - 24.0)
    )  # best at step 24
    asked: dict[str, Any] = {
        "own": {"conditional": True},
        "checkpoint": 1e-9,
        "validations": 20,
        "patience": 3,
        "ema": 0.5,
        "steps": 60,
    }
    whole = run_of("vae", tmp_path / "whole", **asked)
    assert log_of(whole)[-1]["step"] == 33, "three looks without a better one"
    for step, saved in ((7, 5), (31, 29)):
        with monkeypatch.context() as patch:
            kill_at(patch, step, saved)
            with pytest.raises(Killed):
                run_of("vae", tmp_path / "killed", resume=True, **asked)
    again = run_of("vae", tmp_path / "killed", resume=True, **asked)
    assert weights(whole) == weights(again)
    assert validations_of(whole) == validations_of(again)


def validations_of(run):
    return [(line["step"], line["validation"]) for line in log_of(run) if "validation" in line]


def test_the_log_has_increasing_steps_and_no_line_twice(killed):
    path = killed("dcgan", validations=4)
    with (path / "log.jsonl").open("a") as log:
        log.write('{"step": 17, "seco')  # a line that the kill cut short
    run = run_of("dcgan", path, checkpoint=1e-9, validations=4, resume=True)
    lines = log_of(run)
    losses = [line for line in lines if "loss" in line]
    steps = [line["step"] for line in losses]
    assert steps == sorted(set(steps))
    assert steps[-1] == 20
    assert [line["seconds"] for line in lines] == sorted(line["seconds"] for line in lines)
    assert all(set(line["loss"]) == {"discriminator", "generator"} for line in losses)
    assert all("lr" in line for line in losses)


def test_resume_of_nothing_starts_and_of_a_finished_run_returns_it(tmp_path):
    run = run_of("vae", tmp_path / "run", resume=True)
    before = listing(tmp_path)
    again = run_of("vae", tmp_path / "run", resume=True)
    assert listing(tmp_path) == before
    first = run.model.sample(3, generator=generator_of())
    assert torch.equal(first, again.model.sample(3, generator=generator_of()))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"lr": 1e-5}, "lr="),
        ({"steps": 21}, "steps=20"),
        ({"seed": 1}, "seed=0"),
        ({"shards": 2}, "shards=1, not 2"),
        ({"own": {"latent": 3}}, "latent=2"),
        ({"own": {"conditional": True}}, "conditional=False"),
    ],
    ids=str,
)
def test_resume_refuses_another_request(killed, asked, message):
    path = killed()
    before = listing(path.parent)
    with pytest.raises(DalmError, match=message):
        run_of("vae", path, resume=True, **asked)
    assert listing(path.parent) == before


def test_resume_refuses_other_data_and_another_family(tmp_path):
    run_of("vae", tmp_path / "run")
    before = listing(tmp_path)
    other = load_data("digits", levels=4)
    with pytest.raises(DalmError, match="fitted to other data"):
        fit(tiny("vae", other), other, out=tmp_path / "run", resume=True, **FIT)
    with pytest.raises(DalmError, match="family=vae"):
        run_of("dcgan", tmp_path / "run", resume=True)
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    "asked",
    [
        {"batch_size": 5000},
        {"precision": "bfloat16"},
        {"steps": None, "seconds": 0.3, "validations": 500, "snapshots": 500},
    ],
    ids=["more than there is", "perhaps not here", "seconds"],
)
def test_the_same_call_resumes_even_if_it_was_resolved_to_something_else(
    tmp_path, monkeypatch, asked
):
    with monkeypatch.context() as patch:
        # After the folder appeared, before the first step.
        patch.setattr(State, "load", raise_killed)
        with pytest.raises(Killed):
            run_of("vae", tmp_path / "run", **asked)
    assert run_of("vae", tmp_path / "run", resume=True, **asked).meta["state"] == "done"


@pytest.mark.parametrize("damage", ["missing", "truncated", "noise"])
def test_a_damaged_checkpoint_is_named(killed, damage):
    path = killed()
    checkpoint = path / "checkpoint.safetensors"
    content = checkpoint.read_bytes()
    checkpoint.unlink()
    if damage != "missing":
        damaged = content[:500] if damage == "truncated" else bytes(range(256)) * 4
        checkpoint.write_bytes(damaged)
    before = listing(path.parent)
    with pytest.raises(DalmError, match=r"checkpoint\.safetensors cannot be read"):
        run_of("vae", path, resume=True)
    assert listing(path.parent) == before
