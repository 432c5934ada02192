"""What a fit tells while it runs: the log, the progress bar, and the ear for Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from dalm.records import write
from dalm.train.options import Diverged
from dalm.train.run import Run
from dalm.train.state import HINT, State, learning_rate


def forget_after(log: Path, step: int) -> None:
    """Drop the lines of a log that a resumed run will write again."""
    if log.exists():
        lines = [
            line
            for line in log.read_text().splitlines()
            if line.endswith("}") and json.loads(line)["step"] <= step
        ]
        write(log, "".join(line + "\n" for line in lines))


class RunLog:
    """Writes the log and moves the bar."""

    def __init__(self, log: Any, bar: Progress, state: State) -> None:
        self.log = log
        self.bar = bar
        self.state = state
        self.total = [0.0]
        self.count = 0
        self.waiting: list[list[Tensor]] = []
        self.every = max(1, (state.options.steps or 1) // 400)
        self.task = bar.add_task(
            "", total=state.options.steps, completed=state.step, loss="", rate=""
        )

    def add(self, losses: list[Tensor]) -> None:
        """Remember the losses of a step, without waiting for the accelerator."""
        self.waiting.append(losses)

    def flush(self) -> None:
        """Read the waiting losses; raise Diverged if one is not finite."""
        if not self.waiting:
            return
        rows = torch.stack([torch.stack(losses).float() for losses in self.waiting]).cpu()
        bad = (~torch.isfinite(rows)).any(1).nonzero()[:, 0]
        if len(bad):
            step = self.state.step - len(rows) + int(bad[0]) + 1
            raise Diverged(
                f"the loss was {rows[bad[0]].tolist()} at step {step}; the last good weights are "
                f"kept. {HINT}"
            )
        self.waiting = []
        self.total = (
            [a + b for a, b in zip(self.total, rows.sum(0).tolist(), strict=False)]
            if self.count
            else rows.sum(0).tolist()
        )
        self.count += len(rows)
        losses = [round(total / self.count, 6) for total in self.total]
        speed = f"{self.state.step / max(self.state.seconds, 1e-9):.3g}"
        self.bar.update(
            self.task,
            completed=self.state.step,
            loss=" ".join(f"{loss:.4f}" for loss in losses),
            rate=speed,
        )
        if self.count >= self.every or self.state.step == self.state.options.steps:
            self._line(loss=losses, lr=learning_rate(self.state.options, self.state.step - 1))
            self.count = 0

    def validation(self, value: float) -> None:
        """Log a validation."""
        self._line(validation=round(value, 6) if math.isfinite(value) else None)

    def _line(self, **content: Any) -> None:
        self.log.write(
            json.dumps({"step": self.state.step, "seconds": round(self.state.seconds, 3)} | content)
            + "\n"
        )
        self.log.flush()


@contextlib.contextmanager
def run_log_of(run: Run, state: State, progress: bool) -> Iterator[RunLog]:
    """The journal of a run, with a bar that shows loss, rate and time left."""
    columns = (
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} steps"),
        TextColumn("loss {task.fields[loss]}"),
    )
    timing = (TextColumn("{task.fields[rate]} steps/s"), TimeRemainingColumn())
    bar = Progress(
        TextColumn(run.model.family), *columns, *timing, disable=not progress, transient=True
    )
    with (run.path / "log.jsonl").open("a") as log, bar:
        yield RunLog(log, bar, state)


@contextlib.contextmanager
def handle_interrupt() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a request to stop after the step under way."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)
