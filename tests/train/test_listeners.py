"""Those who listen to a fit: they stop it, roll it back, keep their state, and leave a record."""

from __future__ import annotations

import json
import os

import pytest
import torch
from tiny import FIT, Killed, events_of, kill_at, log_of, raise_killed, run_of, weights
from toys import MOONS, Mean
from watchers import Breaker, Watcher

from dalm.records.status import read_status
from dalm.train import Listener, Run, fit
from dalm.train.run import read_tensors


def mean_of(out, *listeners, **options):
    return fit(Mean(MOONS.spec), MOONS, out=out, listeners=listeners, **FIT | options)


def test_a_listener_is_told_of_all_that_happens(tmp_path):
    watcher = Watcher()
    mean_of(tmp_path / "run", watcher, steps=4, validations=2, snapshots=1)
    assert watcher.told == [
        "start",
        "step",
        "validation",
        "step",
        "step",
        "snapshot",
        "validation",
        "step",
        "done",
    ]


def test_a_listener_stops_a_fit(tmp_path):
    run = mean_of(tmp_path / "run", Breaker(7), validations=0)
    assert run.meta["state"] == "done"
    assert log_of(run)[-1]["step"] == 7
    shorter = mean_of(tmp_path / "shorter", steps=7, validations=0)
    assert weights(run) == weights(shorter)
    reasons = [event for event in lines_of(run) if event["event"] == "stop"]
    assert [event["reason"] for event in reasons] == ["it is time"]


