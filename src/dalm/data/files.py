"""Arrays from files: .npz, .npy and IDX, told apart by their first bytes. Nothing in them is ever
executed.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dalm.data.idx import idx_folder, is_idx, labels_beside, open_maybe_gzipped, read_idx
from dalm.data.options import Array
from dalm.errors import DalmError

NAMES = ("x", "y", "x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
FORMATS = "dalm reads .npz, .npy, IDX (also .gz) and folders of images"


def memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def read_arrays(path: Path) -> tuple[dict[str, Array], list[str]]:
    """The arrays of a file, or of a folder laid out like MNIST's, under the names of `NAMES`; and
    what was left out, in words.

    Raises:
        DalmError: if the file is empty, damaged, of another format, holds pickled objects, or needs
            more memory than there is.
    """
    try:
        if path.is_dir():
            return _idx_arrays(idx_folder(path) or {}), []
        if not path.is_file():
            raise DalmError(f"{path} is not a regular file; {FORMATS}")
        return _read(path)
    except DalmError:
        raise
    except Exception as error:  # a hostile file can make a decoder raise anything
        known = {
            "Python objects": "it holds pickled objects, which are refused; save numbers",
            "mmap length": "it is cut short",
        }
        reason = next(
            (words for sign, words in known.items() if sign in str(error)),
            error or type(error).__name__,
        )
        raise DalmError(f"{path} cannot be read: {reason}") from error


def _read(path: Path) -> tuple[dict[str, Array], list[str]]:
    with path.open("rb") as file:
        start = file.read(6)
    if not start:
        raise DalmError(f"{path} is empty")
    if start.startswith(b"PK"):
        return _npz_arrays(path)
    if start == b"\x93NUMPY":
        return {"x": _unpickled(path, np.load(path, mmap_mode="r", allow_pickle=False))}, []
    with open_maybe_gzipped(path) as file:
        magic = file.read(4)
    if not is_idx(magic):
        raise DalmError(f"{path} is in no format that dalm knows; {FORMATS}, and no pickles")
    return _idx_arrays({"x": path}), []


def _npz_arrays(path: Path) -> tuple[dict[str, Array], list[str]]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        known = [name for name in NAMES if name in archive.files]
        other = [name for name in archive.files if name not in NAMES]
        size = sum(
            info.file_size
            for info in archive.zip.infolist()
            if info.filename.removesuffix(".npy") in known
        )
        if size > memory():
            raise DalmError(
                f"{path} unpacks to {size:,} bytes; this machine has {memory():,} bytes of memory"
            )
        if not known:
            raise DalmError(
                f"{path} holds {', '.join(other) or 'nothing'}; it should hold x (and y), or "
                "x_train and x_test (and x_val, y_…)"
            )
        arrays = {name: _unpickled(path, archive[name]) for name in known}
    return arrays, [f"Not used, of {path.name}: {', '.join(other)}."] if other else []


def _unpickled(path: Path, array: object) -> Array:
    if not isinstance(array, np.ndarray):
        raise DalmError(f"{path} holds something that is not an array")
    return array


def _idx_arrays(images: dict[str, Path]) -> dict[str, Array]:
    labels = {name.replace("x", "y"): labels_beside(path) for name, path in images.items()}
    return {name: read_idx(path, memory()) for name, path in (images | labels).items() if path}
