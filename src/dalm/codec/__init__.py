"""Entropy coding: likelihoods become files."""

from dalm.codec.archive import Header
from dalm.codec.chunks import ReadSettings, Settings, by_bits_back, hash_of
from dalm.codec.reader import ArchiveReader, decompress
from dalm.codec.tables import CodeLength
from dalm.codec.weights import pack_model
from dalm.codec.writer import compress

__all__ = [
    "ArchiveReader",
    "CodeLength",
    "Header",
    "ReadSettings",
    "Settings",
    "by_bits_back",
    "compress",
    "decompress",
    "hash_of",
    "pack_model",
]
