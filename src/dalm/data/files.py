"""Arrays from files: .npz, .npy and IDX, told apart by their first bytes. Nothing in them is ever
executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dalm.data.arrays import from_arrays
from dalm.data.dataset import SPLIT_NAMES, Array, Data
from dalm.data.idx import is_idx, open_maybe_gzipped, read_with_labels
from dalm.data.memory import by_our_names
from dalm.data.options import RowOptions
from dalm.data.reading import check_memory, decoding, few
from dalm.data.source import Source, existing_path
from dalm.errors import DalmError

ARRAY_NAMES = ("x", "y", "x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
FORMATS = "dalm reads .npz, .npy, IDX (also .gz) and folders of images"


def read_arrays(path: Path, more: Sequence[str] = ()) -> tuple[dict[str, Array], list[str]]:
    """The arrays of a file, under the names of `ARRAY_NAMES`; and what was left out, in words.

    Args:
        path: the file.
        more: names of further arrays that are asked for.

    Raises:
        DalmError: if the file is empty, damaged, of another format, holds pickled objects, or needs
            more memory than there is.
    """
    with decoding(path):
        if not path.is_file():
            raise DalmError(f"{path} is not a regular file; {FORMATS}")
        return _read(path, more)


def _read(path: Path, more: Sequence[str]) -> tuple[dict[str, Array], list[str]]:
    with path.open("rb") as file:
        start = file.read(6)
    if not start:
        raise DalmError(f"{path} is empty")
    if start.startswith(b"PK"):
        return _read_npz(path, more)
    if start == b"\x93NUMPY":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        return {"x": _only_array(path, array)}, []
    return _read_idx_and_labels(path), []


def _read_npz(path: Path, more: Sequence[str]) -> tuple[dict[str, Array], list[str]]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        _check_members(path, archive)
        wanted = {*ARRAY_NAMES, *more, *(f"{name}_{part}" for name in more for part in SPLIT_NAMES)}
        used = [name for name in archive.files if name in wanted or name.lower() in ARRAY_NAMES]
        unused = few([name for name in archive.files if name not in used])
        _check_unpacked_size(path, archive, used)
        if not any(name.lower() in ARRAY_NAMES for name in used):
            raise DalmError(
                f"{path} holds {few(archive.files) or 'nothing'}; it should hold x (and y), or "
                "x_train and x_test (and x_val, y_…)"
            )
        arrays = {name: _only_array(path, archive[name]) for name in used}
    return arrays, [f"Not used, of {path.name}: {unused}."] if unused else []


def _check_members(path: Path, archive: Any) -> None:
    """Refuse a zip that holds other files than arrays."""
    members = [member.filename for member in archive.zip.infolist() if not member.is_dir()]
    if members and not any(name.endswith(".npy") for name in members):
        raise DalmError(
            f"{path} is a zip of {len(members):,} files, such as {members[0]}, and no .npz of "
            "arrays; unpack it, and give the folder"
        )


def _check_unpacked_size(path: Path, archive: Any, used: list[str]) -> None:
    members = [m for m in archive.zip.infolist() if m.filename.removesuffix(".npy") in used]
    check_memory(f"{path} unpacks to", sum(member.file_size for member in members))


def _only_array(path: Path, content: object) -> Array:
    if not isinstance(content, np.ndarray):
        raise DalmError(f"{path} holds something that is not an array")
    return content


def _read_idx_and_labels(path: Path) -> dict[str, Array]:
    with open_maybe_gzipped(path) as file:
        magic = file.read(4)
    if not is_idx(magic):
        raise DalmError(f"{path} is in no format that dalm knows; {FORMATS}, and no pickles")
    return read_with_labels({"x": path})


def is_file(value: object) -> bool:
    """Whether a value names something that is there and no folder."""
    path = existing_path(value)
    return path is not None and not path.is_dir()


def _load(value: str | Path, options: RowOptions) -> Data:
    path = Path(value).resolve()
    asked = (options.label, options.group, options.order)
    more = [name for name in asked if isinstance(name, str)]
    arrays, notes = read_arrays(path, more)
    if notes and not more:
        notes.append(
            "An array that says which rows belong together goes to group=NAME (--group NAME), one "
            "that orders them to order=NAME (--order NAME)."
        )
    arrays = by_our_names(arrays, options.label)
    return from_arrays(path.name.partition(".")[0], str(path), arrays, options, notes)


FILE = Source(
    "a file of arrays",
    "a file (.npz or .npy of arrays x and y, IDX or IDX.gz)",
    RowOptions,
    matches=is_file,
    load=_load,
)
