"""One self-contained page from run folders: the verdict in words, the scoreboard, the pictures, and
what each number means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from dalm.errors import DalmError
from dalm.records.files import write
from dalm.records.scoreboard import is_reference
from dalm.report.board import Board, Check, read_board, unchecked
from dalm.report.classes import classes
from dalm.report.gallery import Detail, copied_or_created, real_and_generated
from dalm.report.history import evolution, loss_curves
from dalm.report.markup import Html, join, section, tag
from dalm.report.proofs import proofs
from dalm.report.score import Row
from dalm.report.scoreboard import meaning, scoreboard
from dalm.report.verdict import verdict

MOST_BYTES = 2_000_000
DETAILS = (
    Detail(36, 8, 6),
    Detail(25, 6, 5),
    Detail(16, 5, 4),
    Detail(9, 4, 3),
    Detail(4, 3, 2),
    Detail(1, 1, 1),
)
"""From the richest page to the barest; the first that is light enough is written."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def build(folders: Sequence[Path], out: Path, check: Check = unchecked) -> Path:
    """Write one self-contained HTML page, under 2 MB, about comparison folders and run folders.

    Args:
        folders: folders with a `scoreboard.json` (a comparison) or a `run.json` (one run); each may
            lack metrics, gallery or log.
        out: the page to write; it is there whole or not at all.
        check: raises DalmError for a folder that is not as it was written; inside a comparison
            that becomes its row's error.

    Returns:
        `out`.

    Raises:
        DalmError: a folder that is neither, a broken or newer JSON file, or so many runs that no
            page of 2 MB holds them.
    """
    board = read_board(folders, check)
    target = Path(out)
    for detail in DETAILS:
        page = _page(board, detail).encode("utf-8")
        if len(page) < MOST_BYTES:
            target.parent.mkdir(parents=True, exist_ok=True)
            write(target, page)
            return target
    raise DalmError(
        f"a page about {len(board.entries)} models would have {len(page):,} bytes, and "
        f"{MOST_BYTES:,} is the limit: give fewer folders"
    )


def _page(board: Board, detail: Detail) -> Html:
    data = " and ".join(board.facts.get("Data", ["data"]))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"{data} · dalm"),
        tag("style", _resource("style.css")),
    )
    main = tag(
        "main",
        _header(board, data),
        scoreboard(board),
        classes(board.rows),
        proofs(board),
        real_and_generated(board, detail),
        copied_or_created(board.runs, detail),
        evolution(board.runs, detail),
        loss_curves(board.runs),
        meaning(board),
        _splits(board),
    )
    body = tag("body", main, tag("script", _resource("sort.js")))
    return join(Html("<!doctype html>\n"), tag("html", head, body, lang="en"))


def _resource(name: str) -> Html:
    return Html((resources.files(__package__) / name).read_text(encoding="utf-8"))


def _header(board: Board, data: str) -> Html:
    models = [row for row in board.rows if not is_reference(row)]
    subject = f"{models[0].get('name')}, a model" if len(models) == 1 else f"{len(models)} models"
    return tag(
        "header",
        tag("h1", f"{subject} of {data}"),
        tag("dl", *_facts(board, data), class_="facts"),
        _findings(board),
    )


def _facts(board: Board, data: str) -> list[Html]:
    kind = tag("small", _spec(board.spec))
    pairs = [tag("div", tag("dt", "Data"), tag("dd", data, " ", kind))]
    for key in ("Budget", "Seed", "Machine", "Date"):
        values = board.facts.get(key)
        if values:
            pairs.append(tag("div", tag("dt", key), tag("dd", ", ".join(values))))
    return pairs


def _findings(board: Board) -> Html:
    findings = verdict(board.rows, board.warnings)
    if not findings:
        return tag("p", "No scores yet: run dalm score on these folders.", class_="absent")

    pairs = []
    for heading, sentences in findings:
        text = _led(sentences, board.rows)
        pairs.append(tag("div", tag("dt", heading), tag("dd", text)))
    return tag("dl", *pairs, class_="findings")


def _led(sentences: str, rows: Sequence[Row]) -> Html:
    """A finding, with the model it opens with in bold."""
    model, colon, rest = sentences.partition(": ")
    if model in [str(row.get("name")) for row in rows]:
        return join(tag("b", model), colon, rest)
    return join(sentences)


def _spec(spec: Mapping[str, Any]) -> str:
    """What one datum is, in words."""
    parts = []
    if spec.get("shape"):
        parts.append(" × ".join(map(str, spec["shape"])))
    if spec.get("levels"):
        parts.append(f"{spec['levels']} levels")
    elif spec.get("shape"):
        parts.append("real numbers")
    if spec.get("classes"):
        parts.append(f"{spec['classes']} classes")
    return ", ".join(parts)


def _splits(board: Board) -> Html:
    entries = []
    for key in ("Splits", "Options", "Fingerprint"):
        for value in board.facts.get(key, []):
            entries += [tag("dt", key), tag("dd", value)]
    if not entries and not board.notes:
        return Html()

    facts = tag("dl", *entries, class_="meaning") if entries else ""
    notes = tag("ul", *(tag("li", note) for note in board.notes)) if board.notes else ""
    lead = (
        "Models learn from the training split, are chosen on validation, and meet the test split "
        "once, to be scored."
    )
    return section("Data and splits", lead, facts, notes)
