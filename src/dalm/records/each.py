"""What each held-out row scored, `scores.npz` in a run folder: with it two models are compared row
by row.

For a measure and a split, such as `bits_per_dim.test`, there is an array of values, (n,), and under
the same name with `.rows` the places of these rows in the split. `metrics.json` has the SHA-256 of
the file.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dalm.records.files import write
from dalm.records.pictures import DAMAGES

if TYPE_CHECKING:
    from dalm.records.pictures import Array

FILE = "scores.npz"


def write_each(folder: Path, arrays: Mapping[str, Any]) -> str | None:
    """Write `scores.npz`; returns its SHA-256, or `None` where there is nothing to write.

    Args:
        folder: the run.
        arrays: by name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sha = write_each(Path(folder), {"kid.test": [1.5], "kid.test.rows": [0]})
    ...     float(read_each(Path(folder), sha)["kid.test"][0])
    1.5
    """
    import numpy as np

    if not arrays:
        (folder / FILE).unlink(missing_ok=True)
        return None
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write(folder / FILE, content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def read_each(folder: Path, sha: str | None) -> dict[str, Array]:
    """The arrays by name; none where the file is missing, damaged or not the one that was scored.

    Args:
        folder: the run.
        sha: SHA-256 of the file, as its scores say; `None` where they say none.

    >>> read_each(Path("no run"), None)
    {}
    """
    import numpy as np

    path = folder / FILE
    if sha is None or not path.is_file():
        return {}
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha:
        return {}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored}
    except DAMAGES:
        return {}
