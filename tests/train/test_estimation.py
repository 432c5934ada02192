"""Models that learn in closed form, by remembering, or by passes that can be stopped anywhere."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch
from tiny import (
    DIGITS,
    FIT,
    Killed,
    events_of,
    listing,
    log_of,
    raise_killed,
    run_of,
    tiny,
    weights,
)
from toys import MOONS, Mixture
from watchers import AtLook

from dalm.core import Density, Estimator
from dalm.data import load_data
from dalm.errors import DalmError
from dalm.models import FAMILIES, REFERENCES
from dalm.testing.general import generator_of
from dalm.train import FitOptions, Run, clock, fit
from dalm.train.estimation import Estimation

EVERY = (*FAMILIES, *REFERENCES)
ESTIMATORS = [family.family for family in EVERY if issubclass(family, Estimator)]
QUIET = {"device": "cpu", "progress": False}


def mixture_of(out, listeners=(), **options):
    asked = {"checkpoint": 1e-9} | QUIET | options
    return fit(Mixture(MOONS.spec), MOONS, out=out, listeners=listeners, **asked)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Expectation and maximisation to the end."""
    return mixture_of(tmp_path_factory.mktemp("whole") / "run", steps=200)


# Closed forms


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_fit_and_come_back(tmp_path, name):
    run = run_of(name, tmp_path / "run")
    again = Run.open(run.path)
    assert again.meta == run.meta
    assert again.meta["state"] == "done"
    assert again.meta["parameters"] > 0
    drawn = run.model.sample(20, generator=generator_of(1))
    assert torch.equal(drawn, again.model.sample(20, generator=generator_of(1)))
    if isinstance(again.model, Density):
        x = DIGITS.test.x[:5]
        assert torch.allclose(run.model.log_prob(x), again.model.log_prob(x), rtol=1e-12)


def test_what_an_estimator_learned_from_is_recorded_and_compared(tmp_path):
    run = run_of("kde", tmp_path / "run", learn_from="val")
    assert json.loads((run.path / "run.json").read_text())["fit"]["learn_from"] == "val"
    assert torch.equal(run.model.rows, DIGITS.val.x.flatten(1))
    before = listing(tmp_path)
    with pytest.raises(DalmError, match="learn_from=val, not train"):
        run_of("kde", tmp_path / "run", resume=True)
    again = run_of("kde", tmp_path / "run", resume=True, learn_from="val")
    assert torch.equal(again.model.rows, run.model.rows)
    assert listing(tmp_path) == before


def test_a_closed_form_that_fails_leaves_nothing(tmp_path):
    data = load_data(np.random.default_rng(0).normal(size=(20, 30)))
    with pytest.raises(DalmError, match="singular: rank 15 of 30"):
        fit(tiny("gaussian", data, estimate="mle"), data, out=tmp_path / "run", progress=False)
    assert listing(tmp_path) == {}


def test_a_closed_form_leaves_no_log(tmp_path):
    run = run_of("gaussian", tmp_path / "run")
    assert sorted(listing(run.path)) == ["run.json", "weights.safetensors"]


# Passes


def test_passes_climb_the_likelihood_to_their_end(whole):
    lines = log_of(whole)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    values = [line["terms"]["log-likelihood"] for line in lines]
    assert values == pytest.approx(sorted(values), abs=1e-6), "EM never loses likelihood"
    assert values[-1] - values[0] > 0.05
    assert 5 < len(lines) < 200
    assert whole.meta["state"] == "done"
    assert whole.meta["passes"] == len(lines)
    assert events_of(whole) == ["start", "end"]


def test_a_fixed_point_is_where_the_likelihood_is_highest(whole):
    """The gradient of the mean log likelihood with respect to the means vanishes."""
    model = Run.open(whole.path).model.double()
    model.means = model.means.clone().requires_grad_()
    nats = model._log_prob(model.standard(MOONS.train.x), None, generator_of())
    [slope] = torch.autograd.grad(nats.mean(), model.means)
    assert slope.abs().max() < 1e-2


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_budget_of_steps_is_a_number_of_passes(tmp_path, whole, steps):
    run = mixture_of(tmp_path / "run", steps=steps)
    assert run.meta["state"] == "done"
    assert log_of(run)[-1]["step"] == run.meta["passes"] == steps
    assert weights(run) != weights(whole)


def test_a_budget_of_seconds_ends_between_passes(tmp_path):
    run = mixture_of(tmp_path / "run", seconds=1e-6)
    assert run.meta["state"] == "done"
    assert run.meta["passes"] == 1
    again = mixture_of(tmp_path / "again", steps=run.meta["passes"])
    assert weights(again) == weights(run)


