"""Entropy coding: likelihoods become files."""

from dalm.codec.archive import Header
from dalm.codec.chain import code_lengths
from dalm.codec.chunks import ReadSettings, Settings, by_bits_back, exact_copy, hash_of
from dalm.codec.frame import frame_bytes, slack_bits
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
    "code_lengths",
    "compress",
    "decompress",
    "exact_copy",
    "frame_bytes",
    "hash_of",
    "pack_model",
    "slack_bits",
]
