"""A measure: what one number is, what it needs, and how it is computed, declared once."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from typing import Any

from dalm.errors import DalmError
from dalm.metrics.evidence import Evidence, Need
from dalm.metrics.intervals import Interval
from dalm.records.score import Direction, Score


@dataclass(frozen=True, eq=False, kw_only=True)
class Measure:
    """One declared measure. Its place in the tuple `MEASURES` is its column in every table.

    Args:
        name: in records and on the command line.
        title: what a person calls it.
        unit: of its values.
        direction: `"lower"` or `"higher"` is better, or the ideal value as a number.
        meaning: one plain sentence for a reader who does not know it.
        needs: what the evidence must offer; where it does not, the measure is left out.
        compute: evidence to a score, or to several: one for each class, column or split.
        chooses: whether models are chosen by it, so that validation data are scored as well.

    >>> def most(evidence):
    ...     return LARGEST.score(evidence.sets.samples.max().item(), n=len(evidence.sets.samples))
    >>> LARGEST = Measure(name="largest", title="largest", unit="", direction="lower",
    ...     meaning="The largest number in any sample.", needs={"samples"}, compute=most)
    >>> LARGEST.score(3.0, n=9).metric
    'largest'
    """

    name: str
    title: str
    unit: str
    direction: Direction
    meaning: str
    needs: Set[Need]
    compute: Callable[[Evidence], Score | list[Score]]
    chooses: bool = False

    def score(self, value: float | Interval | None, *, n: int, **facts: Any) -> Score:
        """A score of this measure.

        Args:
            value: the number, with its interval if there is one; `None` where it has none.
            n: number of data behind it.
            **facts: the other fields of a `Score`: `split`, `subset`, `features`, `note` …
        """
        ends = value._asdict() if isinstance(value, Interval) else {"value": value}
        return Score(
            metric=self.name,
            title=self.title,
            unit=self.unit,
            direction=self.direction,
            n=n,
            **ends,
            **facts,
        )

    def scores(self, evidence: Evidence) -> list[Score]:
        """Its scores, or one without value whose note says why it cannot be computed."""
        try:
            scores = self.compute(evidence)
        except DalmError as error:
            return [self.score(None, n=0, note=str(error))]
        scores = scores if isinstance(scores, list) else [scores]
        return [_noted(score, evidence) for score in scores]


def _noted(score: Score, evidence: Evidence) -> Score:
    """The score with what is to be said of its feature space."""
    if score.features is None or score.features != evidence.space.name or not evidence.space_note:
        return score
    return replace(score, note="; ".join(filter(None, [score.note, evidence.space_note])))
