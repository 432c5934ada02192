"""Entropy coding: likelihoods become files."""

from dalm.codec.archive import Header
from dalm.codec.compress import Reader, Settings, compress, decompress, driver_of, hash_of
from dalm.codec.tables import Tally
from dalm.codec.weights import pack

__all__ = ["Header", "Reader", "Settings", "Tally", "compress", "decompress", "driver_of", "hash_of", "pack"]
