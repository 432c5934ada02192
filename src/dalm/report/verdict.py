"""The scoreboard in words: what its figures say, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dalm.records.score import score_records
from dalm.records.scoreboard import held_out_reference, is_reference
from dalm.report.paired import Difference
from dalm.report.ranking import Ranking, rank, rank_densities, separates
from dalm.report.score import (
    Row,
    badness,
    copies,
    flags,
    label,
    number,
    phrase,
    record,
    seeds_phrase,
    tightest,
    title,
    value,
)

Finding = tuple[str, str]
"""A heading, and sentences."""


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
        _likelihoods,
        _doubts,
        _unranked,
        _below_par,
        _samples,
        _silent,
        _failed,
    )
    data = [("Data", sentence) for sentence in warnings]
    return data + [finding for source in sources for finding in source(rows)]


def name(row: Row) -> str:
    """The row's name."""
    return str(row.get("name", "unnamed"))


def listing(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listing(["a"]), listing(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


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
        bounds = listing([f"{name(row)} ({_phrase(row)})" for row in ranking.bounds])
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


def _likelihoods(rows: Sequence[Row]) -> Iterator[Finding]:
    densities = rank_densities(rows)
    estimates = rank_densities(rows, ["estimate"])
    if densities.rows:
        first = densities.rows[0]
        sentences = f"{name(first)}: {_phrase(first)} bits/dim on held-out data.{_bound(densities)}"
        certainty = _chosen(densities) + _spread(first) + _certainty(densities)
        yield _heading("density", densities), sentences + certainty
    if estimates.rows:
        first = estimates.rows[0]
        sentences = f"{name(first)}: {_phrase(first)} bits/dim."
        apart = " An estimate is not ranked with exact values."
        yield (
            _heading("estimate", estimates),
            sentences + apart + _chosen(estimates) + _certainty(estimates),
        )


def _phrase(row: Row) -> str:
    """Its tightest likelihood."""
    return phrase(row, tightest(row))


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


def _unranked(rows: Sequence[Row]) -> Iterator[Finding]:
    """Likelihoods that take no part in a ranking, by the reason."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        score = record(row, "bits_per_dim") or {}
        if score.get("unranked") and not is_reference(row):
            reasons.setdefault(str(score["unranked"]), []).append(name(row))
    for reason, names in reasons.items():
        yield "Density not ranked", f"{listing(names)}: {reason}."


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
    return listing([f"{name(row)} ({_phrase(row)})" for row in those])


SAMPLE_METRICS = {
    "c2st": "told from real data by a classifier with accuracy",
    "frechet": "Fréchet distance",
    "kid": "KID",
}


def _samples(rows: Sequence[Row]) -> Iterator[Finding]:
    """By the first measure that separates the models; else by the Fréchet distance."""
    measures = [rank(rows, metric) for metric in SAMPLE_METRICS]
    ranking = next(filter(separates, measures), measures[1])
    if not ranking.rows:
        return

    first = ranking.rows[0]
    score = f"{SAMPLE_METRICS[ranking.metric]} {phrase(first, ranking.metric)}"
    sentences = f"{name(first)}: {score}.{_chosen(ranking)}{_certainty(ranking)}"
    real = held_out_reference(rows)
    if real and number(record(real, ranking.metric)) is not None:
        sentences += f" Held-out real data score {phrase(real, ranking.metric)}."
    yield _heading("samples", ranking), sentences


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
    sentences = []
    real = held_out_reference(rows)
    if real and flags(real):
        sentences.append(
            f"Held-out real data raise an alarm too ({_words(real)}), so do not rely on it here."
        )
    planted = [row for row in rows if is_reference(row) and row.get("family") == "copycat"]
    planted = [row for row in planted if row is not real]
    seen = [f"{name(row)} ({_words(row)})" for row in planted if flags(row)]
    missed = [name(row) for row in planted if not flags(row)]
    if seen:
        sentences.append(f"They name {listing(seen)}.")
    if missed:
        sentences.append(f"They do not see {listing(missed)}: such a model would pass for honest.")
    return " ".join(sentences)


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
    """Whose likelihood rests on few rows."""
    for row in rows:
        why = (record(row, tightest(row)) or {}).get("unreliable")
        if why and not is_reference(row):
            yield "Unreliable interval", f"{name(row)}: {_phrase(row)} bits/dim: {why}."


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
        if row.get("error"):
            yield "Failed", f"{name(row)}: {str(row['error']).rstrip('.')}."
        for fit in row.get("seeds") or []:
            if fit.get("error"):
                reason = str(fit["error"]).rstrip(".")
                yield "Failed", f"{name(row)}: with seed {fit.get('seed')}: {reason}."
