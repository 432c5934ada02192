"""How a file of rows is written: found from its beginning, and overruled by who knows better."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from dalm.data.tables.cells import is_number, split_row

SEPARATORS = (",", "\t", ";", "|")
BOMS = {
    "utf-8-sig": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
}


@dataclass(frozen=True)
class Dialect:
    r"""How rows are written.

    Args:
        separator: between cells.
        encoding: of the text, with `bom` before it.
        bom: the bytes that say the encoding, if there are any.
        newline: at the end of a row: `"\n"`, `"\r\n"` or `"\r"`; a few rows may end otherwise.
        header: whether the first row holds names.
    """

    separator: str = ","
    encoding: str = "utf-8"
    bom: bytes = b""
    newline: str = "\n"
    header: bool = True


def encoding_of(start: bytes) -> tuple[str, bytes]:
    r"""The encoding that the first bytes of a file say, and these bytes.

    Args:
        start: of the file.

    >>> encoding_of(b"a,b"), encoding_of(codecs.BOM_UTF16_LE)
    (('utf-8', b''), ('utf-16-le', b'\xff\xfe'))
    """
    for name, bom in BOMS.items():
        if start.startswith(bom):
            return name.removesuffix("-sig"), bom
    return "utf-8", b""


def newline_of(text: str) -> str:
    r"""What ends most rows of the beginning of a text.

    Args:
        text: the beginning.

    >>> newline_of("a\r\nb\r\n"), newline_of("a\rb"), newline_of("a")
    ('\r\n', '\r', '\n')
    """
    text = "".join(text.split('"')[::2])  # what stands in quotes ends no row
    both = text.count("\r\n")
    lines = text.count("\n")
    if not lines:
        return "\r" if "\r" in text else "\n"
    return "\r\n" if 2 * both > lines else "\n"


def separator_of(lines: Sequence[str]) -> str:
    """What cuts all these rows into the same number of cells, as many as may be.

    Args:
        lines: rows of the beginning, without what ends them.

    >>> separator_of(["a;b,c;d", "1;2,5;3"]), separator_of(["x", "y"])
    (';', ',')
    """
    lines = [line for line in lines if line]

    def worth(separator: str) -> tuple[float, int]:
        sizes = [len(split_row(line, separator)) for line in lines]
        usual = max(set(sizes), key=sizes.count, default=1)
        return (sizes.count(usual) / len(sizes) if usual > 1 else 0.0, usual)

    return max(SEPARATORS, key=worth) if lines else ","


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row holds names: none is empty, a number, there twice, or a value of its
    column further down.

    Args:
        rows: of the beginning, their cells without quotes.

    >>> has_header([["age", "sex"], ["3", "f"]]), has_header([["3", "f"], ["4", "m"]])
    (True, False)
    """
    if not rows:
        return False
    first, *others = rows
    names = [cell.strip() for cell in first]
    plain = all(names) and len(set(names)) == len(names)
    values = [set(column) for column in zip(*others, strict=False)]
    again = any(name in seen for name, seen in zip(first, values, strict=False))
    return plain and not again and not any(map(is_number, names))
