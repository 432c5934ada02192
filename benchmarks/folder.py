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

SIDE = 16
MODES = ("L", "RGB", "RGBA", "P", "I;16")
BROKEN = ("truncated.png", "empty.png", "text.png", "notes.txt", "table.csv")


def shape(kind: str, random: np.random.Generator) -> NDArray[np.uint8]:
    """A filled disc or square somewhere in the picture, with some noise, (16, 16)."""
    row, column = np.mgrid[:SIDE, :SIDE]
    y, x = random.uniform(5, 11, 2)
    radius = random.uniform(2.5, 5)
    far = (
        np.hypot(row - y, column - x)
        if kind == "discs"
        else np.maximum(abs(row - y), abs(column - x))
    )
    grey = np.where(far < radius, random.uniform(150, 255), random.uniform(0, 60)) + random.normal(
        0, 4, (SIDE, SIDE)
    )
    return grey.clip(0, 255).astype(np.uint8)


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
    bits = row["bits_per_dim"]
    return [
        row["name"],
        row["likelihood"] or "–",
        bits["value"] if bits else "–",
        row["error"] or "",
    ]


def main() -> None:
    options = arguments(__doc__, images=300, seconds=5.0, seed=0, extra=("",))
    images, seconds = (60, 1.0) if options.quick else (options.images, options.seconds)
    with tempfile.TemporaryDirectory() as root:
        counts = fill(Path(root) / "shapes", images, options.seed)
        out = Path(root) / "out"
        words = [
            PROGRAM,
            "compare",
            str(Path(root) / "shapes"),
            "--seconds",
            str(seconds),
            "--out",
            str(out),
            *filter(None, options.extra),
        ]
        began = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True)
        took = time.perf_counter() - began
        board = (
            json.loads((out / "scoreboard.json").read_text())
            if (out / "scoreboard.json").exists()
            else {"rows": [], "notes": []}
        )
        page = (out / "report.html").stat().st_size if (out / "report.html").exists() else None
    print(*board["notes"], sep="\n")
    table(
        f"exit code {done.returncode} after {took:.0f} s",
        ["row", "likelihood", "bits/dim", "error"],
        [line(row) for row in board["rows"]],
    )
    named = {name: any(name in note for note in board["notes"]) for name in BROKEN}
    print(
        f"unreadable files named in the notes: {named}; report {page} bytes", done.stderr, sep="\n"
    )
    seen = {
        "exit": done.returncode,
        "seconds": took,
        "report_bytes": page,
        "stdout": done.stdout,
        "stderr": done.stderr,
    }
    content = {
        "files": counts | {"unreadable": list(BROKEN)},
        "named": named,
        "notes": board["notes"],
        "rows": board["rows"],
    }
    save("folder", {"settings": vars(options)} | seen | content, options.quick)


if __name__ == "__main__":
    main()
