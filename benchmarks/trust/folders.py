"""Labels and folders of files: what becomes a class, a split, a datum, and what is said of it.

Each function makes a row. `python -m trust.folders` in `benchmarks/` prints them.
"""

from __future__ import annotations

import functools
import json
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

import dalm
from dalm.data import Data, load_data
from dalm.errors import DalmError
from trust.rows import Json, answer, quietly, rng, said, shell

STILL: Json = {"progress": False}
FOREIGN = 3000


def _pictures(folder: Path, count: int, seed: int, ending: str = "png") -> None:
    """Random grey pictures, those of a seed always the same."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, pixels in enumerate(rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)):
        PIL.Image.fromarray(pixels).save(folder / f"{seed}-{place:03}.{ending}")


def _loaded(folder: Path, **options: Any) -> Data | str:
    """The data of a folder, or the words of the error."""
    try:
        return load_data(folder, cache=folder.with_name("cache"), **options)
    except DalmError as error:
        return str(error).replace(str(folder.parent), "")


def _told(data: Data) -> str:
    """All that is said of data, but for how they were split."""
    return " ".join([*data.notes[1:], *data.warnings])


def class_by_label() -> Json:
    """J1: labels {1, 2}: what `--class 1` draws, and what is saved as its label."""
    y = rng().integers(1, 3, 300)
    x = 20 * y[:, None] + rng(1).normal(size=(300, 2))
    with quietly() as folder:
        np.savez(folder / "data.npz", x=x, y=y)
        shell("fit discriminant data.npz --out run", folder)
        ended = shell("sample run -n 8 --class 1 --out drawn.npz", folder)
        refused = said(shell("sample run -n 8 --class 0 --out none.npz", folder))
        if ended.returncode:
            return answer("J1", "draws label 2", said(ended), "label 1", False)
        drawn = np.load(folder / "drawn.npz")
    labels = sorted({*drawn["y"].tolist()})
    now = f"x about {drawn['x'].mean():.1f}, saved as {labels}; --class 0: {refused}"
    ok = abs(drawn["x"].mean() - 20) < 2 and labels == [1] and "1, 2" in refused
    return answer("J1", "draws label 2, saves the index", now, "about 20, [1]", ok)


def numbered_folders() -> Json:
    """J1: folders 0 … 11 are in numeric order, and `--class 2` draws folder 2."""
    with quietly() as folder:
        for name in range(12):
            (folder / "data" / str(name)).mkdir(parents=True)
            for place in range(10):
                grey = 20 * name + rng(100 * name + place).integers(0, 9, (4, 4))
                image = PIL.Image.fromarray(grey.astype(np.uint8))
                image.save(folder / "data" / str(name) / f"{place}.png")
        data = load_data(folder / "data", cache=folder / "cache")
        run = dalm.fit("kde", data, out=folder / "run", conditional=True, seconds=2, **STILL)
        drawn = np.asarray(dalm.sample(run, 20, label=2)).mean()
    now = f"classes {', '.join(data.classes)}; --class 2 is grey {drawn:.0f}"
    ok = data.classes == tuple(map(str, range(12))) and abs(drawn - 44) < 10
    return answer("J1", "sorted as text; --class 2 draws folder 10", now, "0 … 11; grey 44", ok)


def class_by_name() -> Json:
    """J1: `--class dog`, and the error for a class that is not there."""
    with quietly() as folder:
        for seed, name in enumerate(("cat", "dog")):
            _pictures(folder / "data" / name, 20, seed)
        shell("fit vae data --conditional --steps 2 --out run", folder)
        drawn = shell("sample run -n 3 --class dog --out drawn.npz", folder)
        saved = np.load(folder / "drawn.npz")["y"].tolist() if not drawn.returncode else said(drawn)
        refused = said(shell("sample run --class cow --out none.npz", folder))
    ok = saved == ["dog"] * 3 and "'cow'" in refused and "cat, dog" in refused
    return answer("J1", "refused; errors name a number", f"{saved}; {refused}", "dog, by name", ok)


def forms_of_labels() -> Json:
    """J1: whole floats, a column, one-hot rows: taken, and said."""
    x, y = rng().normal(size=(200, 2)), rng(1).integers(1, 3, 200)
    forms = {"floats": y.astype(float), "(N, 1)": y[:, None], "one-hot": np.eye(2)[y - 1]}
    signs = {"floats": "whole", "(N, 1)": "column", "one-hot": "one-hot"}
    found = {}
    for name, labels in forms.items():
        try:
            data = load_data(x, labels)
            found[name] = f"{len(data.classes)} classes, said: {signs[name] in _told(data)}"
        except DalmError as error:
            found[name] = str(error)[:60]
    ok = set(found.values()) == {"2 classes, said: True"}
    return answer("J1", "refused", found, "2 classes, said", ok)


def equal_pixels() -> Json:
    """J2: each picture as PNG and as BMP: on one side, and said on screen, page and verdict."""
    with quietly() as folder:
        for ending in ("png", "bmp"):
            _pictures(folder / "data", 100, 0, ending)
        data = load_data(folder / "data", cache=folder / "cache")
        ended = shell("compare data --families gaussian --seconds 1 --out board", folder)
        page = (folder / "board" / "report.html").read_text()
    rows = [{row.numpy().tobytes() for row in split.x} for split in (data.train, data.test)]
    sign = r"(\d[^.]*(repeat|equal|duplicate|copies|twice)|(repeat|duplicate|copies|twice)[^.]*\d)"
    told = [words for words in (*data.notes[1:], *data.warnings) if re.search(sign, words)]
    places = {"screen": ended.stdout + ended.stderr, "page": page}
    heard = [name for name, text in places.items() if any(words[:40] in text for words in told)]
    now = f"{len(rows[0] & rows[1])} straddle; said: {told or 'nowhere'}, on {heard}"
    ok = not rows[0] & rows[1] and len(heard) == 2 and bool({*told} & {*data.warnings})
    return answer("J2", "88 % straddle, a note in JSON", now, "none; said on all", ok)


def split_folders(*names: str) -> Json:
    """J3: folders named like splits, each with two classes inside.

    Args:
        *names: of the folders, the training rows first.
    """
    with quietly() as folder:
        for place, name in enumerate(names):
            for seed, label in enumerate(("cat", "dog")):
                count = 30 if place == 0 else 10
                _pictures(folder / "data" / name / label, count, 2 * place + seed)
        data = _loaded(folder / "data")
    before = "become classes, or are refused"
    if isinstance(data, str):
        return answer("J3", before, f"{', '.join(names)}: {data}", "given splits", False)
    sizes = [len(split) for split in (data.train, data.val, data.test)]
    right = {1: sum(sizes) == 60, 2: sizes[2] == 20, 3: sizes == [60, 20, 20]}[len(names)]
    told = "folder" in " ".join(data.notes)
    now = f"{', '.join(names)}: {sizes}, classes {', '.join(data.classes)}, said: {told}"
    ok = right and told and data.classes == ("cat", "dog")
    return answer("J3", before, now, "given splits, cat and dog, said", ok)


def bare_train_folder() -> Json:
    """J3: a lone `train/` of pictures is no class."""
    with quietly() as folder:
        _pictures(folder / "data" / "train", 30, 0)
        data = _loaded(folder / "data")
    now = data if isinstance(data, str) else f"classes {data.classes}, {len(data.train)} train"
    ok = isinstance(data, Data) and not data.classes
    return answer("J3", "one class, train", now, "no class", ok)


def ten_bits() -> Json:
    """J4: ten-bit values in sixteen-bit files: said, and scaled by the real range on request."""
    with quietly() as folder:
        (folder / "data").mkdir()
        for place, pixels in enumerate(rng().integers(0, 1024, (40, 8, 8), dtype=np.uint16)):
            PIL.Image.fromarray(pixels).save(folder / "data" / f"{place}.png")
        plain = _loaded(folder / "data")
        told = "" if isinstance(plain, str) else _told(plain)
        advice = {name: int(value) for name, value in re.findall(r"\b([a-z]+)=(\d+)", told)}
        scaled = _loaded(folder / "data", **advice)
    if isinstance(plain, str) or isinstance(scaled, str):
        return answer("J4", "not a word", f"{plain} {scaled}", "said; an option", False)
    kinds = [len(np.unique(data.train.x)) for data in (plain, scaled)]
    found = re.search(r"[^.]*(1,?02[34]|10.bit|ten.bit)[^.]*", told)
    now = f"{kinds[0]} levels; said: {found and found[0].strip()}; followed: {kinds[1]} levels"
    ok = found is not None and kinds[1] > 200
    return answer("J4", "a handful of levels, not a word", now, "said; 256 by an option", ok)


def pages_and_frames() -> Json:
    """J5: a TIFF of three pages and a GIF of three frames: more than one is said or read."""
    with quietly() as folder:
        _pictures(folder / "data", 20, 0)
        first, *rest = (PIL.Image.fromarray(p) for p in rng(1).integers(0, 9, (3, 8, 8), np.uint8))
        for ending in ("tiff", "gif"):
            first.save(folder / "data" / f"many.{ending}", save_all=True, append_images=rest)
        data = _loaded(folder / "data")
    if isinstance(data, str):
        return answer("J5", "the first frame, unsaid", data, "said", False)
    told = re.findall(r"[^.:]*\b(?:pages?|frames?)\b[^.]*", _told(data))
    count = sum(map(len, (data.train, data.val, data.test)))
    ok = bool(told) or count == 26
    return answer("J5", "the first frame, unsaid", f"{count} images; said: {told}", "said", ok)


def linked_class() -> Json:
    """J5: a class folder that is a symbolic link."""
    with quietly() as folder:
        _pictures(folder / "elsewhere", 20, 0)
        _pictures(folder / "data" / "b", 20, 1)
        os.symlink(folder / "elsewhere", folder / "data" / "a")
        data = _loaded(folder / "data")
    if isinstance(data, str):
        return answer("J5", "dropped whole", data, "a, b", False)
    now = f"classes {', '.join(data.classes)}; {len(data.train)} train"
    ok = data.classes == ("a", "b") and len(data.train) == 32
    return answer("J5", "dropped whole", now, "a, b; 32 train", ok)


def heic() -> Json:
    """J5: a HEIC file: what it is, and what reads it."""
    with quietly() as folder:
        _pictures(folder / "data", 20, 0)
        start = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
        (folder / "data" / "photo.heic").write_bytes(start + bytes(200))
        data = _loaded(folder / "data")
    told = data if isinstance(data, str) else _told(data)
    found = re.search(r"photo\.heic[^.]*", told)
    now = found[0] if found else "nothing"
    ok = "HEI" in now and re.search(r"pillow.heif|convert|JPEG|PNG", told) is not None
    return answer("J5", "not an image", now, "what it is and what reads it", ok)


def foreign_files() -> Json:
    """J5: thousands of files that are no pictures, beside pictures."""
    with quietly() as folder:
        _pictures(folder / "data", 20, 0)
        for place in range(FOREIGN):
            (folder / "data" / f"foreign{place}.txt").write_text("x")
        data = _loaded(folder / "data")
    told = data if isinstance(data, str) else _told(data)
    counted = f"{FOREIGN:,}" in told or str(FOREIGN) in told
    now = f"{len(told):,} characters; the count is said: {counted}"
    ok = counted and len(told) < 1000
    return answer("J5", "186 kB of names", now, "a few names, the count", ok)


def zip_of_pictures() -> Json:
    """J5: a zip of pictures: read, or refused in a line that says what to do."""
    with quietly() as folder:
        _pictures(folder / "data", 300, 0)
        with zipfile.ZipFile(folder / "data.zip", "w") as bundle:
            for path in (folder / "data").iterdir():
                bundle.write(path, path.name)
        data = _loaded(folder / "data.zip")
    now = data if isinstance(data, str) else repr(data)
    ok = isinstance(data, Data) or ("unpack" in data and len(data) < 300)
    return answer("J5", "every member is listed", now, "unpack it, or read", ok)


ROWS: tuple[Callable[[], Json], ...] = (
    class_by_label,
    numbered_folders,
    class_by_name,
    forms_of_labels,
    equal_pixels,
    functools.partial(split_folders, "train", "val", "test"),
    functools.partial(split_folders, "Train", "valid", "testing"),
    functools.partial(split_folders, "training", "testing"),
    functools.partial(split_folders, "train"),
    bare_train_folder,
    ten_bits,
    pages_and_frames,
    linked_class,
    heic,
    foreign_files,
    zip_of_pictures,
)


if __name__ == "__main__":
    for row in ROWS:
        print(json.dumps(row(), ensure_ascii=False), flush=True)
