"""How long a comparison will still take: a line while it runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from dalm.core import Generative, Learner
from dalm.train import Listener, Session, clock
from dalm.train.step import Played

QUICK = 0.02
"""The share of its budget that a family without steps takes until one has shown how long."""
Part = Literal["fit", "score"]


@dataclass
class Remaining:
    """What is behind and what is to come, of all rows of a comparison.

    Args:
        families: of the rows, in order.
        seconds: the budget of a fit; `None` where it is none of seconds.
        scoring: what a score may cost, as far as that is known.

    >>> from dalm.models import VAE, Histogram
    >>> Remaining([VAE, VAE, Histogram], seconds=60.0, scoring=30.0).left() > 180
    True
    """

    families: Sequence[type[Generative]]
    seconds: float | None = None
    scoring: float | None = None
    done: int = 0
    name: str = ""
    part: Part = "fit"
    share: float = 0.0
    _began: float | None = None
    _took: dict[tuple[Part, bool], list[float]] = field(default_factory=dict)

    def row(self, name: str) -> None:
        """A row begins, with its fit.

        Args:
            name: of the row.
        """
        self.name = name
        self._begin("fit")

    def score(self) -> None:
        """Its score begins."""
        self._end()
        self._begin("score")

    def end(self) -> None:
        """The row is there."""
        self._end()
        self._began = None
        self.part = "fit"
        self.share = 0.0
        self.done += 1

    def _begin(self, part: Part) -> None:
        self.part = part
        self.share = 0.0
        self._began = clock.now()

    def _end(self) -> None:
        kind = (self.part, self._learns(self.done))
        self._took.setdefault(kind, []).append(self._under_way)

    @property
    def _under_way(self) -> float:
        return 0.0 if self._began is None else clock.now() - self._began

    def _learns(self, row: int) -> bool:
        return issubclass(self.families[row], Learner)

    def _expected(self, part: Part, row: int) -> float | None:
        """Seconds of a part of a row: as those like it took, or else what it may take."""
        learns = self._learns(row)
        if part == "fit" and learns and self.seconds is not None:
            return self.seconds
        if known := self._took.get((part, learns)):
            return statistics.fmean(known)
        if part == "score":
            return self.scoring
        return None if self.seconds is None else QUICK * self.seconds

    def left(self) -> float | None:
        """Seconds to the end of all; `None` while nobody knows."""
        if self.done >= len(self.families):
            return 0.0
        under_way = self._under_way
        expected = self._expected(self.part, self.done)
        if expected is None and self.share:
            expected = under_way / self.share
        parts = [None if expected is None else max(expected - under_way, 0.0)]
        if self.part == "fit":
            parts.append(self._expected("score", self.done))
        for row in range(self.done + 1, len(self.families)):
            parts += [self._expected("fit", row), self._expected("score", row)]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def announcement(self) -> str | None:
        """What is about to be done, and how long it may take; `None` where nobody knows."""
        left = self.left()
        if left is None or self.scoring is None:
            return None
        return (
            f"{len(self.families)} rows, {self.seconds:g} s for each fit by steps and up to "
            f"{self.scoring:g} s for each score: at most about {in_words(left)} in all"
        )

    def line(self) -> str:
        """Where it stands, in one line.

        >>> from dalm.models import VAE
        >>> remaining = Remaining([VAE], seconds=600.0, scoring=300.0)
        >>> remaining.row("vae")
        >>> remaining.line()
        'vae 1/1 · fit · about 15 min left in all'
        """
        if self.done >= len(self.families):
            return "all rows are there"
        words = f"{self.name} {self.done + 1}/{len(self.families)} · {self.part}"
        if self.part == "fit" and self.share:
            words += f" {100 * self.share:.0f} %"
        left = self.left()
        return words if left is None else f"{words} · about {in_words(left)} left in all"


def in_words(seconds: float) -> str:
    """A length of time, as a person says it.

    >>> in_words(8.2), in_words(47), in_words(90), in_words(3700), in_words(9000)
    ('10 s', '50 s', '2 min', '62 min', '2.5 h')
    """
    if seconds < 60:
        return f"{max(10, 10 * round(seconds / 10))} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Watch(Listener):
    """Tells how far the fit under way is.

    Args:
        remaining: is told.
    """

    name = "remaining"

    def __init__(self, remaining: Remaining) -> None:
        self.remaining = remaining

    def on_step(self, session: Session, played: Sequence[Played]) -> None:
        """Note the share of the steps."""
        if session.steps:
            self.remaining.share = min(1.0, session.step / session.steps)

    def on_look(self, session: Session) -> None:
        """Note the share of passes."""
        self.on_step(session, ())
