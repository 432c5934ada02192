"""The scoreboard in words: what its figures say, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dalm.records.score import score_records
from dalm.records.scoreboard import held_out_reference, is_reference
from dalm.report.score import (
    LIKELIHOODS,
    Row,
    badness,
    contenders,
    copies,
    flags,
    label,
    number,
    overlap,
    phrase,
    record,
    title,
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


def _heading(text: str, group: Sequence[Row]) -> str:
    return f"Best {text}" if len(group) > 1 else text.capitalize()


def _unsettled(group: Sequence[Row], metric: str) -> str:
    """Who may be as good as the first of a group."""
    first = record(group[0], metric)
    close = [name(row) for row in group[1:] if overlap(first, record(row, metric))]
    if not close:
        return ""

    intervals = "interval" if len(close) == 1 else "intervals"
    verb = "overlaps" if len(close) == 1 else "overlap"
    return f" The 95 % {intervals} of {listing(close)} {verb} it, so their order is not settled."


def _likelihoods(rows: Sequence[Row]) -> Iterator[Finding]:
    groups = contenders(rows, "bits_per_dim")
    exact = groups.get("exact", [])
    bounds = groups.get("bound", [])
    estimates = groups.get("estimate", [])

    if exact:
        how = ", computed exactly" if len(groups) > 1 else ""
        sentences = f"{_bits(exact[0])} on held-out data{how}."
        yield _heading("density", exact), sentences + _unsettled(exact, "bits_per_dim")
    if bounds:
        sentences = f"{_bits(bounds[0])}. {_against(bounds[0], exact)}"
        yield _heading("bound", bounds), sentences + _unsettled(bounds, "bits_per_dim")
    if estimates:
        sentences = f"{_bits(estimates[0])}. An estimate is not ranked with exact values."
        yield _heading("estimate", estimates), sentences + _unsettled(estimates, "bits_per_dim")


def _bits(row: Row) -> str:
    return f"{name(row)}: {phrase(row, 'bits_per_dim')} bits/dim"


def _against(bound: Row, exact: Sequence[Row]) -> str:
    """How the best bound stands beside the best exact value."""
    top = number(record(bound, "bits_per_dim"), "high")
    rival = number(record(exact[0], "bits_per_dim"), "low") if exact else None
    if top is not None and rival is not None and top < rival:
        return (
            f"This is a bound, and even so below the exact value of {name(exact[0])}: it is the "
            "better density."
        )
    return "The true value is at most this, so it is not ranked with exact values."


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
    simple = [row for row in rows if is_reference(row) and _exact_bits(row)]
    if not simple:
        return

    par = min(simple, key=_exact_bits)
    limit = badness(record(par, "bits_per_dim"))
    reached = f"the {name(par)} reference reaches {phrase(par, 'bits_per_dim')} bits/dim"
    groups = contenders(rows, "bits_per_dim")
    worse = _reaching(limit, groups.get("exact", []))
    unproven = _reaching(limit, groups.get("bound", []))
    if worse:
        yield "No better than a reference", f"{worse}: {reached}."
    if unproven:
        yield (
            "Not shown to be better than a reference",
            f"{unproven}: {reached}, and the true value behind a bound may be lower.",
        )


def _exact_bits(row: Row) -> float:
    """Bits per dimension if they are exact, else 0."""
    if label(row, "bits_per_dim") != "exact":
        return 0.0
    return number(record(row, "bits_per_dim")) or 0.0


def _reaching(limit: float, group: Sequence[Row]) -> str:
    """The rows at or above a limit by the lower of their likelihoods, in words."""
    reaching = []
    for row in group:
        scores = {metric: badness(record(row, metric)) for metric in LIKELIHOODS}
        lowest = min(LIKELIHOODS, key=scores.__getitem__)
        if scores[lowest] >= limit:
            reaching.append(f"{name(row)} ({phrase(row, lowest)})")
    return listing(reaching)


SAMPLE_METRICS = {
    "c2st": "told from real data by a classifier with accuracy",
    "frechet": "Fréchet distance",
}


def _samples(rows: Sequence[Row]) -> Iterator[Finding]:
    """By the classifier test where it separates the models, for it sees more than moments; else by
    the Fréchet distance.
    """
    tested = contenders(rows, "c2st").get("", [])
    metric = "c2st" if _separates(tested, "c2st") else "frechet"
    group = contenders(rows, metric).get("", [])
    if not group:
        return

    score = f"{SAMPLE_METRICS[metric]} {phrase(group[0], metric)}"
    sentences = f"{name(group[0])}: {score}.{_unsettled(group, metric)}"
    real = held_out_reference(rows)
    if real and number(record(real, metric)) is not None:
        sentences += f" Held-out real data score {phrase(real, metric)}."
    yield _heading("samples", group), sentences


def _separates(group: Sequence[Row], metric: str) -> bool:
    """Whether a metric settles that the best of these is better than the last."""
    return len(group) > 1 and not overlap(record(group[0], metric), record(group[-1], metric))


def _copying(rows: Sequence[Row]) -> Iterator[Finding]:
    tested = [row for row in rows if _is_tested(row)]
    models = [row for row in tested if not is_reference(row)]
    if not models:
        return

    guilty = [row for row in models if copies(row)]
    sentences = [f"{name(row)}: copies its training data ({_evidence(row)})." for row in guilty]
    if guilty and contenders(rows, "frechet"):
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
