"""A universal code for cells that a column's symbols do not hold: a prefix code of every text, so
that the masses of all possible rows sum to at most one.

- A number or time on the step, beyond the edges: `0`, the side, and how far by Elias' delta code
  (Elias 1975).
- Any other text: `1` where a number might stand, and its length in bytes of UTF-8 by the same code,
  then the bytes.
"""

from __future__ import annotations

from dalm.core.columns import PAIR, Column
from dalm.data.tables.spelling import reader, writer


def escaped(column: Column, text: str) -> str:
    """The code of a text, as zeros and ones.

    Args:
        column: where it stands.
        text: that none of its symbols holds.

    >>> price = Column("price", "number", edges=(0, 10))
    >>> escaped(price, "10"), escaped(price, "-2"), len(escaped(price, "ten"))
    ('011', '000100', 30)
    """
    if not column.is_counted:
        return _text(text)
    code = reader(column)(text)
    if code is None:
        return "1" + _text(text)
    low, high = _span(column)
    if low <= code < high:
        return "1" + _text(text)
    return "01" + delta(code - high + 1) if code >= high else "00" + delta(low - code)


def unescaped(column: Column, bits: str, at: int = 0) -> tuple[str, int]:
    """The text of a code, and where it ends.

    Args:
        column: where it stands.
        bits: zeros and ones.
        at: where the code begins.

    Raises:
        IndexError: the bits end before the code does.
        ValueError: the bytes are no UTF-8.

    >>> unescaped(Column("price", "number", edges=(0, 10)), "000100")
    ('-2', 6)
    """
    if column.is_counted:
        if bits[at] == "0":
            low, high = _span(column)
            far, end = undelta(bits, at + 2)
            return writer(column)(high - 1 + far if bits[at + 1] == "1" else low - far), end
        at += 1
    size, at = undelta(bits, at)
    end = at + 8 * (size - 1)
    if end > len(bits):
        raise IndexError("the bits end inside a text")
    content = bytes(int(bits[byte : byte + 8], 2) for byte in range(at, end, 8))
    return content.decode(), end


def _text(text: str) -> str:
    content = text.encode()
    return delta(len(content) + 1) + "".join(f"{byte:08b}" for byte in content)


def _span(column: Column) -> tuple[int, int]:
    """The codes within the edges."""
    return column.edges[0] * PAIR**column.pairs, column.edges[-1] * PAIR**column.pairs


def delta(number: int) -> str:
    """Elias' delta code of a number of at least 1: of its length the length in ones less one, that
    length, and itself, each without the leading one.

    Args:
        number: at least 1.

    >>> delta(1), delta(2), delta(17)
    ('1', '0100', '001010001')
    """
    digits = f"{number:b}"
    size = f"{len(digits):b}"
    return "0" * (len(size) - 1) + size + digits[1:]


def undelta(bits: str, at: int = 0) -> tuple[int, int]:
    """The number of a code, and where it ends; the opposite of `delta`.

    Args:
        bits: zeros and ones.
        at: where the code begins.

    >>> undelta(delta(17))
    (17, 9)
    """
    zeros = 0
    while bits[at + zeros] == "0":
        zeros += 1
    at += zeros
    size = int(bits[at : at + zeros + 1], 2)
    at += zeros + 1
    end = at + size - 1
    if end > len(bits):
        raise IndexError("the bits end inside a number")
    return int("1" + bits[at:end], 2), end
