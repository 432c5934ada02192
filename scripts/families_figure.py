"""Draw docs/families.png, the README's picture, from a comparison: python
scripts/families_figure.py runs/demo.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from dalm.records import find_score, is_reference, score_records

ROOT = Path(__file__).parent.parent
COLUMNS = 16


def strip(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The first images side by side with a pixel between them, (H, W')."""
    shown = images[:COLUMNS].max(1)
    spaced = np.pad(shown, ((0, 0), (0, 0), (0, 1)))
    return np.concatenate(list(spaced), 1)


def rows(folder: Path) -> list[tuple[str, str, NDArray[np.uint8]]]:
    """Name, likelihood in words, and samples: real data, then each family that did not fail."""
    board = json.loads((folder / "scoreboard.json").read_text())
    lines = []
    for row in board["rows"]:
        if row["run"] and not is_reference(row):
            gallery = np.load(folder / row["run"] / "gallery.npz")
            lines.append((row["name"], likelihood(row), gallery["samples"]))
    return [("real data", "held out", gallery["real"]), *lines]


def likelihood(row: dict[str, Any]) -> str:
    """A row's likelihood in words."""
    bits = find_score(score_records(row), "bits_per_dim")
    return f"{bits['value']:.2f} bits/dim ({bits['label']})" if bits else "no likelihood"


def draw(folder: Path, out: Path) -> None:
    """Write the picture."""
    lines = rows(folder)
    figure, axes = plt.subplots(len(lines), 1, figsize=(9, 0.62 * len(lines)), dpi=150)
    for axis, (name, words, samples) in zip(axes, lines, strict=True):
        axis.imshow(strip(samples), cmap="gray_r", interpolation="nearest")
        axis.set_axis_off()
        place = {"transform": axis.transAxes, "ha": "right", "va": "center"}
        axis.text(-0.02, 0.62, name, fontsize=10, weight="bold", **place)
        axis.text(-0.02, 0.22, words, fontsize=7.5, color="0.35", **place)
    figure.subplots_adjust(left=0.2, right=0.995, top=0.98, bottom=0.02, hspace=0.12)
    figure.savefig(out, metadata={"Software": None})


if __name__ == "__main__":
    draw(Path(sys.argv[1]), ROOT / "docs" / "families.png")
