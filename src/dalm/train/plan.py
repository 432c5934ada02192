"""The plan of a stage: how many steps it is to take, and when that was thought over again.

A budget of seconds is a deadline. The plan is made from measured steps, and made anew where the
machine turns out faster or slower; each time adds a *leg*: from step s on, n steps in all. The
progress p of step t, from 0 to 1, is a function of the legs alone:

    p(t) = p(s) + (1 - p(s)) (t - s) / (n - s)

Learning rate, validations and snapshots follow p. So whoever takes the same steps by the same legs
ends with the same bits, without a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from dalm.train.schedule import evenly

SCORED = 512
"""Validation rows scored during training, unless a budget of seconds is too short for them."""


@dataclass(frozen=True)
class Leg:
    """What is planned from a step on.

    Args:
        step: how many steps came before it.
        steps: of the stage, in all.
        validations: over the whole stage.
        snapshots: likewise.
        rows: that a validation scores, at most.
        threads: that compute on the CPU; `None` where nothing was said.
    """

    step: int
    steps: int
    validations: int
    snapshots: int
    rows: int = SCORED
    threads: int | None = None


class Plan:
    """The legs of a stage, the first from step 0.

    Args:
        legs: in order.

    >>> plan = Plan([Leg(0, 100, 4, 2), Leg(50, 60, 4, 2)])  # at half way the machine got slow
    >>> plan.progress(25), plan.progress(50), plan.progress(55), plan.progress(60)
    (0.25, 0.5, 0.75, 1.0)
    """

    def __init__(self, legs: Sequence[Leg]) -> None:
        self.legs: list[Leg] = []
        self._starts: list[Fraction] = []
        for leg in legs:
            self.add(leg)

    def add(self, leg: Leg) -> None:
        """Go on by another leg from its step on."""
        self._starts.append(self._exact(leg.step) if self.legs else Fraction(0))
        self.legs.append(leg)

    def index(self, step: int) -> int:
        """Which leg the step after `step` others belongs to."""
        k = len(self.legs) - 1
        while self.legs[k].step > step:
            k -= 1
        return k

    def at(self, step: int) -> Leg:
        """The leg that the step after `step` others belongs to."""
        return self.legs[self.index(step)]

    def _exact(self, step: int) -> Fraction:
        k = self.index(step)
        leg = self.legs[k]
        start = self._starts[k]
        return start + (1 - start) * Fraction(step - leg.step, leg.steps - leg.step)

    def progress(self, step: int) -> float:
        """The share of the stage that is behind after some steps, from 0 to 1."""
        k = self.index(step)
        leg = self.legs[k]
        if step >= leg.steps:
            return 1.0
        start = float(self._starts[k])
        return start + (1 - start) * (step - leg.step) / (leg.steps - leg.step)

    def position(self, step: int) -> float:
        """The step at which a fit without surprises, of as many steps as this leg plans, would be
        as far; the step itself in a plan of one leg.
        """
        if len(self.legs) == 1:
            return step
        return self.progress(step) * self.at(step).steps

    def due(self, step: int, times: int) -> set[int]:
        """Steps of the leg from `step` on at which something happens that happens `times` times.

        Args:
            step: in the leg.
            times: over the whole stage.
        """
        k = self.index(step)
        return evenly(self.legs[k].steps, times, self.legs[k].step, self._starts[k])

    def to_json(self) -> list[dict[str, Any]]:
        """As a run notes it."""
        return [asdict(leg) for leg in self.legs]

    @staticmethod
    def of(notes: Sequence[dict[str, Any]]) -> Plan:
        """The opposite of `to_json`."""
        return Plan([Leg(**note) for note in notes])
