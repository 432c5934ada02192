"""What a user may ask of `fit`, and what comes of it."""

from __future__ import annotations

import json

import pytest
from tiny import DIGITS, FIT, listing, log_of, run_of, tiny, weights

from dalm.errors import DalmError
from dalm.train import FitOptions, fit
from dalm.train.step import Stepper

LEARNERS = ["vae", "pixelcnn", "dcgan"]


@pytest.mark.parametrize("name", LEARNERS)
def test_every_option_is_resolved_and_recorded(tmp_path, name):
    run = run_of(name, tmp_path / "run", batch_size=None)
    recorded = json.loads((run.path / "run.json").read_text())["fit"]
    assert set(recorded) == set(FitOptions.declared())
    open_ones = [option for option, value in recorded.items() if value is None]
    assert open_ones == ["seconds", "passes", "plan", "start_from"], "a learner makes no passes"
    recipe = run.model.recipe
    for option in ("lr", "ema", "clip", "schedule", "batch_size", "weight_decay"):
        assert recorded[option] == getattr(recipe, option)
    assert recorded["steps"] == 20


def test_what_is_asked_for_wins_over_the_recipe(tmp_path):
    asked = {
        "lr": 1e-4,
        "ema": 0.5,
        "clip": 0.1,
        "schedule": "constant",
        "weight_decay": 0.01,
        "batch_size": 5000,
    }
    recorded = run_of("vae", tmp_path / "run", **asked).meta["fit"]
    expected = asked | {"batch_size": len(DIGITS.train)}
    assert {name: recorded[name] for name in asked} == expected


def test_the_options_make_a_run_again(tmp_path):
    first = run_of("vae", tmp_path / "first", lr=0.01)
    recorded = FitOptions(**first.meta["fit"])
    again = fit(tiny("vae"), DIGITS, out=tmp_path / "again", progress=False, **recorded.to_dict())
    assert weights(first) == weights(again)


# Budgets


def test_the_budget_of_steps_is_obeyed(tmp_path, monkeypatch):
    taken = []
    take = Stepper.__call__

    def counted(stepper):
        taken.append(stepper.state.step)
        return take(stepper)

    monkeypatch.setattr(Stepper, "__call__", counted)
    run = run_of("vae", tmp_path / "run", steps=23)
    assert taken == list(range(23))
    assert log_of(run)[-1]["step"] == 23
    assert run.meta["state"] == "done"


def test_a_budget_of_seconds_becomes_steps_and_can_be_repeated(tmp_path):
    first = run_of("vae", tmp_path / "first", steps=None, seconds=0.5)
    recorded = first.meta["fit"]
    assert recorded["seconds"] == 0.5
    assert isinstance(recorded["steps"], int)
    assert recorded["steps"] >= 1
    assert first.meta["plan"][0]["step"] == 0
    again = run_of("vae", tmp_path / "again", steps=None, plan=str(first.path))
    assert again.meta["plan"] == first.meta["plan"]
    assert weights(first) == weights(again)


def test_a_plan_is_followed_by_its_own_recipe_too(tmp_path):
    first = run_of("vae", tmp_path / "first", steps=20, lr=0.0123, batch_size=33, ema=0.5)
    follow = {"steps": None, "batch_size": None, "plan": str(first.path)}
    again = run_of("vae", tmp_path / "again", **follow)
    assert weights(again) == weights(first)
    other = run_of("vae", tmp_path / "other", lr=0.001, **follow)
    assert weights(other) != weights(first)


def test_even_a_budget_of_nothing_takes_a_step(tmp_path):
    run = run_of("vae", tmp_path / "run", steps=None, seconds=1e-6)
    assert run.meta["fit"]["steps"] == 1


# What is refused


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"steps": 0}, "fit's steps is at least 1, got 0"),
        ({"steps": 2.5}, "fit's steps is a whole number or None, got 2.5"),
        ({"seconds": -1.0}, "fit's seconds is above 0, got -1.0"),
        ({"seconds": float("nan")}, "fit's seconds is a number or None, got nan"),
        ({"steps": 5, "seconds": 1.0}, "steps or seconds, not both"),
        ({"lr": float("inf")}, "fit's lr is a number or None, got inf"),
        ({"lr": 0.0}, "fit's lr is above 0, got 0.0"),
        ({"ema": 1.0}, "fit's ema is at least 0 and below 1, got 1.0"),
        ({"clip": -1.0}, "fit's clip is at least 0, got -1.0"),
        ({"weight_decay": -1.0}, "fit's weight_decay is at least 0, got -1.0"),
        ({"patience": -1}, "fit's patience is at least 0, got -1"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"seed": 2**32}, "a seed is a whole number below 4294967296"),
        ({"batch_size": 0}, "fit's batch_size is at least 1, got 0"),
        ({"shards": 0}, "fit's shards is at least 1, got 0"),
        ({"checkpoint": 0.0}, "fit's checkpoint is above 0, got 0.0"),
        ({"compile": 1}, "fit's compile is True or False or None, got 1"),
        ({"device": "tpu"}, "'cpu' always works"),
        ({"step": 5}, "fit has no option 'step'. Did you mean 'steps'"),
        ({"schedule": "linear"}, "fit's schedule is 'cosine' or 'constant' or None, got 'linear'"),
        ({"precision": "float16"}, "fit's precision is 'float32' or 'bfloat16' or None"),
    ],
    ids=str,
)
def test_bad_options_are_refused(tmp_path, asked, message):
    budget = {} if {"steps", "seconds"} & set(asked) else {"steps": 2}
    keep = {"device": "cpu", "progress": False} | budget
    with pytest.raises(DalmError, match=message):
        fit(tiny("vae"), DIGITS, out=tmp_path / "run", **keep | asked)
    assert listing(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [
        ("vae", "val", "vae takes steps"),
        ("kde", "test", "fit's learn_from is 'train' or 'val', got 'test'"),
    ],
)
def test_no_learner_learns_from_validation_and_nobody_from_test(tmp_path, name, split, words):
    with pytest.raises(DalmError, match=words):
        run_of(name, tmp_path / "run", learn_from=split)
    assert listing(tmp_path) == {}


def test_options_of_a_fit_are_fixed():
    options = FitOptions(steps=5)
    with pytest.raises(AttributeError, match=r"replace\(steps=\.\.\.\)"):
        options.steps = 6
    assert options.replace(steps=6).given() == {"steps": 6}
    assert FIT["steps"] == 20
