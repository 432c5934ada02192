"""Files that verbs write: where they may stand, and samples in every form."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.records import runs_below, write
from dalm.records.files import is_empty
from dalm.records.scoreboard import FILE as BOARD
from dalm.records.status import run_state
from dalm.report import save_grid
from dalm.report.images import entries, limits_of, save_image

Array = NDArray[Any]


def target_of(out: str | Path) -> Path:
    """Where samples go, or DalmError for an ending that says nothing, or a place that is taken by
    something else. No ending stands for a folder.

    Args:
        out: as the user named it.
    """
    if Path(out).suffix.lower() in FORMS:
        return writable(out)
    if Path(out).suffix:
        raise DalmError(
            f"samples are written as {', '.join(FORMS)}, or each as a picture into a folder, whose "
            f"name has no ending; got {Path(out).name!r}"
        )
    if Path(out).exists() and not is_empty(Path(out)):
        raise DalmError(f"{out} exists already; nothing was changed. Choose another folder")
    return Path(out)


@contextmanager
def replaced(folder: Path, resume: bool) -> Iterator[None]:
    """A run or a comparison is set aside while another one takes its place, and comes back if none
    does.

    Args:
        folder: where it is, if it is there.
        resume: whether it is to be gone on with, which leaves nothing to replace.

    Raises:
        DalmError: it is neither, it is to be gone on with, or it is being written right now.
    """
    aside = _set_aside(folder, resume)
    try:
        yield
    finally:
        if aside and folder.exists() and not is_empty(folder):
            shutil.rmtree(aside)
        elif aside:
            aside.replace(folder)


def _set_aside(folder: Path, resume: bool) -> Path | None:
    """Rename what is to be replaced, so that a kill at any moment loses nothing."""
    if resume:
        raise DalmError("overwrite starts anew and resume goes on; ask for one of them")
    if not folder.exists() or is_empty(folder):
        return None
    if folder.is_symlink():
        raise DalmError(f"{folder} is a link to {folder.resolve()}; overwrite that folder itself")
    if not ((folder / "run.json").is_file() or (folder / BOARD).is_file()):
        raise DalmError(
            f"{folder} is no run and no comparison, so overwrite leaves it alone; choose another "
            "folder"
        )
    if at_work := [run for run in runs_below(folder) if run_state(run) == "running"]:
        raise DalmError(f"{at_work[0]} is being trained, so it cannot be overwritten; wait for it")
    return folder.rename(folder.with_name(f".{folder.name}.{os.getpid()}.gone"))


def write_samples(path: Path, x: Array, y: Array | None, spec: Spec) -> Path:
    """Write samples in the form that the path's ending names.

    Args:
        path: of `target_of`.
        x: samples (N, *spec.shape).
        y: (N,) their classes as the data call them, if they have any.
        spec: what one datum is.
    """
    FORMS.get(path.suffix.lower(), _pictures)(path, x, y, spec)
    return path


def _picture(path: Path, x: Array, y: Array | None, spec: Spec) -> None:
    save_grid(x, path, asdict(spec))


def _array(path: Path, x: Array, y: Array | None, spec: Spec) -> None:
    content = io.BytesIO()
    np.save(content, x)
    write(path, content.getvalue())


def _arrays(path: Path, x: Array, y: Array | None, spec: Spec) -> None:
    content = io.BytesIO()
    classes = {} if y is None else {"y": y}
    np.savez_compressed(content, allow_pickle=False, x=x, **classes)
    write(path, content.getvalue())


def _table(path: Path, x: Array, y: Array | None, spec: Spec) -> None:
    rows = x.reshape(len(x), -1).tolist()  # Python's own numbers print every digit that they have
    names = [f"x{place}" for place in range(spec.dims)]
    if y is not None:
        rows = [[*row, label] for row, label in zip(rows, y.tolist(), strict=True)]
        names.append("y")
    write(path, table([names, *rows]))


def table(rows: list[list[Any]]) -> str:
    """Rows as CSV, the first one names.

    >>> table([["x0", "y"], [0.5, "a,b"]]).splitlines()
    ['x0,y', '0.5,"a,b"']
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _pictures(path: Path, x: Array, y: Array | None, spec: Spec) -> None:
    """A picture of each, in a folder for each class if there are any: whole or not at all."""
    if entries(asdict(spec)):
        raise DalmError(
            f"a folder holds pictures, and these data are vectors of {spec.dims} numbers; "
            f"{path}.csv or {path}.npz would work"
        )
    limits = limits_of(x) if spec.levels is None else None
    width = len(str(len(x) - 1))
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        for place, image in enumerate(x):
            folder = partial if y is None else partial / _folder_of(str(y[place]))
            folder.mkdir(parents=True, exist_ok=True)
            save_image(image, folder / f"{place:0{width}}.png", asdict(spec), limits)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _folder_of(label: str) -> str:
    """A class as the name of a folder, which is neither hidden nor one above."""
    name = quote(label, safe=" ") or "_"
    return name if name[0] != "." else f"%2E{name[1:]}"


FORMS: dict[str, Callable[[Path, Array, Array | None, Spec], None]] = {
    ".png": _picture,
    ".npz": _arrays,
    ".npy": _array,
    ".csv": _table,
}
"""How samples are written, by the ending of the file."""


def writable(out: str | Path) -> Path:
    """The place of a file to be written, or DalmError if none can be."""
    path = Path(out)
    if path.is_dir():
        raise DalmError(
            f"{path} is a folder; give the name of a file in it, such as {path / 'out.npz'}"
        )
    if path.exists() and not path.is_file():
        raise DalmError(
            f"{path} is a device or a pipe, which a file would replace; give the name of a file"
        )
    if not path.parent.is_dir():
        raise DalmError(
            f"there is no folder {path.parent} to write {path.name} into; make it first"
        )
    if not os.access(path.parent, os.W_OK):
        raise DalmError(
            f"the folder {path.parent} cannot be written to; choose another place for {path.name}"
        )
    return path.resolve() if path.is_symlink() else path
