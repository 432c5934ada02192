"""One call of `fit`: its run, its stages, and what is kept when it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dalm.core import Estimator, Generative, Learner, Stage, build, restore
from dalm.data import Data
from dalm.records import read_meta
from dalm.train.budget import Reckoning
from dalm.train.checks import check_labels, check_same, inherit
from dalm.train.estimation import Estimation, estimate
from dalm.train.group import Group
from dalm.train.interrupt import handle_interrupt
from dalm.train.options import Diverged, FitOptions
from dalm.train.parts import parted
from dalm.train.run import Run, read_tensors
from dalm.train.session import Listener, Session
from dalm.train.speed import use_threads
from dalm.train.stages import share_of
from dalm.train.steps import Steps

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
        wanted: the options as the user gave them; by default those of the fit.
        followed: the description of a run whose plan is followed.
    """

    def __init__(
        self,
        folder: Path,
        model: Generative,
        data: Data,
        options: FitOptions,
        listeners: Sequence[Listener],
        group: Group,
        wanted: FitOptions | None = None,
        followed: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.data = data
        self.options = options
        self.listeners = listeners
        self.group = group
        self.wanted = wanted or options
        self.followed = followed
        self.reckoned: Reckoning | None = None
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
        inherit(model, self.options.start_from)
        model.to(self.options.place)
        learns = any(isinstance(stage.model, Learner) for stage in model.stages())
        if self.options.threads is None and not (learns and self.options.timed):
            self.options = self.options.replace(threads=torch.get_num_threads())
        use_threads(self.options.threads)
        first = model.stages()[0].model
        if isinstance(first, Estimator):
            self._start_estimator()
        else:
            self._start_learner()

    def _start_learner(self) -> None:
        steps = Steps(self, 0)
        found = steps.reckon()
        self.reckoned = found
        if len(self.stages) == 1:
            self.options = found.options
        if not self.group.leads:
            self.run.meta = {"state": "running", "fit": self.options.to_dict()}
            return
        self.run = Run.create(self.folder, self.run.model, self.data, self.options)
        steps.begin(found)
        self.run.publish(self.folder)

    def _start_estimator(self) -> None:
        """Make the first pass: what cannot learn at all then leaves nothing behind."""
        estimation = self._estimation(0)
        estimation.step()
        self.run = Run.create(self.folder, self.run.model, self.data, self.options)
        self._note_overrun(estimation)
        single = not isinstance(estimation.model, Learner) and len(self.stages) == 1
        if estimation.over and single:
            self.run.finish("done", self.run.model.state_dict(), estimation.seconds)
        else:
            estimation.save(self.checkpoint)
            self.estimation = estimation
        self.run.publish(self.folder)

    @property
    def stages(self) -> Sequence[Stage]:
        """The parts that are fitted, in order."""
        return self.run.model.stages()

    def _estimation(self, index: int) -> Estimation:
        options = share_of(self.options, len(self.stages))
        stage = self.stages[index]
        if isinstance(stage.model, Learner):
            seconds = options.seconds and options.seconds / 2  # the rest is for its steps
            passes = options.passes or self.passes(index) or self._followed_passes(index) or None
            options = options.replace(seconds=seconds, steps=None, passes=passes)
        train = getattr(self.data, options.learn_from)
        return Estimation(self.run.model, stage, index, train, self.data.val, options)

    def passes(self, index: int) -> int:
        """The passes that a stage is known to have made."""
        if len(self.stages) == 1:
            return int(self.run.meta.get("passes", 0))
        stages = self.run.meta.get("stages", [])
        return int(stages[index].get("passes", 0)) if index < len(stages) else 0

    def _followed_passes(self, index: int) -> int:
        """Those that a stage of the run that is followed made."""
        followed = self.followed or {}
        stages = followed.get("stages")
        return int((stages[index] if stages else followed).get("passes", 0))

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
            for index in range(first, len(self.stages)):
                outcome = self._stage(index, note if index == first else {}, interrupted)
                if outcome == "stopped":
                    break
        return outcome

    def _stage(self, index: int, note: dict[str, Any], interrupted: threading.Event) -> str:
        """One stage, from its start or from where its checkpoint stands."""
        model = self.stages[index].model
        outcome = "done"
        if isinstance(model, Estimator) and "step" not in note:
            outcome = self._estimate(index, note, interrupted)
        if outcome == "done" and isinstance(model, Learner):
            outcome = Steps(self, index).take(note, interrupted)
        return outcome

    def session(self, index: int, options: FitOptions, interrupted: threading.Event) -> Session:
        """What listeners see of a stage.

        Args:
            index: which of the stages.
            options: of the stage.
            interrupted: set when the user wants to stop.
        """
        done = self.run.meta.get("stages", [])[:index]
        return Session(
            run=self.run,
            data=self.data,
            listeners=self.listeners,
            interrupted=interrupted,
            options=options,
            stage=self.stages[index],
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
        use_threads(self.options.threads)
        session = self.session(index, working.options, interrupted)
        session.restore(working.notes)

        def save() -> None:
            working.notes = session.notes()
            working.save(self.checkpoint)

        session.save = save
        outcome = estimate(session, working)
        self.seconds += working.seconds
        if outcome == "done":
            self._note_passes(index, working)
            self._note_overrun(working)
        return outcome

    def _note_overrun(self, estimation: Estimation) -> None:
        """Keep by how much passes were too long, so that nobody takes budgets for equal."""
        if words := estimation.overrun:
            self.run.update(warning=words)

    def _note_passes(self, index: int, estimation: Estimation) -> None:
        """Keep the number of passes, which gives the same bits again as a budget of steps."""
        passes = estimation.work.number
        if len(self.stages) == 1:
            self.run.update(passes=passes)
            return
        before = self.run.meta.get("stages", [])[:index]
        facts = {"name": self.stages[index].name, "steps": 0, "passes": passes}
        self.run.update(stages=[*before, facts])
