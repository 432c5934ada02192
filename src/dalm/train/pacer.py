"""Keeps a budget of seconds: looks at the clock after each step, and plans anew where it must."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dalm.train import clock
from dalm.train.plan import Leg, Plan

LOOKS = (0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 0.93, 0.97)
"""Shares of the budget, or of the steps, at which the plan is thought over."""
CHEAP = 0.1
"""Largest share of the time left that validations and snapshots may take."""
WORTH = 0.03
"""How far the steps left must be off before the plan is changed."""
CHANGED = 1.4
"""How many times faster or slower a step must be before threads are tried again."""


class Pacer:
    """Plans a stage anew while it goes on, so that it ends when its seconds are over.

    Args:
        plan: so far; legs are added to it.
        seconds: the budget.
        began: how many of them went by before.
        validation: seconds of one, as far as that is known.
        snapshot: likewise.
        usual: seconds of a step when the plan was made, if that is known.
        threads: tries threads again, and returns how many are best now, and the seconds of a step
            by them; `None` leaves them.

    >>> Pacer(Plan([Leg(0, 100, 0, 0)]), seconds=10.0).consider(1, 5.0)  # five seconds for a step
    Leg(step=1, steps=2, validations=0, snapshots=0, rows=512, threads=None)
    """

    def __init__(
        self,
        plan: Plan,
        seconds: float,
        began: float = 0.0,
        *,
        validation: float = 0.0,
        snapshot: float = 0.0,
        usual: float | None = None,
        threads: Callable[[], tuple[int, float]] | None = None,
    ) -> None:
        self.plan = plan
        self.seconds = seconds
        self.began = began
        self.costs = {"validation": validation, "snapshot": snapshot}
        self.threads = threads
        self.next = 0
        self.step = 0
        self.since = began
        self.looking = 0.0
        self.usual = usual

    def start(self, step: int) -> None:
        """Begin to measure at a step."""
        self.step = step

    @contextmanager
    def look(self, kind: str) -> Iterator[None]:
        """Measure a validation or a snapshot, which is no step."""
        began = clock.now()
        yield
        self.costs[kind] = clock.now() - began
        self.looking += self.costs[kind]

    def consider(self, step: int, elapsed: float) -> Leg | None:
        """A new leg of the plan, if it is time for one.

        Args:
            step: how many are done.
            elapsed: seconds of the budget that went by.
        """
        leg = self.plan.legs[-1]
        if step <= leg.step or step >= leg.steps:
            return None
        gone = (elapsed - self.began) / max(self.seconds - self.began, 1e-9)
        share = max(gone, self.plan.progress(step))
        due = self.next < len(LOOKS) and share >= LOOKS[self.next]
        late = elapsed + self._end(leg) >= self.seconds and step + 1 < leg.steps
        if not (due or late):
            return None
        while self.next < len(LOOKS) and share >= LOOKS[self.next]:
            self.next += 1
        return self._thought_over(leg, step, elapsed)

    def _end(self, leg: Leg) -> float:
        """Seconds of the last look, which follows the last step."""
        last = bool(leg.validations) * self.costs["validation"]
        return last + bool(leg.snapshots) * self.costs["snapshot"]

    def _thought_over(self, leg: Leg, step: int, elapsed: float) -> Leg | None:
        pace = max(elapsed - self.since - self.looking, 1e-9) / (step - self.step)
        threads, pace, tried = self._threads(leg, pace)
        elapsed += tried
        left = self.seconds - elapsed
        behind = self.plan.progress(step)
        validations = self._afforded(leg.validations, "validation", left, behind)
        snapshots = self._afforded(leg.snapshots, "snapshot", left, behind)
        counts = {"validation": validations, "snapshot": snapshots}
        looks = sum((n - int(n * behind)) * self.costs[kind] for kind, n in counts.items())
        more = max(1, int((left - looks) / pace))
        self.step = step
        self.since = elapsed
        self.looking = 0.0
        planned = leg.steps - step
        same = (validations, snapshots, threads) == (leg.validations, leg.snapshots, leg.threads)
        if same and abs(more - planned) <= max(1, WORTH * planned):
            return None
        new = Leg(step, step + more, validations, snapshots, leg.rows, threads)
        self.plan.add(new)
        return new

    def _threads(self, leg: Leg, pace: float) -> tuple[int | None, float, float]:
        """The number of threads that is best now, asked for where the pace has changed; seconds of
        a step by them, and those that asking took.
        """
        before = self.usual or pace
        self.usual = pace
        if self.threads is None or 1 / CHANGED < pace / before < CHANGED:
            return leg.threads, pace, 0.0
        began = clock.now()
        threads, now = self.threads()
        if threads != leg.threads:
            self.usual = pace = now
        return threads, pace, clock.now() - began

    def _afforded(self, times: int, kind: str, left: float, behind: float) -> int:
        """How often something may still be done, over the whole stage.

        Args:
            times: that were planned.
            kind: what is done.
            left: seconds.
            behind: the share of the stage that is over.
        """
        cost = self.costs[kind] * (1 - behind)
        if times * cost <= CHEAP * max(left, 0.0):
            return times
        return max(min(times, 1), int(CHEAP / 2 * max(left, 0.0) / cost))
