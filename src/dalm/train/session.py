"""A fit under way, as those who listen to it see it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from dalm.core import Generative, Stage
from dalm.data import Data
from dalm.errors import DalmError
from dalm.train.meter import Meter
from dalm.train.options import FitOptions
from dalm.train.run import Run
from dalm.train.state import State
from dalm.train.step import Played

STOP = "/stop"
"""Among the notes of listeners, why one wants to end the stage."""


class Listener:
    """Told of a fit as it goes; override what you need.

    A listener may ask the session to stop or to roll back. What `state` gives comes back by
    `restore` when the run is resumed, so it may hold anything that JSON can.
    """

    name = "listener"

    def on_start(self, session: Session) -> None:
        """A stage begins, or goes on after a stop."""

    def on_step(self, session: Session, played: Sequence[Played]) -> None:
        """A step was taken. Its losses may still be on their way: do not wait for them here.

        Args:
            session: the fit under way.
            played: its turns.
        """

    def on_look(self, session: Session) -> None:
        """Losses were read, or an estimator made a pass: `session.losses` and `session.terms`."""

    def on_validation(self, session: Session, value: float) -> None:
        """Validation rows were scored, in nats per datum; lower is better.

        Args:
            session: the fit under way.
            value: nats per datum; lower is better.
        """

    def on_snapshot(self, session: Session, samples: Tensor) -> None:
        """Samples were drawn, from the same noise each time.

        Args:
            session: the fit under way.
            samples: (64, *spec.shape), on the CPU.
        """

    def on_event(self, session: Session, event: str, facts: Mapping[str, Any]) -> None:
        """Something worth keeping happened, such as a stop, a roll-back or an alarm.

        Args:
            session: the fit under way.
            event: in a word.
            facts: JSON values.
        """

    def on_step_end(self, session: Session) -> None:
        """A step or pass is over, and what was asked for after it is done: weights and states of
        listeners stay as they are until the next.
        """

    def on_end(self, session: Session, outcome: str) -> None:
        """A stage ended: `done`, `stopped` or `failed`.

        Args:
            session: the fit under way.
            outcome: `done`, `stopped` or `failed`.
        """

    def state(self) -> dict[str, Any]:
        """What must come back after a stop."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""


def _save_nothing() -> None:
    """Write nothing: there is no run yet to be gone on with."""


@dataclass
class Session:
    """A fit under way.

    Args:
        run: what is being fitted, and its folder.
        data: what it learns from.
        listeners: who is told, in this order.
        interrupted: set when the user wants to stop.
        options: of the stage.
        stage: the part of the family that is being fitted.
        offset: steps of the stages before.
        earlier: seconds of the stages before.
        step_of_stage: steps of this stage that are done.
        seconds: that this stage took.
        milestone: whether this step has a validation or a snapshot, or is the last.
        learner: weights, averages and optimisers; `None` while an estimator makes passes.
        losses: mean loss of each player since the last line of the log.
        terms: mean of each further term, or what an estimator logged.
        meter: what adds them up.
        save: writes a checkpoint.
        planned: notes a plan that was made anew.
        reason: why a listener wants to stop.
        rolling_back: why a listener wants to roll back.
    """

    run: Run
    data: Data
    listeners: Sequence[Listener]
    interrupted: threading.Event
    options: FitOptions
    stage: Stage
    offset: int = 0
    earlier: float = 0.0
    step_of_stage: int = 0
    seconds: float = 0.0
    milestone: bool = False
    learner: State | None = None
    losses: dict[str, float] = field(default_factory=dict)
    terms: dict[str, float | None] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)
    save: Callable[[], None] = _save_nothing
    planned: Callable[[], None] = _save_nothing
    reason: str | None = None
    rolling_back: str | None = None

    @property
    def family(self) -> Generative:
        """The whole model."""
        return self.run.model

    @property
    def step(self) -> int:
        """Steps done, those of earlier stages too."""
        return self.offset + self.step_of_stage

    @property
    def steps(self) -> int | None:
        """Steps planned up to the end of this stage; `None` where nobody knows."""
        return None if self.options.steps is None else self.offset + self.options.steps

    @property
    def stopping(self) -> bool:
        """Whether no further step is to be taken."""
        return self.interrupted.is_set() or self.reason is not None

    def end_step(self) -> None:
        """Tell all listeners that a step or pass is over."""
        for listener in self.listeners:
            listener.on_step_end(self)

    def stop(self, reason: str) -> None:
        """Ask for the end of the stage after this step; what is best so far is kept.

        Args:
            reason: in words, for the run's record.
        """
        if self.reason is None:
            self.reason = reason
            self.event("stop", reason=reason)

    def roll_back(self, reason: str) -> None:
        """Ask to go back to the best weights by validation after this step, and to go on.

        Args:
            reason: in words, for the run's record.
        """
        self.rolling_back = reason

    def event(self, event: str, **facts: Any) -> None:
        """Tell all listeners of something worth keeping.

        Args:
            event: in a word.
            **facts: JSON values.
        """
        for listener in self.listeners:
            listener.on_event(self, event, facts)

    def end(self, outcome: str) -> None:
        """Tell all listeners that the stage ended.

        Args:
            outcome: `done`, `stopped` or `failed`.
        """
        for listener in self.listeners:
            listener.on_end(self, outcome)

    def read_losses(self) -> None:
        """Read the losses that wait; raise Diverged if one is not finite."""
        self.meter.read()
        self.losses, self.terms = self.meter.means()

    def notes(self) -> dict[str, Any]:
        """What every listener wants back after a stop, and why one wants to end the stage."""
        states = states_of(self.listeners)
        return states if self.reason is None else states | {STOP: self.reason}

    def restore(self, notes: Mapping[str, Any]) -> None:
        """Take back what `notes` gave.

        Args:
            notes: of a checkpoint.
        """
        self.reason = notes.get(STOP)
        for listener in self.listeners:
            if listener.name in notes:
                listener.restore(notes[listener.name])


def states_of(listeners: Sequence[Listener]) -> dict[str, Any]:
    """What listeners want back after a stop, by their names."""
    states = {listener.name: state for listener in listeners if (state := listener.state())}
    for name, state in states.items():
        try:
            json.dumps(state)
        except (TypeError, ValueError) as error:
            raise DalmError(
                f"the state of the listener {name!r} is no JSON object: {error}; give numbers, "
                "words, lists and mappings"
            ) from None
    return states