def test_a_pass_that_would_end_too_late_is_not_begun_and_one_that_did_is_said(
    tmp_path, monkeypatch
):
    now = [0.0]
    asked = []
    monkeypatch.setattr(clock, "now", lambda: now[0])
    step = Mixture.passes

    def slow(model, work):
        for terms in step(model, work):
            asked.append(work.left())
            now[0] += 12.0
            yield terms

    monkeypatch.setattr(Mixture, "passes", slow)
    in_time = mixture_of(tmp_path / "in time", seconds=30.0)
    assert now[0] == 24.0, "a third pass would end 6 s late, and 5 are forgiven"
    assert asked == [30.0, 18.0]
    assert "warning" not in in_time.meta
    late = mixture_of(tmp_path / "late", seconds=5.0)
    assert late.meta["passes"] == 1
    assert "took 12.0 s where 5 s were asked for" in late.meta["warning"]


def press(session):
    os.kill(os.getpid(), signal.SIGINT)


def same_log(run, other):
    mine = [{**line, "seconds": 0} for line in log_of(run)]
    return mine == [{**line, "seconds": 0} for line in log_of(other)]


@pytest.mark.parametrize("number", [1, 4])
def test_ctrl_c_stops_after_the_pass_under_way(tmp_path, whole, number):
    run = mixture_of(tmp_path / "run", [AtLook(number, press)], steps=200)
    assert run.meta["state"] == "stopped"
    assert log_of(run)[-1]["step"] == number
    again = mixture_of(tmp_path / "run", steps=200, resume=True)
    assert weights(again) == weights(whole)
    assert same_log(again, whole)
    assert again.meta["passes"] == whole.meta["passes"]


@pytest.mark.parametrize("checkpoint", [1e-9, 1e9])
@pytest.mark.parametrize("number", [1, 2, 6])
def test_killed_passes_end_with_the_same_bits(tmp_path, whole, number, checkpoint):
    asked = {"steps": 200, "checkpoint": checkpoint}
    with pytest.raises(Killed):
        mixture_of(tmp_path / "run", [AtLook(number, raise_killed)], **asked)
    again = mixture_of(tmp_path / "run", resume=True, **asked)
    assert weights(again) == weights(whole)
    assert same_log(again, whole)


def test_a_listener_ends_passes(tmp_path):
    def stop(session):
        session.stop("that will do")

    run = mixture_of(tmp_path / "run", [AtLook(3, stop)], steps=200)
    assert (run.meta["state"], run.meta["passes"]) == ("done", 3)
    assert events_of(run) == ["start", "stop", "end"]


def test_the_bandwidth_search_is_resumed_to_the_same_bits(tmp_path):
    asked = FIT | {"steps": 200, "checkpoint": 1e-9}
    model = tiny("kde", MOONS, bandwidth=None)
    undisturbed = fit(model, MOONS, out=tmp_path / "whole", **asked)
    die = AtLook(3, raise_killed)
    model = tiny("kde", MOONS, bandwidth=None)
    with pytest.raises(Killed):
        fit(model, MOONS, out=tmp_path / "run", listeners=[die], **asked)
    model = tiny("kde", MOONS, bandwidth=None)
    again = fit(model, MOONS, out=tmp_path / "run", resume=True, **asked)
    assert weights(again) == weights(undisturbed)
    assert again.model.width == undisturbed.model.width != 1.0


def test_a_pass_that_logs_without_a_unit_is_refused(tmp_path):
    class Careless(Mixture):
        units = {}

    words = "test-mixture logs 'log-likelihood', and its `units` do not say in which unit"
    with pytest.raises(DalmError, match=words):
        fit(Careless(MOONS.spec), MOONS, out=tmp_path / "run", steps=3, **QUIET)
    assert listing(tmp_path) == {}


def test_each_pass_has_randomness_of_its_own():
    class Noisy(Mixture):
        def passes(self, work):
            while True:
                yield {"log-likelihood": torch.rand((), generator=work.generator).item()}

    def draws(seed):
        model = Noisy(MOONS.spec)
        options = FitOptions(steps=3, seed=seed)
        estimation = Estimation(model, model.stages()[0], 0, MOONS.train, MOONS.val, options)
        values = []
        while not estimation.exhausted():
            estimation.step()
            values.append(estimation.terms["log-likelihood"])
        return values

    assert len(set(draws(0) + draws(1))) == 6
    assert draws(0) == draws(0)
