"""The scoreboard in the terminal: at most 120 columns wide, and readable while its rows still arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dalm.report.score import Row, arrow, best, compact, detail, flags, label, phrase, record, title

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN = ("bits_per_dim", "frechet", "precision", "coverage", "c2st", "copying")


def terminal_table(rows: Sequence[Row]) -> Table:
    """The scoreboard as a rich table: models above, reference rows dim below, failures with their reason.

    Args:
        rows: rows as in `scoreboard.json`; one that has no metrics yet shows as waiting.

    >>> terminal_table([{"name": "kde", "seconds": 3.2, "error": None}]).row_count
    1
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    ordered = [row for row in rows if not row.get("reference")] + [row for row in rows if row.get("reference")]
    shown = [name for name in SHOWN if any(record(row, name) for row in rows)] or list(SHOWN)
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1),
        collapse_padding=True,
        pad_edge=False,
        caption=_caption(rows),
        caption_justify="left",
        caption_style="",
    )
    table.add_column("model", no_wrap=True, max_width=18)
    for name in shown:
        table.add_column(f"{title(name)} {arrow(detail(rows, name, 'direction'))}".strip(), justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    winners = {name: best(ordered, name) for name in shown}
    for place, row in enumerate(ordered):
        last = place + 1 < len(ordered) and not row.get("reference") and bool(ordered[place + 1].get("reference"))
        cells = [_cell(row, name, place in winners[name]) for name in shown]
        table.add_row(_name(row), *cells, compact(row.get("seconds")), style="dim" if row.get("reference") else "", end_section=last)
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
    cell.append(f" {label(row, name)}" if label(row, name) and record(row, name) else "", style="not bold dim")
    return cell.append(" ⚑" if name in flags(row) else "", style="bold red")


def _caption(rows: Sequence[Row]) -> Text:
    from rich.text import Text

    failed = [f"✗ {row.get('name')}: {row['error']}" for row in rows if row.get("error")]
    models = [row for row in rows if not row.get("reference")]
    flagged = [f"⚑ {row.get('name')}: {word} ({title(name)})" for row in models for name, word in flags(row).items()]
    return Text("\n".join(failed + flagged))
