"""The scoreboard in the terminal: as wide as the terminal and no wider, and readable while its rows
still arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dalm.report.score import Row, arrow, best, compact, detail, flags, label, phrase, record, title

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN = ("bits_per_dim", "proven", "frechet", "precision", "coverage", "c2st", "copying")
SPARED = ("precision", "coverage", "frechet", "copying", "c2st")
"""What a narrow terminal goes without, in this order: a column left out misleads nobody, a figure
cut off does.
"""


def terminal_table(rows: Sequence[Row], width: int = 120) -> Table:
    """The scoreboard as a rich table: models above, reference rows dim below, failures with their
    reason.

    Args:
        rows: rows as in `scoreboard.json`; one that has no metrics yet shows as waiting.
        width: characters of a line; columns that do not fit are left out, and named below the
            table.

    >>> terminal_table([{"name": "kde", "seconds": 3.2, "error": None}]).row_count
    1
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=1000)
    left_out = list[str]()
    shown = [name for name in SHOWN if any(record(row, name) for row in rows)] or list(SHOWN)
    table = _table(rows, shown, left_out)
    for name in SPARED:
        if Measurement.get(console, console.options, table).maximum <= width:
            break
        if name in shown:
            shown.remove(name)
            left_out.append(title(name))
            table = _table(rows, shown, left_out)
    return table


def _table(rows: Sequence[Row], shown: Sequence[str], left_out: Sequence[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    ordered = [row for row in rows if not row.get("reference")] + [
        row for row in rows if row.get("reference")
    ]
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        caption=_caption(rows, left_out),
        caption_justify="left",
        caption_style="",
    )
    table.add_column("model", no_wrap=True, max_width=18)
    for name in shown:
        table.add_column(
            f"{title(name)} {arrow(detail(rows, name, 'direction'))}".strip(),
            justify="right",
            no_wrap=True,
        )
    table.add_column("seconds", justify="right", no_wrap=True)
    winners = {name: best(ordered, name) for name in shown}
    for place, row in enumerate(ordered):
        last = (
            place + 1 < len(ordered)
            and not row.get("reference")
            and bool(ordered[place + 1].get("reference"))
        )
        cells = [_cell(row, name, place in winners[name]) for name in shown]
        table.add_row(
            _name(row),
            *cells,
            compact(row.get("seconds")),
            style="dim" if row.get("reference") else "",
            end_section=last,
        )
    return table


def _name(row: Row) -> Text:
    from rich.text import Text

    mark = " ✗" if row.get("error") else " ⚑" if flags(row) else ""
    return Text(str(row.get("name", "unnamed"))) + Text(mark, style="bold red")


def _cell(row: Row, name: str, bold: bool) -> Text:
    from rich.text import Text

    if row.get("error"):
        return Text("failed" if name == SHOWN[0] else "", style="red")
    if not row.get("metrics"):
        return Text("…", style="dim")
    cell = Text(phrase(row, name, most=3).replace(" ± ", "±"), style="bold" if bold else "")
    cell.append(
        f" {label(row, name)}" if label(row, name) and record(row, name) else "",
        style="not bold dim",
    )
    return cell.append(" ⚑" if name in flags(row) else "", style="bold red")


def _caption(rows: Sequence[Row], left_out: Sequence[str]) -> Text:
    from rich.text import Text

    failed = [f"✗ {row.get('name')}: {row['error']}" for row in rows if row.get("error")]
    models = [row for row in rows if not row.get("reference")]
    flagged = [
        f"⚑ {row.get('name')}: {word} ({title(name)})"
        for row in models
        for name, word in flags(row).items()
    ]
    narrow = (
        [f"Left out for want of room: {', '.join(left_out)}; the report has them."]
        if left_out
        else []
    )
    return Text("\n".join(failed + flagged + narrow))
