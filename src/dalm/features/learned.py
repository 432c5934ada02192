"""What a feature net learned from, as fingerprints of its rows.

A net has seen the rows that it learned from, so features of such rows say more good of them than
features of any others: held-out data must not be among them. Eight bytes of each row are kept
beside the weights, enough to know it again, and too few to see it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

ROWS = "rows"


def fingerprints(x: Tensor) -> Tensor:
    """Eight bytes of the BLAKE2b of each row of levels, as int64, (N,).

    Args:
        x: levels (N, *shape) of at most 256 values, of any type: equal levels have equal
            fingerprints.

    >>> x = torch.arange(4).view(2, 2)
    >>> bool((fingerprints(x) == fingerprints(x.float())).all())
    True
    """
    rows = x.detach().cpu().flatten(1).round().clamp(0, 255).to(torch.uint8).numpy()
    hashes = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    return torch.from_numpy(np.frombuffer(b"".join(hashes), "<i8").astype(np.int64))


def write_learned(path: Path, x: Tensor) -> None:
    """Write what a net learned from.

    Args:
        path: a file beside its weights.
        x: levels (N, *shape).
    """
    path.write_bytes(save({ROWS: fingerprints(x).unique()}))


def count_learned(path: Path, x: Tensor) -> int:
    """How many rows a net learned from.

    Args:
        path: as `write_learned` wrote it.
        x: levels (N, *shape).
    """
    return int(torch.isin(fingerprints(x), load(path.read_bytes())[ROWS]).sum())
