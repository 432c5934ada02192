"""What lies below a folder of images, and what its subfolders say: classes, or splits and then
classes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dalm.data.dataset import SPLIT_NAMES, Array
from dalm.data.hashes import Hashes
from dalm.data.splits import Dealt, deal_images
from dalm.errors import DalmError

SPELLED = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders that are splits, whatever their case."""


def list_files(root: Path) -> tuple[list[Path], int]:
    """All files below `root`, sorted, and how many hidden names were passed over. Links to folders
    are followed, each folder once; a link to one that is read already counts as a file that cannot
    be read.
    """
    files = []
    hidden = 0
    seen = {os.path.realpath(root)}
    for where, folders, names in os.walk(root, onerror=_raise, followlinks=True):
        hidden += sum(map(_is_hidden, folders + names))
        again = []
        for name in sorted(filter(_is_shown, folders)):
            place = os.path.realpath(os.path.join(where, name))
            if place in seen or os.path.realpath(root).startswith(place + os.sep):
                again.append(name)
            seen.add(place)
        folders[:] = sorted(name for name in filter(_is_shown, folders) if name not in again)
        files += [Path(where, name) for name in sorted([*filter(_is_shown, names), *again])]
    return files, hidden


def _is_shown(name: str) -> bool:
    return not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _raise(error: OSError) -> None:
    raise error


class Place(NamedTuple):
    """Where a file lies: in which split, if folders say so, and in which class."""

    split: str
    label: str


def places(root: Path, files: Sequence[Path]) -> list[Place]:
    """The place of each file. Folders are splits where all of them are named so, train among them.

    Args:
        root: the folder.
        files: all below it.

    Raises:
        DalmError: folders are named like splits, and none is train, or there are others.

    >>> places(Path("/d"), [Path("/d/Train/cat/1.png"), Path("/d/Test/2.png")])
    [Place(split='train', label='cat'), Place(split='test', label='')]
    >>> places(Path("/d"), [Path("/d/cat/1.png")])
    [Place(split='', label='cat')]
    """
    inside = [[printable(part) for part in path.relative_to(root).parts[:-1]] for path in files]
    first = {parts[0] for parts in inside if parts}
    splits = {SPELLED.get(name.lower(), "") for name in first}
    if "train" in splits and len(splits - {""}) > 1 and "" in splits:
        others = sorted(name for name in first if name.lower() not in SPELLED)
        raise DalmError(
            f"{root} has subfolders that are named like splits, and others ({', '.join(others)}); "
            "move the others away, or rename the splits if they are classes"
        )
    if "" in splits or not first or (len(first) == 1 and splits != {"train"}):
        return [Place("", parts[0] if parts else "") for parts in inside]
    if "train" not in splits:
        raise DalmError(
            f"the subfolders of {root} are named like splits ({', '.join(sorted(first))}), and "
            "none is train; name one train, or give the folder above the classes"
        )
    return [_split_place(parts) for parts in inside]


def _split_place(parts: list[str]) -> Place:
    if not parts:
        return Place("", "")
    return Place(SPELLED[parts[0].lower()], parts[1] if len(parts) > 1 else "")


def printable(name: str | Path) -> str:
    """A name as text, whatever bytes it has."""
    return os.fsencode(name).decode(errors="backslashreplace")


def deal_places(hashes: Hashes, rows: Sequence[Place], seed: int) -> Dealt:
    """Deal images as folders say, and by their pixels what they leave open.

    Args:
        hashes: of the pixels of each image.
        rows: its place.
        seed: key of the hashes.

    Raises:
        DalmError: a part would be empty.
    """
    labels = np.array([row.label for row in rows])
    given = {name: _where(rows, name) for name in SPLIT_NAMES}
    lacking = [name for name in ("val", "test") if not len(given[name])]
    if len(lacking) == 2:
        dealt = deal_images(hashes, 2, seed, labels)
        alone = ["The folder train holds all images, so it is no class."] * (
            len(given["train"]) > 0
        )
        return Dealt(dealt.parts, [*dealt.notes, *alone])
    if not lacking:
        note = "Split as the folders are named: train, val, test."
        return Dealt([given[name] for name in SPLIT_NAMES], [note])
    train = given["train"]
    dealt = deal_images(hashes[train], 1, seed, labels[train])
    parts = dict(zip(("train", *lacking), (train[part] for part in dealt.parts), strict=True))
    [kept] = {"val", "test"} - set(lacking)
    note = f"{kept.capitalize()} as the folder is named; {lacking[0]} is a part of train."
    return Dealt([parts.get(name, given[name]) for name in SPLIT_NAMES], [note, *dealt.notes])


def _where(rows: Sequence[Place], name: str) -> Array:
    return np.flatnonzero([row.split == name for row in rows])
