"""What verbs give back: dataclasses that print as a small table, in a shell and in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dalm.errors import DalmError, did_you_mean

if TYPE_CHECKING:
    from rich.console import RenderableType

Json = dict[str, Any]


class Result:
    """Base of results. A result says in `table` what a person wants to see of it."""

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """Headings, and rows of as many cells each."""
        raise NotImplementedError

    @property
    def summary(self) -> str | None:
        """The result in one line, where a shell says no more."""
        return None

    @property
    def legend(self) -> Sequence[str]:
        """What the table does not say by itself, in lines."""
        return ()

    @property
    def written(self) -> Path | None:
        """The file that a person would open, if there is one; the shell names it."""
        path: Path | None = getattr(self, "path", None)
        return path

    def __repr__(self) -> str:
        headings, rows = self.table()
        lines = [list(headings), *(list(row) for row in rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(headings))]
        padded = (
            "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines
        )
        return "\n".join(line.rstrip() for line in padded)

    def __rich__(self) -> RenderableType:
        """The table as the shell shows it, as wide as the terminal."""
        from rich.markup import escape as plain
        from rich.table import Table

        headings, rows = self.table()
        table = Table(*headings, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*map(plain, row))
        return table

    def _repr_html_(self) -> str:
        headings, rows = self.table()
        head = "".join(f"<th>{escape(cell)}</th>" for cell in headings)
        body = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
        lines = "".join(f"<tr>{cells}</tr>" for cells in body)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


@dataclass(repr=False)
class Listing(Result):
    """Entries of a list by name, some of their facts as columns.

    Args:
        entries: a mapping of facts for each, `name` among them.
    """

    entries: list[Json]
    columns: ClassVar[tuple[str, ...]] = ("name",)

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """A row for each entry."""
        rows = [tuple(words(entry[column]) for column in self.columns) for entry in self.entries]
        return self.columns, list[Sequence[str]](rows)

    def to_json(self) -> list[Json]:
        """All facts of each entry."""
        return self.entries

    def __getitem__(self, name: str) -> Json:
        return by_name(self.entries, name)

    def __iter__(self) -> Iterator[Json]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def by_name(entries: Sequence[Json], name: str) -> Json:
    """The entry of a name, or DalmError with the nearest one.

    >>> by_name([{"name": "vae", "year": 2014}], "vae")["year"]
    2014
    """
    named = {str(entry["name"]): entry for entry in entries}
    if name not in named:
        raise DalmError(f"there is no {name!r}. {did_you_mean(str(name), named)}")
    return named[name]


def words(value: Any) -> str:
    """A fact as a person reads it in a table.

    >>> words(None), words(True), words(["a", "b"]), words(1.5)
    ('–', 'yes', 'a, b', '1.5')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
