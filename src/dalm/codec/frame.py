"""What of an archive is no code: what stands around it, byte by byte, and what coders may waste."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from dalm.codec.archive import PART, Header, read_header, read_part, survey
from dalm.codec.stream import WORD_BYTES

STACK_HEAD_WORDS = 2
"""Before a stack: how many words it began with, and how slowly its groups grow."""
LAST_WORDS = 1
"""The word that either coder fills up at its end; on average half of it is code."""
WASTED_BITS = 2.0**-11
"""Of a symbol: a coder's state has at least 32 bits and shares out 24 of them; what it cannot share
out is 1.3 × 10⁻⁴ bits in the mean, and this is four times that.
"""


def frame_bytes(file: BinaryIO, size: int) -> int:
    """Bytes of an archive that are no code: its header, the heads of its parts, the words that
    stacks begin with, the model if it is inside, and the last word of each coder.

    Args:
        file: opened for reading.
        size: of the whole file, in bytes.
    """
    file.seek(0)
    header = read_header(file)
    if header.inside:
        read_part(file, size)
    total = file.tell()
    for place in survey(file, header, size):
        file.seek(place + PART.size)
        total += PART.size + WORD_BYTES * LAST_WORDS
        if header.samples:
            first = np.frombuffer(file.read(WORD_BYTES), "<u4")
            total += WORD_BYTES * (STACK_HEAD_WORDS + int(first[0]))
    return total


def slack_bits(header: Header, entries: int) -> float:
    """Bits by which an archive may differ from its frame and its code.

    Args:
        header: of the archive.
        entries: of all data in it.
    """
    symbols = entries * max(1, header.samples)
    return 8 * WORD_BYTES * LAST_WORDS * header.chunks + WASTED_BITS * symbols
