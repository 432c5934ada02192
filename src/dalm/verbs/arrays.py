"""Arrays that are compressed, and arrays that an archive gives back: NumPy's files and others."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dalm.codec import ArchiveReader
from dalm.data import Split
from dalm.data.files import read_arrays
from dalm.data.folder import read_folder
from dalm.data.options import ImageOptions
from dalm.data.reading import few
from dalm.errors import DalmError

Array = NDArray[np.generic]
Source = str | Path | Array | Tensor | Split
"""What `dalm.compress` takes: a file, a folder of images, an array (N, ...), a split of data."""
TAKES = "to be compressed are a .npz file with x (and y), .npy, IDX, or a folder of images"


def read_source(data: Source, about: Mapping[str, Any]) -> tuple[Array, Array | None]:
    """Data (N, ...) to compress, and their labels (N,) if there are any.

    Args:
        data: an array, a split, a file, or a folder of images.
        about: what a run records of the data that the model learned: by their options images are
            brought to its shape, by their classes folders are numbered.

    Raises:
        DalmError: the file is not there, or holds something else.
    """
    if isinstance(data, Split):
        return data.x.cpu().numpy(), None if data.y is None else data.y.cpu().numpy()
    if isinstance(data, Tensor | np.ndarray):
        return np.asarray(data), None
    path = Path(data)
    if path.is_dir():
        return _images(path, about)
    if not path.is_file():
        raise DalmError(
            f"there is no file {path}; {TAKES}. The test split of a run is compressed by dalm prove"
        )
    arrays, unused = read_arrays(path)
    if not {"x"} <= arrays.keys() <= {"x", "y"} or unused:
        trouble = f"{path} holds {', '.join(arrays)}; {TAKES}, and nothing beside them."
        raise DalmError(" ".join([trouble, *unused]))
    y = arrays.get("y")
    if y is not None and y.dtype.kind in "USO":
        classes = [f"{k} {name}" for k, name in enumerate(about.get("classes") or ())]
        trouble = f"{path} holds the names of classes, and an archive keeps their numbers"
        raise DalmError(f"{trouble}; give y as {few(classes) or 'whole numbers'}, or leave it out")
    return arrays["x"], y


def _images(folder: Path, about: Mapping[str, Any]) -> tuple[Array, Array | None]:
    """All images of a folder in the order of their names, with the model's numbers of their
    classes.
    """
    known = ImageOptions.declared()
    options = {name: value for name, value in about["options"].items() if name in known}
    x, names = read_folder(folder, ImageOptions(**options))
    classes = list(about.get("classes") or [])
    if not classes or not any(names):
        return x, None
    if unknown := sorted({*names} - {*classes}):
        raise DalmError(
            f"the folder {folder} has classes that the model does not know: {few(unknown)}; it "
            f"knows {few(classes)}"
        )
    return x, np.array([classes.index(name) for name in names])


def write_data(reader: ArchiveReader, file: BinaryIO, bundled: bool) -> None:
    """Write the data of an archive as .npy, or with their labels as .npz; chunk by chunk, since
    they may be larger than memory.

    Args:
        reader: of the archive.
        file: opened for writing.
        bundled: as .npz, with labels if there are any.
    """
    if not bundled:
        _write_rows(reader, file)
        return
    with zipfile.ZipFile(file, "w") as bundle:
        with bundle.open("x.npy", "w", force_zip64=True) as entry:
            labels = _write_rows(reader, entry)
        if labels:
            with bundle.open("y.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.concatenate(labels))


def _write_rows(reader: ArchiveReader, file: IO[bytes]) -> list[Array]:
    """Write all data of an archive as .npy; returns their labels."""
    header = reader.header
    labels = []
    about = {"descr": header.dtype, "fortran_order": False, "shape": (header.count, *header.shape)}
    np.lib.format.write_array_header_1_0(file, about)
    for rows, y in reader:
        file.write(rows.tobytes())
        labels += [] if y is None else [y]
    return labels
