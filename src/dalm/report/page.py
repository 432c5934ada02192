"""One self-contained page from run folders: the verdict in words, the scoreboard, the pictures, and
what each number means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from dalm.report.figures import write
from dalm.report.files import files
from dalm.report.gallery import Detail, absent, pictures, section
from dalm.report.markup import Html, join, tag
from dalm.report.read import Board, Check, read_board, unchecked, words
from dalm.report.score import (
    Row,
    arrow,
    best,
    columns,
    compact,
    detail,
    flags,
    label,
    number,
    phrase,
    record,
    title,
)
from dalm.report.verdict import verdict

LIMIT = 2_000_000
DETAILS = (
    Detail(36, 8, 6),
    Detail(25, 6, 5),
    Detail(16, 5, 4),
    Detail(9, 4, 3),
    Detail(4, 3, 2),
    Detail(1, 1, 1),
)
COSTS = {"parameters": "parameters", "seconds": "seconds to fit", "samples_per_second": "samples/s"}
# A space that does not break: an arrow stays with its word.
TIED = "\u00a0"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def build(folders: Sequence[Path], out: Path, check: Check = unchecked) -> Path:
    """Write one self-contained HTML page, under 2 MB, about comparison folders and run folders.

    Args:
        folders: folders with a `scoreboard.json` (a comparison) or a `run.json` (one run); each may
            lack metrics, gallery or log.
        out: the page to write; it is there whole or not at all.
        check: raises ValueError for a folder that is not as it was written; inside a comparison
            that becomes its row's error.

    Returns:
        `out`.

    Raises:
        ValueError: a folder that is neither, a broken or newer JSON file, or so many runs that no
            page of 2 MB holds them.
    """
    board = read_board(folders, check)
    for shown in DETAILS:
        page = _page(board, shown).encode("utf-8")
        if len(page) < LIMIT:
            write(Path(out), page)
            return Path(out)
    raise ValueError(
        f"a page about {len(board.entries)} models would have {len(page):,} bytes, and {LIMIT:,} "
        "is the limit: give fewer folders"
    )


def _page(board: Board, shown: Detail) -> Html:
    data = " and ".join(board.facts.get("Data", ["data"]))
    parts = (
        _header(board, data),
        _scoreboard(board),
        files(board),
        pictures(board, shown),
        _meaning(board),
        _splits(board),
    )
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"{data} · dalm"),
        tag("style", _resource("style.css")),
    )
    body = tag("body", tag("main", *parts), tag("script", _resource("sort.js")))
    return join(Html("<!doctype html>\n"), tag("html", tag("head", *head), body, lang="en"))


def _resource(name: str) -> Html:
    return Html((resources.files(__package__) / name).read_text(encoding="utf-8"))


def _header(board: Board, data: str) -> Html:
    models = [row for row in board.rows if not row.get("reference")]
    subject = f"{models[0].get('name')}, a model" if len(models) == 1 else f"{len(models)} models"
    facts = {
        "Data": join(data, " ", tag("small", _spec(board.spec))),
        **{key: board.facts.get(key) for key in ("Budget", "Seed", "Machine", "Date")},
    }
    told = [
        tag(
            "div", tag("dt", key), tag("dd", value if isinstance(value, Html) else ", ".join(value))
        )
        for key, value in facts.items()
        if value
    ]
    found = [
        tag("div", tag("dt", heading), tag("dd", _led(sentences, board.rows)))
        for heading, sentences in verdict(board.rows)
    ]
    return tag(
        "header",
        tag("h1", f"{subject} of {data}"),
        tag("dl", *told, class_="facts"),
        tag("dl", *found, class_="findings")
        if found
        else tag("p", "No scores yet: run dalm score on these folders.", class_="absent"),
    )


def _led(sentences: str, rows: Sequence[Row]) -> Html:
    """A finding, with the model it opens with in bold."""
    model, colon, rest = sentences.partition(": ")
    return (
        join(tag("b", model), colon, rest)
        if any(model == str(row.get("name")) for row in rows)
        else join(sentences)
    )


def _spec(spec: Mapping[str, Any]) -> str:
    shape = spec.get("shape") or []
    levels = spec.get("levels")
    classes = spec.get("classes")
    size = " × ".join(map(str, shape))
    return ", ".join(
        filter(
            None,
            [
                size,
                f"{levels} levels" if levels else "real numbers" if shape else "",
                f"{classes} classes" if classes else "",
            ],
        )
    )


def _scoreboard(board: Board) -> Html:
    rows = board.rows
    models, references = (
        [row for row in rows if bool(row.get("reference")) is kind] for kind in (False, True)
    )
    names = columns(rows)
    heads = [
        tag("th", "model", scope="col"),
        *(_head(rows, name) for name in names),
        *(tag("th", text, scope="col") for text in COSTS.values()),
    ]
    winners = {name: best(models, name) for name in names}
    bodies = [
        tag(
            "tbody",
            *(
                _row(row, names, [name for name in names if place in winners[name]])
                for place, row in enumerate(models)
            ),
        )
    ]
    if references:
        group = tag(
            "tr",
            tag("th", "For reference", scope="colgroup"),
            tag("td", colspan=len(heads) - 1),
            class_="group",
        )
        bodies.append(
            tag("tbody", group, *(_row(row, names, []) for row in references), class_="reference")
        )
    table = tag("table", tag("thead", tag("tr", *heads)), *bodies, class_="sortable")
    lead = (
        "On held-out data; ± is half of a 95 % interval. Bold is the best model of its column: "
        "exact values and bounds are ranked apart, and a model that copies does not compete on "
        "samples."
    )
    return section("Scoreboard", lead, tag("div", table, class_="scroll"), *_gaps(board, names))


def _head(rows: Sequence[Row], name: str) -> Html:
    unit = detail(rows, name, "unit")
    way = arrow(detail(rows, name, "direction")).replace(" ", TIED)
    return tag(
        "th",
        f"{title(name)}{TIED}{way}".strip(),
        tag("small", unit) if unit and unit not in title(name) else "",
        scope="col",
    )


def _row(row: Row, names: Sequence[str], winning: Sequence[str]) -> Html:
    mark = (
        tag("span", " ⚑", class_="mark", title=", ".join(flags(row).values())) if flags(row) else ""
    )
    family = (
        row.get("family")
        if row.get("family") != row.get("name") and not row.get("reference")
        else None
    )
    head = tag(
        "th", row.get("name", "unnamed"), mark, tag("small", family) if family else "", scope="row"
    )
    if row.get("error"):
        return tag(
            "tr",
            head,
            tag(
                "td",
                tag("span", f"failed: {row['error']}"),
                colspan=len(names) + len(COSTS),
                class_="failed",
            ),
        )
    costs = [tag("td", compact(row.get(key)), data_value=row.get(key)) for key in COSTS]
    return tag("tr", head, *(_cell(row, name, name in winning) for name in names), *costs)


def _cell(row: Row, name: str, bold: bool) -> Html:
    found = record(row, name)
    middle, _, half = phrase(row, name).partition(" ± ")
    kind = label(row, name) if found else ""
    parts = [
        tag("b", middle) if bold else middle,
        tag("small", " ", f"± {half} " if half else "", kind) if half or kind else "",
        tag("span", f"⚑ {flags(row)[name]}", class_="flag") if name in flags(row) else "",
    ]
    return tag("td", *parts, data_value=number(found), title=_interval(row, name))


def _interval(row: Row, name: str) -> str | None:
    found = record(row, name) or {}
    low = number(found, "low")
    high = number(found, "high")
    interval = (
        f"95 % interval {low:.5g} to {high:.5g}" if low is not None and high is not None else ""
    )
    sized = f"n = {words(found.get('n'))}" if found.get("n") else ""
    return "; ".join(filter(None, [interval, sized, words(found.get("note"))])) or None


def _gaps(board: Board, names: Sequence[str]) -> Iterator[Html]:
    """Why a dash stands where a number should."""
    found = [
        (title(name), record(row, name) or {}, str(row.get("name")))
        for row in board.rows
        for name in names
    ]
    empty = [
        (model, f"{metric}: {words(entry['note']).rstrip('.')}")
        for metric, entry, model in found
        if number(entry) is None and entry.get("note")
    ]
    unscored = [
        (entry.name, entry.run.absent["metrics"])
        for entry in board.entries
        if entry.run and "metrics" in entry.run.absent
    ]
    yield absent("Where a dash stands", empty + unscored)


def _meaning(board: Board) -> Html:
    names = [name for name in columns(board.rows) if name in board.explain] + [
        name for name in board.explain if name not in columns(board.rows)
    ]
    if not names:
        return Html()
    entries = [
        part
        for name in names
        for part in (
            tag("dt", title(name)),
            tag("dd", board.explain[name], *_measured(board.rows, name)),
        )
    ]
    return section(
        "What each number means",
        "One sentence each, and what it was computed on.",
        tag("dl", *entries, class_="meaning"),
    )


def _measured(rows: Sequence[Row], name: str) -> Iterator[Html]:
    features = detail(rows, name, "features")
    count = detail(rows, name, "n")
    told = [
        f"features: {words(features)}" if features else "",
        f"n = {words(count)}" if count else "",
    ]
    if any(told):
        yield tag("small", f" {'; '.join(filter(None, told))}")


def _splits(board: Board) -> Html:
    kept = [
        (key, value)
        for key in ("Splits", "Options", "Fingerprint")
        for value in board.facts.get(key, [])
    ]
    if not kept and not board.notes:
        return Html()
    entries = [part for key, value in kept for part in (tag("dt", key), tag("dd", value))]
    notes = tag("ul", *(tag("li", note) for note in board.notes)) if board.notes else ""
    lead = "Models learn from the training split, are chosen on validation, and meet the test split once, to be scored."
    return section(
        "Data and splits", lead, tag("dl", *entries, class_="meaning") if entries else "", notes
    )
