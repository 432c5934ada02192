"""A file of rows, read a block at a time and written again byte for byte."""

from __future__ import annotations

import codecs
import gzip
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, BinaryIO, cast

from dalm.data.tables.cells import is_open, split_row, unquote
from dalm.data.tables.dialect import (
    Dialect,
    encoding_of,
    has_header,
    newline_of,
    separator_of,
)
from dalm.errors import DalmError

START = 1 << 18
"""Characters that are looked at to find how rows are written."""
BLOCK_ROWS = 20_000
MOST_CHARACTERS = 1 << 24
"""In a row, which bounds the memory that a file can ask for."""
MOST_COLUMNS = 20_000


@dataclass
class Oddities:
    """What few rows do otherwise, so that the file comes back byte for byte.

    Args:
        newlines: rows that end otherwise, and how; the last row may end with nothing.
        blank: before how many rows there was an empty line, and what ended it.
    """

    newlines: dict[int, str] = field(default_factory=dict)
    blank: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Sheet:
    """A file of rows.

    Args:
        path: of the file; gzip is read as it is.
        dialect: how it is written.
        names: of its columns, as they are spelled; `None` without a header.
        width: how many columns it has.
    """

    path: Path
    dialect: Dialect
    names: tuple[str, ...] | None
    width: int

    def blocks(self, odd: Oddities | None = None) -> Iterator[list[list[str]]]:
        """The rows below the header as they are spelled, some thousand at a time.

        Args:
            odd: told what few rows do otherwise, the header counting as a row.

        Raises:
            DalmError: a row with more or fewer cells, one that is too long, an open quote, bytes of
                another encoding, a NUL; with its line.
        """
        odd = odd or Oddities()
        rows: list[list[str]] = []
        for number, (line, cells) in enumerate(_rows(self.path, self.dialect, odd)):
            if len(cells) != self.width:
                raise DalmError(
                    f"{self.path.name}, line {line}: {len(cells):,} cells, where the first row has "
                    f"{self.width:,}; a cell that holds {self.dialect.separator!r} stands in "
                    "double quotes"
                )
            if number or not self.dialect.header:
                rows.append(cells)
            if len(rows) == BLOCK_ROWS:
                yield rows
                rows = []
        if rows:
            yield rows


def open_sheet(path: Path, **said: str | bool) -> Sheet:
    """A file of rows, its dialect found from its beginning.

    Args:
        path: of the file.
        **said: fields of `Dialect` that are known.

    Raises:
        DalmError: an empty file, or one that is no text.
    """
    with _opened(path) as file:
        start = file.read(4)
        encoding, bom = encoding_of(start)
        dialect = replace(Dialect(encoding=encoding, bom=bom), **said)  # type: ignore[arg-type]
        text = _beginning(path, start[len(bom) :] + file.read(START), dialect)
    if not text:
        raise DalmError(f"{path.name} is empty")
    if "newline" not in said:
        dialect = replace(dialect, newline=newline_of(text))
    rows = _first_rows(text, dialect)
    if "separator" not in said:
        dialect = replace(dialect, separator=separator_of(rows))
    cells = [split_row(row, dialect.separator) for row in rows if row]
    if not cells:
        raise DalmError(f"{path.name} holds empty lines and nothing else")
    if len(cells[0]) > MOST_COLUMNS:
        raise DalmError(
            f"{path.name}, line 1: {len(cells[0]):,} columns; a table has at most {MOST_COLUMNS:,}"
        )
    if "header" not in said:
        found = has_header([[unquote(cell) for cell in row] for row in cells])
        dialect = replace(dialect, header=found)
    names = tuple(cells[0]) if dialect.header else None
    return Sheet(path, dialect, names, len(cells[0]))


