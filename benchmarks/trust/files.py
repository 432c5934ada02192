"""Labels, files and shells: what people bring is taken as they mean it, and said in their words."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import PROGRAM
from PIL import Image

import dalm
from dalm.data import load_data
from dalm.errors import DalmError
from trust.rows import Json, answer, quietly, rng, said, shell


def pictures(folder: Path, count: int, seed: int = 0, ending: str = "png") -> None:
    """Random pictures in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, pixels in enumerate(rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{seed}-{place}.{ending}")


def labels() -> Json:
    """J1: labels {1, 2}, folders 0 … 11, a word, whole floats, one-hot and a column."""
    x = rng().normal(size=(200, 2))
    y = rng().integers(1, 3, 200)
    kinds = [y, y.astype(float), y[:, None], np.eye(2)[y - 1]]
    counts = [len(load_data(x, kind).classes) for kind in kinds]
    with quietly() as folder:
        np.savez(folder / "d.npz", x=x, y=np.where(y == 1, "cat", "dog"))
        shell("fit discriminant d.npz --out run", folder)
        shell("sample run --class dog --out x.npz -n 5", folder)
        with np.load(folder / "x.npz") as stored:
            saved = set(stored["y"].tolist())
        refused = said(shell("sample run --class cow --out y.npz", folder))
        for name in range(12):
            pictures(folder / "folders" / str(name), 5, name)
        order = load_data(folder / "folders").classes
    now = f"classes {load_data(x, y).classes}, drawn {saved}; cow: {refused[:60]}"
    ok = load_data(x, y).classes == ("1", "2") and saved == {"dog"} and set(counts) == {2}
    ok = ok and order == tuple(str(name) for name in range(12)) and "cat" in refused
    return answer(
        "J1", "--class 1 draws label 2; dog is refused", now, "as the user wrote them", ok
    )


def equal_pixels() -> Json:
    """J2: the same pixels in files of two formats."""
    with quietly() as folder:
        pictures(folder / "d", 60)
        pictures(folder / "d", 60, ending="bmp")
        data = load_data(folder / "d")
    train = {row.numpy().tobytes() for row in data.train.x}
    across = float(np.mean([row.numpy().tobytes() in train for row in data.test.x]))
    told = any("equal" in words or "same" in words for words in (*data.notes, *data.warnings))
    now = f"{across:.0%} of test rows equal a training row; said: {told}"
    return answer("J2", "88 %", now, "0 %", across == 0 and told)


def split_folders() -> Json:
    """J3: folders named Train, valid and testing."""
    with quietly() as folder:
        for seed, name in enumerate(("Train", "valid", "testing")):
            for y in ("cat", "dog"):
                pictures(folder / "d" / name / y, 10, 2 * seed + (y == "dog"))
        data = load_data(folder / "d")
    sizes = [len(split) for split in (data.train, data.val, data.test)]
    now = f"{sizes} rows, classes {data.classes}"
    ok = sizes == [20, 20, 20] and data.classes == ("cat", "dog")
    return answer("J3", "they become classes, or are refused", now, "given splits", ok)


def ten_bits() -> Json:
    """J4: values of ten bits in an array of sixteen."""
    data = load_data(rng().integers(0, 1024, (100, 8, 8), dtype=np.uint16))
    told = [note for note in data.notes if "1023" in note or "1,023" in note or "largest" in note]
    now = f"{data.spec.levels} levels; {told[0] if told else 'not a word'}"
    return answer("J4", "a handful of levels, not a word", now, "1024, or said", bool(told))


def odd_files() -> Json:
    """J5: pages of a TIFF, a linked folder, HEIC, a thousand foreign files, a zip of pictures."""
    heard = {}
    with quietly() as folder:
        pictures(folder / "d", 30)
        frames = [Image.fromarray(p) for p in rng(9).integers(0, 256, (3, 8, 8), dtype=np.uint8)]
        frames[0].save(folder / "d" / "pages.tiff", save_all=True, append_images=frames[1:])
        (folder / "d" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
        for place in range(1000):
            (folder / "d" / f"{place}.txt").touch()
        notes = " ".join(load_data(folder / "d").notes)
        heard["pages"] = "page" in notes or "frame" in notes
        heard["HEIC"] = "heic" in notes.lower()
        heard["foreign files in few words"] = len(notes) < 3000
        pictures(folder / "elsewhere", 20, 3)
        (folder / "e" / "a").mkdir(parents=True)
        pictures(folder / "e" / "a", 20, 4)
        (folder / "e" / "b").symlink_to(folder / "elsewhere")
        heard["linked class"] = load_data(folder / "e").classes == ("a", "b")
        import shutil

        shutil.make_archive(str(folder / "z"), "zip", folder / "elsewhere")
        heard["zip"] = len(_refusal(folder / "z.zip")) < 400
    missed = [name for name, ok in heard.items() if not ok]
    now = f"not: {', '.join(missed) or 'none'}"
    return answer("J5", "unsaid, dropped, 186 kB of names", now, "said in few words", not missed)


def _refusal(source: Any, **options: Any) -> str:
    try:
        load_data(source, **options)
    except DalmError as error:
        return str(error)
    return ""


def encodings() -> Json:
    """J8: a scoreboard where only ASCII or Latin-1 can be printed."""
    found = []
    with quietly() as folder:
        for encoding in ("ascii", "latin-1"):
            more = {"env": {**os.environ, "PYTHONIOENCODING": encoding}}
            words = f"compare moons --families gaussian --out {encoding}"
            found.append(shell(words, folder, **more, encoding=encoding))
    ok = all(one.returncode == 0 and "Traceback" not in one.stderr for one in found)
    return answer("J8", "a traceback", [one.returncode for one in found], "printed", ok)


def broken_pipe() -> Json:
    """J8: `dalm --help | head -1`."""
    with quietly() as folder:
        ended = subprocess.run(
            f"{PROGRAM} --help | head -1", shell=True, cwd=folder, capture_output=True, text=True
        )
    now = ended.stderr.strip() or "the first line"
    return answer("J8", "a broken pipe", now, "the first line", not ended.stderr)


def early_stop() -> Json:
    """J8: Ctrl-C in the first second, at ten moments."""
    errors = []
    with quietly() as folder:
        for place in range(10):
            words = [PROGRAM, "fit", "gaussian", "moons", "--out", f"r{place}"]
            process = subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, text=True)
            time.sleep(0.1 * (place + 1))
            process.send_signal(signal.SIGINT)
            errors.append(process.communicate()[1])
    traces = sum("Traceback" in words for words in errors)
    return answer("J8", "a traceback", f"{traces} of 10", "none", traces == 0)


def sizes() -> Json:
    """J8: a covariance that no memory holds, and one of 1.2 GB."""
    with quietly() as folder:
        np.savez(folder / "h.npz", x=rng().integers(0, 256, (20, 3, 512, 512), dtype=np.uint8))
        huge = said(shell("fit gaussian h.npz --out run", folder))
    ok = "out of memory" in huge and "TB" in huge
    return answer("J8", "a traceback", huge, "words, with the size", ok)


def full_disk() -> Json:
    """J8: a disk that is full, here a limit on the size of files."""
    with quietly() as folder:
        np.savez(folder / "i.npz", x=rng().integers(0, 4, (300, 1, 8, 8), dtype=np.uint8))
        command = f"ulimit -f 4; {PROGRAM} fit gaussian i.npz --levels 4 --out run"
        ended = subprocess.run(
            ["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60
        )
    ok = "weights.safetensors" in ended.stderr and "Traceback" not in ended.stderr
    return answer("J8", "names no file", said(ended), "the file", ok)


def collinear() -> Json:
    """J10: a column that others determine."""
    x = rng().normal(size=(1000, 2))
    data = load_data(np.column_stack([x, x.sum(1)]))
    with quietly() as folder:
        run = dalm.fit("gaussian", data, out=folder / "run", progress=False)
        score = dalm.score(run, data)["bits_per_dim"]
    truth = 2 * 0.5 * np.log2(2 * np.pi * np.e) / 3
    ok = abs((score.value or 0) - truth) < 0.15
    return answer("J10", "−3.96 bits/dim", f"{score.value:.2f}", f"{truth:.2f}: 2 of 3 columns", ok)


def lattice() -> Json:
    """J11: floats of [0, 1] on a lattice, a masked array, and classes kept in each split."""
    x = rng().integers(0, 16, (200, 8, 8)) / 15
    levels = load_data(x, levels=16).spec.levels
    warned = any("levels" in words for words in load_data(x).warnings)
    masked = np.ma.masked_array(rng().normal(size=(100, 2)), mask=False)
    masked[3, 1] = np.ma.masked
    refused = "mask" in _refusal(masked)
    y = np.array([0] * 160 + [1] * 40)
    data = load_data(rng().normal(size=(200, 2)), y)
    shares = [split.y.double().mean().item() for split in (data.train, data.val, data.test)]  # type: ignore[union-attr]
    now = f"levels {levels}, warned {warned}, mask {refused}, shares of a class {shares}"
    ok = levels == 16 and warned and refused and max(shares) - min(shares) < 0.06
    return answer("J11", "refused, unremarked, ignored", now, "taken, said, stratified", ok)


def expected() -> Json:
    """J12: --quiet, a temperature, rows scored from the shell, and a folder compressed."""
    heard = {}
    with quietly() as folder:
        np.savez(folder / "i.npz", x=rng().integers(0, 4, (200, 1, 4, 4), dtype=np.uint8))
        ended = shell("fit pixelcnn i.npz --levels 4 --steps 2 --out run --quiet", folder)
        heard["quiet"] = ended.stdout.count("\n") == 1 and not ended.stderr
        ended = shell("sample run --temperature 0.5 --out x.npz", folder)
        heard["temperature"] = ended.returncode == 0
        ended = shell("score run --rows i.npz --out scores.csv", folder)
        heard["rows"] = (folder / "scores.csv").read_text().count("\n") == 201
        pictures(folder / "d", 40)
        shell("fit gaussian d --levels 4 --out flat", folder)
        ended = shell("compress flat d --out d.dalm", folder)
        heard["compress a folder"] = ended.returncode == 0
    missed = [name for name, ok in heard.items() if not ok]
    return answer("J12", "missing", f"not: {', '.join(missed) or 'none'}", "there", not missed)


ROWS: tuple[Callable[[], Json], ...] = (
    labels,
    equal_pixels,
    split_folders,
    ten_bits,
    odd_files,
    encodings,
    broken_pipe,
    early_stop,
    sizes,
    full_disk,
    collinear,
    lattice,
    expected,
)
