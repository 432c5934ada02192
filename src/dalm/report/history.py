"""How models learned: their samples at some steps, and their losses."""

from __future__ import annotations

import numpy as np

from dalm.records.run import RunFolder
from dalm.records.scoreboard import is_reference
from dalm.report import curves, figures, images, vectors
from dalm.report.figures import ACCENT, SOFT, Array
from dalm.report.gallery import CLOUD, Detail, Shown, figure, plane, tiles
from dalm.report.markup import Html, absent, join, section, tag


def evolution(shown: Shown, detail: Detail) -> Html:
    """The section with samples as they were at some steps.

    Args:
        shown: entries and their runs.
        detail: how much of each.
    """
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
    size = images.entries(run.spec)
    kind = "plot" if size else None
    places = _spread(len(run.snapshots), detail.frames)
    # Vectors without real ones behind them share the axes of the last frame.
    behind = run.gallery.get("real", run.snapshots[-1][1])

    frames = []
    for step, x in [run.snapshots[place] for place in places]:
        if size:
            picture = Html(_frame(np.asarray(x), behind))
        else:
            picture = tiles(np.asarray(x[:9]), run, 3, f"samples at step {step}")
        caption = tag("figcaption", f"step {step:,}")
        frames.append(tag("figure", picture, caption, class_=kind))
    return frames


def _frame(x: Array, behind: Array) -> str:
    """Vectors as they were at a step, over real ones."""
    if behind.shape[1] == 1:
        return vectors.curve(x, {"real": behind}, ACCENT)
    two = plane(behind)
    layers = [(behind[:CLOUD, two], "o", SOFT), (x[:CLOUD, two], "o", ACCENT)]
    return figures.scatter(layers, behind[:, two])


def _spread(count: int, most: int) -> list[int]:
    """Places of some of `count` snapshots, at most so many: the first, the last, and more from the
    start, where samples change most.

    >>> _spread(20, 6)
    [0, 1, 2, 5, 10, 19]
    """
    steps = np.geomspace(1, count, max(1, min(most, count)))
    return sorted({round(step) - 1 for step in steps} | {count - 1})


def loss_curves(shown: Shown) -> Html:
    """The section with losses against steps."""
    blocks = []
    reasons = []
    for entry, run in shown:
        if "log" not in run.absent:
            drawing = Html(curves.losses(run.log))
            blocks.append(figure(drawing, entry.name, _players(run), plot=True))
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