def write_sheet(
    file: BinaryIO, dialect: Dialect, rows: Iterable[Sequence[str]], odd: Oddities | None = None
) -> None:
    """Write rows, the header first if there is one.

    Args:
        file: opened for writing.
        dialect: how they are written.
        rows: cells as they are spelled.
        odd: what few rows do otherwise.
    """
    odd = odd or Oddities()
    blank: dict[int, str] = {}
    for row, end in odd.blank:
        blank[row] = blank.get(row, "") + end
    file.write(dialect.bom)
    for number, cells in enumerate(rows):
        end = odd.newlines.get(number, dialect.newline)
        text = blank.pop(number, "") + dialect.separator.join(cells) + end
        file.write(text.encode(dialect.encoding))
    file.write("".join(blank[row] for row in sorted(blank)).encode(dialect.encoding))


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_zipped = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path) if is_zipped else path.open("rb"))


def _beginning(path: Path, start: bytes, dialect: Dialect) -> str:
    """The text of the first bytes, which may end inside a character."""
    decoder = codecs.getincrementaldecoder(dialect.encoding)()
    try:
        text = decoder.decode(start, final=len(start) < START)
    except UnicodeDecodeError as error:
        raise _undecodable(path, start[: error.start].count(b"\n") + 1, dialect, error) from None
    if "\0" in text:
        raise _holds_nul(path, text[: text.index("\0")].count("\n") + 1)
    return text


def _holds_nul(path: Path, line: int) -> DalmError:
    return DalmError(f"{path.name}, line {line}: a NUL, so it is no text of rows")


def _undecodable(path: Path, line: int, dialect: Dialect, error: UnicodeDecodeError) -> DalmError:
    return DalmError(
        f"{path.name}, line {line}: byte 0x{error.object[error.start]:02x} is no "
        f"{dialect.encoding}; say the encoding (encoding='latin-1', --encoding latin-1)"
    )


def _first_rows(text: str, dialect: Dialect) -> list[str]:
    """The rows of the beginning of a text; of a long one not the last, which may be cut."""
    rows: list[str] = []
    row = ""
    end = "\r" if dialect.newline == "\r" else "\n"
    lines = text.split(end)
    for line in lines[:-1] if len(text) >= START else lines:
        row = f"{row}{end}{line}" if row else line
        if not is_open(row):
            rows.append(_without_end(row)[0])
            row = ""
    return rows or [text]


def _rows(path: Path, dialect: Dialect, odd: Oddities) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of each row."""
    row = ""
    begins = number = 0
    for line, text in enumerate(_lines(path, dialect), 1):
        begins = begins if row else line
        row += text
        if len(row) > MOST_CHARACTERS:
            raise DalmError(
                f"{path.name}, line {begins}: a row of more than {MOST_CHARACTERS:,} characters"
                f"{'; a quote may be open' if is_open(row) else ''}"
            )
        if is_open(row):
            continue
        cells, end = _without_end(row)
        row = ""
        if not cells:
            odd.blank.append((number, end))
            continue
        if end != dialect.newline:
            odd.newlines[number] = end
        yield begins, split_row(cells, dialect.separator)
        number += 1
    if row:
        before = split_row(row[: row.rindex('"')], dialect.separator)
        raise DalmError(
            f"{path.name}, line {begins}, column {len(before)}: a quote is open that nothing closes"
        )


def _lines(path: Path, dialect: Dialect) -> Iterator[str]:
    """Lines with what ends them."""
    end = "\r" if dialect.newline == "\r" else "\n"
    with _opened(path) as file, io.TextIOWrapper(file, dialect.encoding, newline=end) as text:
        file.read(len(dialect.bom))
        for line in itertools.count(1):
            try:
                part = text.readline(MOST_CHARACTERS + 1)
            except UnicodeDecodeError as error:
                raise _undecodable(path, line, dialect, error) from None
            if not part:
                return
            if "\0" in part:
                raise _holds_nul(path, line)
            yield part


def _without_end(row: str) -> tuple[str, str]:
    r"""A row without what ends it, and that.

    >>> _without_end("a\r\n")
    ('a', '\r\n')
    """
    for end in ("\r\n", "\n", "\r"):
        if row.endswith(end):
            return row[: -len(end)], end
    return row, ""
