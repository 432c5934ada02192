"""The training loop, one for all learners."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch

from dalm.train.budget import compile_parts
from dalm.train.group import Group
from dalm.train.looks import snapshot, validate
from dalm.train.meter import Meter
from dalm.train.options import FitOptions
from dalm.train.pace import Pace, planned_again
from dalm.train.schedule import milestones
from dalm.train.session import Session
from dalm.train.state import State
from dalm.train.step import Stepper

LOOK_EVERY = 10
"""Steps between looks at the losses: each look waits for the accelerator."""


def learn(session: Session, state: State, group: Group, pace: Pace | None = None) -> str:
    """Take the remaining steps of a stage; returns how it ended, `done` or `stopped`.

    Args:
        session: told of all that happens.
        state: where the stage stands.
        group: the processes that train together.
        pace: the deadline, where the budget is one of time; several processes keep to their plan.

    Raises:
        Diverged: a loss or a weight is not finite.
    """
    options = state.options
    session.learner = state
    session.meter = Meter()
    compile_parts(state.model.train(), options)
    step = Stepper(state, session.stage, session.data.train, group)
    try:
        for listener in session.listeners:
            listener.on_start(session)
        with deterministic(options):
            _steps(session, state, step, pace if group.size == 1 else None)
        if session.meter.waiting:
            _look(session)
        state.check()
    except (Exception, KeyboardInterrupt):
        session.end("failed")
        raise
    stopped = session.interrupted.is_set() and state.step < (state.options.steps or 0)
    outcome = "stopped" if stopped and session.reason is None else "done"
    session.end(outcome)
    return outcome


def _steps(session: Session, state: State, step: Stepper, pace: Pace | None) -> None:
    looks, shows, last = _agenda(state.options)
    began = time.perf_counter()
    earlier = state.seconds
    if pace:
        pace.begin(state.step)
    while state.step < last and not any(step.group.agree(session.stopping)):
        played = step()
        state.seconds = earlier + time.perf_counter() - began
        session.step_of_stage = state.step
        session.seconds = state.seconds
        if pace and state.step < last and (steps := pace.replan(state.options, state.step)):
            _plan_again(session, state, step, steps)
            looks, shows, last = _agenda(state.options)
        session.milestone = state.step in looks | shows | {last}
        session.meter.add(session.step, played)
        if session.milestone or state.step % LOOK_EVERY == 0:
            _look(session)
        _milestones(session, state, looks, shows)
        for listener in session.listeners:
            listener.on_step(session, played)
        _roll_back(session, state, step.group)
        session.end_step()


def _agenda(options: FitOptions) -> tuple[set[int], set[int], int]:
    """The steps with a validation, those with a snapshot, and the last one."""
    assert options.steps is not None
    looks = milestones(options, options.validations)
    return looks, milestones(options, options.snapshots), options.steps


def _plan_again(session: Session, state: State, step: Stepper, steps: int) -> None:
    """Take another number of steps than planned; the run keeps the plan before it is followed."""
    state.options = planned_again(state.options, state.step, steps)
    step.options = state.options
    session.options = state.options
    session.keep_plan()
    session.event("plan", steps=steps)


def _look(session: Session) -> None:
    session.read_losses()
    for listener in session.listeners:
        listener.on_look(session)


def _milestones(session: Session, state: State, looks: set[int], shows: set[int]) -> None:
    """Draw samples and score validation rows, if it is time."""
    if not session.listeners:
        return
    if state.step in shows:
        samples = snapshot(state)
        for listener in session.listeners:
            listener.on_snapshot(session, samples)
    if state.step not in looks:
        return
    value = validate(state, session.stage, session.data)
    if value is not None:
        for listener in session.listeners:
            listener.on_validation(session, value)


def _roll_back(session: Session, state: State, group: Group) -> None:
    """Go back to the best weights, if a listener asked for it."""
    if not any(group.agree(session.rolling_back is not None)):
        return
    reason = session.rolling_back
    session.rolling_back = None
    done = any(group.agree(bool(state.best)))
    if done:
        state.roll_back()
        group.share(state.model)
        group.share(state.average)
    session.event("roll back" if done else "nothing to roll back to", reason=reason)


@contextlib.contextmanager
def deterministic(options: FitOptions) -> Iterator[None]:
    """Ask an accelerator for the same bits every time."""
    if options.place == "cpu":
        yield
        return
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
