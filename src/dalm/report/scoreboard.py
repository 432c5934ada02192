"""The scoreboard of a page: a table of models and references, and what each number means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dalm.records.score import score_records
from dalm.records.scoreboard import NOT_FOR_THESE, is_reference, suited_first, suits
from dalm.report.board import Board
from dalm.report.claims import checked
from dalm.report.facts import need, words
from dalm.report.markup import Html, absent, section, tag
from dalm.report.ranking import best, blind
from dalm.report.score import (
    DOUBT,
    LIKELIHOODS,
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
    shown,
    title,
)

COSTS = {"seconds": "seconds to fit", "parameters": "parameters", "samples_per_second": "samples/s"}
FIRST = (
    "bits_per_dim",
    "proven",
    "accuracy",
    "frechet",
    "precision",
    "coverage",
    "c2st",
    "copying",
    "seconds",
)
"""The columns that are there at once; the others are folded until they are asked for."""
LEAD = (
    "On test data; ± is half of a 95 % interval, were samples and test rows drawn anew and the "
    "fitted model the same. Bold is the model that validation data choose, each by its tightest "
    "likelihood: its figure on test data had no part in that. A bound ranks among exact values, "
    "for the true value is at most this, and a model that copies does not compete on samples. "
    "Nothing is bold that cannot be told from real data, or is beyond what they reach."
)
BLIND = "blind here: noise passes"
ALARMS = (
    "Measured with planted cheats, three seeds each. Named are samples that are copies to a tenth "
    "or more, samples of one mode, of half of the modes or of all but one of 25, rows that repeat, "
    "and test rows; of images also copies that are shifted, mirrored, inverted or of another "
    "contrast. Not named are, on 8 × 8 pixels, copies turned by 10°, with a patch of another image "
    "or under noise of a fifth of the range, and in the plane copies under noise of a hundredth of "
    "the spread or more, which are what a kernel density draws. Of {honest} sets of honest samples "
    "none was accused."
)
"""What the alarms see: figures of benchmarks/results/cheats.json."""
HONEST = 800
TIED = "\u00a0"
"""A space that does not break: an arrow stays with its word."""


def scoreboard(board: Board) -> Html:
    """The section with the table, models above and references below."""
    rows = board.rows
    metrics = [metric for metric in columns(rows) if metric not in LIKELIHOODS[1:]]
    names = [*metrics, *COSTS]
    ordered = sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))

    heads = [tag("th", "model", scope="col"), *(_head(rows, name) for name in ordered)]
    table = tag(
        "table", tag("thead", tag("tr", *heads)), *_bodies(rows, ordered), class_="sortable"
    )
    folded = [name for name in ordered if name not in FIRST]
    lead = LEAD + _counted(rows)
    scrolling = tag("div", table, class_="scroll")
    return section("Scoreboard", lead, *_switch(rows, folded), scrolling, _gaps(board, metrics))


def _switch(rows: Sequence[Row], folded: Sequence[str]) -> Iterator[Html]:
    """What unfolds the rest of the columns; it works without scripts."""
    if folded:
        names = ", ".join(COSTS.get(name) or title(rows, name) for name in folded)
        yield tag("input", type="checkbox", id="all-columns", class_="switch")
        yield tag("label", "all columns", tag("small", f" with {names}"), for_="all-columns")


def _bodies(rows: Sequence[Row], names: Sequence[str]) -> Iterator[Html]:
    winners = {name: best(rows, name) for name in names}
    models = suited_first([row for row in rows if not is_reference(row)])
    references = [row for row in rows if is_reference(row)]
    winning = {
        id(row): [name for name in names if place in winners[name]]
        for place, row in enumerate(rows)
    }
    yield tag("tbody", *(_row(row, names, winning[id(row)]) for row in models))
    if references:
        heading = tag("th", "For reference", scope="colgroup")
        group = tag("tr", heading, tag("td", colspan=len(names)), class_="group")
        lines = [_row(row, names, []) for row in references]
        yield tag("tbody", group, *lines, class_="reference")


def _counted(rows: Sequence[Row]) -> str:
    """How many rows figures of samples are from, where it is the same number everywhere."""
    sizes = [number(record(row, "frechet"), "n") for row in rows]
    counts = {int(size) for size in sizes if size}
    doubt = f" A “{DOUBT}” marks an interval that may not hold."
    said = f" Samples meet as many test rows in every line: {words(sorted(counts))}."
    return (said if len(counts) == 1 else "") + (doubt if any(map(_is_doubted, rows)) else "")


def _is_doubted(row: Row) -> bool:
    return any(score.get("unreliable") for score in score_records(row))


def _head(rows: Sequence[Row], name: str) -> Html:
    if name in COSTS:
        return tag("th", COSTS[name], scope="col", class_=_fold(name))
    unit = detail(rows, name, "unit")
    way = arrow(detail(rows, name, "direction")).replace(" ", TIED)
    what = title(rows, name)
    small = tag("small", unit) if unit and unit not in what else ""
    sight = tag("small", BLIND, class_="blind") if blind(rows, name) else ""
    return tag("th", f"{what}{TIED}{way}".strip(), small, sight, scope="col", class_=_fold(name))


def _fold(name: str) -> str | None:
    return None if name in FIRST else "folded"


def _row(row: Row, names: Sequence[str], winning: Sequence[str]) -> Html:
    head = _row_head(row)
    if row.get("error"):
        said = f"failed: {row['error']}" if suits(row) else f"{NOT_FOR_THESE}: {need(row)}"
        cell = tag("td", tag("span", said), colspan=len(names), class_="failed")
        return tag("tr", head, cell)
    return tag("tr", head, *(_cell(row, name, name in winning) for name in names))


def _row_head(row: Row) -> Html:
    alarms = ", ".join(dict.fromkeys(flags(row).values()))
    named_otherwise = row.get("family") != row.get("name") and not is_reference(row)
    family = row.get("family") if named_otherwise else None
    small = tag("small", family) if family else ""
    raised = tag("small", f"⚑ {alarms}", class_="alarms") if alarms else ""
    return tag("th", row.get("name", "unnamed"), small, raised, scope="row")


def _cell(row: Row, name: str, bold: bool) -> Html:
    said = COSTS.get(name) or title([row], name)
    if name in COSTS:
        figure = row.get(name)
        about = {"data_value": figure, "data_name": said, "class_": _fold(name)}
        return tag("td", compact(figure), **about)
    own = shown(row, name)
    about = {"data_value": number(record(row, own)), "data_name": said, "class_": _fold(name)}
    return tag("td", *_figure(row, own, bold), title=_interval(row, own), **about)


def _figure(row: Row, metric: str, bold: bool) -> Iterator[object]:
    """A figure, its interval and what speaks for it, its range between seeds, and its alarm."""
    middle, _, half = phrase(row, metric).partition(" ± ")
    yield tag("b", middle) if bold else middle
    said = [label(row, metric), checked(row, metric)] if record(row, metric) else []
    kind = ", ".join(filter(None, said))
    if half or kind:
        yield tag("small", " ", f"± {half} " if half else "", kind)
    if spread := seeds_phrase(row, metric):
        yield tag("small", f"seeds {spread}")
    if flag := flags(row).get(metric):
        yield tag("span", " ⚑", class_="flag", title=flag)


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
        parts.append(f"the interval may not hold: {words(score['unreliable'])}")
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
    if any(name in board.explain for name in ("copied", "missing")):
        entries += [tag("dt", "what alarms see"), tag("dd", ALARMS.format(honest=HONEST))]
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
