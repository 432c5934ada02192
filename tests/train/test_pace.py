"""A budget of time is a deadline: plans are made again as the pace changes, and can be repeated."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from tiny import DIGITS, FIT, tiny, weights

from dalm.errors import DalmError
from dalm.train import FitOptions, Listener, fit
from dalm.train.pace import Pace, planned_again
from dalm.train.schedule import along, learning_rate, milestones


class Clock:
    """Steps take `pace` seconds, whatever the plan."""

    def __init__(self, pace):
        self.now = 0.0
        self.pace = pace

    def __call__(self):
        return self.now


def walked(paces, planned, allowed=100.0):
    """The seconds and the plan of steps whose pace is `paces(step)`."""
    clock = Clock(0)
    pace = Pace(allowed, clock=clock)
    options = FitOptions(steps=planned)
    pace.begin(0)
    step = 0
    while step < options.steps:
        clock.now += paces(step)
        step += 1
        if step < options.steps and (steps := pace.replan(options, step)):
            options = planned_again(options, step, steps)
    return clock.now, options


@pytest.mark.parametrize(
    ("paces", "planned"),
    [
        (lambda step: 0.1, 1000),
        (lambda step: 0.7, 1000),
        (lambda step: 0.01, 1000),
        (lambda step: 0.1 if step < 300 else 0.6, 1000),
        (lambda step: 0.5 if step < 60 else 0.05, 150),
        (lambda step: 9.0, 40),
    ],
)
def test_the_deadline_is_kept_and_used(paces, planned):
    seconds, _ = walked(paces, planned)
    assert 88 <= seconds <= 110


def test_a_steady_pace_is_no_reason_to_plan_again():
    _, options = walked(lambda step: 0.1, 1000)
    assert options.plan is None


def test_the_schedule_arrives_whatever_the_plans():
    options = FitOptions(steps=430, plan=(0, 1000, 120, 430), lr=1.0, schedule="cosine")
    rates = [learning_rate(options, step) for step in range(430)]
    plain = FitOptions(steps=1000, lr=1.0, schedule="cosine")
    assert rates[:120] == [learning_rate(plain, step) for step in range(120)]
    assert all(a >= b for a, b in itertools.pairwise(rates[50:]))
    assert rates[-1] < 1e-4
    assert along(options, 430) == (1000, 1000.0)


def test_validations_follow_the_plans():
    options = FitOptions(steps=430, plan=(0, 1000, 120, 430))
    looks = milestones(options, 10)
    assert {100, 129, 430} <= looks
    assert 200 not in looks
    assert milestones(FitOptions(steps=430), 10) == {43 * k for k in range(1, 11)}


@pytest.mark.parametrize(
    "plan", [(0,), (5, 10), (0, 10, 10, 30), (0, 40, 9, 20), (0, 9, 4, 30, 2, 30)]
)
def test_what_is_no_plan_is_refused(plan):
    with pytest.raises(DalmError, match="a plan is what a run keeps"):
        FitOptions(steps=30, plan=plan)


def test_a_run_is_repeated_by_its_plan(tmp_path, monkeypatch):
    """A clock that slows down in the middle; the run is then made again by what it kept."""
    paces = iter([0.0, *([0.1] * 40), *([0.6] * 10**4)])
    now = 0.0

    def clock():
        nonlocal now
        now += next(paces)
        return now

    monkeypatch.setattr("dalm.train.fitting.pace_of", lambda *_: Pace(20.0, clock=clock))
    monkeypatch.setattr(
        "dalm.train.plan.budget_to_steps",
        lambda family, data, options, *_: (options.replace(steps=200, precision="float32"), {}),
    )
    asked = FIT | {"steps": None, "seconds": 20.0, "validations": 4}
    first = fit(tiny("vae"), DIGITS, out=tmp_path / "first", **asked)
    kept = json.loads((first.path / "run.json").read_text())["fit"]
    assert kept["plan"][:2] == [0, 200]
    assert kept["steps"] < 200
    events = (first.path / "events.jsonl").read_text()
    assert '"plan"' in events

    monkeypatch.undo()
    again = {"steps": kept["steps"], "plan": kept["plan"], "seconds": None}
    second = fit(tiny("vae"), DIGITS, out=tmp_path / "second", **asked | again)
    assert weights(second) == weights(first)


def test_the_threads_of_a_run_are_used_and_put_back(tmp_path):
    before = torch.get_num_threads()
    seen = []

    class Watch(Listener):
        def on_step(self, session, played):
            seen.append(torch.get_num_threads())

    fit(
        tiny("vae"),
        DIGITS,
        out=tmp_path / "run",
        **FIT | {"steps": 3, "cpu_threads": before + 1, "listeners": (Watch(),)},
    )
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
