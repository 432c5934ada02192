"""Who is best: chosen by figures on validation data, and said of figures on test data.

The best of many figures flatters itself. So the order comes from the validation split, and the
figure of the one that was chosen from the test split, which had no part in the choice: its interval
holds as that of any model does. Older records have test figures only; then the order is theirs, and
`Ranking.split` says so.

A bound says that the true bits are at most these. It ranks among exact values, which it can lose to
wrongly and never beats wrongly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dalm.records.score import score_records
from dalm.records.scoreboard import held_out_reference, is_reference
from dalm.report.paired import Difference, difference, holm
from dalm.report.score import (
    LIKELIHOODS,
    Record,
    Row,
    badness,
    flags,
    label,
    number,
    overlap,
    record,
    shown,
    tightest,
)

DISQUALIFYING = {
    "copies": "it copies its training data",
    "test rows": "it reproduces test data",
    "repeats": "it repeats itself",
}
"""Alarms with which a model does not compete on samples: what they name makes samples look good,
but no figure of held-out rows alone.
"""
OF_HELD_OUT_ROWS = (*LIKELIHOODS, "accuracy", "log_loss")


def unranked(row: Row, metric: str) -> str | None:
    """Why a row does not compete on a metric, or `None` where it does.

    This is the one place that decides it.

    Args:
        row: of a scoreboard.
        metric: name of the measure.

    >>> unranked({"name": "noise", "kind": "reference"}, "kid")
    'it is there to compare with'
    """
    if is_reference(row):
        return "it is there to compare with"
    if row.get("error"):
        return "it failed"
    for split in ("test", "val"):
        score = record(row, metric, split) or {}
        if score.get("unranked"):
            return str(score["unranked"])
    raised = [] if metric in OF_HELD_OUT_ROWS else list(flags(row).values())
    for alarm, reason in DISQUALIFYING.items():
        if alarm in raised:
            return reason
    if not math.isfinite(badness(record(row, metric))):
        return "it has no such figure"
    return None


@dataclass(frozen=True)
class Ranking:
    """Rows in their order on a measure, and how sure the first place is.

    Args:
        metric: name of the measure; for densities each row's tightest counts.
        split: what the order comes from.
        rows: best first.
        worse: those that are surely worse than the first, each with the difference row by row where
            rows are known.
        close: those that may be as good as the first.
        bounds: those whose bound is surely worse, and whose true value is not known.
        pairs: how many were compared with the first row by row.
    """

    metric: str
    split: str = "test"
    rows: Sequence[Row] = ()
    worse: Sequence[tuple[Row, Difference | None]] = ()
    close: Sequence[Row] = ()
    bounds: Sequence[Row] = ()
    pairs: int = 0


def rank(rows: Sequence[Row], metric: str) -> Ranking:
    """The models that compete on a metric, best first.

    Args:
        rows: of a scoreboard.
        metric: name of the measure.
    """
    return _ranked(rows, metric, lambda row: metric)


def rank_densities(rows: Sequence[Row], labels: Sequence[str] = ("exact", "bound")) -> Ranking:
    """The models with a likelihood, best first, each by its tightest.

    Args:
        rows: of a scoreboard.
        labels: kinds of likelihood that are ranked together.
    """
    those = [row for row in rows if label(row, tightest(row)) in labels]
    return _ranked(those, "bits_per_dim", tightest)


def _ranked(rows: Sequence[Row], metric: str, of: Callable[[Row], str]) -> Ranking:
    competing = [row for row in rows if unranked(row, of(row)) is None]
    if not competing:
        return Ranking(metric)
    split = _split(competing, of)
    first, *others = sorted(
        competing, key=lambda row: (_doubtful(row, of), badness(record(row, of(row), split)))
    )
    pairs = [difference(first, row) if metric in LIKELIHOODS else None for row in others]
    # A first that these rows chose was compared with all, and each other one would have been too.
    compared = None if split == "val" else len(competing) * len(others) // 2
    sure = _surely_worse(first, others, pairs, of, compared)

    worse = [(row, pair) for row, pair in zip(others, pairs, strict=True) if row["name"] in sure]
    return Ranking(
        metric,
        split,
        [first, *others],
        worse=[(row, pair) for row, pair in worse if label(row, of(row)) != "bound"],
        close=[row for row in others if row["name"] not in sure],
        bounds=[row for row, _ in worse if label(row, of(row)) == "bound"],
        pairs=sum(pair is not None for pair in pairs),
    )


def _doubtful(row: Row, of: Callable[[Row], str]) -> bool:
    """Whether nothing speaks for a likelihood, so that it stands after those that were checked."""
    return (record(row, of(row)) or {}).get("checked") == "unchecked"


def _split(rows: Sequence[Row], of: Callable[[Row], str]) -> str:
    """Validation, where all of these rows were scored on it."""
    chosen = all(math.isfinite(badness(record(row, of(row), "val"))) for row in rows)
    return "val" if chosen else "test"


def _surely_worse(
    first: Row,
    others: Sequence[Row],
    pairs: Sequence[Difference | None],
    of: Callable[[Row], str],
    compared: int | None,
) -> set[str]:
    """Names of those that test data show to be worse than the first: by paired differences with
    Holm's correction where rows are known, else where intervals lie apart.
    """
    rejected = iter(holm([pair.p for pair in pairs if pair], compared))
    reached = record(first, of(first))
    sure = set()
    for row, pair in zip(others, pairs, strict=True):
        if pair:
            is_worse = next(rejected) and pair.value > 0 and not pair.lopsided
        else:
            other = record(row, of(row))
            is_worse = badness(reached) < badness(other) and not overlap(reached, other)
        if is_worse and not _seeds_cross(first, row, of):
            sure.add(row["name"])
    return sure


SATURATED = 0.95
"""Accuracy of a classifier from which on all models are told from real data alike."""


def separates(ranking: Ranking) -> bool:
    """Whether a measure settles that its first is better than its last, and still says by how much.

    A classifier that knows the best model's samples almost without fail ranks nothing: how few it
    misses says little of how far models are from the data.

    >>> separates(Ranking("c2st"))
    False
    """
    if len(ranking.rows) < 2:
        return False
    first, last = (record(ranking.rows[place], ranking.metric, ranking.split) for place in (0, -1))
    if ranking.metric == "c2st" and (number(first) or 0.0) > SATURATED:
        return False
    return not overlap(first, last)


def _seeds_cross(first: Row, row: Row, of: Callable[[Row], str]) -> bool:
    """Whether some fit of a row is better than some fit of the first."""
    fits = [(one, of(one)) for one in first.get("seeds") or [first]]
    rivals = [(one, of(one)) for one in row.get("seeds") or [row]]
    worst = max(badness(record(one, metric)) for one, metric in fits)
    return min(badness(record(one, metric)) for one, metric in rivals) <= worst


def best(rows: Sequence[Row], metric: str) -> list[int]:
    """Where in the rows the best on a metric stand: what a table shows in bold.

    Nothing is best where one row competes alone, where the metric is blind to noise, where the
    figure cannot be told from that of real data or is beyond it, nor on figures that no validation
    data chose while others were chosen so.

    Args:
        rows: of a scoreboard, references among them.
        metric: name of the measure; all likelihoods are ranked together, under the first's name.
    """
    if metric == LIKELIHOODS[0]:
        rankings = [rank_densities(rows), rank_densities(rows, ["estimate"])]
    else:
        rankings = [] if blind(rows, metric) else [rank(rows, metric)]
    winners = [row for ranking in rankings for row in _winners(ranking, rows)]
    return [place for place, row in enumerate(rows) if any(row is winner for winner in winners)]


def _winners(ranking: Ranking, rows: Sequence[Row]) -> list[Row]:
    if len(ranking.rows) < 2 or (ranking.split == "test" and _has_validation(rows)):
        return []
    metric = ranking.metric
    scores = [record(row, shown(row, metric), ranking.split) for row in ranking.rows]
    tied = [
        row
        for row, score in zip(ranking.rows, scores, strict=True)
        if badness(score) == badness(scores[0])
    ]
    if len(tied) == len(ranking.rows):
        return []
    real = record(held_out_reference(rows) or {}, metric)
    return [row for row in tied if not as_real(record(row, metric), real)]


def as_real(score: Record | None, real: Record | None) -> bool:
    """Whether a figure lies within noise of that of real data, or is better than it: then it says
    no more than that, and ranks nothing.

    Args:
        score: of a model.
        real: of held-out real data, on the same measure.

    >>> real = {"value": 0.1, "low": 0.0, "high": 0.2, "direction": "lower"}
    >>> as_real({"value": 0.3, "low": 0.15, "high": 0.45, "direction": "lower"}, real)
    True
    >>> as_real({"value": 0.3, "low": 0.25, "high": 0.35, "direction": "lower"}, real)
    False
    """
    if number(score) is None or number(real) is None:
        return False
    return overlap(score, real) or badness(score) <= badness(real)


def blind(rows: Sequence[Row], metric: str) -> bool:
    """Whether a measure by which models are chosen does not tell noise from real data here, so that
    it ranks nothing.

    Args:
        rows: of a scoreboard.
        metric: name of the measure.
    """
    noise = next((row for row in rows if is_reference(row) and row.get("family") == "noise"), {})
    real = held_out_reference(rows) or {}
    chooses = any(record(row, metric, "val") for row in rows)
    return chooses and as_real(record(noise, metric), record(real, metric))


def _has_validation(rows: Sequence[Row]) -> bool:
    """Whether any model was scored on validation data."""
    models = [row for row in rows if not is_reference(row)]
    return any(score.get("split") == "val" for row in models for score in score_records(row))
