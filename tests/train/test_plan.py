"""Budgets of seconds, by a clock that the test sets: no machine is measured here."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import pytest
import torch
from tiny import DIGITS, Killed, kill_at, log_of, run_of, tiny, weights

from dalm.errors import DalmError
from dalm.train import FitOptions, Listener, budget, clock, speed
from dalm.train.budget import reckon
from dalm.train.looks import validate
from dalm.train.options import resolve
from dalm.train.pacer import Pacer
from dalm.train.plan import Leg, Plan
from dalm.train.schedule import evenly, learning_rate
from dalm.train.speed import Trial, Way, compiled, race
from dalm.train.state import State
from dalm.train.step import Stepper

SECONDS = 30.0
TIMED = {"steps": None, "seconds": SECONDS, "validations": 4, "snapshots": 2, "patience": 0}


class Machine:
    """A clock that goes on when a step is taken, by as much as the machine's pace says."""

    def __init__(self, monkeypatch, pace, looking=0.0):
        self.time = 0.0
        self.pace = pace
        self.looking = looking
        self.taken = []
        take = Stepper.__call__
        monkeypatch.setattr(clock, "now", lambda: self.time)

        def step(stepper):
            self.time += self.pace(self.time)
            self.taken.append(torch.get_num_threads())
            return take(stepper)

        monkeypatch.setattr(Stepper, "__call__", step)
        for module in ("dalm.train.budget", "dalm.train.learning"):
            monkeypatch.setattr(f"{module}.validate", self.validate)

    def validate(self, state, stage, data, rows):
        self.time += self.looking * rows
        return validate(state, stage, data, rows)


def slow_after(moment, before=0.05, after=0.5):
    return lambda time: before if time < moment else after


# A plan


def test_a_plan_of_one_leg_is_a_number_of_steps():
    plan = Plan([Leg(0, 205, 7, 3)])
    options = FitOptions(steps=205, lr=0.3, schedule="cosine")
    assert [plan.position(step) for step in range(205)] == list(range(205))
    assert plan.due(0, 7) == evenly(205, 7)
    state = State(tiny("vae"), resolve(options, tiny("vae"), 1000))
    assert [state.rate(step) for step in (0, 9, 100, 204)] == [
        learning_rate(state.options, step) for step in (0, 9, 100, 204)
    ]


@pytest.mark.parametrize("legs", [[(0, 100), (30, 60), (45, 500)], [(0, 10), (9, 400)], [(0, 3)]])
def test_progress_rises_from_0_to_1_without_a_jump(legs):
    plan = Plan([Leg(*leg, 5, 3) for leg in legs])
    steps = legs[-1][1]
    values = [plan.progress(step) for step in range(steps + 1)]
    assert values[0] == 0
    assert values[-1] == 1
    assert values == sorted(values)
    gaps = [after - before for before, after in itertools.pairwise(values)]
    longest = max(1 / (leg[1] - leg[0]) for leg in legs)
    assert max(gaps) <= longest + 1e-12


def test_looks_keep_their_number_when_the_plan_changes():
    plan = Plan([Leg(0, 100, 10, 0), Leg(30, 60, 10, 0)])
    early = {step for step in plan.due(0, 10) if step <= 30}
    assert early == {10, 20, 30}
    assert plan.due(30, 10) == {35, 39, 43, 48, 52, 56, 60}


def test_a_plan_survives_its_record():
    plan = Plan([Leg(0, 100, 10, 2), Leg(30, 60, 5, 1, 64, 2)])
    again = Plan.of(json.loads(json.dumps(plan.to_json())))
    assert again.legs == plan.legs
    assert again.progress(44) == plan.progress(44)


# A pacer


def fit_by(pacer, plan, pace):
    """Steps until the plan is over; returns when that is."""
    time, step = 0.0, 0
    pacer.start(0)
    while step < plan.at(step).steps:
        time += pace(time)
        step += 1
        pacer.consider(step, time)
    return step, time


