"""A folder of images, decoded once into a memory-mapped array, so that it may be larger than
memory.

Subfolders are classes; a folder without subfolders has none. Files and folders whose name starts
with a dot are not looked at. Every other file is tried, whatever its name, and what cannot be read
is listed. The cache holds the splits one after the other, so that each is a plain view of the file.
Its name is a hash of the folder, the files' relative paths, sizes and times, and the options; its
content is checked against its fingerprint each time, and rebuilt if it is damaged.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from dalm.core import Spec
from dalm.data.images import RULES, read_image
from dalm.data.options import Array, Options, blocks_of, reduce_levels
from dalm.data.splits import Data, Split, assign_splits, content_hasher, content_note
from dalm.errors import DalmError

CACHE_FORMAT = 1
NO_RESERVE = 0x4000 if sys.platform == "linux" else 0
"""Linux's MAP_NORESERVE, which Python's `mmap` does not name."""
SPLIT_NAMES = {"train", "val", "valid", "validation", "test"}


@dataclass
class Scan:
    """What reading the files found; the pixels went into a scratch file, one row of `shape` each."""

    shape: tuple[int, ...] = ()
    first: str = ""
    coloured: bool = False
    digests: list[bytes] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def load_folder(root: Path, options: Options, cache: Path | None = None) -> Data:
    """The images of a folder, (C, H, W) uint8.

    Args:
        root: the folder.
        options: any but `n`.
        cache: folder of the cache; by default `$DALM_CACHE`, else `$XDG_CACHE_HOME/dalm`, else
            `~/.cache/dalm`.

    Raises:
        DalmError: if there are no images, too few, or of different sizes without `size`; if files
            lie beside class folders, or the folders are named like splits; if the cache cannot be
            written.

    >>> import PIL.Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(20):
    ...         PIL.Image.new("L", (8, 8), i).save(Path(folder) / f"{i}.png")
    ...     data = load_folder(Path(folder), Options(), cache=Path(folder) / ".cache")
    >>> data.spec
    Spec(shape=(1, 8, 8), levels=256, classes=0)
    """
    options.only("a folder of images", "size", "grey", "binary", "levels")
    options.levels_from(256)  # refuses too many levels before the long work of decoding
    root = root.resolve()
    try:
        files, hidden = list_files(root)
        _check_layout(root, files)
        store = Path(cache or default_cache()) / _key(root, files, options)
        return _reopen(root, store, options) or _build(root, files, hidden, store, options)
    except OSError as error:
        raise DalmError(
            f"the folder {root} could not be read into a cache: {error}. $DALM_CACHE says where "
            "the cache lies"
        ) from error


def default_cache() -> Path:
    """Where decoded images are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("DALM_CACHE") or Path(home) / "dalm")


def list_files(root: Path) -> tuple[list[Path], int]:
    """All files below `root`, sorted, and how many hidden names were passed over."""
    files = []
    hidden = 0
    for where, folders, names in os.walk(root, onerror=_raise):
        hidden += sum(name.startswith(".") for name in folders + names)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if os.path.islink(os.path.join(where, name))]
        files += [Path(where, name) for name in sorted(names + links) if not name.startswith(".")]
    return files, hidden


def _raise(error: OSError) -> None:
    raise error


def _check_layout(root: Path, files: list[Path]) -> None:
    classes = {_class_of(root, path) for path in files} - {""}
    if len(classes) > 1 and classes <= SPLIT_NAMES:
        names = ", ".join(sorted(classes))
        raise DalmError(
            f"the subfolders of {root} are named like splits ({names}), not like classes; dalm "
            "splits one folder itself"
        )


def _class_of(root: Path, path: Path) -> str:
    inside = path.relative_to(root).parts
    return _printable(inside[0]) if len(inside) > 1 else ""


def _printable(name: str | Path) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


def _key(root: Path, files: list[Path], options: Options) -> str:
    stats = [
        (str(path), s.st_size, s.st_mtime_ns)
        for path in files
        for s in [os.stat(path, follow_symlinks=path.exists())]
    ]
    listing = json.dumps([CACHE_FORMAT, str(root), stats, options.given()])
    return hashlib.blake2b(listing.encode(), digest_size=16).hexdigest()


def _reopen(root: Path, store: Path, options: Options) -> Data | None:
    try:
        meta = json.loads(store.with_suffix(".json").read_text())
        data = _assemble(root, store, options, meta)
        return data if data.fingerprint == meta["fingerprint"] else None
    except Exception:
        return None


def _assemble(root: Path, store: Path, options: Options, meta: dict[str, Any]) -> Data:
    pixels = map_file(store.with_suffix(".pixels"), tuple(meta["shape"]))
    labels = np.array(meta["labels"], np.int64)
    edges = np.cumsum(meta["counts"])[:-1]
    parts = zip(np.split(pixels, edges), np.split(labels, edges), strict=True)
    train, val, test = (
        Split(torch.from_numpy(x), torch.from_numpy(y) if meta["classes"] else None)
        for x, y in parts
    )
    spec = Spec(pixels.shape[1:], options.levels_from(256), len(meta["classes"]))
    return Data(
        root.name,
        str(root),
        options.given(),
        spec,
        train,
        val,
        test,
        tuple(meta["classes"]),
        tuple(meta["notes"]),
    )


