"""Data to an archive and back, with the model of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

import dalm.models  # noqa: F401  # so that every family of ours has its name
from dalm.codec import Header, Settings, hash_of
from dalm.codec import compress as write_archive
from dalm.codec import decompress as open_archive
from dalm.codec.archive import PART, read_header, read_part
from dalm.core import Generative
from dalm.errors import DalmError
from dalm.records import atomic_write, runs_below
from dalm.train import Run
from dalm.verbs.arrays import Source, read_source, write_data
from dalm.verbs.outputs import writable
from dalm.verbs.results import Result


@dataclass(frozen=True, repr=False)
class Compressed(Result):
    """An archive that was written.

    Args:
        path: of the archive.
        count: how many data it holds.
        entries: in all of them.
        bytes: of the archive.
        model_bytes: of these, for the model inside.
        original_bytes: of the data and their labels, as they were.
        seconds: that it took.
    """

    path: Path
    count: int
    entries: int
    bytes: int
    model_bytes: int
    original_bytes: int
    seconds: float

    @property
    def ratio(self) -> float:
        """How many times smaller the archive is than the data."""
        return self.original_bytes / self.bytes

    @property
    def bits_per_dim(self) -> float:
        """Bits of the archive for each entry of the data."""
        return 8 * self.bytes / self.entries

    @property
    def summary(self) -> str:
        """The result in one line."""
        model = f", of which the model {self.model_bytes:,}" if self.model_bytes else ""
        return (
            f"{self.path}  {self.count:,} data: {self.original_bytes:,} bytes to "
            f"{self.bytes:,} ({1 / self.ratio:.1%}){model}, {self.bits_per_dim:.4f} bits/dim, "
            f"{self.seconds:.1f} s"
        )

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """One row."""
        cells = {
            "archive": str(self.path),
            "data": f"{self.count:,}",
            "original": f"{self.original_bytes:,} bytes",
            "compressed": f"{self.bytes:,} bytes",
            "model inside": f"{self.model_bytes:,} bytes",
            "bits/dim": f"{self.bits_per_dim:.4f}",
        }
        return tuple(cells), [tuple(cells.values())]


@dataclass(frozen=True, repr=False)
class Decompressed(Result):
    """What an archive held.

    Args:
        path: of the file that it was written to.
        count: how many data.
        shape: of a datum.
        dtype: of the data.
        labels: whether there are labels.
        seconds: that it took.
    """

    path: Path
    count: int
    shape: tuple[int, ...]
    dtype: str
    labels: bool
    seconds: float

    @property
    def summary(self) -> str:
        """The result in one line."""
        kind = f"{self.dtype} with labels" if self.labels else self.dtype
        return (
            f"{self.path}  {self.count:,} data of shape {self.shape}, {kind}; checksum right, "
            f"{self.seconds:.3f} s"
        )

    def table(self) -> tuple[Sequence[str], list[Sequence[str]]]:
        """One row."""
        cells = {
            "file": str(self.path),
            "data": f"{self.count:,}",
            "shape": "×".join(map(str, self.shape)),
            "type": self.dtype,
            "labels": "yes" if self.labels else "no",
        }
        return tuple(cells), [tuple(cells.values())]


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
) -> Compressed:
    """Compress data with the model of a run, without loss.

    Args:
        run: a run or its folder.
        data: a file with an array `x`, and perhaps labels `y`, .npz, .npy or IDX; a folder of
            images, which come as the model's own did; or an array (N, ...); or a split of loaded
            data.
        out: the archive.
        samples: importance samples of a latent-variable model; of many data more make a smaller
            file more slowly.
        chunk: data that are decoded together; 0 chooses.
        embed: put the model into the archive, its weights rounded to as few bits as pay for
            themselves.
        batch: how many data a network is asked about at once; 0 chooses.
        force: write over a file that is there.
        progress: told entries done and in all.

    Raises:
        DalmError: the run, the data or the place do not suit.
    """
    target = _vacant(out, force)
    run = run if isinstance(run, Run) else Run.open(run)
    model = run.model
    x, y = read_source(data, run.meta["data"])
    settings = Settings(samples=samples, chunk=chunk, embed=embed, batch=batch)
    began = time.perf_counter()
    with atomic_write(target) as file:
        write_archive(model, x, y, file, settings, _counting(progress, lambda: x.size))
        size = file.seek(0, 2)
        model_bytes = _model_bytes(file)
    return Compressed(
        path=Path(out),
        count=len(x),
        entries=x.size,
        bytes=size,
        model_bytes=model_bytes,
        original_bytes=x.nbytes + (0 if y is None else y.nbytes),
        seconds=time.perf_counter() - began,
    )


def _vacant(out: str | Path, force: bool) -> Path:
    path = writable(out)
    if path.exists() and not force:
        raise DalmError(
            f"{path} exists already; nothing was changed. Choose another name, or write over it "
            "with --force (force=True)"
        )
    return path


def _model_bytes(file: BinaryIO) -> int:
    """Bytes of an archive, at its end, that are for the model."""
    size = file.tell()
    file.seek(0)
    if not read_header(file).inside:
        return 0
    return PART.size + len(read_part(file, size))


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
) -> Decompressed:
    """Write the data of an archive, as they were, to a .npz (with their labels) or .npy file.

    Args:
        archive: what `compress` wrote.
        out: the file.
        run: the run whose model it was written with, or a folder that holds it; by default the
            model inside, or a run under the current folder with its hash.
        batch: how many data a network is asked about at once; any number gives the same data.
        force: write over a file that is there.
        progress: told entries done and in all.

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
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = open_archive(file, size, lambda header: _find(header, run), batch, tell)
        header = reader.header
        if header.labels and target.suffix == ".npy":
            raise DalmError(
                f"{path} holds labels too, and a .npy file one array only; write a .npz file"
            )
        with atomic_write(target) as beside:
            write_data(reader, beside, bundled=target.suffix == ".npz")
    return Decompressed(
        path=Path(out),
        count=header.count,
        shape=header.shape,
        dtype=np.dtype(header.dtype).name,
        labels=bool(header.labels),
        seconds=time.perf_counter() - began,
    )


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
    wanted = (
        f"model {header.model.hex()}, which wrote the archive of {header.count:,} data, shape "
        f"{header.shape}, {header.spec.levels} levels"
    )
    trouble = f"no run under {folder.absolute()} has the {wanted}; point at it (run=, --run)"
    raise DalmError(". ".join([trouble, *unread[:3]]))
