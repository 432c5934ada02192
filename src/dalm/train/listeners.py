"""Those who listen to every fit: log, bar, snapshots, early stopping, checkpoints, life signs."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import get_console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor

from dalm.records import files, status
from dalm.records.lines import append_line, read_lines
from dalm.records.status import append_event
from dalm.train import clock
from dalm.train.session import Listener, Session
from dalm.train.step import Played

LINES = 400
"""Lines of the log that tell of losses, about."""
SIGN_EVERY = 1.0
"""Seconds between signs of life."""


class LossLog(Listener):
    """Writes `log.jsonl`."""

    name = "log"

    def on_start(self, session: Session) -> None:
        """Drop the lines that a resumed run will write again."""
        path = session.run.path / "log.jsonl"
        if path.exists():
            kept = [line for line in read_lines(path) if line["step"] <= session.step]
            files.write(path, "".join(json.dumps(line) + "\n" for line in kept))

    def on_look(self, session: Session) -> None:
        """Write a line for every so many steps, or for each pass of an estimator."""
        if session.learner is None:
            self._line(session, terms=session.terms)
            return
        every = max(1, (session.options.steps or 1) // LINES)
        last = session.step_of_stage == session.options.steps or session.stopping
        if session.meter.count < every and not last:
            return
        lr = session.learner.rate(session.step_of_stage - 1)
        terms = {"terms": session.terms} if session.terms else {}
        self._line(session, loss=session.losses, lr=lr, **terms)
        session.meter.reset()

    def on_validation(self, session: Session, value: float) -> None:
        """Write what it gave."""
        self._line(session, validation=round(value, 6) if math.isfinite(value) else None)

    def _line(self, session: Session, **content: Any) -> None:
        seconds = session.earlier + session.seconds
        start = {"step": session.step, "seconds": round(seconds, 3)}
        append_line(session.run.path / "log.jsonl", start | content)


class ProgressBar(Listener):
    """Shows loss, rate and time left in the terminal."""

    name = "progress"

    def __init__(self) -> None:
        self.bar: Progress | None = None
        self.task = TaskID(0)
        self.moved = 0.0

    def on_start(self, session: Session) -> None:
        """Show the bar."""
        family = session.family.family
        several = len(session.family.stages()) > 1
        title = f"{family}, {session.stage.name}" if several else family
        columns = [
            TextColumn(title),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[rate]}/s"),
            TimeRemainingColumn(),
        ]
        # Where there is no terminal a bar would leave an empty line.
        self.bar = Progress(*columns, transient=True, disable=not get_console().is_terminal)
        self.task = self.bar.add_task("", total=session.options.steps, count="", loss="", rate="")
        self.bar.start()

    def on_step(self, session: Session, played: Sequence[Played]) -> None:
        """Move it, also where looks at the losses are far apart."""
        if clock.now() - self.moved > SIGN_EVERY:
            self.on_look(session)

    def on_look(self, session: Session) -> None:
        """Move it, and say how high the loss is."""
        assert self.bar is not None
        self.moved = clock.now()
        done = session.step_of_stage
        values = session.losses or session.terms
        known = [value for value in values.values() if value is not None]
        unit = "steps" if session.learner is not None else "passes"
        total = "" if session.options.steps is None else f"/{session.options.steps}"
        self.bar.update(
            self.task,
            completed=done,
            total=session.options.steps,
            count=f"{done}{total} {unit}",
            loss="loss " * bool(session.losses) + " ".join(f"{value:.4f}" for value in known),
            rate=f"{done / max(session.seconds, 1e-9):.3g}",
        )

    def on_event(self, session: Session, event: str, facts: Mapping[str, Any]) -> None:
        """Say what a person should know now."""
        if "words" in facts:
            get_console().print(f"{session.family.family}: {facts['words']}")

    def on_end(self, session: Session, outcome: str) -> None:
        """Take it away."""
        if self.bar is not None:
            self.bar.stop()


class Snapshots(Listener):
    """Keeps samples as the model evolves, under the number of the step."""

    name = "snapshots"

    def on_snapshot(self, session: Session, samples: Tensor) -> None:
        """Write them."""
        folder = session.run.path / "samples"
        folder.mkdir(exist_ok=True)
        content = io.BytesIO()
        np.save(content, samples.numpy())
        files.write(folder / f"step-{session.step:08d}.npy", content.getvalue())


class EarlyStopping(Listener):
    """Keeps the best average by validation, and stops when patience has run out."""

    name = "early stopping"

    def __init__(self) -> None:
        self.since_best = 0

    def on_start(self, session: Session) -> None:
        """Begin to count, unless the stage goes on."""
        if not session.step_of_stage:
            self.since_best = 0

    def on_validation(self, session: Session, value: float) -> None:
        """Keep the average if it is the best yet."""
        learner = session.learner
        assert learner is not None
        if value < learner.best_value:
            learner.keep_best(value)
            self.since_best = 0
            return
        self.since_best += 1
        if 0 < session.options.patience <= self.since_best:
            session.stop(f"no better validation in the last {self.since_best}")

    def state(self) -> dict[str, Any]:
        """How long the best one has stood."""
        return {"since_best": self.since_best}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        self.since_best = state["since_best"]


class Checkpoints(Listener):
    """Saves what a resume needs, every so many seconds, and when the user stops."""

    name = "checkpoints"

    def __init__(self) -> None:
        self.saved = 0.0

    def on_start(self, session: Session) -> None:
        """Begin to count."""
        self.saved = time.perf_counter()

    def on_step_end(self, session: Session) -> None:
        """Save, if it is time."""
        if time.perf_counter() - self.saved > session.options.checkpoint:
            self._save(session)

    def on_end(self, session: Session, outcome: str) -> None:
        """Save what a resume will need."""
        if outcome == "stopped":
            self._save(session)

    def _save(self, session: Session) -> None:
        session.read_losses()
        session.save()
        self.saved = time.perf_counter()


class Status(Listener):
    """Gives signs of life in `status.json`, and keeps `events.jsonl`."""

    name = "status"

    def __init__(self) -> None:
        self.last = 0.0

    def on_start(self, session: Session) -> None:
        """Say that the run lives."""
        session.event("start", stage=session.stage.name, step=session.step)
        self._sign(session, "running")

    def on_step(self, session: Session, played: Sequence[Played]) -> None:
        """Say so again."""
        if time.perf_counter() - self.last > SIGN_EVERY:
            self._sign(session, "running")

    def on_look(self, session: Session) -> None:
        """Say so after a pass."""
        self.on_step(session, ())

    def on_event(self, session: Session, event: str, facts: Mapping[str, Any]) -> None:
        """Keep what happened."""
        append_event(session.run.path, event, **facts)

    def on_end(self, session: Session, outcome: str) -> None:
        """Say how it ended."""
        session.event("end", stage=session.stage.name, step=session.step, outcome=outcome)
        self._sign(session, outcome)

    def _sign(self, session: Session, state: str) -> None:
        rate = session.step_of_stage / max(session.seconds, 1e-9)
        found = status.Status(
            step=session.step, steps=session.steps, rate=round(rate, 3), state=state
        )
        status.write_status(session.run.path, found)
        self.last = time.perf_counter()


def built_in(progress: bool) -> list[Listener]:
    """The listeners of every fit, in the order in which they are told.

    Args:
        progress: show a bar.
    """
    shown: list[Listener] = [ProgressBar()] if progress else []
    return [LossLog(), *shown, Snapshots(), EarlyStopping(), Checkpoints(), Status()]
