"""What a comparison gives back, and how its rows are shown while they arrive."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dalm.records.scoreboard import NOT_FOR_THESE, suits
from dalm.report import terminal_table
from dalm.report.board import with_each
from dalm.report.verdict import verdict
from dalm.verbs.remaining import Remaining, in_words
from dalm.verbs.results import Json, Result, by_name

if TYPE_CHECKING:
    from rich.table import Table

Show = Callable[[list[Json]], None]
"""Called with the rows so far whenever there is a new one."""
WIDTH = 120
"""Characters of a line where there is no terminal to say it."""


@dataclass(repr=False)
class Scoreboard(Result):
    """A comparison: `board["vae"]` is the row of a family or of a reference.

    Args:
        path: the folder, which holds a run for each row.
        report: the page about it.
        content: what its `scoreboard.json` says.
    """

    path: Path
    report: Path
    content: Json

    @property
    def rows(self) -> list[Json]:
        """The rows, models and references, in the order in which they were fitted."""
        rows: list[Json] = self.content["rows"]
        return rows

    @property
    def written(self) -> Path:
        """The page."""
        return self.report

    @property
    def legend(self) -> Sequence[str]:
        """The verdict: what the figures say, in lines."""
        rows = [with_each(self.path, row) for row in self.rows]
        found = verdict(rows, self.content.get("warnings", []))
        return [f"{heading}: {sentences}" for heading, sentences in found]

    def __getitem__(self, name: str) -> Json:
        return by_name(self.rows, name)

    def to_json(self) -> Json:
        """What `scoreboard.json` says, and where the report is."""
        return self.content | {"report": str(self.report)}

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """The scoreboard as it stands in a terminal, cell by cell."""
        table = terminal_table(self.rows, 10 * WIDTH)
        headings = [str(column.header) for column in table.columns]
        columns = [[str(cell) for cell in column.cells] for column in table.columns]
        return headings, list(zip(*columns, strict=True))

    def __rich__(self) -> Table:
        from rich import get_console

        console = get_console()
        return terminal_table(self.rows, console.width if console.is_terminal else WIDTH)

    def __repr__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=WIDTH).print(terminal_table(self.rows, WIDTH))
        return "\n".join([text.getvalue().strip(), *self.legend, str(self.report)])


@contextlib.contextmanager
def live_rows(progress: bool, remaining: Remaining) -> Iterator[Show]:
    """Show rows as they arrive, and what is still to come: a live table in a terminal, elsewhere a
    line for each.

    Args:
        progress: whether to show anything.
        remaining: knows where the comparison stands.
    """
    if not progress:
        yield lambda rows: None
        return
    from rich import get_console
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    if announcement := remaining.announcement():
        print(announcement, flush=True)
    console = get_console()
    if not console.is_terminal:
        yield lambda rows: _print_last(rows, remaining)
        return
    shown: list[Json] = []

    def view() -> Group:
        table = [terminal_table(shown, console.width)] if shown else []
        return Group(*table, Text(remaining.line()))

    # It asks for the view several times a second, so that bars inside and the time left go on.
    with Live(console=console, transient=True, get_renderable=view) as live:

        def show(rows: list[Json]) -> None:
            shown[:] = rows
            live.refresh()

        yield show


def _print_last(rows: list[Json], remaining: Remaining) -> None:
    left = remaining.left()
    words = f" (about {in_words(left)} left in all)" if left else ""
    row = rows[-1]
    said = row["error"] or "done"
    print(f"{row['name']}: {said if suits(row) else NOT_FOR_THESE}{words}", flush=True)
