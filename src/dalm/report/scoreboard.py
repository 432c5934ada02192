"""The scoreboard of a page: a table of models and references, and what each number means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dalm.records.score import score_records
from dalm.records.scoreboard import is_reference
from dalm.report.board import Board
from dalm.report.claims import checked
from dalm.report.facts import words
from dalm.report.markup import Html, absent, section, tag
from dalm.report.ranking import best
from dalm.report.score import (
    DOUBT,
    Row,
    arrow,
    columns,
    compact,
    detail,
    flags,
    label,
    number,
    phrase,
    record,
    seeds_phrase,
    title,
)

COSTS = {"parameters": "parameters", "seconds": "seconds to fit", "samples_per_second": "samples/s"}
LEAD = (
    "On test data; ± is half of a 95 % interval, were samples and test rows drawn anew and the "
    "fitted model the same. Bold is the model that validation data choose, each by its tightest "
    "likelihood: its figure on test data had no part in that. A bound ranks among exact values, "
    "for the true value is at most this, and a model that copies does not compete on samples."
)
TIED = "\u00a0"
"""A space that does not break: an arrow stays with its word."""


def scoreboard(board: Board) -> Html:
    """The section with the table, models above and references below."""
    rows = board.rows
    models = [row for row in rows if not is_reference(row)]
    references = [row for row in rows if is_reference(row)]
    metrics = columns(rows)

    heads = [tag("th", "model", scope="col")]
    heads += [_head(rows, metric) for metric in metrics]
    heads += [tag("th", cost, scope="col") for cost in COSTS.values()]
    bodies = [_body(models, metrics)]
    if references:
        bodies.append(_reference_body(references, metrics, len(heads)))

    table = tag("table", tag("thead", tag("tr", *heads)), *bodies, class_="sortable")
    lead = LEAD + _counted(rows)
    scrolling = tag("div", table, class_="scroll")
    return section("Scoreboard", lead, scrolling, _gaps(board, metrics))


def _counted(rows: Sequence[Row]) -> str:
    """How many rows figures of samples are from, where it is the same number everywhere."""
    sizes = [number(record(row, "frechet"), "n") for row in rows]
    counts = {int(size) for size in sizes if size}
    doubt = f" A “{DOUBT}” marks an interval that does not hold."
    said = f" Samples meet as many test rows in every line: {words(sorted(counts))}."
    return (said if len(counts) == 1 else "") + (doubt if any(map(_is_doubted, rows)) else "")


def _is_doubted(row: Row) -> bool:
    return any(score.get("unreliable") for score in score_records(row))


def _body(models: Sequence[Row], metrics: Sequence[str]) -> Html:
    winners = {metric: best(models, metric) for metric in metrics}
    lines = []
    for place, row in enumerate(models):
        winning = [metric for metric in metrics if place in winners[metric]]
        lines.append(_row(row, metrics, winning))
    return tag("tbody", *lines)


def _reference_body(references: Sequence[Row], metrics: Sequence[str], width: int) -> Html:
    heading = tag("th", "For reference", scope="colgroup")
    group = tag("tr", heading, tag("td", colspan=width - 1), class_="group")
    lines = [_row(row, metrics, []) for row in references]
    return tag("tbody", group, *lines, class_="reference")


def _head(rows: Sequence[Row], metric: str) -> Html:
    unit = detail(rows, metric, "unit")
    way = arrow(detail(rows, metric, "direction")).replace(" ", TIED)
    name = title(rows, metric)
    small = tag("small", unit) if unit and unit not in name else ""
    return tag("th", f"{name}{TIED}{way}".strip(), small, scope="col")


def _row(row: Row, metrics: Sequence[str], winning: Sequence[str]) -> Html:
    head = _row_head(row)
    if row.get("error"):
        reason = tag("span", f"failed: {row['error']}")
        width = len(metrics) + len(COSTS)
        return tag("tr", head, tag("td", reason, colspan=width, class_="failed"))

    cells = [_cell(row, metric, metric in winning) for metric in metrics]
    costs = [tag("td", compact(row.get(key)), data_value=row.get(key)) for key in COSTS]
    return tag("tr", head, *cells, *costs)


def _row_head(row: Row) -> Html:
    alarms = ", ".join(flags(row).values())
    mark = tag("span", " ⚑", class_="mark", title=alarms) if alarms else ""
    named_otherwise = row.get("family") != row.get("name") and not is_reference(row)
    family = row.get("family") if named_otherwise else None
    small = tag("small", family) if family else ""
    return tag("th", row.get("name", "unnamed"), mark, small, scope="row")


def _cell(row: Row, metric: str, bold: bool) -> Html:
    score = record(row, metric)
    middle, _, half = phrase(row, metric).partition(" ± ")
    kind = ", ".join(filter(None, [label(row, metric), checked(row, metric)])) if score else ""
    width = f"± {half} " if half else ""
    flag = flags(row).get(metric)
    spread = seeds_phrase(row, metric)
    parts = [
        tag("b", middle) if bold else middle,
        tag("small", " ", width, kind) if width or kind else "",
        tag("small", f"seeds {spread}") if spread else "",
        tag("span", f"⚑ {flag}", class_="flag") if flag else "",
    ]
    return tag("td", *parts, data_value=number(score), title=_interval(row, metric))


def _interval(row: Row, metric: str) -> str | None:
    """What a reader sees who points at a figure."""
    score = record(row, metric) or {}
    low = number(score, "low")
    high = number(score, "high")
    parts = []
    if low is not None and high is not None:
        parts.append(f"95 % interval {low:.5g} to {high:.5g}")
    if score.get("n"):
        parts.append(f"n = {words(score['n'])}")
    if score.get("unreliable"):
        parts.append(f"the interval does not hold: {words(score['unreliable'])}")
    if words(score.get("note")):
        parts.append(words(score["note"]))
    return "; ".join(parts) or None


def _gaps(board: Board, metrics: Sequence[str]) -> Html:
    """Why a dash stands where a number should."""
    reasons = []
    for row in board.rows:
        without: dict[str, list[str]] = {}
        for metric in metrics:
            score = record(row, metric) or {}
            if number(score) is None and score.get("note"):
                note = words(score["note"]).rstrip(".")
                without.setdefault(note, []).append(title(board.rows, metric))
        name = str(row.get("name"))
        reasons += [(name, f"{', '.join(titles)}: {note}") for note, titles in without.items()]
    for entry, run in board.runs:
        if "metrics" in run.absent:
            reasons.append((entry.name, run.absent["metrics"]))
    return absent("Where a dash stands", reasons)


def meaning(board: Board) -> Html:
    """The section with a sentence for each metric, those of the table first."""
    metrics = [metric for metric in columns(board.rows) if metric in board.explain]
    names = list(dict.fromkeys([*metrics, *board.explain]))
    if not names:
        return Html()

    entries = []
    for name in names:
        sentence = tag("dd", board.explain[name], *_measured(board.rows, name))
        entries += [tag("dt", title(board.rows, name)), sentence]
    lead = "One sentence each, and what it was computed on."
    return section("What each number means", lead, tag("dl", *entries, class_="meaning"))


def _measured(rows: Sequence[Row], metric: str) -> Iterator[Html]:
    features = detail(rows, metric, "features")
    count = detail(rows, metric, "n")
    parts = []
    if features:
        parts.append(f"features: {words(features)}")
    if count:
        parts.append(f"n = {words(count)}")
    if parts:
        yield tag("small", f" {'; '.join(parts)}")
