"""What happens when the numbers go wrong."""

from __future__ import annotations

import json
import math

import pytest
import torch
from tiny import DIGITS, FIT, log_of, run_of, tiny
from toys import Fragile

from dalm.core import Turn
from dalm.errors import DalmError
from dalm.train import Diverged, fit
from dalm.train.meter import Meter
from dalm.train.run import read_tensors
from dalm.train.step import Played


def kept_in(run):
    tensors, _ = read_tensors(run / "weights.safetensors")
    return tensors


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("checkpoint", [1e-9, 1e9])
@pytest.mark.parametrize("how", ["loss", "infinite"])
def test_nan_stops_with_the_last_good_weights(tmp_path, how, checkpoint, ema):
    asked = FIT | {"checkpoint": checkpoint, "ema": ema, "clip": 0.0}
    with pytest.raises(Diverged, match=r"at step 13.*last good weights are kept"):
        fit(Fragile(DIGITS.spec, how=how), DIGITS, out=tmp_path / "run", **asked)
    meta = json.loads((tmp_path / "run/run.json").read_text())
    assert meta["state"] == "failed"
    assert "at step 13" in meta["error"]
    kept = kept_in(tmp_path / "run")
    assert torch.isfinite(kept["mean"]).all()
    if checkpoint < 1:
        assert kept["mean"].abs().sum() > 0, "the last good weights are those before any step"


@pytest.mark.parametrize(("at", "steps"), [(13, 20), (10, 20), (20, 20)])
@pytest.mark.parametrize("checkpoint", [1e-9, 1e9])
def test_weights_that_turn_nan_under_a_finite_loss_are_not_kept(tmp_path, at, steps, checkpoint):
    asked = FIT | {"steps": steps, "checkpoint": checkpoint, "clip": 0.0}
    with pytest.raises(Diverged):
        fit(Fragile(DIGITS.spec, at=at, how="gradient"), DIGITS, out=tmp_path / "run", **asked)
    assert torch.isfinite(kept_in(tmp_path / "run")["mean"]).all()
    assert json.loads((tmp_path / "run/run.json").read_text())["state"] == "failed"


@pytest.mark.parametrize("checkpoint", [1e-9, 1e9])
def test_the_best_weights_outlive_a_divergence(tmp_path, scripted, checkpoint):
    scored = scripted([1.0, 2.0, 3.0])
    asked = FIT | {"validations": 5, "checkpoint": checkpoint, "clip": 0.0}
    with pytest.raises(Diverged):
        fit(Fragile(DIGITS.spec), DIGITS, out=tmp_path / "run", **asked)
    assert torch.equal(kept_in(tmp_path / "run")["mean"], scored[0]["mean"]), (
        "the best was at step 4; the last checkpoint came before it or after"
    )
    assert len(scored) == 3


def test_a_diverged_run_fails_again_when_resumed(tmp_path):
    asked = FIT | {"lr": 1e30, "clip": 0.0, "checkpoint": 1e-9}
    for _ in range(2):
        with pytest.raises(Diverged):
            fit(tiny("vae"), DIGITS, out=tmp_path / "run", resume=True, **asked)
        kept = kept_in(tmp_path / "run")
        assert all(torch.isfinite(value).all() for value in kept.values())


def test_the_log_is_json_even_when_a_validation_is_infinite(tmp_path, monkeypatch):
    monkeypatch.setattr("dalm.train.learning.validate", lambda *_: math.inf)
    run = run_of("vae", tmp_path / "run")

    def strict(word):
        raise AssertionError(f"{word} is not JSON")

    text = (run.path / "log.jsonl").read_text()
    lines = [json.loads(line, parse_constant=strict) for line in text.splitlines()]
    assert lines[-1]["step"] == 20


def test_the_log_is_json_even_when_a_term_is_infinite(tmp_path):
    class Endless(Fragile):
        units = {"loss": "squared units", "heat": "kelvin"}

        def turns(self, step):
            for turn in super().turns(step):
                yield turn._replace(log={"heat": torch.tensor(math.inf)})

    model = Endless(DIGITS.spec, at=1000)
    run = fit(model, DIGITS, out=tmp_path / "run", **FIT)
    assert all(line["terms"] == {"heat": None} for line in log_of(run) if "loss" in line)


# The meter


def played(loss, **terms):
    tensors = {name: torch.tensor(value) for name, value in terms.items()}
    return [Played("model", torch.tensor(loss), tensors)]


def test_the_meter_averages_what_it_was_told():
    meter = Meter()
    for step, loss in enumerate((1.0, 2.0, 6.0)):
        meter.add(step + 1, played(loss, heat=10 * loss))
    meter.read()
    assert meter.means() == ({"model": 3.0}, {"heat": 30.0})
    assert meter.count == 3
    meter.reset()
    assert meter.means() == ({}, {})


def test_the_meter_names_player_and_step_of_a_loss_that_is_none():
    meter = Meter()
    meter.add(4, played(1.0))
    meter.add(5, played(math.nan))
    with pytest.raises(Diverged, match=r"the loss of model was nan at step 5.*smaller lr"):
        meter.read()


def test_a_term_without_a_unit_is_refused(tmp_path):
    class Careless(Fragile):
        def turns(self, step):
            for turn in super().turns(step):
                yield Turn(turn.player, turn.loss, {"heat": turn.loss})

    words = "logs 'heat', and its `units` do not say in which unit; they know loss"
    with pytest.raises(DalmError, match=words):
        fit(Careless(DIGITS.spec, at=1000), DIGITS, out=tmp_path / "run", **FIT)
