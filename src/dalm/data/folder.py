"""A folder of images, decoded once into a cache.

Subfolders are classes, or splits and then classes; a folder without subfolders has none. Files and
folders whose name starts with a dot are not looked at. Every other file is tried, whatever its
name, and what cannot be read is listed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dalm.data.cache import IMAGE_LEVELS, CacheEntry, Decoded, cache_entry
from dalm.data.checks import copies_said
from dalm.data.dataset import Array, Data, blocks_of
from dalm.data.hashes import content_hasher
from dalm.data.images import RULES, Facts, facts, read_image
from dalm.data.labels import in_order
from dalm.data.levels import reduce_levels
from dalm.data.options import ImageOptions
from dalm.data.reading import few
from dalm.data.source import Source, existing_path
from dalm.data.splits import Dealt
from dalm.data.subfolders import Place, deal_places, list_files, places, printable
from dalm.errors import DalmError

LISTED = 10
"""Names that are listed, of those that have something in common."""
HEIC = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
"""Brands of a format that Pillow does not read by itself."""


def load_folder(root: Path, options: ImageOptions) -> Data:
    """The images of a folder, (C, H, W) uint8.

    Args:
        root: the folder.
        options: what is done to them, and where the cache lies.

    Raises:
        DalmError: if there are no images, too few, or of different sizes without `size`; if files
            lie beside class folders, or folders are named like splits and none is train; if the
            cache cannot be written.

    >>> import PIL.Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(20):
    ...         PIL.Image.new("L", (8, 8), i).save(Path(folder) / f"{i}.png")
    ...     data = load_folder(Path(folder), ImageOptions(cache=Path(folder) / ".cache"))
    >>> data.spec
    Spec(shape=(1, 8, 8), levels=256, classes=0)
    """
    options.levels_from(IMAGE_LEVELS)  # refuses too many levels before the long work of decoding
    root = root.resolve()
    try:
        files, hidden = list_files(root)
        places(root, files)  # refuses a layout before the long work of decoding
        entry = cache_entry(root, files, options)
        return entry.open() or _build(entry, files, hidden)
    except OSError as error:
        raise DalmError(
            f"the folder {root} could not be read into a cache: {error}. $DALM_CACHE says where "
            "the cache lies"
        ) from error


def _build(entry: CacheEntry, files: list[Path], hidden: int) -> Data:
    cache = entry.stem.parent
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=cache) as scratch:
        raw = Path(scratch, "raw")
        with raw.open("wb") as file:
            scan = scan_images(entry.root, files, file, entry.options)
        hashes = np.array(scan.hashes, np.uint64)
        dealt = deal_places(hashes, scan.places, entry.options.seed)
        pixels = Path(scratch, "pixels")
        shape = _write_pixels(raw, pixels, scan, dealt.parts, entry.options)
        decoded = _describe(scan, shape, dealt, hidden, entry.options)
        return entry.publish(pixels, decoded)


def read_folder(root: Path, options: ImageOptions) -> tuple[Array, list[str]]:
    """All images of a folder in the order of their names, (N, C, H, W), and the class of each, ""
    where it has none.

    Args:
        root: the folder.
        options: what is done to them.

    Raises:
        DalmError: as `load_folder`, but that few are enough.
    """
    files, _ = list_files(root)
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch, "raw")
        pixels = Path(scratch, "pixels")
        with raw.open("wb") as file:
            scan = scan_images(root, files, file, options)
        shape = _write_pixels(raw, pixels, scan, [np.arange(len(scan.hashes))], options)
        return np.fromfile(pixels, np.uint8).reshape(shape), [place.label for place in scan.places]


@dataclass
class Scan:
    """What reading the files found; their pixels went into a scratch file.

    Args:
        shape: (3, H, W) of each row in the scratch file.
        first: the name of the first image.
        coloured: whether any image has colours.
        hashes: of each image's pixels.
        places: the split and the class of each image, as far as folders say them.
        paged: files that hold several pictures.
        largest: the largest value of 16-bit grey, 0 where there is none.
        skipped: what could not be read, with the reason.
    """

    shape: tuple[int, ...] = ()
    first: str = ""
    coloured: bool = False
    hashes: list[int] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    paged: list[str] = field(default_factory=list)
    largest: int = 0
    skipped: list[str] = field(default_factory=list)


def scan_images(root: Path, files: list[Path], raw: BinaryIO, options: ImageOptions) -> Scan:
    """Read every file that is an image.

    Args:
        root: the folder.
        files: what is in it.
        raw: where the pixels go, three channels for each image.
        options: what is done to them.

    Raises:
        DalmError: if there are no images, they differ in size, or some lie beside class folders.
    """
    scan = Scan()
    found = places(root, files)
    has_classes = any(place.label for place in found)
    has_splits = any(place.split for place in found)
    for path, place in zip(files, found, strict=True):
        name = printable(path.relative_to(root))
        try:
            pixels, digest, known = _read(path, options)
        except Exception as error:  # a damaged image can make a decoder raise anything
            scan.skipped.append(f"{name} ({_reason(error)})")
            continue
        if (has_classes and not place.label) or (has_splits and not place.split):
            raise DalmError(
                f"{root} holds images, such as {name}, beside subfolders; put every image into a "
                "subfolder, its split or class, or none"
            )
        _check_size(scan, name, pixels)
        scan.coloured |= len(pixels) == 3
        scan.hashes.append(digest)
        scan.places.append(place)
        scan.paged += [name] * known.several
        scan.largest = max(scan.largest, known.largest)
        raw.write(np.broadcast_to(pixels, scan.shape).tobytes())

    if not scan.hashes:
        raise DalmError(f"there are no images in the folder {root}{_tried(scan, files)}")
    return scan


def _tried(scan: Scan, files: list[Path]) -> str:
    if not files:
        return ""
    return f"; of {len(files)} files none could be read: {', '.join(scan.skipped[:5])}"


def _read(path: Path, options: ImageOptions) -> tuple[Array, int, Facts]:
    """The pixels of an image, their digest, and what else is to be known of the file."""
    if not path.is_file():
        raise ValueError("a folder that is read already" if path.is_dir() else "not a regular file")
    with path.open("rb") as file:
        if file.read(12)[4:] in [b"ftyp" + brand for brand in HEIC]:
            raise ValueError("HEIC; convert it to PNG or JPEG")
        file.seek(0)
        known = facts(file)
        file.seek(0)
        pixels = read_image(file, options.grey, options.size, options.white)
    hasher = content_hasher(options.seed)
    colours = np.broadcast_to(pixels, (3, *pixels.shape[1:]))  # a grey image may be saved so
    hasher.update(str(colours.shape).encode() + colours.tobytes())
    return pixels, int.from_bytes(hasher.digest(), "big"), known


def _reason(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image"
    return str(error).partition("\n")[0] or type(error).__name__


def _check_size(scan: Scan, name: str, pixels: Array) -> None:
    scan.first = scan.first or name
    scan.shape = scan.shape or (3, *pixels.shape[1:])
    if pixels.shape[1:] == scan.shape[1:]:
        return
    _, first_height, first_width = scan.shape
    _, height, width = pixels.shape
    side = min(first_height, first_width, height, width)
    raise DalmError(
        f"the images have different sizes: {scan.first} is {first_width}×{first_height} and {name} "
        f"is {width}×{height}; give a size for all, such as "
        f"size={side} (--size {side})"
    )


def _write_pixels(
    raw: Path, pixels: Path, scan: Scan, orders: list[Array], options: ImageOptions
) -> tuple[int, ...]:
    """The scratch file's rows, split by split and reduced, into a file of this shape."""
    rows = np.memmap(raw, np.uint8, "r", shape=(len(scan.hashes), *scan.shape))
    channels = 3 if scan.coloured else 1
    with pixels.open("wb") as file:
        for order in orders:
            blocks = _in_order(rows[:, :channels], order)
            for block in reduce_levels(blocks, IMAGE_LEVELS, options):
                file.write(block.tobytes())
    return (len(rows), channels, *scan.shape[1:])