def lines_of(run):
    text = (run.path / "events.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_a_listener_rolls_back_to_the_best_weights(tmp_path, scripted):
    class Recorder(Listener):
        """Keeps the weights after each step."""

        def on_step_end(self, session):
            weights_after.append(session.learner.model.mean.detach().clone())

    weights_after = []
    scored = scripted([1.0, 2.0])
    run = mean_of(tmp_path / "run", Breaker(13, "roll_back"), Recorder())
    assert events_of(run) == ["start", "roll back", "end"]
    best = scored[0]["mean"]
    assert [torch.equal(mean, best) for mean in weights_after].index(True) == 9
    assert not torch.equal(weights_after[11], best)
    assert torch.equal(weights_after[12], best)
    assert not torch.equal(weights_after[13], best), "training goes on"


def test_training_goes_on_after_a_roll_back(tmp_path, scripted):
    scored = scripted([9.0, 1.0])
    rolled = mean_of(tmp_path / "rolled", Breaker(13, "roll_back"))
    assert not torch.equal(rolled.model.mean, scored[0]["mean"])
    scripted([9.0, 1.0])
    assert weights(rolled) != weights(mean_of(tmp_path / "plain"))


def test_without_a_best_there_is_nothing_to_roll_back_to(tmp_path):
    run = mean_of(tmp_path / "run", Breaker(5, "roll_back"), validations=0)
    assert events_of(run) == ["start", "nothing to roll back to", "end"]
    assert weights(run) == weights(mean_of(tmp_path / "plain", validations=0))


@pytest.mark.parametrize("at", [1001, 1003, 1010])
def test_the_log_of_a_long_run_reaches_its_end_once(tmp_path, at):
    """Lines are of several steps each, but for the last."""
    run = mean_of(tmp_path / "run", Breaker(at), steps=1200, validations=0, snapshots=0)
    steps = [line["step"] for line in log_of(run)]
    assert steps == sorted(set(steps))
    assert steps[-1] == at


# Listeners and kills


@pytest.mark.parametrize("saved", [0, 4, 11])
@pytest.mark.parametrize("what", ["stop", "roll_back"])
def test_a_listener_s_state_comes_back(tmp_path, monkeypatch, what, saved):
    asked = {"checkpoint": 1e-9, "validations": 10}
    whole = mean_of(tmp_path / "whole", Breaker(15, what), **asked)
    with monkeypatch.context() as patch:
        kill_at(patch, step=11, saved=saved)
        with pytest.raises(Killed):
            mean_of(tmp_path / "killed", Breaker(15, what), **asked)
    breaker = Breaker(15, what)
    again = mean_of(tmp_path / "killed", breaker, resume=True, **asked)
    assert breaker.steps == (15 if what == "stop" else 20)
    assert weights(again) == weights(whole)


def test_a_roll_back_outlives_a_kill_that_follows_it(tmp_path, monkeypatch, scripted):
    scripted([2.0, 1.0])
    whole = mean_of(tmp_path / "whole", Breaker(12, "roll_back"), checkpoint=1e-9)
    scripted([2.0, 1.0])
    with monkeypatch.context() as patch:
        kill_at(patch, step=12, saved=12)
        with pytest.raises(Killed):
            mean_of(tmp_path / "killed", Breaker(12, "roll_back"), checkpoint=1e-9)
    scripted([1.0])
    breaker = Breaker(12, "roll_back")
    again = mean_of(tmp_path / "killed", breaker, checkpoint=1e-9, resume=True)
    assert weights(again) == weights(whole)


@pytest.mark.parametrize("patience", [0, 2])
def test_a_stop_outlives_a_kill_that_follows_it(tmp_path, monkeypatch, patience):
    """By a listener of the user's, or by early stopping: two looks after the best, at step 6."""
    monkeypatch.setattr(
        "dalm.train.learning.validate", lambda state, *_: 1.0 if state.step < 7 else -state.step
    )
    asked = {"validations": 10, "patience": patience, "checkpoint": 1e-9}
    listeners = [] if patience else [Breaker(6)]
    whole = mean_of(tmp_path / "whole", *listeners, **asked)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish", raise_killed)
        with pytest.raises(Killed):
            mean_of(tmp_path / "killed", *([] if patience else [Breaker(6)]), **asked)
    listeners = [] if patience else [Breaker(6)]
    again = mean_of(tmp_path / "killed", *listeners, resume=True, **asked)
    assert weights(again) == weights(whole)
    assert again.meta["state"] == "done"


# Early stopping


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_patience_stops_and_keeps_the_best_weights(tmp_path, scripted, ema):
    scored = scripted([5.0, 4.0, 3.0, 4.0, 3.0, 9.0])
    run = run_of("vae", tmp_path / "run", steps=100, validations=5 * 2, patience=2, ema=ema)
    assert len(scored) == 5, "it should have stopped at the second look without a better one"
    assert log_of(run)[-1]["step"] == 50
    assert run.meta["state"] == "done"
    kept, _ = read_tensors(run.path / "weights.safetensors")
    assert all(torch.equal(value, scored[2][name]) for name, value in kept.items())
    assert any(not torch.equal(value, scored[4][name]) for name, value in kept.items()), (
        "the best weights are an alias of the live ones"
    )
    assert all(torch.equal(value, kept[name]) for name, value in run.model.state_dict().items())
    [stop] = [event for event in lines_of(run) if event["event"] == "stop"]
    assert stop["reason"] == "no better validation in the last 2"


def test_without_patience_every_step_is_taken_and_the_best_is_kept(tmp_path, scripted):
    scored = scripted([1.0, *[2.0] * 9])
    run = run_of("vae", tmp_path / "run", steps=30, validations=10, patience=0)
    assert len(scored) == 10
    kept, _ = read_tensors(run.path / "weights.safetensors")
    assert all(torch.equal(value, scored[0][name]) for name, value in kept.items())


def test_without_validations_the_last_weights_are_kept(tmp_path, scripted):
    scored = scripted([])
    asked = {"validations": 0, "schedule": "constant"}
    shorter = run_of("vae", tmp_path / "16", steps=16, **asked)
    longer = run_of("vae", tmp_path / "24", steps=24, **asked)
    assert not scored
    assert weights(shorter) != weights(longer)


# Signs of life


def test_a_run_keeps_its_events(tmp_path):
    run = mean_of(tmp_path / "run")
    start, end = lines_of(run)
    assert (start["event"], start["stage"], start["step"]) == ("start", "model", 0)
    assert (end["event"], end["outcome"], end["step"]) == ("end", "done", 20)
    assert start["time"] <= end["time"]


def test_a_fit_gives_signs_of_life_and_takes_them_away(tmp_path):
    class Reader(Listener):
        """Reads the status as another process would."""

        def on_step(self, session, played):
            signs.append(read_status(session.run.path))

    signs = []
    run = mean_of(tmp_path / "run", Reader())
    assert all(sign.pid == os.getpid() and sign.state == "running" for sign in signs)
    assert {sign.steps for sign in signs} == {20}
    assert read_status(run.path) is None, "a run that ended has no status"


def test_a_killed_run_tells_how_far_it_was(killed):
    path = killed()
    assert read_status(path).state == "running"
    assert events_of(path) == ["start"]
    run_of("vae", path, checkpoint=1e-9, resume=True)
    assert events_of(path) == ["start", "start", "end"]
    assert read_status(path) is None
