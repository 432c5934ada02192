"""Folders laid out like MNIST's: `train-images…`, `t10k-images…` and the labels beside them, all
IDX files, gzipped or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dalm.data.arrays import from_arrays
from dalm.data.dataset import Array, Data
from dalm.data.idx import read_idx
from dalm.data.options import ImageOptions
from dalm.data.reading import decoding
from dalm.data.source import Source, existing_path

PREFIXES = {"x_train": "train", "x_test": "t10k"}


def find_images(folder: Path) -> dict[str, Path] | None:
    """The files of images as x_train and x_test, or `None` if the folder is not laid out so.

    >>> find_images(Path("no/such/folder"))
    """
    images = {}
    for name, prefix in PREFIXES.items():
        files = [path for path in sorted(folder.glob(f"{prefix}-images*")) if path.is_file()]
        if not files:
            return None
        images[name] = files[0]
    return images


def labels_beside(path: Path) -> Path | None:
    """The file of labels that belongs to a file of images by MNIST's naming, if there is one."""
    name = path.name.removesuffix(".gz")
    labels_name = name.replace("images", "labels").replace("idx3", "idx1")
    if labels_name == name:
        return None
    candidates = [path.with_name(labels_name + suffix) for suffix in ("", ".gz")]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def read_with_labels(images: Mapping[str, Path]) -> dict[str, Array]:
    """The arrays in files of images `x…`, and the labels beside them as `y…`."""
    arrays = {name: read_idx(path) for name, path in images.items()}
    for name, path in images.items():
        if labels := labels_beside(path):
            arrays[name.replace("x", "y")] = read_idx(labels)
    return arrays


def is_mnist_folder(value: object) -> bool:
    """Whether a value names a folder laid out like MNIST's."""
    path = existing_path(value)
    return path is not None and path.is_dir() and find_images(path) is not None


def _load(value: str | Path, options: ImageOptions) -> Data:
    path = Path(value).resolve()
    with decoding(path):
        arrays = read_with_labels(find_images(path) or {})
    return from_arrays(path.name.partition(".")[0], str(path), arrays, options)


MNIST_FOLDER = Source(
    "a folder laid out like MNIST's",
    "a folder laid out like MNIST's (train-images…, t10k-images… and their labels)",
    ImageOptions,
    matches=is_mnist_folder,
    load=_load,
)
