"""Entropy coding: likelihoods become files."""

from dalm.codec.archive import Header
from dalm.codec.compress import Reader, Settings, compress, decompress, driver_of, hash_of, packed

__all__ = ["Header", "Reader", "Settings", "compress", "decompress", "driver_of", "hash_of", "packed"]
