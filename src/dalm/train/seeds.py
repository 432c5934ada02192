"""Seeds: everything random in a run is a function of the run's seed and of where it is used."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, role: str, index: int) -> int:
    """The seed of one source of randomness.

    Args:
        seed: of the run.
        role: what is random, such as `"order"`.
        index: which of many, such as the number of an epoch.

    >>> derive_seed(0, "noise", 1) != derive_seed(0, "noise", 2)
    True
    """
    name = f"{seed}/{role}/{index}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=7).digest(), "big")
