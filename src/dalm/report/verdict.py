"""The scoreboard in words: what its figures say, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dalm.records.score import score_records
from dalm.records.scoreboard import held_out_reference, is_reference, suits
from dalm.report.claims import claims
from dalm.report.facts import listing, name, need
from dalm.report.ranking import blind, rank, rank_densities
from dalm.report.score import (
    Finding,
    Record,
    Row,
    badness,
    columns,
    copies,
    flags,
    label,
    number,
    phrase,
    record,
    tightest,
    title,
)
from dalm.report.winners import best_classifier, best_densities, best_samples, density_phrase


def verdict(rows: Sequence[Row], warnings: Sequence[str] = ()) -> list[Finding]:
    """What the figures say, as (heading, sentences) pairs: what is wrong comes before who is best.

    Args:
        rows: of a scoreboard.
        warnings: what in the data makes figures wrong.

    >>> bits = {"value": 1.74, "low": 1.70, "high": 1.78, "direction": "lower", "label": "exact"}
    >>> verdict([{"name": "kde", "bits_per_dim": bits}])
    [('Density', 'kde: 1.74 ± 0.04 bits/dim on held-out data.')]
    """
    sources = (
        _alarms,
        _copying,
        best_densities,
        _doubts,
        _unranked,
        claims,
        _below_par,
        best_classifier,
        best_samples,
        _blind,
        _silent,
        _failed,
    )
    data = [("Data", sentence) for sentence in warnings]
    return data + [finding for source in sources for finding in source(rows)]


def _unranked(rows: Sequence[Row]) -> Iterator[Finding]:
    """Likelihoods that take no part in a ranking, by the reason."""
    found = [(row, record(row, "bits_per_dim") or {}) for row in rows if not is_reference(row)]
    for reason, names in _by_reason((score.get("unranked"), name(row)) for row, score in found):
        yield "Density not ranked", f"{names}: {reason}."


def _by_reason(found: Iterable[tuple[Any, str]]) -> Iterator[tuple[str, str]]:
    """Each reason, and for whom it holds, in words; whoever has none is left out."""
    reasons: dict[str, list[str]] = {}
    for reason, who in found:
        if reason:
            reasons.setdefault(str(reason), []).append(who)
    for reason, names in reasons.items():
        yield reason, listing(names)


def _below_par(rows: Sequence[Row]) -> Iterator[Finding]:
    simple = [row for row in rows if is_reference(row) and _exact_bits(row) is not None]
    if not simple:
        return

    par = min(simple, key=lambda row: badness(record(row, "bits_per_dim")))
    limit = badness(record(par, "bits_per_dim"))
    reached = f"the {name(par)} reference reaches {phrase(par, 'bits_per_dim')} bits/dim"
    above = [
        row for row in rank_densities(rows).rows if badness(record(row, tightest(row))) >= limit
    ]
    worse = _listed(above, "exact")
    unproven = _listed(above, "bound")
    if worse:
        yield "No better than a reference", f"{worse}: {reached}."
    if unproven:
        yield (
            "Not shown to be better than a reference",
            f"{unproven}: {reached}, and the true value behind a bound may be lower.",
        )


def _exact_bits(row: Row) -> float | None:
    """Bits per dimension if they are exact."""
    return number(record(row, "bits_per_dim")) if label(row, "bits_per_dim") == "exact" else None


def _listed(rows: Sequence[Row], kind: str) -> str:
    """The rows with likelihoods of a kind, in words."""
    those = [row for row in rows if label(row, tightest(row)) == kind]
    return listing([f"{name(row)} ({density_phrase(row)})" for row in those])


def _copying(rows: Sequence[Row]) -> Iterator[Finding]:
    tested = [row for row in rows if _is_tested(row)]
    models = [row for row in tested if not is_reference(row)]
    if not models:
        return

    guilty = [row for row in models if copies(row)]
    sentences = [f"{name(row)}: copies its training data ({_evidence(row)})." for row in guilty]
    if guilty and rank(rows, "frechet").rows:
        sentences.append("What copies does not compete on samples.")
    if not guilty:
        sentences.append("No model was caught copying its training data.")
    yield "Copying", " ".join(sentences)
    if told := _calibrated(rows):
        yield "What the alarms see here", told


def _is_tested(row: Row) -> bool:
    scores = (record(row, "copying"), record(row, "authenticity"))
    return any(number(score) is not None for score in scores)


def _evidence(row: Row) -> str:
    raised = [metric for metric, word in flags(row).items() if word == "copies"]
    return ", ".join(f"{title([row], metric)} {phrase(row, metric)}" for metric in raised)


def _calibrated(rows: Sequence[Row]) -> str:
    """What the references say of the alarms themselves."""
    real = held_out_reference(rows)
    sentences = [
        f"{_innocent(row, real)} an alarm too ({_words(row)}), so do not rely on it here."
        for row in rows
        if (row is real and flags(row)) or (_cannot_copy(row) and copies(row))
    ]
    planted = [row for row in rows if is_reference(row) and row.get("family") == "copycat"]
    planted = [row for row in planted if row is not real]
    seen = [f"{name(row)} ({_words(row)})" for row in planted if flags(row)]
    missed = [name(row) for row in planted if not flags(row)]
    if seen:
        sentences.append(f"They name {listing(seen)}.")
    if missed:
        sentences.append(f"They do not see {listing(missed)}: such a model would pass for honest.")
    return " ".join(sentences)


def _cannot_copy(row: Row) -> bool:
    """Whether a row is a reference that remembers no rows."""
    return is_reference(row) and row.get("family") != "copycat"


def _innocent(row: Row, real: Row | None) -> str:
    """Who raises a false alarm, in words."""
    return "Held-out real data raise" if row is real else f"The reference {name(row)} raises"


def _words(row: Row) -> str:
    """The alarms that a row raises."""
    return listing(sorted(set(flags(row).values())))


def _alarms(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if is_reference(row):
            continue
        for metric, word in flags(row).items():
            if word != "copies":
                what = f"{title([row], metric)} {phrase(row, metric)}"
                yield "Alarm", f"{name(row)}: {word} ({what})."


def _doubts(rows: Sequence[Row]) -> Iterator[Finding]:
    """Whose likelihood rests on few rows, by the reason."""
    found = [(row, record(row, tightest(row)) or {}) for row in rows if not is_reference(row)]
    doubted = ((score.get("unreliable"), _with_note(row, score)) for row, score in found)
    for reason, names in _by_reason(doubted):
        yield "Unreliable interval", f"{names}: {reason}."


def _with_note(row: Row, score: Record) -> str:
    """Who it is, with the figure and what is noted of it first: the median."""
    median = str(score.get("note") or "").partition(";")[0]
    return f"{name(row)} ({', '.join(filter(None, [density_phrase(row), median]))})"


def _blind(rows: Sequence[Row]) -> Iterator[Finding]:
    """Measures that do not tell noise from real data here."""
    metrics = [metric for metric in columns(rows) if blind(rows, metric)]
    if metrics:
        names = listing([title(rows, metric) for metric in metrics])
        verb, ranks = ("does", "ranks") if len(metrics) == 1 else ("do", "rank")
        yield "Blind here", f"{names} {verb} not tell noise from real data, and {ranks} nothing."


def _silent(rows: Sequence[Row]) -> Iterator[Finding]:
    silent = [name(row) for row in rows if _is_silent(row)]
    if silent:
        verb = "has" if len(silent) == 1 else "have"
        yield "No likelihood", f"{listing(silent)} {verb} none: only the samples can be judged."


def _is_silent(row: Row) -> bool:
    """Whether a model was scored and has no likelihood."""
    if is_reference(row) or row.get("error") or not score_records(row):
        return False
    return number(record(row, "bits_per_dim")) is None and not row.get("likelihood")


def _failed(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row.get("error") and not suits(row):
            yield "Not for these data", f"{name(row)}: {need(row)}."
        elif row.get("error"):
            yield "Failed", f"{name(row)}: {str(row['error']).rstrip('.')}."
        for fit in row.get("seeds") or []:
            if fit.get("error"):
                reason = str(fit["error"]).rstrip(".")
                yield "Failed", f"{name(row)}: with seed {fit.get('seed')}: {reason}."
