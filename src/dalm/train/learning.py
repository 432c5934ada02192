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
from dalm.train.schedule import evenly
from dalm.train.session import Session
from dalm.train.state import State
from dalm.train.step import Stepper

LOOK_EVERY = 10
"""Steps between looks at the losses: each look waits for the accelerator."""


def learn(session: Session, state: State, group: Group) -> str:
    """Take the remaining steps of a stage; returns how it ended, `done` or `stopped`.

    Args:
        session: told of all that happens.
        state: where the stage stands.
        group: the processes that train together.

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
            _steps(session, state, step)
        if session.meter.waiting:
            _look(session)
        state.check()
    except (Exception, KeyboardInterrupt):
        session.end("failed")
        raise
    stopped = session.interrupted.is_set() and state.step < (options.steps or 0)
    outcome = "stopped" if stopped and session.reason is None else "done"
    session.end(outcome)
    return outcome


def _steps(session: Session, state: State, step: Stepper) -> None:
    options = state.options
    assert options.steps is not None
    looks = evenly(options.steps, options.validations)
    shows = evenly(options.steps, options.snapshots)
    milestones = looks | shows | {options.steps}
    began = time.perf_counter()
    earlier = state.seconds
    while state.step < options.steps and not any(step.group.agree(session.stopping)):
        played = step()
        state.seconds = earlier + time.perf_counter() - began
        session.step_of_stage = state.step
        session.seconds = state.seconds
        session.milestone = state.step in milestones
        session.meter.add(session.step, played)
        if session.milestone or state.step % LOOK_EVERY == 0:
            _look(session)
        _milestones(session, state, looks, shows)
        for listener in session.listeners:
            listener.on_step(session, played)
        _roll_back(session, state, step.group)
        session.end_step()


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
