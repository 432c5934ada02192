"""How many rows a proof is of, and how long it will take: by coding a few first."""

from __future__ import annotations

import io
from dataclasses import dataclass

from torch import Tensor

from dalm.codec import Settings
from dalm.codec import compress as write_archive
from dalm.core import Generative
from dalm.train.speed import duration

MOST_SECONDS = 120.0
"""A proof that nobody asked to be full takes about so long at most."""
FIRST_ROWS = 16
PILOT_SECONDS = 1.5
"""Twice as many rows are coded again and again, until that takes so long: few rows do not show what
many cost, which no longer fit into the processor's cache.
"""
QUIET_SECONDS = 10.0
"""A proof that takes less is not announced."""
LEAST_ROWS = 100
PASSES = 2.2
"""A proof writes, reads elsewhere, and scores."""


@dataclass(frozen=True)
class ProofPlan:
    """A proof to be.

    Args:
        rows: how many it is of.
        of: how many there are.
        seconds: that it may take.
    """

    rows: int
    of: int
    seconds: float

    @property
    def words(self) -> str:
        """What to say before it begins; nothing of a short one of all rows.

        >>> ProofPlan(500, 500, 3.0).words, ProofPlan(2000, 10_000, 118.0).words
        ('', 'proving 2,000 of 10,000 rows, about 118 s; all of them would take about 590 s')
        """
        if self.rows == self.of and self.seconds < QUIET_SECONDS:
            return ""
        words = f"proving {self.rows:,} of {self.of:,} rows, about {self.seconds:,.0f} s"
        if self.rows == self.of:
            return words
        return f"{words}; all of them would take about {self.seconds * self.of / self.rows:,.0f} s"


def plan_proof(model: Generative, x: Tensor, samples: int, full: bool) -> ProofPlan:
    """How many rows to prove.

    Args:
        model: that writes the file.
        x: all rows, (N, *shape).
        samples: importance samples of bits-back.
        full: whether it must be all of them.
    """
    if len(x) <= LEAST_ROWS:
        return ProofPlan(len(x), len(x), 0.0)
    each, start = _cost(model, x, samples)
    affordable = (MOST_SECONDS / PASSES - start) / each if each else len(x)
    rows = len(x) if full else min(len(x), max(LEAST_ROWS, int(affordable)))
    return ProofPlan(rows, len(x), PASSES * (start + rows * each))


def _cost(model: Generative, x: Tensor, samples: int) -> tuple[float, float]:
    """Seconds that a row costs, and what all cost together."""
    rows = FIRST_ROWS
    took = _seconds(model, x[:rows], samples)
    each = took / rows
    start = 0.0
    while took < PILOT_SECONDS and 2 * rows < len(x):
        longer = _seconds(model, x[: 2 * rows], samples)
        # Where noise hides what more rows cost, all that was spent counts as theirs.
        each = (longer - took) / rows if longer > took else longer / (2 * rows)
        rows *= 2
        took = longer
        start = max(took - rows * each, 0.0)
    return each, start


def _seconds(model: Generative, x: Tensor, samples: int) -> float:
    """That coding takes."""
    settings = Settings(samples=samples)
    return duration(lambda: write_archive(model, x.numpy(), None, io.BytesIO(), settings))