@pytest.mark.parametrize(
    "pace",
    [
        lambda time: 0.1,
        slow_after(10, 0.1, 0.7),
        slow_after(10, 0.7, 0.1),
        slow_after(28, 0.1, 1.0),
        lambda time: 0.1 + 0.05 * math.sin(time),
        lambda time: 2.0,
        lambda time: 0.1 if time < 1 else 4.0,
    ],
    ids=["even", "slower", "faster", "slow at the end", "uneven", "few steps", "hardly any"],
)
def test_the_deadline_is_kept_whatever_the_pace(pace):
    plan = Plan([Leg(0, 300, 0, 0)])
    steps, time = fit_by(Pacer(plan, SECONDS), plan, pace)
    assert steps == plan.legs[-1].steps
    assert 0.88 * SECONDS <= time <= SECONDS + 4.0, "at most a step too late"
    assert time <= 1.04 * SECONDS + pace(time)
    assert len(plan.legs) <= 12


def test_a_steady_machine_keeps_its_first_plan():
    plan = Plan([Leg(0, 300, 0, 0)])
    assert fit_by(Pacer(plan, SECONDS), plan, lambda time: 0.1)[0] == 300
    assert len(plan.legs) == 1


def test_looks_give_way_when_they_would_eat_the_time_left():
    plan = Plan([Leg(0, 300, 20, 20)])
    pacer = Pacer(plan, SECONDS, validation=5.0, snapshot=0.001)
    pacer.start(0)
    leg = pacer.consider(100, 10.0)
    assert leg.validations == 1, "the last one, by which the best weights are chosen"
    assert leg.snapshots == 20
    assert leg.steps == pytest.approx(100 + (20 - 5) / 0.1, abs=2)


def test_threads_are_asked_for_again_only_where_the_pace_changes():
    asked = []

    def threads():
        asked.append(True)
        return 1, 0.1

    def pacer_of(usual):
        plan = Plan([Leg(0, 300, 0, 0, threads=2)])
        return Pacer(plan, SECONDS, usual=usual, threads=threads)

    pacer_of(0.1).consider(100, 11.0)
    assert asked == []
    leg = pacer_of(0.02).consider(100, 11.0)
    assert asked == [True]
    assert leg.threads == 1
    assert leg.steps == pytest.approx(290, abs=1), "planned by the pace of those threads"


# A fit


@pytest.mark.parametrize("pace", [slow_after(15), slow_after(15, 0.5, 0.05), slow_after(1e9)])
def test_a_fit_ends_in_time_and_is_repeated_by_its_plan(tmp_path, monkeypatch, pace):
    with monkeypatch.context() as patch:
        machine = Machine(patch, pace)
        first = run_of("vae", tmp_path / "first", **TIMED)
        assert 0.9 * SECONDS < machine.time < SECONDS + 1
    assert first.meta["seconds"] == pytest.approx(machine.time, abs=1e-3), "warm-up and all"
    again = run_of("vae", tmp_path / "again", steps=None, plan=str(first.path))
    assert weights(again) == weights(first)
    assert again.meta["fit"]["seconds"] is None
    steps = [line["step"] for line in log_of(first) if "validation" in line]
    assert steps == [line["step"] for line in log_of(again) if "validation" in line]
    assert len(steps) == 4
    assert steps[-1] == first.meta["fit"]["steps"]


def test_a_killed_fit_goes_on_by_the_plan_of_its_record(tmp_path, monkeypatch):
    for step, saved in ((150, 20), (290, 280)):
        with monkeypatch.context() as patch:
            Machine(patch, slow_after(6, 0.1, 0.05))
            kill_at(patch, step=step, saved=saved)
            with pytest.raises(Killed):
                run_of("vae", tmp_path / "run", resume=True, checkpoint=1e-9, **TIMED)
    with monkeypatch.context() as patch:
        Machine(patch, slow_after(6, 0.1, 0.05))
        whole = run_of("vae", tmp_path / "run", resume=True, **TIMED)
    assert whole.meta["state"] == "done"
    again = run_of("vae", tmp_path / "again", steps=None, plan=str(whole.path))
    assert weights(again) == weights(whole)


def test_validations_are_scaled_down_to_their_share(tmp_path, monkeypatch):
    machine = Machine(monkeypatch, slow_after(1e9, 0.05), looking=0.01)
    asked = TIMED | {"validations": 20}
    run = run_of("vae", tmp_path / "run", **asked)
    leg = run.meta["plan"][0]
    assert leg["rows"] < 197, "all of them would take two seconds"
    assert leg["validations"] * leg["rows"] * 0.01 <= 0.06 * SECONDS
    assert leg["validations"] >= 1
    assert machine.time < 1.02 * SECONDS


