"""The steps of one stage of a fit: planned, taken, and closed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dalm.train.budget import Reckoning, threads_again
from dalm.train.learning import learn
from dalm.train.options import Diverged
from dalm.train.pacer import Pacer
from dalm.train.plan import Plan
from dalm.train.session import Session, states_of
from dalm.train.speed import lay_out
from dalm.train.stages import (
    adapt_stage,
    noted_options,
    noted_plan,
    plan_notes,
    stage_notes,
)
from dalm.train.state import State

if TYPE_CHECKING:
    from dalm.train.fitting import Fitting

TRYING = 0.02
"""Share of a budget of seconds that trying threads again may take, about."""


class Steps:
    """One stage that takes steps.

    Args:
        fitting: the call of `fit` that it is part of.
        index: which of its stages.
    """

    def __init__(self, fitting: Fitting, index: int) -> None:
        self.fitting = fitting
        self.index = index

    @property
    def _single(self) -> bool:
        return len(self.fitting.stages) == 1

    def reckon(self) -> Reckoning:
        """Adapt the model to the data, and plan."""
        fit = self.fitting
        return adapt_stage(
            fit.run.model, fit.data, fit.options, self.index, fit.group, fit.wanted, fit.followed
        )

    def begin(self, found: Reckoning) -> None:
        """Note the plan, and save where the first step begins.

        Args:
            found: the plan.
        """
        fit = self.fitting
        plan = self._plan(found)
        whole = found.options.replace(seconds=fit.options.seconds)
        single = {"fit": whole.to_dict()} if self._single else {}
        notes = stage_notes(fit.run.model, found, self.index, fit.run.meta, plan)
        fit.run.update(**single, **notes)
        lay_out(fit.run.model, found.options.layout)
        state = State(fit.run.model, found.options, self.index)
        state.notes = states_of(fit.listeners)
        state.earlier = fit.seconds
        state.seconds = found.spent
        state.save(fit.checkpoint)

    def _plan(self, found: Reckoning) -> Plan | None:
        """The legs that are worth a note: of a budget of seconds, or of a run that is followed."""
        followed = self.fitting.followed
        if followed is not None:
            return noted_plan(followed, self.index)
        return Plan([found.leg]) if found.options.seconds is not None else None

    def take(self, note: Mapping[str, Any], interrupted: threading.Event) -> str:
        """Take the steps that are left; returns how it ended, `done` or `stopped`.

        Args:
            note: of the checkpoint that is gone on from; it knows no step of a stage to begin.
            interrupted: set when the user wants to stop.
        """
        fit = self.fitting
        found = self._found(note)
        fit.reckoned = None
        fit.group.agree(0)  # the checkpoint is there
        model = fit.run.model
        lay_out(model, found.options.layout)
        plan = noted_plan(fit.run.meta, self.index) if fit.group.leads else self._plan(found)
        state = State(model, found.options, self.index, plan)
        state.load(fit.checkpoint)
        session = self._session(state, interrupted)
        pacer = self._pacer(found, state)
        if found.warning is not None and fit.group.leads:
            fit.run.update(warning=found.warning)
            session.event("few steps", words=found.warning)
        try:
            outcome = learn(session, state, fit.group, pacer)
        except Diverged as error:
            self._fail(state, error)
            raise
        fit.seconds += state.seconds
        state.model.eval()
        state.model.load_state_dict(state.result())
        lay_out(model, "contiguous")
        fit.group.share(state.model)
        if session.reason is not None and fit.group.leads:
            fit.run.update(ended=f"at step {session.step} of {session.steps}: {session.reason}")
        return outcome

    def _found(self, note: Mapping[str, Any]) -> Reckoning:
        """What is known of the stage: measured just now, or noted when it began."""
        fit = self.fitting
        if "step" in note:
            rows = len(fit.data.train)
            options = noted_options(fit.run.model, fit.options, self.index, fit.run.meta, rows)
            return fit.reckoned or Reckoning(options)
        found = self.reckon()
        if self._single:
            fit.options = found.options.replace(seconds=fit.options.seconds)
        if fit.group.leads:
            self.begin(found)
        return found

    def _session(self, state: State, interrupted: threading.Event) -> Session:
        fit = self.fitting
        session = fit.session(self.index, state.options, interrupted)
        session.offset += fit.passes(self.index)  # of a family that made some before its steps
        session.step_of_stage = state.step
        session.seconds = state.seconds
        session.restore(state.notes)

        def save() -> None:
            state.notes = session.notes()
            state.save(fit.checkpoint)

        def planned() -> None:
            if fit.group.leads:
                notes = plan_notes(fit.run.meta, self.index, state.plan)
                fit.run.update(**notes)
                leg = state.plan.legs[-1]
                session.event("plan", step=leg.step, steps=leg.steps, threads=leg.threads)

        session.save = save
        session.planned = planned
        return session

    def _pacer(self, found: Reckoning, state: State) -> Pacer | None:
        """Who keeps the budget of seconds, if there is one that this process keeps."""
        fit = self.fitting
        options = found.options
        if options.seconds is None or not fit.group.leads:
            return None

        def threads() -> tuple[int, float]:
            share = TRYING * (options.seconds or 0.0)
            return threads_again(fit.run.model, fit.data, state.options, self.index, share)

        free = fit.group.size == 1 and fit.wanted.threads is None and options.place == "cpu"
        free &= not options.compile  # compiled code is for a number of threads
        return Pacer(
            state.plan,
            options.seconds,
            state.seconds,
            validation=found.validation,
            snapshot=found.snapshot,
            usual=found.pace,
            threads=threads if free else None,
        )

    def _fail(self, state: State, error: Diverged) -> None:
        """Close a run that diverged, with its best weights or those of its last checkpoint."""
        fit = self.fitting
        best = state.best
        seconds = state.seconds
        state.load(fit.checkpoint)
        state.model.load_state_dict(best or state.result())
        lay_out(fit.run.model, "contiguous")
        if fit.group.leads:
            weights = fit.run.model.state_dict()
            fit.run.finish("failed", weights, fit.seconds + seconds, str(error))