def _in_order(rows: Array, order: Array) -> Iterator[Array]:
    return (rows[order[block]] for block in blocks_of(len(order), rows[0].nbytes))


def _describe(
    scan: Scan, shape: tuple[int, ...], dealt: Dealt, hidden: int, options: ImageOptions
) -> Decoded:
    classes = in_order(sorted({place.label for place in scan.places} - {""}))
    number_of = {name: number for number, name in enumerate(classes or [""])}
    labels = [number_of[scan.places[row].label] for row in np.concatenate(dealt.parts)]
    counts = [len(order) for order in dealt.parts]
    notes = [*dealt.notes, *_notes(scan, hidden, options)]
    hashes = np.array(scan.hashes, np.uint64)
    copies = copies_said([hashes[part] for part in dealt.parts], "image")
    return Decoded(shape, counts, labels, classes, notes, copies)


def _notes(scan: Scan, hidden: int, options: ImageOptions) -> list[str]:
    notes = [RULES.format(white=options.white)]
    if 0 < 2 * scan.largest <= options.white:
        notes.append(
            f"16-bit pixels go up to {scan.largest:,} only, so they are dark and have few levels; "
            f"white={scan.largest} (--white {scan.largest}) makes that value white."
        )
    if scan.skipped:
        notes.append(
            f"Left out because they could not be read as images ({len(scan.skipped):,}): "
            f"{few(scan.skipped, most=LISTED)}."
        )
    if scan.paged:
        notes.append(
            f"Of files with several pages or frames ({len(scan.paged):,}) the first counts: "
            f"{few(scan.paged, most=LISTED)}."
        )
    if hidden:
        notes.append(f"Not looked at because the name starts with a dot ({hidden}).")
    if not scan.coloured:
        notes.append("All images are grey, in one channel.")
    return notes + options.notes(IMAGE_LEVELS)


def is_folder(value: object) -> bool:
    """Whether a value names a folder that is there."""
    path = existing_path(value)
    return path is not None and path.is_dir()


def _load(value: str | Path, options: ImageOptions) -> Data:
    return load_folder(Path(value), options)


IMAGE_FOLDER = Source(
    "a folder of images",
    "a folder of images, whose subfolders are classes",
    ImageOptions,
    matches=is_folder,
    load=_load,
)
