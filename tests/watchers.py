"""Listeners that note what they are told, and that ask for something."""

from __future__ import annotations

from dalm.train import Listener


class Watcher(Listener):
    """Notes whatever it is told."""

    name = "watcher"

    def __init__(self):
        self.steps = 0
        self.told = []

    def on_start(self, session):
        self.told.append("start")

    def on_step(self, session, played):
        self.steps += 1
        self.told.append("step")

    def on_validation(self, session, value):
        self.told.append("validation")

    def on_snapshot(self, session, samples):
        self.told.append("snapshot")

    def on_end(self, session, outcome):
        self.told.append(outcome)

    def state(self):
        return {"steps": self.steps}

    def restore(self, state):
        self.steps = state["steps"]


class Breaker(Watcher):
    """Stops the fit, or rolls it back, after a number of steps of its own counting."""

    name = "breaker"

    def __init__(self, at, what="stop"):
        super().__init__()
        self.at = at
        self.what = what

    def on_step(self, session, played):
        super().on_step(session, played)
        if self.steps == self.at:
            getattr(session, self.what)("it is time")


class AtLook(Listener):
    """Does something after the look at a step, or after a pass, of one stage."""

    name = "at-look"

    def __init__(self, step, action, stage="model"):
        self.step = step
        self.action = action
        self.stage = stage

    def on_look(self, session):
        if (session.stage.name, session.step_of_stage) == (self.stage, self.step):
            self.action(session)
