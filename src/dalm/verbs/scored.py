"""What `score` gives back: a run's scores, as a table too."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dalm.errors import DalmError, did_you_mean
from dalm.records import Json
from dalm.records.score import NEGATIVE, Score
from dalm.verbs.results import Result


@dataclass(frozen=True, repr=False)
class Scores(Result):
    """What `score` found of a run: `scores["kid"]` is one score, iteration gives all.

    Args:
        path: the `metrics.json` that was written.
        scores: each a number with interval, unit and size.
        record: the content of that file: scores, costs, seed, machine, explanations.
    """

    path: Path
    scores: tuple[Score, ...]
    record: Json

    def __iter__(self) -> Iterator[Score]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)

    def __contains__(self, metric: str) -> bool:
        return any(score.metric == metric for score in self.scores)

    def __getitem__(self, metric: str) -> Score:
        """The first score of a measure.

        Raises:
            DalmError: there is none.
        """
        for score in self.scores:
            if score.metric == metric:
                return score
        known = [score.metric for score in self.scores]
        raise DalmError(f"there is no score {metric!r}. {did_you_mean(metric, known)}")

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """One row for each score on test data: title, value ± half its interval, unit, label, n,
        remark.
        """
        headings = ["score", "value", "unit", "label", "n", "remark"]
        return headings, [_row(score) for score in self.scores if score.split == "test"]

    @property
    def legend(self) -> Sequence[str]:
        """What was left out for want of time, and what is to be known of the run."""
        said = [words for name in ("sized", "warning") if (words := self.record.get(name))]
        bits = [score.value for score in self.scores if score.metric == "bits_per_dim"]
        return [*said, NEGATIVE] if min(filter(None, bits), default=0.0) < 0 else said

    def to_json(self) -> Json:
        """The content of `metrics.json`."""
        return self.record


def _row(score: Score) -> Sequence[str]:
    place = "" if score.subset is None else f" ({score.subset})"
    reason = score.note if score.value is None else ""
    return [
        (score.title or score.metric) + place,
        _value(score),
        score.unit,
        score.label or "",
        f"{score.n:,}" if score.n else "–",
        score.flag or score.unreliable or reason,
    ]


def _value(score: Score) -> str:
    """The value ± half its interval, to two digits of the latter."""
    if score.value is None:
        return "–"
    if score.low is None or score.high is None:
        return f"{score.value:.4g}"
    half = (score.high - score.low) / 2
    if half == 0 or not math.isfinite(half):
        return f"{score.value:.4g} ± {half:g}"
    places = max(0, 1 - math.floor(math.log10(half)))
    return f"{score.value:.{places}f} ± {half:.{places}f}"
