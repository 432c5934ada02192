"""`fit`: the same seed gives the same bits, budgets are kept, a kill changes nothing, and bad
requests change nothing either.
"""

from __future__ import annotations

import json
import threading
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from tiny import DIGITS, FIT, LOOP, Killed, kill_at, listing, log_of, run_of, tiny, weights

from dalm.core import Density, Learner, Spec
from dalm.data import load_data
from dalm.errors import DalmError
from dalm.models import FAMILIES, REFERENCES
from dalm.train import Options, Run, fit
from dalm.train.state import Batches, derive_seed, learning_rate

LEARNERS = ["vae", "pixelcnn", "dcgan"]
ABSORBERS = [
    family.family for family in (*FAMILIES, *REFERENCES) if not issubclass(family, Learner)
]


# Determinism


@pytest.mark.parametrize("name", LEARNERS)
def test_same_seed_same_bits(tmp_path, name):
    first, second, other = (
        run_of(name, tmp_path / str(k), seed=seed) for k, seed in enumerate((3, 3, 4))
    )
    assert weights(first) == weights(second)
    assert weights(first) != weights(other)
    for path in sorted((first.path / "samples").iterdir()):
        assert path.read_bytes() == (second.path / "samples" / path.name).read_bytes()


@pytest.mark.parametrize("name", LEARNERS)
def test_the_global_generator_is_left_alone(tmp_path, name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    legacy = np.random.get_state()[1].copy()
    torch.rand(3)
    run_of(name, tmp_path / "noisy")
    torch.manual_seed(5)
    run = run_of(name, tmp_path / "quiet")
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002
    assert weights(run) == weights(tmp_path / "noisy"), (
        "the result depends on the state of the global generator"
    )


def test_the_global_generator_is_left_alone_by_a_budget_of_seconds(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run_of("vae", tmp_path / "run", steps=None, seconds=0.2)
    assert torch.equal(before, torch.get_rng_state())


def test_training_can_run_beside_the_main_thread(tmp_path):
    worker = threading.Thread(target=run_of, args=("vae", tmp_path / "beside"))
    worker.start()
    worker.join()
    assert weights(tmp_path / "beside") == weights(run_of("vae", tmp_path / "main"))


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_fit_is_the_loop_one_would_write_by_hand(tmp_path, clip):
    run = run_of("vae", tmp_path / "run", ema=0.0, validations=0, clip=clip, precision="float32")
    chosen = Options(**run.meta["fit"])
    model = tiny("vae").train()
    model.adapt(DIGITS.train.x, None)
    optimiser = torch.optim.AdamW(
        model.parameters(), betas=model.recipe.betas, weight_decay=0.0, fused=True
    )
    batches = Batches(DIGITS.train.x, None, 32, 0, "cpu")
    for step in range(20):
        [(parameters, closure)] = model.losses(
            *batches(step), torch.Generator().manual_seed(derive_seed(0, "noise", step))
        )
        optimiser.zero_grad()
        closure().backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimiser.param_groups[0]["lr"] = learning_rate(chosen, step)
        optimiser.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), f"{name} differs"


def test_initial_weights_follow_the_seed():
    assert torch.equal(
        tiny("vae", seed=1).encoder[1][0].weight, tiny("vae", seed=1).encoder[1][0].weight
    )
    assert not torch.equal(
        tiny("vae", seed=1).encoder[1][0].weight, tiny("vae", seed=2).encoder[1][0].weight
    )


# Options and budgets


@pytest.mark.parametrize("name", LEARNERS)
def test_every_option_is_resolved_and_recorded(tmp_path, name):
    run = run_of(name, tmp_path / "run", batch_size=None)
    chosen = json.loads((run.path / "run.json").read_text())["fit"]
    assert set(chosen) == {field.name for field in fields(Options)}
    assert [option for option, value in chosen.items() if value is None] == ["seconds"]
    recipe = run.model.recipe
    assert (chosen["lr"], chosen["ema"], chosen["clip"], chosen["schedule"]) == (
        recipe.lr,
        recipe.ema,
        recipe.clip,
        recipe.schedule,
    )
    assert chosen["batch_size"] == recipe.batch_size
    assert chosen["steps"] == 20


def test_what_is_asked_for_wins_over_the_recipe(tmp_path):
    asked = {
        "lr": 1e-4,
        "ema": 0.5,
        "clip": 0.1,
        "schedule": "constant",
        "weight_decay": 0.01,
        "batch_size": 5000,
    }
    chosen = run_of("vae", tmp_path / "run", **asked).meta["fit"]
    assert {name: chosen[name] for name in asked} == asked | {"batch_size": len(DIGITS.train)}


def test_the_budget_of_steps_is_obeyed(tmp_path, monkeypatch):
    taken = []
    take = LOOP.take_step
    monkeypatch.setattr(
        LOOP, "take_step", lambda state, *rest: (taken.append(state.step), take(state, *rest))[1]
    )
    run = run_of("vae", tmp_path / "run", steps=23)
    assert taken == list(range(23))
    assert log_of(run)[-1]["step"] == 23
    assert run.meta["state"] == "done"


def test_a_budget_of_seconds_becomes_steps_and_can_be_repeated(tmp_path):
    first = run_of("vae", tmp_path / "first", steps=None, seconds=0.5)
    chosen = first.meta["fit"]
    assert chosen["seconds"] == 0.5
    assert isinstance(chosen["steps"], int)
    assert chosen["steps"] >= 1
    again = fit(
        tiny("vae"), DIGITS, out=tmp_path / "again", progress=False, **chosen | {"seconds": None}
    )
    assert weights(first) == weights(again)


def test_even_a_budget_of_nothing_takes_a_step(tmp_path):
    run = run_of("vae", tmp_path / "run", steps=None, seconds=1e-6)
    assert run.meta["fit"]["steps"] == 1


@pytest.mark.parametrize("steps", [1, 5, 13])
@pytest.mark.parametrize("name", ["vae", "dcgan"])
def test_a_short_fit_learns_from_all_its_steps(tmp_path, name, steps):
    new = dict(tiny(name).named_parameters())
    runs = [
        run_of(name, tmp_path / str(k), steps=k, validations=1, schedule="constant")
        for k in (steps, steps + 1)
    ]
    kept = [dict(run.model.named_parameters()) for run in runs]
    assert any(not torch.equal(value, new[key]) for key, value in kept[0].items()), (
        "the result is the initial weights"
    )
    assert any(not torch.equal(value, kept[1][key]) for key, value in kept[0].items()), (
        "one more step changed nothing"
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"steps": 0}, "steps must be positive"),
        ({"seconds": -1.0}, "seconds must be positive"),
        ({"seconds": float("nan")}, "seconds must be positive"),
        ({"steps": 5, "seconds": 1.0}, "steps or seconds, not both"),
        ({"lr": float("inf")}, "lr must be positive"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"ema": 1.0}, "below 1"),
        ({"clip": -1.0}, "clip must not be negative"),
        ({"patience": -1}, "patience must not be negative"),
        ({"seed": -1}, "seed must not be negative"),
        ({"batch_size": 0}, "batch_size must be positive"),
        ({"device": "tpu"}, "'cpu' always works"),
        ({"step": 5}, "Did you mean 'steps'"),
        ({"schedule": "linear"}, "cosine"),
        ({"precision": "float16"}, "bfloat16"),
    ],
    ids=str,
)
def test_bad_options_are_refused(tmp_path, asked, message):
    keep = {"device": "cpu", "progress": False} | (
        {} if {"steps", "seconds"} & set(asked) else {"steps": 2}
    )
    with pytest.raises(DalmError, match=message):
        fit(tiny("vae"), DIGITS, out=tmp_path / "run", **keep | asked)
    assert listing(tmp_path) == {}


