"""One call of `fit`: its run, its stages, and what is kept when it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dalm.core import Estimator, Generative, Learner, Stage, build, restore
from dalm.data import Data
from dalm.records import read_meta
from dalm.train.checks import check_labels, check_same
from dalm.train.estimation import Estimation, estimate
from dalm.train.group import Group
from dalm.train.interrupt import handle_interrupt
from dalm.train.learning import learn
from dalm.train.options import Diverged, FitOptions
from dalm.train.plan import adapt_stage, noted_options, share_of, stage_notes
from dalm.train.run import Run, read_tensors
from dalm.train.session import Listener, Session, states_of
from dalm.train.state import State, parted

CHECKPOINT = "checkpoint.safetensors"


class Fitting:
    """One call of `fit`.

    Args:
        folder: of the run.
        model: what is fitted.
        data: what it learns from.
        options: of the fit, resolved but for the number of steps.
        listeners: told of what happens.
        group: the processes that train together.
    """

    def __init__(
        self,
        folder: Path,
        model: Generative,
        data: Data,
        options: FitOptions,
        listeners: Sequence[Listener],
        group: Group,
    ) -> None:
        self.folder = folder
        self.data = data
        self.options = options
        self.listeners = listeners
        self.group = group
        self.run = Run(folder, model)
        self.estimation: Estimation | None = None
        self.seconds = 0.0

    @property
    def checkpoint(self) -> Path:
        """What a resume needs."""
        return self.run.path / CHECKPOINT

    def start(self) -> None:
        """A new run; it appears under its name when it can be resumed, or is done."""
        model = self.run.model
        check_labels(model, self.data, self.options.learn_from)
        model.to(self.options.place)
        first = model.stages()[0].model
        if isinstance(first, Estimator):
            self._start_estimator()
        else:
            self._start_learner()

    def _start_learner(self) -> None:
        options = adapt_stage(self.run.model, self.data, self.options, 0, self.group)
        if len(self._stages) == 1:
            self.options = options
        if not self.group.leads:
            self.run.meta = {"state": "running", "fit": self.options.to_dict()}
            return
        state = State(self.run.model, options)
        self.run = Run.create(self.folder, self.run.model, self.data, self.options)
        self.run.update(**stage_notes(self.run.model, options, 0, self.run.meta))
        state.save(self.checkpoint)
        self.run.publish(self.folder)

    def _start_estimator(self) -> None:
        """Make the first pass: what cannot learn at all then leaves nothing behind."""
        estimation = self._estimation(0)
        estimation.step()
        self.run = Run.create(self.folder, self.run.model, self.data, self.options)
        single = not isinstance(estimation.model, Learner) and len(self._stages) == 1
        if estimation.over and single:
            self.run.finish("done", self.run.model.state_dict(), estimation.seconds)
        else:
            estimation.save(self.checkpoint)
            self.estimation = estimation
        self.run.publish(self.folder)

    @property
    def _stages(self) -> Sequence[Stage]:
        return self.run.model.stages()

    def _estimation(self, index: int) -> Estimation:
        options = share_of(self.options, len(self._stages))
        stage = self._stages[index]
        if isinstance(stage.model, Learner):
            seconds = options.seconds and options.seconds / 2  # the rest is for its steps
            passes = options.passes or self._passes(index) or None
            options = options.replace(seconds=seconds, steps=None, passes=passes)
        train = getattr(self.data, options.learn_from)
        return Estimation(self.run.model, stage, index, train, self.data.val, options)

    def _passes(self, index: int) -> int:
        """The passes that a stage is known to have made."""
        if len(self._stages) == 1:
            return int(self.run.meta.get("passes", 0))
        stages = self.run.meta.get("stages", [])
        return int(stages[index].get("passes", 0)) if index < len(stages) else 0

    def reopen(self, wanted: FitOptions) -> None:
        """The run that is there already, if it is the one that was asked for.

        Args:
            wanted: what the user asked for this time.
        """
        meta = read_meta(self.folder)
        check_same(self.folder, meta, self.run.model, self.data, wanted, self.options)
        place = meta["fit"]["device"]
        if meta["state"] == "done":
            self.run = Run.open(self.folder, place)
            return
        self.options = FitOptions(**meta["fit"])
        self.run = Run(self.folder, build(meta["model"]).to(place), meta)
        if self.group.leads:
            self.run.update(state="running")

    def go_on(self) -> None:
        """Go through the stages that are left, and close the run."""
        self.group.agree(0)  # the checkpoint is there
        note: dict[str, Any] = {"passes": 0}
        if self.estimation is None:
            tensors, note = read_tensors(self.checkpoint)
            restore(self.run.model, parted(tensors)["model"])  # a stage sees data by those before
            self.seconds = note.get("earlier", 0.0)
        try:
            outcome = self._go_through(note)
        except Diverged:
            raise
        except Exception as error:
            if self.group.leads:
                self.run.update(state="failed", error=f"{type(error).__name__}: {error}")
            raise
        if self.group.leads:
            self.run.finish(outcome, self.run.model.state_dict(), self.seconds)
        self.group.agree(0)  # the run is closed
        if not self.group.leads:
            self.run.meta = read_meta(self.folder)

    def _go_through(self, note: dict[str, Any]) -> str:
        """The stages from where a checkpoint stands."""
        first = note.get("stage", 0)
        outcome = "done"
        with handle_interrupt() as interrupted:
            for index in range(first, len(self._stages)):
                outcome = self._stage(index, note if index == first else {}, interrupted)
                if outcome == "stopped":
                    break
        return outcome

    def _stage(self, index: int, note: dict[str, Any], interrupted: threading.Event) -> str:
        """One stage, from its start or from where its checkpoint stands."""
        model = self._stages[index].model
        outcome = "done"
        if isinstance(model, Estimator) and "step" not in note:
            outcome = self._estimate(index, note, interrupted)
        if outcome == "done" and isinstance(model, Learner):
            outcome = self._learn(index, note, interrupted)
        return outcome

    def _session(self, index: int, options: FitOptions, interrupted: threading.Event) -> Session:
        done = self.run.meta.get("stages", [])[:index]
        return Session(
            run=self.run,
            data=self.data,
            listeners=self.listeners,
            interrupted=interrupted,
            options=options,
            stage=self._stages[index],
            offset=sum(stage["steps"] + stage.get("passes", 0) for stage in done),
            earlier=self.seconds,
        )

    def _estimate(self, index: int, note: dict[str, Any], interrupted: threading.Event) -> str:
        estimation = self.estimation
        if estimation is None:
            estimation = self._estimation(index)
            estimation.earlier = self.seconds
            if "passes" in note:
                estimation.load(self.checkpoint)
        self.estimation = None
        working = estimation
        session = self._session(index, working.options, interrupted)
        session.restore(working.notes)

        def save() -> None:
            working.notes = session.notes()
            working.save(self.checkpoint)

        session.save = save
        outcome = estimate(session, working)
        self.seconds += working.seconds
        if outcome == "done":
            self._note_passes(index, working)
        return outcome

    def _note_passes(self, index: int, estimation: Estimation) -> None:
        """Keep the number of passes, which gives the same bits again as a budget of steps."""
        passes = estimation.work.number
        if len(self._stages) == 1:
            self.run.update(passes=passes)
            return
        before = self.run.meta.get("stages", [])[:index]
        facts = {"name": self._stages[index].name, "steps": 0, "passes": passes}
        self.run.update(stages=[*before, facts])

    def _learn(self, index: int, note: dict[str, Any], interrupted: threading.Event) -> str:
        options = self._options(index) if "step" in note else self._begin(index)
        self.group.agree(0)  # the checkpoint is there
        state = State(self.run.model, options, index)
        state.load(self.checkpoint)
        session = self._session(index, options, interrupted)
        session.offset += self._passes(index)  # of a family that made some before its steps
        session.step_of_stage = state.step
        session.seconds = state.seconds
        session.restore(state.notes)

        def save() -> None:
            state.notes = session.notes()
            state.save(self.checkpoint)

        session.save = save
        try:
            outcome = learn(session, state, self.group)
        except Diverged as error:
            self._fail(state, error)
            raise
        self.seconds += state.seconds
        state.model.eval()
        state.model.load_state_dict(state.result())
        self.group.share(state.model)
        if session.reason is not None and self.group.leads:
            self.run.update(ended=f"at step {session.step} of {session.steps}: {session.reason}")
        return outcome

    def _options(self, index: int) -> FitOptions:
        """The options of a stage that began before."""
        rows = len(self.data.train)
        return noted_options(self.run.model, self.options, index, self.run.meta, rows)

    def _begin(self, index: int) -> FitOptions:
        """Prepare a stage that takes steps, after another one or after passes of its own."""
        options = adapt_stage(self.run.model, self.data, self.options, index, self.group)
        if self.group.leads:
            whole = options.replace(seconds=self.options.seconds)
            single = {"fit": whole.to_dict()} if len(self._stages) == 1 else {}
            notes = stage_notes(self.run.model, options, index, self.run.meta)
            self.run.update(**single, **notes)
            state = State(self.run.model, options, index)
            state.notes = states_of(self.listeners)
            state.earlier = self.seconds
            state.save(self.checkpoint)
        return options

    def _fail(self, state: State, error: Diverged) -> None:
        """Close a run that diverged, with its best weights or those of its last checkpoint."""
        best = state.best
        seconds = state.seconds
        state.load(self.checkpoint)
        state.model.load_state_dict(best or state.result())
        if self.group.leads:
            weights = self.run.model.state_dict()
            self.run.finish("failed", weights, self.seconds + seconds, str(error))