def test_a_net_too_large_for_its_budget_is_said(tmp_path, monkeypatch):
    told = []

    class Ear(Listener):
        name = "ear"

        def on_event(self, session, event, facts):
            told.append((event, facts))

    machine = Machine(monkeypatch, slow_after(1e9, 2.0))
    run = run_of("vae", tmp_path / "run", listeners=[Ear()], **TIMED)
    assert machine.time < SECONDS + 2
    assert run.meta["fit"]["steps"] >= 10
    assert "only" in run.meta["warning"]
    assert any("only" in facts.get("words", "") for event, facts in told if event == "few steps")


def test_enough_steps_are_not_remarked_on(tmp_path, monkeypatch):
    Machine(monkeypatch, slow_after(1e9, 0.1))
    assert "warning" not in run_of("vae", tmp_path / "run", **TIMED).meta


# Ways to compute


def trial_of(way, seconds, clocked):
    trial = Trial.__new__(Trial)
    trial.way, trial.times, trial.slow = way, [], 0.0

    def first(limit=None):
        clocked[0] += min(seconds, limit or seconds)
        return limit is None or seconds <= limit

    def measure():
        clocked[0] += seconds
        trial.times.append(seconds)
        return seconds

    trial.first, trial.measure = first, measure
    return trial


@pytest.mark.parametrize(
    ("times", "best"),
    [((0.1, 0.04), 1), ((0.1, 0.097), 0), ((0.1, 0.15), 0), ((0.1, 6.0), 0), ((0.1, 6.0, 0.05), 2)],
)
def test_the_fastest_way_wins_and_a_stalled_one_is_cut_short(monkeypatch, times, best):
    clocked = [0.0]
    monkeypatch.setattr(clock, "now", lambda: clocked[0])
    trials = [
        trial_of(Way(k, "float32", "contiguous"), seconds, clocked)
        for k, seconds in enumerate(times)
    ]
    trials[0].measure()
    ranked = race(trials[0], [lambda one=one: one for one in trials[1:]], 3.0)
    assert ranked[0].way.threads == best
    assert {one.way.threads for one in ranked} == set(range(len(times)))
    assert clocked[0] < 5.0


def test_ways_that_a_budget_cannot_pay_for_are_not_tried(monkeypatch):
    clocked = [0.0]
    monkeypatch.setattr(clock, "now", lambda: clocked[0])
    leader = trial_of(Way(1, "float32", "contiguous"), 1.0, clocked)
    leader.measure()
    assert race(leader, [lambda: pytest.fail("it was made")], 2.0) == [leader]


def test_what_was_said_is_not_measured():
    said = {"threads": 1, "precision": "float32", "layout": "contiguous", "compile": False}
    options = resolve(FitOptions(seconds=0.2, **said), tiny("vae"), 1000)
    found = reckon(tiny("vae"), DIGITS, options)
    assert [{**one, "steps_per_second": 0} for one in found.trials] == [
        {**said, "steps_per_second": 0}
    ]


@pytest.mark.parametrize(("seconds", "wins"), [(0.05, True), (0.099, False), (0.2, False)])
def test_compiling_wins_where_it_is_faster(monkeypatch, seconds, wins):
    clocked = [0.0]
    monkeypatch.setattr(clock, "now", lambda: clocked[0])
    leader = trial_of(Way(2, "bfloat16", "channels_last"), 0.1, clocked)
    leader.measure()
    best, other = compiled(leader, lambda way: trial_of(way, seconds, clocked), 3.0)
    assert (best.way.compile, other.way.compile) == (wins, not wins)
    assert best.way == replace(leader.way, compile=wins)


@pytest.mark.parametrize("when", ["first", "measure"])
def test_what_cannot_be_compiled_is_noted_without_a_rate(when):
    def fail() -> None:
        raise RuntimeError("no C++ compiler")

    def broken(way):
        trial = trial_of(way, 0.1, [0.0])
        setattr(trial, when, fail)
        return trial

    leader = trial_of(Way(1, "float32", "contiguous"), 0.1, [0.0])
    best, other = compiled(leader, broken, 3.0)
    assert best is leader
    assert other.to_json()["compile"]
    assert other.to_json()["steps_per_second"] is None