def test_data_of_another_spec_are_refused(tmp_path):
    with pytest.raises(DalmError, match=r"built for Spec.*but the data are Spec"):
        fit(tiny("vae"), load_data("ring8", n=100), out=tmp_path / "run", **FIT)
    assert listing(tmp_path) == {}


def test_an_existing_folder_is_refused_and_untouched(tmp_path):
    run_of("vae", tmp_path / "run")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    before = listing(tmp_path)
    for name in ("run", "empty", "file"):
        with pytest.raises(DalmError, match="exists already; nothing was changed"):
            run_of("kde", tmp_path / name)
        with pytest.raises(DalmError, match="exists already; nothing was changed"):
            run_of("vae", tmp_path / name)
    assert listing(tmp_path) == before


def test_folders_are_numbered_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [run_of("gaussian", None).path.as_posix() for _ in range(2)] == [
        "runs/gaussian-digits-1",
        "runs/gaussian-digits-2",
    ]


# Resuming


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
    assert (whole.path / "samples/step-00000020.npy").read_bytes() == (
        again.path / "samples/step-00000020.npy"
    ).read_bytes()
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[key]), (
            f"{key} of the returned model differs"
        )
    assert not any(module.training for module in again.model.modules())


def test_killed_twice_with_early_stopping_and_a_conditional_model(tmp_path, monkeypatch):
    monkeypatch.setattr(
        LOOP, "validate", lambda state, *_: abs(state.step - 24.0)
    )  # best at step 24
    asked: dict[str, Any] = {
        "own": {"conditional": True},
        "checkpoint": 1e-9,
        "validations": 20,
        "patience": 3,
        "ema": 0.5,
    }
    whole = run_of("vae", tmp_path / "whole", steps=60, **asked)
    assert log_of(whole)[-1]["step"] == 33, "three looks without a better one"
    for step, saved in ((7, 5), (31, 29)):
        with monkeypatch.context() as patch:
            kill_at(patch, step, saved)
            with pytest.raises(Killed):
                run_of("vae", tmp_path / "killed", steps=60, resume=True, **asked)
    again = run_of("vae", tmp_path / "killed", steps=60, resume=True, **asked)
    assert weights(whole) == weights(again)
    assert [
        (line["step"], line["validation"]) for line in log_of(whole) if "validation" in line
    ] == [(line["step"], line["validation"]) for line in log_of(again) if "validation" in line]


