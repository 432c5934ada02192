"""Classical source coders, for comparison and for teaching. One coder is one file; this list is
written by hand.
"""

from __future__ import annotations

from dalm.codec.classic.adaptive import Adaptive
from dalm.codec.classic.ans import ANS
from dalm.codec.classic.bwt import BWT
from dalm.codec.classic.coder import Coder
from dalm.codec.classic.delta import Delta
from dalm.codec.classic.huffman import Huffman
from dalm.codec.classic.lzw import LZW
from dalm.codec.classic.rice import Rice
from dalm.codec.classic.run_length import RunLength

CODERS: tuple[type[Coder], ...] = (Huffman, Adaptive, ANS, RunLength, Delta, LZW, BWT, Rice)
"""Every coder; each has a default for every option."""

__all__ = [
    "ANS",
    "BWT",
    "CODERS",
    "LZW",
    "Adaptive",
    "Coder",
    "Delta",
    "Huffman",
    "Rice",
    "RunLength",
]
