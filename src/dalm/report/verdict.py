"""The scoreboard in words: what its figures say, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

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


def verdict(rows: Sequence[Row]) -> list[Finding]:
    """What the figures say, as (heading, sentences) pairs.

    >>> bits = {"value": 1.74, "low": 1.70, "high": 1.78, "direction": "lower", "label": "exact"}
    >>> verdict([{"name": "kde", "bits_per_dim": bits}])
    [('Density', 'kde: 1.74 ± 0.04 bits/dim on held-out data.')]
    """
    sources = (_likelihoods, _below_par, _samples, _copying, _alarms, _silent, _failed)
    return [finding for source in sources for finding in source(rows)]


def name(row: Row) -> str:
    """The row's name."""
    return str(row.get("name", "unnamed"))


def listing(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listing(["a"]), listing(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def reference(rows: Sequence[Row], pattern: str) -> Row | None:
    """The reference row whose name matches; not its family, since held-out data are remembered as a
    copycat is.
    """
    return next(
        (row for row in rows if row.get("reference") and re.search(pattern, name(row), re.I)), None
    )


def _heading(text: str, group: Sequence[Row]) -> str:
    return f"Best {text}" if len(group) > 1 else text.capitalize()


def _unsettled(group: Sequence[Row], metric: str) -> str:
    close = [
        name(row) for row in group[1:] if overlap(record(group[0], metric), record(row, metric))
    ]
    verb = "overlaps" if len(close) == 1 else "overlap"
    return (
        f" The 95 % interval{'s' * (len(close) > 1)} of {listing(close)} {verb} it, so their order "
        "is not settled."
        if close
        else ""
    )


def _likelihoods(rows: Sequence[Row]) -> Iterator[Finding]:
    groups = contenders(rows, "bits_per_dim")
    exact, bounds, estimates = (groups.get(key, []) for key in ("exact", "bound", "estimate"))
    if exact:
        yield (
            _heading("density", exact),
            f"{name(exact[0])}: {phrase(exact[0], 'bits_per_dim')} bits/dim on held-out "
            f"data{', computed exactly' * (len(groups) > 1)}." + _unsettled(exact, "bits_per_dim"),
        )
    if bounds:
        yield (
            _heading("bound", bounds),
            f"{name(bounds[0])}: {phrase(bounds[0], 'bits_per_dim')} bits/dim. "
            f"{_against(bounds[0], exact)}" + _unsettled(bounds, "bits_per_dim"),
        )
    if estimates:
        found = f"{name(estimates[0])}: {phrase(estimates[0], 'bits_per_dim')} bits/dim. An estimate is not ranked with exact values."
        yield _heading("estimate", estimates), found + _unsettled(estimates, "bits_per_dim")


def _against(bound: Row, exact: Sequence[Row]) -> str:
    top = number(record(bound, "bits_per_dim"), "high")
    rival = number(record(exact[0], "bits_per_dim"), "low") if exact else None
    if top is not None and rival is not None and top < rival:
        return f"This is a bound, and even so below the exact value of {name(exact[0])}: it is the better density."
    return "The true value is at most this, so it is not ranked with exact values."


def _below_par(rows: Sequence[Row]) -> Iterator[Finding]:
    simple = [
        row
        for row in rows
        if row.get("reference")
        and label(row, "bits_per_dim") == "exact"
        and number(record(row, "bits_per_dim"))
    ]
    if not simple:
        return
    par = min(simple, key=lambda row: number(record(row, "bits_per_dim")) or 0.0)
    limit = badness(record(par, "bits_per_dim"))
    groups = contenders(rows, "bits_per_dim")
    told = f"the {name(par)} reference reaches {phrase(par, 'bits_per_dim')} bits/dim"
    if worse := _reaching(limit, groups.get("exact", [])):
        yield "No better than a reference", f"{worse}: {told}."
    if unproven := _reaching(limit, groups.get("bound", [])):
        yield (
            "Not shown to be better than a reference",
            f"{unproven}: {told}, and the true value behind a bound may be lower.",
        )


def _reaching(limit: float, group: Sequence[Row]) -> str:
    """The rows at or above a limit by the lower of their likelihoods, in words."""
    best = [
        (row, min(LIKELIHOODS, key=lambda metric: badness(record(row, metric)))) for row in group
    ]
    return listing(
        [
            f"{name(row)} ({phrase(row, metric)})"
            for row, metric in best
            if badness(record(row, metric)) >= limit
        ]
    )


def _samples(rows: Sequence[Row]) -> Iterator[Finding]:
    """By the classifier test where it separates the models, for it sees more than moments; else by
    the Fréchet distance.
    """
    metric = "c2st" if _separates(contenders(rows, "c2st").get("", []), "c2st") else "frechet"
    group = contenders(rows, metric).get("", [])
    if not group:
        return
    words = {
        "c2st": "told from real data by a classifier with accuracy",
        "frechet": "Fréchet distance",
    }[metric]
    found = f"{name(group[0])}: {words} {phrase(group[0], metric)}.{_unsettled(group, metric)}"
    real = reference(rows, "real|held")
    if real and number(record(real, metric)) is not None:
        found += f" Held-out real data score {phrase(real, metric)}."
    yield _heading("samples", group), found


def _separates(group: Sequence[Row], metric: str) -> bool:
    """Whether a metric settles that the best of these is better than the last."""
    return len(group) > 1 and not overlap(record(group[0], metric), record(group[-1], metric))


def _copying(rows: Sequence[Row]) -> Iterator[Finding]:
    tested = [
        row
        for row in rows
        if number(record(row, "copying")) is not None
        or number(record(row, "authenticity")) is not None
    ]
    models = [row for row in tested if not row.get("reference")]
    if not models:
        return
    guilty = [row for row in models if copies(row)]
    found = " ".join(f"{name(row)}: copies its training data ({_evidence(row)})." for row in guilty)
    if guilty and contenders(rows, "frechet"):
        found += " What copies does not compete on samples."
    yield (
        "Copying",
        f"{found or 'No model was caught copying its training data.'}{_calibrated(tested)}",
    )


def _evidence(row: Row) -> str:
    raised = [metric for metric, word in flags(row).items() if word == "copies"]
    return ", ".join(f"{title(metric)} {phrase(row, metric)}" for metric in raised)


def _calibrated(tested: Sequence[Row]) -> str:
    real = reference(tested, "real|held")
    copycat = reference(tested, "cop(y|ie)")
    if real and copies(real):
        return " The test also accuses held-out real data, so do not rely on it here."
    if copycat and not copies(copycat):
        return " The test misses the copycat reference, so do not rely on it here."
    return (
        " The test catches the copycat and clears the held-out real data, as it should."
        if real and copycat
        else ""
    )


def _alarms(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        for metric, word in flags(row).items():
            if word != "copies" and not row.get("reference"):
                yield "Alarm", f"{name(row)}: {word} ({title(metric)} {phrase(row, metric)})."


def _silent(rows: Sequence[Row]) -> Iterator[Finding]:
    models = [
        row
        for row in rows
        if not row.get("reference") and not row.get("error") and row.get("metrics")
    ]
    silent = [
        name(row)
        for row in models
        if number(record(row, "bits_per_dim")) is None and not row.get("likelihood")
    ]
    if silent:
        verb = "has" if len(silent) == 1 else "have"
        yield "No likelihood", f"{listing(silent)} {verb} none: only the samples can be judged."


def _failed(rows: Sequence[Row]) -> Iterator[Finding]:
    for row in rows:
        if row.get("error"):
            yield "Failed", f"{name(row)}: {str(row['error']).rstrip('.')}."
