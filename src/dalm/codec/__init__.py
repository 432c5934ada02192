"""Entropy coding: likelihoods become files."""

from dalm.codec.archive import Header
from dalm.codec.compress import Reader, Settings, by_bits_back, compress, decompress, hash_of
from dalm.codec.tables import CodeLength
from dalm.codec.weights import pack

__all__ = [
    "CodeLength",
    "Header",
    "Reader",
    "Settings",
    "by_bits_back",
    "compress",
    "decompress",
    "hash_of",
    "pack",
]
