"""The scoreboard in the terminal: as wide as the terminal and no wider, and readable while its rows
still arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dalm.records.score import score_records
from dalm.records.scoreboard import is_reference
from dalm.report.ranking import best
from dalm.report.score import (
    LIKELIHOODS,
    Row,
    arrow,
    compact,
    detail,
    flags,
    label,
    phrase,
    record,
    seeds_phrase,
    tightest,
    title,
)

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN = ("bits_per_dim", "proven", "frechet", "precision", "coverage", "c2st", "copying")
SPREAD = ("bits_per_dim", "frechet", "c2st")
"""Where the range between seeds is shown: what models are ranked by."""
SPARED = ("precision", "coverage", "frechet", "copying", "c2st")
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
    shown = scored or list(SHOWN)
    table = _table(rows, shown, left_out)
    for metric in SPARED:
        if Measurement.get(console, console.options, table).maximum <= width:
            break
        if metric in shown:
            shown.remove(metric)
            left_out.append(title(rows, metric))
            table = _table(rows, shown, left_out)
    return table


def _table(rows: Sequence[Row], shown: Sequence[str], left_out: Sequence[str]) -> Table:
    models = [row for row in rows if not is_reference(row)]
    references = [row for row in rows if is_reference(row)]
    ordered = models + references
    winners = {metric: _best(ordered, metric) for metric in shown}

    table = _headed(rows, shown)
    table.caption = _caption(rows, left_out)
    for place, row in enumerate(ordered):
        table.add_row(
            _name(row),
            *(_cell(row, metric, place in winners[metric]) for metric in shown),
            compact(row.get("seconds")),
            style="dim" if is_reference(row) else "",
            end_section=bool(references) and place + 1 == len(models),
        )
    return table


def _headed(rows: Sequence[Row], shown: Sequence[str]) -> Table:
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
    table.add_column("model", no_wrap=True, max_width=18)
    for metric in shown:
        way = arrow(detail(rows, metric, "direction"))
        table.add_column(f"{title(rows, metric)} {way}".strip(), justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    return table


def _name(row: Row) -> Text:
    from rich.text import Text

    flag = " ⚑" if flags(row) else ""
    mark = " ✗" if row.get("error") else flag
    return Text(str(row.get("name", "unnamed"))) + Text(mark, style="bold red")


def _cell(row: Row, metric: str, bold: bool) -> Text:
    from rich.text import Text

    if row.get("error"):
        return Text("failed" if metric == SHOWN[0] else "", style="red")
    if not score_records(row):
        return Text("…", style="dim")

    shown = _shown(row, metric)
    figure = phrase(row, shown, most=3).replace(" ± ", "±")
    cell = Text(figure, style="bold" if bold else "")
    kind = label(row, shown) if record(row, shown) else ""
    spread = seeds_phrase(row, shown, most=3) if metric in SPREAD else ""
    if kind:
        cell.append(f" {kind}", style="not bold dim")
    if spread:
        cell.append(f" [{spread}]", style="not bold dim")
    if metric in flags(row):
        cell.append(" ⚑", style="bold red")
    return cell


def _best(rows: Sequence[Row], metric: str) -> list[int]:
    """Places of the best rows in a column."""
    metrics = LIKELIHOODS if metric == LIKELIHOODS[0] else (metric,)
    return [place for one in metrics for place in best(rows, one)]


def _shown(row: Row, metric: str) -> str:
    """The measure whose figure stands in a column: of likelihoods the tightest."""
    return tightest(row) if metric == LIKELIHOODS[0] else metric


def _caption(rows: Sequence[Row], left_out: Sequence[str]) -> Text:
    from rich.text import Text

    lines = [f"✗ {row.get('name')}: {row['error']}" for row in rows if row.get("error")]
    for row in rows:
        if not is_reference(row):
            for metric, word in flags(row).items():
                lines.append(f"⚑ {row.get('name')}: {word} ({title(rows, metric)})")
    if any(row.get("seeds") for row in rows):
        lines.append("± from the test data; [from–to] between seeds.")
    if left_out:
        names = ", ".join(left_out)
        lines.append(f"Left out for want of room: {names}; the report has them.")
    return Text("\n".join(lines))