def test_the_log_has_increasing_steps_and_no_line_twice(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 17, 11)
        with pytest.raises(Killed):
            run_of("dcgan", tmp_path / "run", checkpoint=1e-9, validations=4)
    with (tmp_path / "run/log.jsonl").open("a") as log:
        log.write('{"step": 17, "seco')  # a line that the kill cut short
    run = run_of("dcgan", tmp_path / "run", checkpoint=1e-9, validations=4, resume=True)
    lines = log_of(run)
    losses = [line["step"] for line in lines if "loss" in line]
    assert losses == sorted(set(losses))
    assert losses[-1] == 20
    assert [line["seconds"] for line in lines] == sorted(line["seconds"] for line in lines)
    assert all(len(line["loss"]) == 2 and "lr" in line for line in lines if "loss" in line)


def test_resume_of_nothing_starts_and_of_a_finished_run_returns_it(tmp_path):
    run = run_of("vae", tmp_path / "run", resume=True)
    before = listing(tmp_path)
    again = run_of("vae", tmp_path / "run", resume=True)
    assert listing(tmp_path) == before
    assert torch.equal(
        run.model.sample(3, generator=torch.Generator()),
        again.model.sample(3, generator=torch.Generator()),
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"lr": 1e-5}, "lr="),
        ({"steps": 21}, "steps=20"),
        ({"seed": 1}, "seed=0"),
        ({"own": {"latent": 3}}, "latent=2"),
        ({"own": {"conditional": True}}, "conditional=False"),
    ],
    ids=str,
)
def test_resume_refuses_another_request(tmp_path, monkeypatch, asked, message):
    with monkeypatch.context() as patch:
        kill_at(patch, 17, 11)
        with pytest.raises(Killed):
            run_of("vae", tmp_path / "run", checkpoint=1e-9)
    before = listing(tmp_path)
    with pytest.raises(DalmError, match=message):
        run_of("vae", tmp_path / "run", resume=True, **asked)
    assert listing(tmp_path) == before


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
        patch.setattr(
            LOOP.State, "load", lambda *_: (_ for _ in ()).throw(Killed)
        )  # after the folder appeared, before the first step
        with pytest.raises(Killed):
            run_of("vae", tmp_path / "run", **asked)
    assert run_of("vae", tmp_path / "run", resume=True, **asked).meta["state"] == "done"


