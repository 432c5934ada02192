"""The pictures of a page: samples beside real data, beside their nearest neighbours, as they
evolved, and the loss curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dalm.records.run import RunFolder
from dalm.records.scoreboard import is_reference
from dalm.report import curves, figures, images
from dalm.report.board import Board, Entry
from dalm.report.figures import ACCENT, INK, SOFT, Array
from dalm.report.markup import Html, absent, join, png, section, tag

Shown = Sequence[tuple[Entry, RunFolder]]

WALL_WIDTH = 290  # CSS pixels of a model's samples
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


def pictures(board: Board, detail: Detail) -> Html:
    """Every section with pictures.

    Args:
        board: the entries to show.
        detail: how much of each.
    """
    return join(
        _samples(board, detail),
        _neighbours(board.runs, detail),
        _evolution(board.runs, detail),
        _curves(board.runs),
    )


def _figure(picture: Html, *caption: object, plot: bool = False) -> Html:
    kind = "plot" if plot else None
    return tag("figure", tag("figcaption", *caption), picture, class_=kind)


def _grid(x: Array, run: RunFolder, across: int, alt: str) -> Html:
    """Samples as an inline picture, `across` of them in a row."""
    real = run.gallery.get("real")
    is_real_valued = real is not None and real.dtype.kind == "f"
    limits = images.limits_of(real) if real is not None and is_real_valued else None
    across = max(1, min(across, len(x)))
    picture = images.grid(x, run.spec, across, limits)

    tile = images.tile_width(run.spec)
    gaps = (across - 1) * tile // images.native_width(run.spec)
    return png(picture, alt, across * tile + gaps)


# Real and generated


def _samples(board: Board, detail: Detail) -> Html:
    entries = [entry for entry in board.entries if entry.run or not is_reference(entry.row)]
    walls = []
    reasons = []
    real = None
    for entry in entries:
        run = entry.run
        if run is None or len(run.gallery.get("samples", ())) == 0:
            reasons.append((entry.name, _why_no_samples(entry)))
            continue
        walls.append(_wall(run, run.gallery["samples"], entry.name, detail, ACCENT))
        if real is None and len(run.gallery.get("real", ())):
            real = _wall(run, run.gallery["real"], "real, held out", detail, INK)

    if real:
        walls.insert(0, real)
    lead = (
        "Held-out real data first, then what each model draws. Nothing was picked: these are the "
        "first samples."
    )
    wall = tag("div", *walls, class_="wall")
    return section("Real and generated", lead, wall, absent("Not shown", reasons))


def _why_no_samples(entry: Entry) -> str:
    if entry.run:
        return entry.run.absent.get("gallery", "its gallery.npz holds no samples")
    return "it failed" if entry.row.get("error") else "it has no run folder here"


def _wall(run: RunFolder, x: Array, name: str, detail: Detail, colour: str) -> Html:
    if images.is_points(run.spec):
        return _figure(_cloud(run, x, colour), name, plot=True)

    fitting = max(1, round(WALL_WIDTH / images.tile_width(run.spec)))
    across = max(1, min(fitting, int(detail.tiles**0.5)))
    shown = x[: min(detail.tiles, across**2)]
    return _figure(_grid(shown, run, across, f"{len(shown)} samples: {name}"), name)


def _cloud(run: RunFolder, points: Array, colour: str) -> Html:
    """Points over the real ones, whose extent sets the axes."""
    real = run.gallery.get("real", points)
    return Html(figures.scatter([(real, "o", SOFT), (points, "o", colour)], real))


# Copied or created


def _neighbours(shown: Shown, detail: Detail) -> Html:
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
    if images.is_points(run.spec):
        return _figure(_linked(run), name, " ", note, plot=True)

    cells = []
    for part, label in NEIGHBOURS.items():
        strip = _strip(run.gallery[part], run, detail, f"{label}: {name}")
        cells += [tag("span", label), strip]
    return _figure(tag("div", *cells, class_="triplets"), name, " ", note)


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
    return _grid(x[:count], run, count, alt)


def _linked(run: RunFolder) -> Html:
    """Points joined with their neighbours."""
    sample = run.gallery["samples"]
    train = run.gallery["nearest_train"]
    heldout = run.gallery["nearest_heldout"]
    layers = [(sample, "o", ACCENT), (train, "x", INK), (heldout, "s", SOFT)]
    drawing = figures.scatter(layers, heldout, [(sample, train), (sample, heldout)])
    key = tag("p", "● sample, × nearest training, □ nearest held-out", class_="key")
    return join(Html(drawing), key)


# As they learned


def _evolution(shown: Shown, detail: Detail) -> Html:
    blocks = []
    reasons = []
    for entry, run in shown:
        if run.snapshots:
            frames = tag("div", *_frames(run, detail), class_="frames")
            blocks.append(join(tag("h3", entry.name), frames))
        elif not is_reference(entry.row):
            reasons.append((entry.name, run.absent["snapshots"]))
    if not blocks:
        return Html()

    lead = "The same noise, pushed through the model as it learned. Sudden sameness is collapse."
    return section("As they learned", lead, *blocks, absent("Not shown", reasons))


def _frames(run: RunFolder, detail: Detail) -> list[Html]:
    is_plot = images.is_points(run.spec)
    kind = "plot" if is_plot else None
    places = _spread(len(run.snapshots), detail.frames)
    # Points without real ones behind them share the axes of the last frame.
    behind = run.gallery.get("real", run.snapshots[-1][1])

    frames = []
    for step, x in [run.snapshots[place] for place in places]:
        if is_plot:
            layers = [(behind, "o", SOFT), (x, "o", ACCENT)]
            picture = Html(figures.scatter(layers, behind))
        else:
            picture = _grid(np.asarray(x[:9]), run, 3, f"samples at step {step}")
        caption = tag("figcaption", f"step {step:,}")
        frames.append(tag("figure", picture, caption, class_=kind))
    return frames


def _spread(count: int, most: int) -> list[int]:
    """Places of some of `count` snapshots, at most so many: the first, the last, and more from the
    start, where samples change most.

    >>> _spread(20, 6)
    [0, 1, 2, 5, 10, 19]
    """
    steps = np.geomspace(1, count, max(1, min(most, count)))
    return sorted({round(step) - 1 for step in steps} | {count - 1})


# Loss curves


def _curves(shown: Shown) -> Html:
    blocks = []
    reasons = []
    for entry, run in shown:
        if "log" not in run.absent:
            drawing = Html(curves.losses(run.log))
            blocks.append(_figure(drawing, entry.name, _players(run), plot=True))
        elif not is_reference(entry.row):
            reasons.append((entry.name, run.absent["log"]))
    if not blocks:
        return Html()

    lead = (
        "Against training steps. Losses of different families are not comparable; the shape of "
        "each curve is what to look at."
    )
    wall = tag("div", *blocks, class_="curves")
    return section("Loss curves", lead, wall, absent("Not shown", reasons))


def _players(run: RunFolder) -> Html:
    """Whose losses they are, where there are several."""
    names = curves.players(run.log)
    if len(names) < 2:
        return Html()

    named = "" if names[0].isdigit() else f": {', '.join(names)}"
    return join(" ", tag("small", f"one line for each player{named}"))
