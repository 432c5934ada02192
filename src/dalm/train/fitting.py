"""One call of `fit`: its run, its stages, and what is kept when it is stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dalm.core import Estimator, Generative, Learner, Stage, build, config, restore
from dalm.data import Data
from dalm.errors import DalmError
from dalm.records import read_meta
from dalm.train.budget import budget_to_steps
from dalm.train.estimation import Estimation, estimate, seen
from dalm.train.group import Group
from dalm.train.interrupt import handle_interrupt
from dalm.train.learning import learn
from dalm.train.options import Diverged, FitOptions, with_recipe
from dalm.train.run import Run, read_tensors
from dalm.train.session import Listener, Session, states_of
from dalm.train.state import State, parted, resolved_players

CHECKPOINT = "checkpoint.safetensors"
STAGE_FACTS = ("steps", "batch_size", "lr", "validations", "snapshots", "precision")
"""What a run notes of each of several stages."""


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
        check_labels(model, self.data)
        model.to(self.options.place)
        first = model.stages()[0].model
        if isinstance(first, Estimator):
            self._start_estimator()
        else:
            self._start_learner()

    def _start_learner(self) -> None:
        options = self._adapted(0)
        if len(self._stages) == 1:
            self.options = options
        if not self.group.leads:
            self.run.meta = {"state": "running", "fit": self.options.to_dict()}
            return
        state = State(self.run.model, options)
        self.run = Run.create(self.folder, self.run.model, self.data, self.options)
        self.run.update(**self._plan(0, options))
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

    def _share(self, options: FitOptions) -> FitOptions:
        """The options of one stage: an equal share of the budget."""
        count = len(self._stages)
        if count == 1:
            return options
        if options.steps is not None:
            return options.replace(steps=max(1, options.steps // count))
        return options.replace(seconds=(options.seconds or 0.0) / count)

    def _estimation(self, index: int) -> Estimation:
        options = self._share(self.options)
        stage = self._stages[index]
        if isinstance(stage.model, Learner) and options.seconds is not None:
            options = options.replace(seconds=options.seconds / 2)  # the rest is for its steps
        train = getattr(self.data, options.learn_from)
        return Estimation(self.run.model, stage, index, train, self.data.val, options)

    def _adapted(self, index: int) -> FitOptions:
        """Let a learner take scales from the data; returns its options with a number of steps."""
        stage = self._stages[index]
        assert isinstance(stage.model, Learner)
        rows = seen(self.data.train, stage, torch.device("cpu"))  # they may not fit elsewhere
        stage.model.adapt(rows.x, stage.model.condition(rows.y))
        options = with_recipe(self._share(self.options), stage.model, len(self.data.train))
        return budget_to_steps(self.run.model, self.data, options, index, self.group)

    def _plan(self, index: int, options: FitOptions) -> dict[str, Any]:
        """What the run notes of a stage that takes steps."""
        model = self._stages[index].model
        assert isinstance(model, Learner)
        players = {"players": resolved_players(model, options), "units": dict(model.units)}
        if len(self._stages) == 1:
            return players
        facts = {name: getattr(options, name) for name in STAGE_FACTS}
        before = self.run.meta.get("stages", [])[:index]
        return {"stages": [*before, {"name": self._stages[index].name} | facts | players]}

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
        first = note.get("stage", 0)
        with handle_interrupt() as interrupted:
            for index in range(first, len(self._stages)):
                outcome = self._stage(index, note if index == first else {}, interrupted)
                if outcome == "stopped":
                    break
        if self.group.leads:
            self.run.finish(outcome, self.run.model.state_dict(), self.seconds)

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
            offset=sum(stage["steps"] for stage in done),
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
        facts = {"name": self._stages[index].name, "steps": passes}
        self.run.update(stages=[*before, facts])

    def _learn(self, index: int, note: dict[str, Any], interrupted: threading.Event) -> str:
        options = self._known(index) if "step" in note else self._begin(index)
        self.group.agree(0)  # the checkpoint is there
        state = State(self.run.model, options, index)
        state.load(self.checkpoint)
        session = self._session(index, options, interrupted)
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
        return outcome

    def _known(self, index: int) -> FitOptions:
        """The options of a stage that began before."""
        options = self._share(self.options)
        if len(self._stages) == 1:
            return self.options
        facts = dict(self.run.meta["stages"][index])
        known = {name: facts[name] for name in STAGE_FACTS}
        model = self._stages[index].model
        return with_recipe(options, model, len(self.data.train)).replace(seconds=None, **known)

    def _begin(self, index: int) -> FitOptions:
        """Prepare a stage that takes steps, after another one or after passes of its own."""
        options = self._adapted(index)
        if self.group.leads:
            single = {"fit": options.to_dict()} if len(self._stages) == 1 else {}
            self.run.update(**single, **self._plan(index, options))
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


def check_labels(model: Generative, data: Data) -> None:
    """Raise DalmError if a conditional model would meet rows without a label.

    Args:
        model: what is to be fitted; a family says by `partial_labels` that it takes such rows.
        data: what it would learn from.
    """
    y = data.train.y
    if y is None or not model.conditional or model.partial_labels or not bool((y < 0).any()):
        return
    missing = int((y < 0).sum())
    raise DalmError(
        f"{model.family} needs a label for each row, and {missing:,} of {len(y):,} training rows "
        "have none; leave them out, or use a family that learns from unlabelled rows too"
    )


def check_same(
    folder: Path,
    meta: dict[str, Any],
    model: Generative,
    data: Data,
    wanted: FitOptions,
    resolved: FitOptions,
) -> None:
    """Raise DalmError unless a run is the one that is asked for again.

    Args:
        folder: of the run.
        meta: its description.
        model: what is asked for.
        data: likewise.
        wanted: the options as the user gave them.
        resolved: the same, filled.
    """
    before = meta["data"]
    if before["fingerprint"] != data.fingerprint:
        raise DalmError(
            f"{folder} was fitted to other data ({before['name']}, {before['fingerprint']}), not "
            f"to {data.fingerprint}"
        )
    asked = json.loads(json.dumps(config(model)))
    if meta["model"] != asked:
        differ = [
            f"{name}={meta['model'].get(name)}"
            for name, value in asked.items()
            if meta["model"].get(name) != value
        ]
        raise DalmError(
            f"{folder} holds another model: there {', '.join(differ)}; ask for the same, or choose "
            "another folder"
        )
    names = {"seed", "learn_from", *wanted.given()} - {"device"}
    planned = {"validations", "snapshots"} if wanted.seconds else set()
    for name in sorted(names - planned):
        started = meta["fit"].get(name, getattr(FitOptions(), name))
        now = getattr(resolved, name)
        if started != now:
            raise DalmError(
                f"{folder} was started with {name}={started}, not {now}; ask for the same, or "
                "choose another folder"
            )
