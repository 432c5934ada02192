"""Data to an archive and back, with the model of a run."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dalm.codec import Header, Reader, Settings, archive, hash_of
from dalm.codec import compress as encode
from dalm.codec import decompress as decode
from dalm.core import Generative
from dalm.data import Split
from dalm.data.files import read_arrays
from dalm.errors import DalmError
from dalm.records import Json, atomic_write, runs_below
from dalm.train import Run
from dalm.verbs.models import writable

Array = NDArray[np.generic]
Source = str | Path | Array | Tensor | Split
TAKES = "to be compressed are a .npz file with x (and y), .npy or IDX"


def compress(
    run: str | Path | Run,
    data: Source,
    out: str | Path,
    *,
    samples: int = 1,
    chunk: int = 0,
    embed: bool = False,
    batch: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Json:
    """Compress data with the model of a run, without loss.

    Args:
        run: a run or its folder.
        data: a file with an array `x`, and perhaps labels `y`, .npz, .npy or IDX; or an array (N,
            ...); or a split of loaded data.
        out: the archive.
        samples: importance samples of a latent-variable model; of many data more make a smaller
            file more slowly.
        chunk: data that are decoded together; 0 chooses.
        embed: put the model into the archive, its weights rounded to as few bits as pay for
            themselves.
        batch: how many data a network is asked about at once; 0 chooses.
        force: write over a file that is there.
        progress: told entries done and in all.

    Returns:
        `count`, `bytes`, of which `model` are for a model inside, `original` bytes, `ratio`,
        `bits_per_dim`, `seconds`.

    Raises:
        DalmError: the run, the data or the place do not suit.
    """
    target = _vacant(out, force)
    (x, y) = _arrays(data)
    model = (run if isinstance(run, Run) else Run.open(run)).model
    began = time.perf_counter()
    with atomic_write(target) as file:
        encode(
            model,
            x,
            y,
            file,
            Settings(samples, chunk, embed, batch),
            _counting(progress, lambda: x.size),
        )
        size = file.seek(0, 2)
        inside = _inside(file)
    original = x.nbytes + (0 if y is None else y.nbytes)
    return {
        "count": len(x),
        "bytes": size,
        "model": inside,
        "original": original,
        "ratio": original / size,
        "bits_per_dim": 8 * size / x.size,
        "seconds": time.perf_counter() - began,
    }


def _vacant(out: str | Path, force: bool) -> Path:
    path = writable(out)
    if path.exists() and not force:
        raise DalmError(
            f"{path} exists already; nothing was changed. Choose another name, or write over it "
            "with --force (force=True)"
        )
    return path


def _arrays(data: Source) -> tuple[Array, Array | None]:
    if isinstance(data, Split):
        return data.x.cpu().numpy(), None if data.y is None else data.y.cpu().numpy()
    if isinstance(data, Tensor | np.ndarray):
        return np.asarray(data), None
    path = Path(data)
    if not path.is_file():
        known = f"{path} is a folder" if path.exists() else f"there is no file {path}"
        raise DalmError(f"{known}; {TAKES}. The test split of a run is compressed by dalm prove")
    arrays, unused = read_arrays(path)
    if not {"x"} <= arrays.keys() <= {"x", "y"} or unused:
        raise DalmError(
            " ".join(
                [f"{path} holds {', '.join(arrays)}; {TAKES}, and nothing beside them.", *unused]
            )
        )
    return arrays["x"], arrays.get("y")


def _inside(file: BinaryIO) -> int:
    """Bytes of an archive that are for the model."""
    size = file.tell()
    _ = file.seek(0)
    return (
        archive.PART.size + len(archive.read_part(file, size))
        if archive.read_header(file).inside
        else 0
    )


def _counting(
    progress: Callable[[int, int], None], total: Callable[[], int]
) -> Callable[[int], None]:
    """Adds up the entries that a coder tells of."""
    done = 0

    def tell(entries: int) -> None:
        nonlocal done
        progress(done := done + entries, total())

    return tell


def decompress(
    archive: str | Path,
    out: str | Path,
    *,
    run: str | Path | None = None,
    batch: int = 0,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Json:
    """Write the data of an archive, as they were, to a .npz (with their labels) or .npy file.

    Args:
        archive: what `compress` wrote.
        out: the file.
        run: the run whose model it was written with, or a folder that holds it; by default the
            model inside, or a run under the current folder with its hash.
        batch: how many data a network is asked about at once; any number gives the same data.
        force: write over a file that is there.
        progress: told entries done and in all.

    Returns:
        `count`, `shape` of a datum, `dtype`, whether there are `labels`, `seconds`.

    Raises:
        DalmError: the archive is damaged, or its model is not found, or the file cannot hold what
            it holds.
    """
    path = Path(archive)
    began = time.perf_counter()
    if not path.is_file():
        raise DalmError(f"there is no archive {path}")
    target = _vacant(out, force)
    if target.suffix not in (".npz", ".npy"):
        raise DalmError(f"data are written as .npz or .npy, got {target.name!r}")

    tell = _counting(progress, lambda: reader.header.count * reader.header.spec.dims)
    with path.open("rb") as file:
        reader = decode(file, path.stat().st_size, lambda header: _find(header, run), batch, tell)
        header = reader.header
        if header.labels and target.suffix == ".npy":
            raise DalmError(
                f"{path} holds labels too, and a .npy file one array only; write a .npz file"
            )
        with atomic_write(target) as beside:
            _unpack(reader, beside, bundled=target.suffix == ".npz")
    told: Json = {
        "count": header.count,
        "shape": header.shape,
        "dtype": np.dtype(header.dtype).name,
        "labels": bool(header.labels),
    }
    return told | {"seconds": time.perf_counter() - began}


def _unpack(reader: Reader, file: BinaryIO, bundled: bool) -> None:
    """Write the data of an archive as .npy, or with their labels as .npz; chunk by chunk, since
    they may be larger than memory.
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


def _write_rows(reader: Reader, file: IO[bytes]) -> list[Array]:
    """Write all data of an archive as .npy; returns their labels."""
    header = reader.header
    labels = []
    about = {"descr": header.dtype, "fortran_order": False, "shape": (header.count, *header.shape)}
    np.lib.format.write_array_header_1_0(file, about)
    for rows, y in reader:
        file.write(rows.tobytes())
        labels += [] if y is None else [y]
    return labels


def _find(header: Header, place: str | Path | None) -> Generative:
    """The model with the archive's hash, of the run in a folder or of one below it; by default the
    current folder.
    """
    folder = Path(place or "")
    unread = list[str]()
    for path in runs_below(folder):
        try:
            model = Run.open(path).model
        except DalmError as error:
            unread.append(str(error))
            continue
        if hash_of(model) == header.model:
            return model
    wanted = f"model {header.model.hex()}, which wrote the archive of {header.count:,} data, shape {header.shape}, {header.spec.levels} levels"
    raise DalmError(
        f"no run under {folder.absolute()} has the {wanted}; point at it with --run"
        + "".join(f". {why}" for why in unread[:3])
    )
