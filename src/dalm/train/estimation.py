"""The passes of an estimator: bounded, logged, stopped and resumed as steps are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from dalm.core import Batch, Estimator, Generative, Stage, Work, restore
from dalm.data import Split
from dalm.errors import DalmError
from dalm.train import clock
from dalm.train.options import FitOptions
from dalm.train.parts import joined, parted
from dalm.train.run import read_tensors, write_tensors
from dalm.train.seeds import derive_seed
from dalm.train.session import Session

ROWS_AT_ONCE = 512
"""Rows that a stage's `see` looks at together."""
LATE = 0.1
"""Share of a budget of seconds by which a pass may end too late: it cannot be cut short."""
LATE_SECONDS = 2.0
"""The same in seconds, added."""


class Estimation:
    """An estimator at work on one stage of a fit.

    Args:
        family: the whole model.
        stage: the part that is fitted.
        index: which of the family's stages.
        train: what it learns from.
        validation: what it may choose by.
        options: of the fit.

    Attributes:
        seconds: that the passes took.
        earlier: seconds of the stages before.
    """

    def __init__(
        self,
        family: Generative,
        stage: Stage,
        index: int,
        train: Split,
        validation: Split,
        options: FitOptions,
    ) -> None:
        assert isinstance(stage.model, Estimator)
        self.family = family
        self.model = stage.model
        self.index = index
        self.options = options
        self.seconds = 0.0
        self.earlier = 0.0
        self.terms: dict[str, float | None] = {}
        self.over = False
        self.told = False
        device = stage.model.device
        self.longest = 0.0
        self._began: float | None = None
        rows = seen(train, stage, device)
        stage.model.measure(rows.x)
        held = seen(validation, stage, device)
        standard = stage.model.standard
        self.work = Work(
            rows._replace(x=standard(rows.x)),
            held._replace(x=standard(held.x)),
            left=self.left,
        )
        self.notes: dict[str, Any] = {}
        self._passes: Iterator[Mapping[str, float]] | None = None

    def step(self) -> bool:
        """Make a pass; false when there is none left."""
        self._began = began = clock.now()
        role = "absorb" if not self.index else f"{self.index}/absorb"
        seed = derive_seed(self.options.seed, role, self.work.number)
        self.work.generator.manual_seed(seed)
        if self._passes is None:
            self._passes = iter(self.model.passes(self.work))
        terms = next(self._passes, None)
        took = clock.now() - began
        self.longest = max(self.longest, took)
        self.seconds += took
        self._began = None
        if terms is None:
            self.over = True
            return False
        self._check_units(terms)
        self.terms = dict(terms)
        self.work.number += 1
        return True

    def _check_units(self, terms: Mapping[str, float]) -> None:
        unknown = [name for name in terms if name not in self.model.units]
        if unknown:
            raise DalmError(
                f"{self.model.family} logs {unknown[0]!r}, and its `units` do not say in which unit"
            )

    def left(self) -> float | None:
        """Seconds that are left of the budget, the pass under way counted; `None` without one."""
        seconds = self.options.seconds
        if seconds is None or self.options.passes or self.options.steps:
            return None
        under_way = 0.0 if self._began is None else clock.now() - self._began
        return seconds - self.seconds - under_way

    def exhausted(self) -> bool:
        """Whether the budget is used up, or another pass would end too late."""
        most = self.options.passes or self.options.steps
        if most is not None:
            return self.work.number >= most
        left = self.left()
        if left is None:
            return False
        return left <= 0 or self.longest > left + self._grace

    @property
    def _grace(self) -> float:
        """Seconds by which a budget of seconds may be overrun."""
        return LATE * (self.options.seconds or 0.0) + LATE_SECONDS

    @property
    def overrun(self) -> str | None:
        """What to say of passes that took far longer than they should, since none is cut short."""
        left = self.left()
        if left is None or left > -self._grace:
            return None
        return (
            f"learning took {self.seconds:.1f} s where {self.options.seconds:g} s were asked for: "
            f"what {self.model.family} computes at once cannot be cut short"
        )

    def save(self, path: Path) -> None:
        """Write what a resume needs."""
        note = {
            "stage": self.index,
            "passes": self.work.number,
            "over": self.over,
            "seconds": self.seconds,
            "earlier": self.earlier,
            "terms": self.terms,
            "told": self.told,
            "notes": self.notes,
        }
        parts = {"model": self.family.state_dict(), "memory": self.work.memory}
        write_tensors(path, joined(parts), note)

    def load(self, path: Path) -> None:
        """Come back to where `save` was."""
        tensors, note = read_tensors(path)
        parts = parted(tensors)
        restore(self.family, parts["model"])
        self.work.memory.update(parts.get("memory", {}))
        self.work.number = note["passes"]
        self.over = note["over"]
        self.seconds = note["seconds"]
        self.earlier = note["earlier"]
        self.terms = note["terms"]
        self.told = note["told"]
        self.notes = note["notes"]


def estimate(session: Session, estimation: Estimation) -> str:
    """Make the remaining passes; returns how it ended, `done` or `stopped`.

    Args:
        session: told of all that happens.
        estimation: where the estimator stands.
    """
    session.learner = None
    session.losses = {}
    # The first pass may have been made before anyone listened.
    unheard = bool(estimation.work.number) and not estimation.told
    session.step_of_stage = estimation.work.number - unheard
    try:
        for listener in session.listeners:
            listener.on_start(session)
        if unheard:
            _tell(session, estimation)
        while not (estimation.over or estimation.exhausted() or session.stopping):
            if estimation.step():
                _tell(session, estimation)
    except (Exception, KeyboardInterrupt):
        session.end("failed")
        raise
    finished = estimation.over or estimation.exhausted() or session.reason is not None
    outcome = "done" if finished else "stopped"
    session.end(outcome)
    return outcome


def _tell(session: Session, estimation: Estimation) -> None:
    session.step_of_stage = estimation.work.number
    session.seconds = estimation.seconds
    session.terms = estimation.terms
    estimation.told = True
    for listener in session.listeners:
        listener.on_look(session)
    session.end_step()
    if session.rolling_back is not None:
        session.event("nothing to roll back to", reason=session.rolling_back)
        session.rolling_back = None


@torch.no_grad()
def seen(rows: Split, stage: Stage, device: torch.device) -> Batch:
    """All rows of a split as a stage sees them.

    Args:
        rows: of the data.
        stage: says how.
        device: where they go.
    """
    batch = Batch(rows.x.to(device), None if rows.y is None else rows.y.to(device))
    if stage.see is None:
        return batch
    blocks = range(0, len(rows), ROWS_AT_ONCE)
    parts = [stage.see(_slice(batch, start, start + ROWS_AT_ONCE)) for start in blocks]
    labels = [part.y for part in parts if part.y is not None]
    return Batch(torch.cat([part.x for part in parts]), torch.cat(labels) if labels else None)


def _slice(batch: Batch, start: int, stop: int) -> Batch:
    y = None if batch.y is None else batch.y[start:stop]
    return Batch(batch.x[start:stop], y)
