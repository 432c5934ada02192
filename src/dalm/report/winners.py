"""Who is best, in words: by what figures it was chosen, than whom it is surely better, and than
whom not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dalm.records.score import NEGATIVE
from dalm.records.scoreboard import held_out_reference
from dalm.report.facts import listing, name
from dalm.report.paired import Difference
from dalm.report.ranking import Ranking, blind, rank, rank_densities, separates
from dalm.report.score import (
    Finding,
    Row,
    label,
    number,
    phrase,
    record,
    seeds_phrase,
    tightest,
    title,
    value,
)


def _heading(text: str, ranking: Ranking) -> str:
    return f"Best {text}" if len(ranking.rows) > 1 else text.capitalize()


def _chosen(ranking: Ranking) -> str:
    """By what figures the first was chosen, and among how many."""
    count = len(ranking.rows)
    if count < 2:
        return ""
    if ranking.split == "val":
        return f" Chosen among {count} models on validation data."
    return (
        f" Chosen among {count} models by this very figure, so it flatters: there are none on "
        "validation data."
    )


def _certainty(ranking: Ranking) -> str:
    """Than whom the first is surely better, and than whom not."""
    words = ""
    paired = next(((row, pair) for row, pair in ranking.worse if pair), None)
    if paired:
        words += _better(*paired, among=len(ranking.worse), of=len(ranking.rows) - 1)
    if ranking.close:
        close = listing([name(row) for row in ranking.close])
        words += f" Not settled between it and {close}{_how_close(ranking)}."
    if ranking.bounds:
        bounds = listing([f"{name(row)} ({density_phrase(row)})" for row in ranking.bounds])
        words += f" Of {bounds} only a bound is known: the true value may be lower."
    return words


def _how_close(ranking: Ranking) -> str:
    if ranking.pairs > 1:
        return f" (compared row by row, corrected for {ranking.pairs} comparisons)"
    return " (compared row by row)" if ranking.pairs else " (by their 95 % intervals)"


def _better(row: Row, pair: Difference, among: int, of: int) -> str:
    """By how much, and whether than all others."""
    ends = {"low": pair.value - pair.half, "high": pair.value + pair.half}
    middle, half = value({"value": pair.value} | ends)
    named = f"all others; than {name(row)}, the next," if among == of > 1 else name(row)
    return (
        f" Better than {named} by {middle} ± {half} bits/dim, row by row on the same {pair.n:,} "
        "rows."
    )


def best_densities(rows: Sequence[Row]) -> Iterator[Finding]:
    """The model with the lowest exact value or bound, and the one with the lowest estimate."""
    densities = rank_densities(rows)
    estimates = rank_densities(rows, ["estimate"])
    if densities.rows:
        first = densities.rows[0]
        sentences = f"{name(first)}: {density_phrase(first)} bits/dim on held-out data."
        chosen = _negative(first) + _bound(densities) + _chosen(densities) + _spread(first)
        yield _heading("density", densities), sentences + chosen + _certainty(densities)
    if estimates.rows:
        first = estimates.rows[0]
        sentences = f"{name(first)}: {density_phrase(first)} bits/dim."
        apart = " An estimate is not ranked with exact values."
        yield (
            _heading("estimate", estimates),
            sentences + apart + _chosen(estimates) + _certainty(estimates),
        )


def density_phrase(row: Row) -> str:
    """Its tightest likelihood."""
    return phrase(row, tightest(row))


def _negative(row: Row) -> str:
    """What a figure below zero is."""
    if (number(record(row, tightest(row))) or 0.0) >= 0:
        return ""
    return f" {NEGATIVE}"


def _spread(row: Row) -> str:
    """What chance in learning does to it."""
    between = seeds_phrase(row, tightest(row))
    return f" Its {len(row['seeds'])} seeds give {between}." if between else ""


def _bound(ranking: Ranking) -> str:
    """What must be said where the first has a bound only."""
    first, *others = ranking.rows
    if label(first, tightest(first)) != "bound":
        return ""
    exact = [row for row in others if label(row, tightest(row)) == "exact"]
    if exact and not any(row in ranking.close for row in exact):
        return " This is a bound, and even so below every exact value: it is the better density."
    return " This is a bound: the true value is at most this."


def best_classifier(rows: Sequence[Row]) -> Iterator[Finding]:
    """The conditional model that names most classes rightly."""
    ranking = rank(rows, "accuracy")
    if not ranking.rows:
        return
    first = ranking.rows[0]
    note = (record(first, "accuracy") or {}).get("note")
    sentences = f"{name(first)}: names {phrase(first, 'accuracy')} of the classes rightly"
    sentences += f" ({note})." if note else "."
    yield _heading("classifier", ranking), sentences + _chosen(ranking) + _certainty(ranking)


SAMPLE_METRICS = {
    "c2st": "told from real data by a classifier with accuracy",
    "frechet": "Fréchet distance",
    "kid": "KID",
}


def best_samples(rows: Sequence[Row]) -> Iterator[Finding]:
    """By the first measure that sees here and separates the models, if any does."""
    measures = [rank(rows, metric) for metric in SAMPLE_METRICS if not blind(rows, metric)]
    measures = [ranking for ranking in measures if ranking.rows]
    alone = [ranking for ranking in measures if len(ranking.rows) == 1]
    ranking = next(filter(separates, measures), next(iter(alone), None))
    if ranking:
        yield _heading("samples", ranking), _sampled(ranking, rows)
    elif measures:
        names = listing([title(rows, one.metric) for one in measures])
        yield "Samples", f"The best cannot be told from the next by {names}."


def _sampled(ranking: Ranking, rows: Sequence[Row]) -> str:
    """Whose samples are best, and what real data score."""
    first = ranking.rows[0]
    score = f"{SAMPLE_METRICS[ranking.metric]} {phrase(first, ranking.metric)}"
    sentences = f"{name(first)}: {score}.{_chosen(ranking)}{_certainty(ranking)}"
    real = held_out_reference(rows)
    if real and number(record(real, ranking.metric)) is not None:
        sentences += f" Held-out real data score {phrase(real, ranking.metric)}."
    return sentences
