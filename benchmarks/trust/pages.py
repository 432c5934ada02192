"""The page and the table: what is bold, drawn, folded, and said of what does not apply."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine  # type: ignore[import-untyped]

import dalm
from dalm.report.board import Board, read_board
from dalm.report.ranking import best, blind
from dalm.report.score import columns, tightest
from dalm.report.table import terminal_table
from trust.rows import Json, answer, quietly, rng, shell


@cache
def board_of(name: str) -> tuple[Board, str]:
    """A comparison, and its page."""
    data = {
        "wine": load_wine().data,
        "digits": "digits",
        "one": rng().normal(size=(600, 1)),
        "two": "moons",
    }[name]
    with quietly() as folder:
        out = folder / "board"
        dalm.compare(data, seconds=5, out=out, progress=False)
        return read_board([out]), (out / "report.html").read_text(encoding="utf-8")


def tightest_bound() -> Json:
    """H1: which likelihood of a VAE ranks, and stands in table and page."""
    board, page = board_of("digits")
    vae = next(row for row in board.rows if row["name"] == "vae")
    metric = tightest(vae)
    once = "bits/dim, tightened" not in page.partition("What each number means")[0]
    now = f"{metric}; one column: {once}"
    return answer("H1", "2.019 above ≤ 1.933", now, "the tightest", once)


def vectors() -> Json:
    """H2: what is drawn of one, two and thirteen columns."""
    pages = {name: board_of(name)[1] for name in ("one", "two", "wine")}
    pixels = {name: page.count("<img") for name, page in pages.items()}
    drawn = {name: page.count("<svg") for name, page in pages.items()}
    maps = pages["two"].count(", density")
    now = f"drawings {drawn}, grey dashes {pixels}, maps {maps}"
    ok = not any(pixels.values()) and min(drawn.values()) > 5 and maps > 2
    return answer("H2", "grey dashes", now, "curves, maps, columns and pairs", ok)


def bold() -> Json:
    """H3: bold figures on wine that noise or the reach of real data explain."""
    board, _ = board_of("wine")
    metrics = [metric for metric in columns(board.rows) if metric != "bits_per_dim"]
    found = [metric for metric in metrics if best(board.rows, metric)]
    now = ", ".join(found) or "none"
    return answer("H3", "KID −2.8e16 bold", now, "none with 18 test rows", not found)


def blind_columns() -> Json:
    """H4: measures that do not tell noise from real data."""
    board, page = board_of("wine")
    found = [metric for metric in columns(board.rows) if blind(board.rows, metric)]
    said = "Blind here" in page
    bolds = [metric for metric in found if best(board.rows, metric)]
    now = f"{', '.join(found)}: said {said}"
    return answer(
        "H4", "noise 0.964, real 0.954, ranked", now, "said, not ranked", said and not bolds
    )


def saturated() -> Json:
    """H5: samples are ranked by a measure that still separates."""
    from dalm.report.ranking import Ranking, separates

    row = {"scores": [{"metric": "c2st", "split": "test", "subset": None, "value": 0.99}]}
    ranking = Ranking("c2st", "test", [row, row])
    return answer(
        "H5",
        "ranked by 0.99 of all",
        separates(ranking),
        "not ranked by it",
        not separates(ranking),
    )


def folded() -> Json:
    """H8: columns at once, on the page and in 80 characters."""
    board, page = board_of("digits")
    head = page.partition("<thead>")[2].partition("</thead>")[0]
    shown = head.count("<th") - head.count('class="folded"')
    table = terminal_table(board.rows, 80)
    columns = [str(column.header) for column in table.columns]
    cards = "attr(data-name)" in page
    now = f"{shown} of {head.count('<th')} columns, cards on a phone: {cards}"
    now += f"; in 80 characters {len(columns)}"
    ok = shown <= 10 and cards and "bits/dim ↓" in columns
    return answer(
        "H8", "a scroll at 1,300; 2 of 15 on a phone", now, "fewest first, the rest folded", ok
    )


def does_not_apply() -> Json:
    """H9: families that are not for the data."""
    board, page = board_of("wine")
    rows = [row for row in board.rows if row.get("error")]
    failed = [row["name"] for row in rows if row.get("suits", True)]
    said = len(re.findall(r">not for these data: ", page))
    now = f"{said} said in grey, {len(failed)} failed"
    return answer(
        "H9", "✗ failed, in red", now, "not for these data", said == len(rows) and not failed
    )


def draws_and_means() -> Json:
    """H11: what a gallery shows of a VAE."""
    _, page = board_of("digits")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dalm.fit("vae", "digits", steps=3, out=folder / "run", progress=False)
        ended = shell("sample run --mean --out means.npz -n 5", folder)
        real = ended.returncode == 0 and np.load(folder / "means.npz")["x"].shape == (5, 1, 8, 8)
    both = "vae, means" in page
    now = f"draws and means beside each other: {both}; sample --mean: {real}"
    return answer("H11", "draws like dust", now, "both, each named", both and real)


ROWS: tuple[Callable[[], Json], ...] = (
    tightest_bound,
    vectors,
    bold,
    blind_columns,
    saturated,
    folded,
    does_not_apply,
    draws_and_means,
)