@pytest.mark.parametrize("damage", ["missing", "truncated", "noise"])
def test_a_damaged_checkpoint_is_named(tmp_path, monkeypatch, damage):
    with monkeypatch.context() as patch:
        kill_at(patch, 17, 11)
        with pytest.raises(Killed):
            run_of("vae", tmp_path / "run", checkpoint=1e-9)
    path = tmp_path / "run/checkpoint.safetensors"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[:500] if damage == "truncated" else bytes(range(256)) * 4)
    before = listing(tmp_path)
    with pytest.raises(DalmError, match=r"checkpoint\.safetensors cannot be read"):
        run_of("vae", tmp_path / "run", resume=True)
    assert listing(tmp_path) == before


# Closed forms


@pytest.mark.parametrize("name", ABSORBERS)
def test_absorbers_fit_and_come_back(tmp_path, name):
    run = run_of(name, tmp_path / "run")
    again = Run.open(run.path)
    assert again.meta == run.meta
    assert again.meta["state"] == "done"
    assert again.meta["parameters"] > 0
    draw = [
        model.sample(20, generator=torch.Generator().manual_seed(1))
        for model in (run.model, again.model)
    ]
    assert torch.equal(*draw)
    if isinstance(again.model, Density):
        assert torch.allclose(
            run.model.log_prob(DIGITS.test.x[:5]),
            again.model.log_prob(DIGITS.test.x[:5]),
            rtol=1e-12,
        )


def test_what_an_absorber_learned_from_is_recorded_and_compared(tmp_path):
    run = run_of("kde", tmp_path / "run", learn_from="val")
    assert json.loads((run.path / "run.json").read_text())["fit"]["learn_from"] == "val"
    assert torch.equal(run.model.rows, DIGITS.val.x.flatten(1))
    before = listing(tmp_path)
    with pytest.raises(DalmError, match="learn_from=val, not train"):
        run_of("kde", tmp_path / "run", resume=True)
    assert torch.equal(
        run_of("kde", tmp_path / "run", resume=True, learn_from="val").model.rows, run.model.rows
    )
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [("vae", "val", "vae takes steps"), ("kde", "test", "learn_from is train or val")],
)
def test_no_learner_learns_from_validation_and_nobody_from_test(tmp_path, name, split, words):
    with pytest.raises(DalmError, match=words):
        run_of(name, tmp_path / "run", learn_from=split)
    assert listing(tmp_path) == {}


def test_a_closed_form_that_fails_leaves_nothing(tmp_path):
    constant = np.random.default_rng(0).normal(size=(100, 3)) * [1, 1, 0]
    data = load_data(constant)
    with pytest.raises(DalmError, match="singular: rank 2 of 3"):
        fit(tiny("gaussian", data, estimate="mle"), data, out=tmp_path / "run", progress=False)
    assert listing(tmp_path) == {}


def test_a_learner_that_cannot_start_leaves_nothing(tmp_path, monkeypatch):
    def broken(*_: Any) -> None:
        raise DalmError("no scale")

    model = tiny("vae")
    monkeypatch.setattr(type(model), "adapt", broken)
    with pytest.raises(DalmError, match="no scale"):
        fit(model, DIGITS, out=tmp_path / "run", **FIT)
    assert listing(tmp_path) == {}


def test_the_model_is_left_ready_to_use(tmp_path):
    model = tiny("pixelcnn")
    run = fit(model, DIGITS, out=tmp_path / "run", **FIT)
    assert run.model is model
    assert not any(module.training for module in model.modules())
    assert model.spec == Spec((1, 8, 8), 17, 10)
