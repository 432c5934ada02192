"""The training loop, one for all learners."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import astuple

import torch

from dalm.train import clock
from dalm.train.group import Group
from dalm.train.looks import snapshot, validate
from dalm.train.meter import Meter
from dalm.train.options import FitOptions
from dalm.train.pacer import Pacer
from dalm.train.plan import Leg
from dalm.train.session import Session
from dalm.train.speed import compile_parts, decompile, use_threads
from dalm.train.state import State
from dalm.train.step import Stepper

LOOK_EVERY = 10
"""Steps between looks at the losses: each look waits for the accelerator."""
NO_LEG = Leg(-1, 0, 0, 0)
"""What the leading process tells where the plan stands."""


def learn(session: Session, state: State, group: Group, pacer: Pacer | None = None) -> str:
    """Take the remaining steps of a stage; returns how it ended, `done` or `stopped`.

    Args:
        session: told of all that happens.
        state: where the stage stands.
        group: the processes that train together.
        pacer: plans anew as time goes by; without one the plan stands.

    Raises:
        Diverged: a loss or a weight is not finite.
    """
    options = state.options
    session.learner = state
    session.meter = Meter()
    if options.compile:
        torch.compiler.reset()  # it compiles a function for so many models, then never again
    compile_parts(state.model.train(), options)
    step = Stepper(state, session.stage, session.data.train, group)
    try:
        for listener in session.listeners:
            listener.on_start(session)
        with deterministic(options):
            _steps(session, state, step, pacer)
        if session.meter.waiting:
            _look(session)
        state.check()
    except (Exception, KeyboardInterrupt):
        session.end("failed")
        raise
    finally:
        decompile(state.model)
    stopped = session.interrupted.is_set() and state.step < (state.options.steps or 0)
    outcome = "stopped" if stopped and session.reason is None else "done"
    session.end(outcome)
    return outcome


def _steps(session: Session, state: State, step: Stepper, pacer: Pacer | None) -> None:
    began = clock.now()
    earlier = state.seconds
    looks, shows, milestones = _follow(session, state)
    if pacer is not None:
        pacer.start(state.step)
    while state.step < state.plan.at(state.step).steps and not any(
        step.group.agree(session.stopping)
    ):
        played = step()
        state.seconds = earlier + clock.now() - began
        session.step_of_stage = state.step
        session.seconds = state.seconds
        session.milestone = state.step in milestones
        session.meter.add(session.step, played)
        if session.milestone or state.step % LOOK_EVERY == 0:
            _look(session)
        _milestones(session, state, looks, shows, pacer)
        for listener in session.listeners:
            listener.on_step(session, played)
        _roll_back(session, state, step.group)
        session.end_step()
        if _next_leg(session, state, step.group, pacer, earlier + clock.now() - began):
            looks, shows, milestones = _follow(session, state)


def _follow(session: Session, state: State) -> tuple[set[int], set[int], set[int]]:
    """Go by the leg of the plan that begins here; the steps of its validations, of its snapshots,
    and both with the last.
    """
    leg = state.plan.at(state.step)
    state.follow(leg)
    session.options = state.options
    use_threads(leg.threads)
    looks = state.plan.due(state.step, leg.validations)
    shows = state.plan.due(state.step, leg.snapshots)
    return looks, shows, looks | shows | {leg.steps}


def _next_leg(
    session: Session, state: State, group: Group, pacer: Pacer | None, elapsed: float
) -> bool:
    """Whether another leg of the plan begins after this step: one noted before, or a new one.

    Args:
        session: the fit under way.
        state: where the stage stands.
        group: the processes, of which the leading one plans.
        pacer: its planner.
        elapsed: seconds of the budget that went by.
    """
    if any(leg.step == state.step for leg in state.plan.legs):
        return True
    if state.options.seconds is None:
        return False
    leg = pacer.consider(state.step, elapsed) if pacer is not None else None
    told = group.agree(*(-1 if number is None else number for number in astuple(leg or NO_LEG)))
    if told[0] < 0:
        return False
    if pacer is None:
        step, steps, validations, snapshots, rows, threads = map(int, told)
        counts = (step, steps, validations, snapshots, rows)
        state.plan.add(Leg(*counts, threads if threads > 0 else None))
    session.planned()
    return True


def _look(session: Session) -> None:
    session.read_losses()
    for listener in session.listeners:
        listener.on_look(session)


def _milestones(
    session: Session, state: State, looks: set[int], shows: set[int], pacer: Pacer | None
) -> None:
    """Draw samples and score validation rows, if it is time.

    Args:
        session: the fit under way.
        state: where the stage stands.
        looks: steps with a validation.
        shows: steps with a snapshot.
        pacer: measures what they cost.
    """
    if not session.listeners:
        return
    measured = pacer.look if pacer is not None else contextlib.nullcontext
    if state.step in shows:
        with measured("snapshot"):
            samples = snapshot(state)
        for listener in session.listeners:
            listener.on_snapshot(session, samples)
    if state.step not in looks:
        return
    with measured("validation"):
        value = validate(state, session.stage, session.data, state.plan.at(state.step - 1).rows)
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
