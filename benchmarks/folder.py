"""`dalm compare` on a folder of images as people have them: grey, RGBA, palette, 16-bit, damaged,
and files that are no images.

    python benchmarks/folder.py

The folder is made anew each time from a seed: discs and squares of 16×16 pixels in two subfolders,
which are the classes. What the command printed, its exit code and the rows of its scoreboard are
kept. It is bad if a damaged file is not named, or a family has no row.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from common import PROGRAM, Json, arguments, save, table  # isort: skip
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dalm.records import find_score, score_records

SIDE = 16
MODES = ("L", "RGB", "RGBA", "P", "I;16")
BROKEN = ("truncated.png", "empty.png", "text.png", "notes.txt", "table.csv")


def shape(kind: str, random: np.random.Generator) -> NDArray[np.uint8]:
    """A filled disc or square somewhere in the picture, with some noise, (16, 16)."""
    row, column = np.mgrid[:SIDE, :SIDE]
    y, x = random.uniform(5, 11, 2)
    radius = random.uniform(2.5, 5)
    if kind == "discs":
        far = np.hypot(row - y, column - x)
    else:
        far = np.maximum(abs(row - y), abs(column - x))
    grey = np.where(far < radius, random.uniform(150, 255), random.uniform(0, 60))
    noisy = grey + random.normal(0, 4, grey.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def picture(grey: NDArray[np.uint8], mode: str, random: np.random.Generator) -> Image.Image:
    """The same shape in another kind of file."""
    if mode == "L":
        return Image.fromarray(grey)
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    tint = random.uniform(0.5, 1, 3)
    colour = Image.fromarray((grey[..., None] * tint).astype(np.uint8))
    if mode == "RGBA":
        colour.putalpha(Image.fromarray(np.where(grey > 100, 255, 128).astype(np.uint8)))
    return colour.quantize(32) if mode == "P" else colour


def fill(folder: Path, images: int, seed: int) -> Json:
    """Write the folder; returns how many files of each kind there are."""
    random = np.random.default_rng(seed)
    counts = dict.fromkeys(MODES, 0)
    for k in range(images):
        kind = ("discs", "squares")[k % 2]
        mode = MODES[k // 2 % len(MODES)]
        (folder / kind).mkdir(exist_ok=True, parents=True)
        picture(shape(kind, random), mode, random).save(folder / kind / f"{k:04d}.png")
        counts[mode] += 1
    spoil(folder)
    return counts


def spoil(folder: Path) -> None:
    """Add what cannot be read."""
    whole = (folder / "discs" / "0000.png").read_bytes()
    (folder / "discs" / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "discs" / "empty.png").write_bytes(b"")
    (folder / "squares" / "text.png").write_text("not an image")
    (folder / "squares" / "notes.txt").write_text("bought on Tuesday")
    (folder / "table.csv").write_text("a,b\n1,2\n")


def line(row: Json) -> list[object]:
    """What the table shows of a row of the scoreboard."""
    bits = find_score(score_records(row), "bits_per_dim")
    value = bits["value"] if bits else "–"
    return [row["name"], row["likelihood"] or "–", value, row["error"] or ""]


def compare(folder: Path, out: Path, seconds: float, extra: list[str]) -> Json:
    """Run the command: what it printed, how long it took, and the size of its page."""
    budget = ["--seconds", str(seconds), "--out", str(out)]
    words = [PROGRAM, "compare", str(folder), *budget, *filter(None, extra)]
    began = time.perf_counter()
    ended = subprocess.run(words, capture_output=True, text=True)
    page = out / "report.html"
    return {
        "exit": ended.returncode,
        "seconds": time.perf_counter() - began,
        "report_bytes": page.stat().st_size if page.exists() else None,
        "stdout": ended.stdout,
        "stderr": ended.stderr,
    }


def scoreboard(out: Path) -> Json:
    """The comparison's notes and rows; none if it failed before them."""
    path = out / "scoreboard.json"
    return json.loads(path.read_text()) if path.exists() else {"rows": [], "notes": []}


def main() -> None:
    options = arguments(__doc__, images=300, seconds=5.0, seed=0, extra=("",))
    if options.quick:
        options.images = 60
        options.seconds = 1.0
    with tempfile.TemporaryDirectory() as root:
        shapes = Path(root) / "shapes"
        out = Path(root) / "out"
        counts = fill(shapes, options.images, options.seed)
        ended = compare(shapes, out, options.seconds, options.extra)
        board = scoreboard(out)

    notes = board["notes"]
    named = {name: any(name in note for note in notes) for name in BROKEN}
    print(*notes, sep="\n")
    title = f"exit code {ended['exit']} after {ended['seconds']:.0f} s"
    columns = ["row", "likelihood", "bits/dim", "error"]
    table(title, columns, [line(row) for row in board["rows"]])
    print(f"unreadable files named in the notes: {named}")
    print(f"report {ended['report_bytes']} bytes", ended["stderr"], sep="\n")
    content = {"files": counts | {"unreadable": list(BROKEN)}, "named": named, "notes": notes}
    settings = {"settings": vars(options)}
    save("folder", settings | ended | content | {"rows": board["rows"]}, options.quick)


if __name__ == "__main__":
    main()
