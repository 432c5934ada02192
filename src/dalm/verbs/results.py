"""What verbs give back: dataclasses that print as a small table, in a shell and in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


class Result:
    """Base of results. A result says in `table` what a person wants to see of it."""

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """Headings, and rows of as many cells each."""
        raise NotImplementedError

    def __repr__(self) -> str:
        headings, rows = self.table()
        lines = [list(headings), *(list(row) for row in rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(headings))]
        padded = (
            "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines
        )
        return "\n".join(line.rstrip() for line in padded)

    def _repr_html_(self) -> str:
        headings, rows = self.table()
        head = "".join(f"<th>{escape(cell)}</th>" for cell in headings)
        body = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
        lines = "".join(f"<tr>{cells}</tr>" for cells in body)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
