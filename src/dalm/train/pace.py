"""Planning again: a budget of time is a deadline, whatever else the machine is asked to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dalm.train.options import FitOptions
from dalm.train.state import State

OFF = 0.08
"""A plan is made anew where it would miss the deadline by this share of the budget."""
RESERVE = 0.03
"""Share of the budget that is kept for the last validation."""
APART = 0.06
"""Share of the budget between looks at the pace."""


USUAL = 0.08
"""Share of the budget that measuring takes before the first step."""


@dataclass
class Pace:
    """How fast steps come, and how many more there is time for.

    Args:
        allowed: seconds that all steps may take, with what happens between them.
        seconds: that the steps before took.
        clock: gives the time in seconds.

    >>> now = iter([0.0, 50.0])
    >>> pace = Pace(100.0, clock=lambda: next(now))
    >>> pace.begin(0)
    >>> pace.replan(FitOptions(steps=1000), 250)  # 250 steps took half of the time
    485
    """

    allowed: float
    seconds: float = 0.0
    clock: Callable[[], float] = time.perf_counter
    _began: float = field(default=0.0, init=False)
    _looked: float = field(default=0.0, init=False)
    _step: int = field(default=0, init=False)

    def begin(self, step: int) -> None:
        """Start the clock.

        Args:
            step: how many steps came before.
        """
        self._began = self.clock() - self.seconds
        self._looked = self.seconds
        self._step = step

    def replan(self, options: FitOptions, step: int) -> int | None:
        """The number of steps that there is time for, if that is far from the plan.

        Args:
            options: with the number of steps that is planned.
            step: how many were taken.
        """
        assert options.steps is not None
        now = self.clock() - self._began
        steps = step - self._step
        if not steps or now - self._looked < APART * self.allowed:
            return None
        each = (now - self._looked) / steps
        self._looked = now
        self._step = step
        left = self.allowed * (1 - RESERVE) - now
        if abs(left - (options.steps - step) * each) <= OFF * self.allowed:
            return None
        affordable = step + max(1, int(left / each))
        return affordable if affordable != options.steps else None


def pace_of(options: FitOptions, state: State, spent: float) -> Pace | None:
    """The deadline of a stage, where the budget is one of time.

    Args:
        options: of the stage.
        state: where it stands.
        spent: seconds of the call before its first step; of a stage that goes on they count as
            much as they usually do.
    """
    if options.seconds is None:
        return None
    usual = options.seconds * USUAL
    before = usual if state.step else min(spent, options.seconds / 2)
    return Pace(options.seconds - before, state.seconds)


def planned_again(options: FitOptions, step: int, steps: int) -> FitOptions:
    """The options with a further plan.

    Args:
        options: with the plan so far.
        step: how many steps were taken.
        steps: how many there will be in all.

    >>> planned_again(FitOptions(steps=100), 40, 60).plan
    (0, 100, 40, 60)
    """
    before = options.plan or (0, options.steps or steps)
    return options.replace(plan=(*before, step, steps), steps=steps)