def map_file(path: Path, shape: tuple[int, ...]) -> Array:
    """The bytes of a file as an array that may be larger than memory; writing to it changes a copy,
    never the file.

    `numpy.memmap` cannot do this: Linux refuses a copy-on-write mapping larger than memory unless
    told not to reserve any.
    """
    with path.open("rb") as file:
        memory = mmap.mmap(
            file.fileno(),
            0,
            flags=mmap.MAP_PRIVATE | NO_RESERVE,
            prot=mmap.PROT_READ | mmap.PROT_WRITE,
        )
    return np.ndarray(shape, np.uint8, memory)


def _build(root: Path, files: list[Path], hidden: int, store: Path, options: Options) -> Data:
    store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=store.parent) as scratch:
        raw = Path(scratch, "raw")
        done = Path(scratch, "pixels")
        with raw.open("wb") as file:
            scan = _scan(root, files, file, options)
        orders = assign_splits(scan.digests, 2)
        meta = _meta(scan, orders, hidden, options) | {
            "shape": _write_pixels(raw, done, scan, orders, options)
        }
        done.replace(store.with_suffix(".pixels"))
        data = _assemble(root, store, options, meta)
        Path(scratch, "meta").write_text(json.dumps(meta | {"fingerprint": data.fingerprint}))
        Path(scratch, "meta").replace(store.with_suffix(".json"))
    return data


def _scan(root: Path, files: list[Path], raw: IO[bytes], options: Options) -> Scan:
    scan = Scan()
    nested = any(_class_of(root, path) for path in files)
    for path in files:
        name = _printable(path.relative_to(root))
        try:
            pixels, digest = _read(path, options)
        except Exception as error:
            scan.skipped.append(f"{name} ({_reason(error)})")
            continue
        if nested and not _class_of(root, path):
            raise DalmError(
                f"{root} holds images, such as {name}, beside subfolders; put every image into a "
                "subfolder, its class, or none"
            )
        _check_size(scan, name, pixels)
        scan.coloured |= len(pixels) == 3
        scan.digests.append(digest)
        scan.labels.append(_class_of(root, path))
        raw.write(np.broadcast_to(pixels, scan.shape).tobytes())
    if not scan.digests:
        tried = (
            f"; of {len(files)} files none could be read: {', '.join(scan.skipped[:5])}"
            if files
            else ""
        )
        raise DalmError(f"there are no images in the folder {root}{tried}")
    return scan


def _read(path: Path, options: Options) -> tuple[Array, bytes]:
    if not path.is_file():
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        pixels = read_image(file, options.grey, options.size)
        file.seek(0)
        return pixels, hashlib.file_digest(file, lambda: content_hasher(options.seed)).digest()


def _reason(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image"
    return str(error).partition("\n")[0] or type(error).__name__


def _check_size(scan: Scan, name: str, pixels: Array) -> None:
    scan.first = scan.first or name
    scan.shape = scan.shape or (3, *pixels.shape[1:])
    if pixels.shape[1:] != scan.shape[1:]:
        (height, width) = scan.shape[1:]
        (h, w) = pixels.shape[1:]
        sizes = f"{scan.first} is {width}×{height} and {name} is {w}×{h}"
        raise DalmError(
            f"the images have different sizes: {sizes}; give a size for all, such as "
            f"size={min(height, width, h, w)}"
        )


def _write_pixels(
    raw: Path, done: Path, scan: Scan, orders: list[Array], options: Options
) -> tuple[int, ...]:
    rows = np.memmap(raw, np.uint8, "r", shape=(len(scan.digests), *scan.shape))
    channels = 3 if scan.coloured else 1
    with done.open("wb") as file:
        for order in orders:
            for block in reduce_levels(_blocks(rows[:, :channels], order), 256, options):
                file.write(block.tobytes())
    return (len(rows), channels, *scan.shape[1:])


def _blocks(rows: Array, order: Array) -> Iterator[Array]:
    return (rows[order[b]] for b in blocks_of(len(order), rows[0].nbytes))


def _meta(scan: Scan, orders: list[Array], hidden: int, options: Options) -> dict[str, Any]:
    classes = sorted(set(scan.labels) - {""})
    code = {name: k for k, name in enumerate(classes or [""])}
    labels = [code[scan.labels[i]] for i in np.concatenate(orders)]
    notes = [content_note("files' bytes", 2, options), RULES]
    if scan.skipped:
        notes.append(
            f"Left out because they could not be read as images ({len(scan.skipped)}): "
            f"{', '.join(scan.skipped)}."
        )
    if hidden:
        notes.append(f"Not looked at because the name starts with a dot ({hidden}).")
    notes += [] if scan.coloured else ["All images are grey, in one channel."]
    return {
        "counts": [len(o) for o in orders],
        "labels": labels,
        "classes": classes,
        "notes": notes + options.describe(256),
    }