@pytest.mark.parametrize(
    ("seconds", "said", "tried"),
    [
        (30.0, None, {False, True}),
        (30.0, False, {False}),
        (30.0, True, {False, True}),
        (20.0, None, {False}),
    ],
)
def test_compiling_is_tried_in_a_budget_that_can_repay_it(monkeypatch, seconds, said, tried):
    Machine(monkeypatch, slow_after(1e9))
    monkeypatch.setattr(budget, "REPAID", 30.0)
    monkeypatch.setattr(speed, "compile_parts", lambda model, options: None)
    options = resolve(FitOptions(seconds=seconds, threads=1, compile=said), tiny("vae"), 1000)
    found = reckon(tiny("vae"), DIGITS, options)
    assert {one["compile"] for one in found.trials} == tried
    assert found.options.compile in tried


@pytest.mark.parametrize("said", [None, True])
def test_a_model_is_compiled_while_it_learns_and_no_longer(tmp_path, monkeypatch, said):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def winning(leader, make, seconds):
        trial = make(replace(leader.way, compile=True))
        trial.first()
        trial.measure()
        return [trial, leader]

    compile_now = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda m: compile_now(m, backend=backend))
    monkeypatch.setattr(budget, "REPAID", 0.0)
    monkeypatch.setattr(budget, "compiled", winning)
    Machine(monkeypatch, slow_after(1e9))
    options = {"seconds": 3.0, "compile": said, "threads": 1, "snapshots": 0, "validations": 0}
    run = run_of("vae", tmp_path / "run", steps=None, **options)
    assert run.meta["fit"]["compile"]
    assert [one["compile"] for one in run.meta["speed"]].count(True) == 1
    compiled_so_far = len(graphs)
    assert compiled_so_far
    run.model.sample(3)
    assert len(graphs) == compiled_so_far


@pytest.mark.parametrize("name", ["pixelcnn", "dcgan"])
def test_a_layout_and_a_precision_are_kept_when_a_run_goes_on(tmp_path, monkeypatch, name):
    way = {"layout": "channels_last", "threads": 1, "checkpoint": 1e-9}
    whole = run_of(name, tmp_path / "whole", **way)
    with monkeypatch.context() as patch:
        kill_at(patch, step=17, saved=11)
        with pytest.raises(Killed):
            run_of(name, tmp_path / "killed", **way)
    again = run_of(name, tmp_path / "killed", resume=True, **way)
    assert weights(again) == weights(whole)
    assert all(
        value.is_contiguous() for value in whole.model.state_dict().values() if value.dim() == 4
    )


def test_threads_come_back_at_resume_and_are_left_alone_afterwards(tmp_path, monkeypatch):
    before = torch.get_num_threads()
    with monkeypatch.context() as patch:
        kill_at(patch, step=3, saved=2)
        with pytest.raises(Killed):
            run_of("vae", tmp_path / "run", steps=5, threads=before + 1, checkpoint=1e-9)
    machine = Machine(monkeypatch, slow_after(1e9))
    run = run_of("vae", tmp_path / "run", steps=5, resume=True)
    assert set(machine.taken) == {before + 1}
    assert run.meta["fit"]["threads"] == before + 1
    assert torch.get_num_threads() == before


# Plans of other runs


def test_a_plan_that_cannot_be_followed_is_refused(tmp_path):
    run_of("vae", tmp_path / "vae")
    plan = str(tmp_path / "vae")
    with pytest.raises(DalmError, match="a run of vae, whose plan a dcgan cannot follow"):
        run_of("dcgan", tmp_path / "other", steps=None, plan=plan)
    with pytest.raises(DalmError, match=r"leave seconds=3\.0 out"):
        run_of("vae", tmp_path / "other", steps=None, seconds=3.0, plan=plan)
    with pytest.raises(DalmError, match="leave steps=20 out"):
        run_of("vae", tmp_path / "other", plan=plan)
    with pytest.raises(DalmError, match="is not a run"):
        run_of("vae", tmp_path / "other", steps=None, plan=str(tmp_path / "nothing"))
    assert not (tmp_path / "other").exists()
