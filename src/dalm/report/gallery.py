"""Pictures of samples: beside real data, and beside their nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dalm.records.run import RunFolder
from dalm.records.scoreboard import NOT_FOR_THESE, is_reference, suits
from dalm.report import figures, images, vectors
from dalm.report.board import Board, Entry
from dalm.report.figures import ACCENT, INK, SOFT, Array
from dalm.report.markup import Html, absent, join, png, section, tag

Shown = Sequence[tuple[Entry, RunFolder]]

WALL_WIDTH = 290  # CSS pixels of a model's samples
CLOUD = 200
"""Points of a cloud, at most."""
STRIP_WIDTH = 400  # CSS pixels of a row of neighbours
NEIGHBOURS = {
    "samples": "sample",
    "nearest_train": "nearest training",
    "nearest_heldout": "nearest held-out",
}
"""The arrays of the section on copying, and what they are called."""


@dataclass(frozen=True)
class Detail:
    """How many pictures a page shows; a page that grows too heavy is built again with fewer."""

    tiles: int
    triplets: int
    frames: int


def figure(picture: Html, *caption: object, plot: bool = False, wide: bool = False) -> Html:
    """A captioned picture.

    Args:
        picture: one.
        *caption: what stands above it.
        plot: whether it is a drawing.
        wide: whether it needs much room.
    """
    kind = " ".join(["plot"] * plot + ["wide"] * wide) or None
    return tag("figure", tag("figcaption", *caption), picture, class_=kind)


def tiles(x: Array, run: RunFolder, across: int, alt: str) -> Html:
    """Samples as an inline picture.

    Args:
        x: images (N, *shape).
        run: whose they are.
        across: how many stand in a row.
        alt: what to read in its place.
    """
    real = run.gallery.get("real")
    is_real_valued = real is not None and real.dtype.kind == "f"
    limits = images.limits_of(real) if real is not None and is_real_valued else None
    across = max(1, min(across, len(x)))
    picture = images.grid(x, run.spec, across, limits)

    tile = images.tile_width(run.spec)
    gaps = (across - 1) * tile // images.native_width(run.spec)
    return png(picture, alt, across * tile + gaps)


# Real and generated


def real_and_generated(board: Board, detail: Detail) -> Html:
    """The section with samples beside real data.

    Args:
        board: the entries to show.
        detail: how much of each.
    """
    entries = [entry for entry in board.entries if entry.run or not is_reference(entry.row)]
    walls: list[Html] = []
    reasons = []
    real = None
    for entry in entries:
        run = entry.run
        if run is None or len(run.gallery.get("samples", ())) == 0:
            reasons.append((entry.name, _why_no_samples(entry)))
            continue
        walls += _walls(run, entry.name, detail)
        if real is None and len(run.gallery.get("real", ())):
            real = _wall(run, run.gallery["real"], "real, held out", detail, INK)

    if real:
        walls.insert(0, real)
    lead = (
        "Held-out real data first, then what each model draws. Nothing was picked: these are the "
        "first samples."
    )
    size = max((images.entries(run.spec) for _, run in board.runs), default=0)
    wall = tag("div", *walls, class_="pairs" if size > 2 else "wall")
    return section("Real and generated", lead + _key(size), wall, absent("Not shown", reasons))


def _key(size: int) -> str:
    """What the colours of drawings of vectors mean."""
    if not size:
        return ""
    drawn = {
        1: " the histogram of held-out real data, and over it a model's density, or a histogram of "
        "its samples where it has none.",
        2: " held-out real data in grey and samples over them, or a model's density.",
    }
    many = (
        " held-out real data in grey and samples in orange: columns by themselves, and those three "
        "in pairs that depend most on each other."
    )
    return f" Each drawing shows{drawn.get(size, many)}"


def _why_no_samples(entry: Entry) -> str:
    if entry.run:
        return entry.run.absent.get("gallery", "its gallery.npz holds no samples")
    if not suits(entry.row):
        return NOT_FOR_THESE
    return "it failed" if entry.row.get("error") else "it has no run folder here"


def _walls(run: RunFolder, name: str, detail: Detail) -> Iterator[Html]:
    """What a model draws, and beside it what it expects or how dense it is, where it says so."""
    yield _wall(run, run.gallery["samples"], name, detail, ACCENT)
    means = run.gallery.get("means")
    if means is not None and not images.entries(run.spec):
        yield _wall(run, means, f"{name}, means", detail, ACCENT)
    if "density" in run.gallery and images.is_points(run.spec):
        yield figure(Html(vectors.density_map(run.gallery)), f"{name}, density", plot=True)


def _wall(run: RunFolder, x: Array, name: str, detail: Detail, colour: str) -> Html:
    if size := images.entries(run.spec):
        drawing = Html(_vectors(run, x, size, colour))
        return figure(drawing, name, plot=True, wide=size > 2)

    fitting = max(1, round(WALL_WIDTH / images.tile_width(run.spec)))
    across = max(1, min(fitting, int(detail.tiles**0.5)))
    shown = x[: min(detail.tiles, across**2)]
    return figure(tiles(shown, run, across, f"{len(shown)} samples: {name}"), name)


def _vectors(run: RunFolder, x: Array, size: int, colour: str) -> str:
    """Vectors over the real ones, whose extent sets the axes."""
    real = run.gallery.get("real", x)
    if size == 1:
        return vectors.curve(x, run.gallery, colour)
    if size == 2:
        return figures.scatter([(real[:CLOUD], "o", SOFT), (x[:CLOUD], "o", colour)], real)
    return vectors.sheet(real, None if x is real else x)


# Copied or created


def copied_or_created(shown: Shown, detail: Detail) -> Html:
    """The section with samples beside their neighbours.

    Args:
        shown: entries and their runs.
        detail: how much of each.
    """
    blocks = []
    for entry, run in shown:
        if all(len(run.gallery.get(part, ())) for part in NEIGHBOURS):
            blocks.append(_triplets(entry.name, run, detail))
    if not blocks:
        return Html()

    lead = (
        "Each sample with its nearest training example and its nearest held-out example. "
        "A model that generalises is as close to one as to the other; a model that copies repeats "
        "the training example."
    )
    return section("Copied or created?", lead, tag("div", *blocks, class_="pairs"))


def _triplets(name: str, run: RunFolder, detail: Detail) -> Html:
    note = tag("small", _copies(run.gallery["samples"], run.gallery["nearest_train"]))
    size = images.entries(run.spec)
    if size == 1:
        return figure(Html(), name, " ", note)
    if size:
        return figure(_linked(run), name, " ", note, plot=True)

    cells = []
    for part, label in NEIGHBOURS.items():
        strip = _strip(run.gallery[part], run, detail, f"{label}: {name}")
        cells += [tag("span", label), strip]
    return figure(tag("div", *cells, class_="triplets"), name, " ", note)


def _copies(samples: Array, nearest: Array) -> str:
    """How many samples are copies of their nearest training example, in words."""
    count = min(len(samples), len(nearest))
    same = sum(np.array_equal(*pair) for pair in zip(samples, nearest, strict=False))
    if same == 0:
        return f"none of {count} equals a training example exactly"
    return f"{same} of {count} equal a training example exactly"


def _strip(x: Array, run: RunFolder, detail: Detail, alt: str) -> Html:
    fitting = max(2, STRIP_WIDTH // images.tile_width(run.spec))
    count = min(detail.triplets, fitting)
    return tiles(x[:count], run, count, alt)


def _linked(run: RunFolder) -> Html:
    """Points joined with their neighbours, of longer vectors in two of their columns."""
    heldout = run.gallery["nearest_heldout"]
    two = plane(run.gallery.get("real", heldout))
    count = len(heldout)
    sample, train, heldout = (
        run.gallery[part][:count, two] for part in ("samples", "nearest_train", "nearest_heldout")
    )
    layers = [(sample, "o", ACCENT), (train, "x", INK), (heldout, "s", SOFT)]
    drawing = figures.scatter(layers, heldout, [(sample, train), (sample, heldout)])
    seen = f"; columns {two[0]} and {two[1]}" if images.entries(run.spec) > 2 else ""
    key = tag("p", f"● sample, × nearest training, □ nearest held-out{seen}", class_="key")
    return join(Html(drawing), key)


def plane(real: Array) -> list[int]:
    """The two columns in which vectors are drawn."""
    return [0, 1] if real.shape[1] == 2 else vectors.leading(real)[:2]
