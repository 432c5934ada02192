"""The scoreboard in the terminal: as wide as the terminal and no wider, and readable while its rows
still arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dalm.records.score import score_records
from dalm.records.scoreboard import NOT_FOR_THESE, is_reference, suited_first, suits
from dalm.report.facts import name
from dalm.report.ranking import best
from dalm.report.score import (
    Row,
    arrow,
    compact,
    detail,
    flags,
    label,
    phrase,
    record,
    seeds_phrase,
    shown,
    title,
)

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN = (
    "bits_per_dim",
    "proven",
    "accuracy",
    "frechet",
    "precision",
    "coverage",
    "c2st",
    "copying",
)
SPREAD = ("bits_per_dim", "frechet", "c2st")
"""Where the range between seeds is shown: what models are ranked by."""
SPARED = ("precision", "coverage", "frechet", "copying", "c2st", "accuracy")
"""What a narrow terminal goes without, in this order: a column left out misleads nobody, a figure
cut off does.
"""


def terminal_table(rows: Sequence[Row], width: int = 120) -> Table:
    """The scoreboard as a rich table: models above, reference rows dim below, failures with their
    reason.

    Args:
        rows: rows as in `scoreboard.json`; one that has no scores yet shows as waiting.
        width: characters of a line; columns that do not fit are left out, and named below the
            table.

    >>> terminal_table([{"name": "kde", "seconds": 3.2, "error": None}]).row_count
    1
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=1000)
    left_out = list[str]()
    scored = [metric for metric in SHOWN if any(record(row, metric) for row in rows)]
    columns = scored or list(SHOWN)
    table = _table(rows, columns, left_out)
    for metric in SPARED:
        if Measurement.get(console, console.options, table).maximum <= width:
            break
        if metric in columns:
            columns.remove(metric)
            left_out.append(title(rows, metric))
            table = _table(rows, columns, left_out)
    return table


def _table(rows: Sequence[Row], columns: Sequence[str], left_out: Sequence[str]) -> Table:
    models = suited_first([row for row in rows if not is_reference(row)])
    references = [row for row in rows if is_reference(row)]
    ordered = models + references
    winners = {metric: best(ordered, metric) for metric in columns}

    table = _headed(rows, columns)
    table.caption = _caption(rows, left_out)
    for place, row in enumerate(ordered):
        table.add_row(
            _name(row),
            *(_cell(row, metric, place in winners[metric]) for metric in columns),
            compact(row.get("seconds")),
            style="dim" if is_reference(row) else "",
            end_section=bool(references) and place + 1 == len(models),
        )
    return table


def _headed(rows: Sequence[Row], columns: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        caption_justify="left",
        caption_style="",
    )
    table.add_column("model", no_wrap=True, max_width=20)
    for metric in columns:
        way = arrow(detail(rows, metric, "direction"))
        table.add_column(f"{title(rows, metric)} {way}".strip(), justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    return table


def _name(row: Row) -> Text:
    from rich.text import Text

    flag = " ⚑" if flags(row) else ""
    mark = " ✗" if row.get("error") and suits(row) else flag
    return Text(str(row.get("name", "unnamed"))) + Text(mark, style="bold red")


def _cell(row: Row, metric: str, bold: bool) -> Text:
    from rich.text import Text

    if row.get("error"):
        said, style = ("failed", "red") if suits(row) else (NOT_FOR_THESE, "dim")
        return Text(said if metric == SHOWN[0] else "", style=style)
    if not score_records(row):
        return Text("…", style="dim")

    own = shown(row, metric)
    figure = phrase(row, own, most=3).replace(" ± ", "±")
    cell = Text(figure, style="bold" if bold else "")
    kind = label(row, own) if record(row, own) else ""
    spread = seeds_phrase(row, own, most=3) if metric in SPREAD else ""
    if kind:
        cell.append(f" {kind}", style="not bold dim")
    if spread:
        cell.append(f" [{spread}]", style="not bold dim")
    if metric in flags(row):
        cell.append(" ⚑", style="bold red")
    return cell


def _caption(rows: Sequence[Row], left_out: Sequence[str]) -> Text:
    from rich.text import Text

    failed = [row for row in rows if row.get("error")]
    lines = [f"✗ {name(row)}: {row['error']}" for row in failed if suits(row)]
    for row in rows:
        if not is_reference(row):
            for metric, word in flags(row).items():
                lines.append(f"⚑ {name(row)}: {word} ({title(rows, metric)})")
    if any(row.get("seeds") for row in rows):
        lines.append("± from the test data; [from–to] between seeds.")
    if left_out:
        names = ", ".join(left_out)
        lines.append(f"Left out for want of room: {names}; the report has them.")
    return Text("\n".join(lines))
