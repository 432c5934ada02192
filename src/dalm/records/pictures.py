"""The arrays that a run keeps for people to look at: its gallery and its snapshots.

Each reader returns what it could read, and why the rest is missing, so that a page can say it.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Frame = tuple[int, Array]

GALLERY = ("samples", "means", "nearest_train", "nearest_heldout", "real", "points")
"""The arrays of a `gallery.npz`, data each: `means` are what a model expects where `samples` were
drawn, and `points` where `density` was taken, (N,) in the data's own units.
"""
DAMAGES = (
    OSError,
    ValueError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy raises where a file is not as it was written."""


def read_gallery(folder: Path, shape: tuple[int, ...]) -> tuple[dict[str, Array], str | None]:
    """The arrays of a run's gallery by name, and the reason if there is none.

    Args:
        folder: the run.
        shape: of one datum.

    >>> read_gallery(Path("no run"), (2,))
    ({}, 'it has no gallery.npz: run `dalm score` on it')
    """
    import numpy as np

    path = folder / "gallery.npz"
    if not path.is_file():
        return {}, "it has no gallery.npz: run `dalm score` on it"

    arrays = {}
    try:
        # numpy leaves a damaged archive open when it is given a path.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            for name in GALLERY:
                if name in stored:
                    arrays[name] = _checked(stored[name], shape)
            if "points" in arrays:
                arrays["density"] = _checked(stored["density"], ())
    except DAMAGES as error:
        return {}, f"its gallery.npz cannot be shown ({error})"
    return arrays, None


def read_snapshots(folder: Path, shape: tuple[int, ...]) -> tuple[list[Frame], str | None]:
    """The samples that a run kept as it learned, each with its step, and why some are missing.

    Args:
        folder: the run.
        shape: of one datum.

    >>> read_snapshots(Path("no run"), (2,))
    ([], 'it kept no snapshots')
    """
    import numpy as np

    frames = []
    reason = None
    for path in sorted((folder / "samples").glob("step-*.npy")):
        try:
            step = int(path.stem.removeprefix("step-"))
            samples = np.load(path, mmap_mode="r", allow_pickle=False)
            frames.append((step, _checked(samples, shape)))
        except (OSError, ValueError, EOFError) as error:
            reason = f"{path.name} cannot be shown ({error})"

    if not frames and reason is None:
        reason = "it kept no snapshots"
    return frames, reason


def _checked(x: Array, shape: tuple[int, ...]) -> Array:
    if x.ndim == 0 or x.shape[1:] != shape or x.dtype.kind not in "biuf":
        raise ValueError(
            f"an array of shape {x.shape} and type {x.dtype}, where data of shape {shape} were "
            "expected"
        )
    return x
