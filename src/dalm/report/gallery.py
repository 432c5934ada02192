"""The pictures of a page: samples beside real data, beside their nearest neighbours, as they
evolved, and the loss curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dalm.report import figures
from dalm.report.figures import ACCENT, INK, SOFT, Array, Limits
from dalm.report.markup import Html, join, png, tag
from dalm.report.read import Board, Entry, Run
from dalm.report.verdict import listing


@dataclass(frozen=True)
class Detail:
    """How many pictures a page shows; a page that grows too heavy is built again with fewer."""

    tiles: int
    triplets: int
    frames: int


def pictures(board: Board, detail: Detail) -> Html:
    """Every section with pictures."""
    shown = [(entry, entry.run) for entry in board.entries if entry.run]
    return join(
        _samples(board, detail),
        *(section(shown, detail) for section in (_neighbours, _evolution, _curves)),
    )


def section(title: str, lead: str, *children: object) -> Html:
    """A headed part of the page."""
    return tag("section", tag("h2", title), tag("p", lead, class_="lead"), *children)


def absent(opening: str, reasons: Sequence[tuple[str, str]]) -> Html:
    """One paragraph that says for which models something is missing, and why; the same reason is
    told once.
    """
    models: dict[str, list[str]] = {}
    for model, reason in reasons:
        models.setdefault(reason, []).append(model)
    told = " ".join(
        f"{reason[:1].upper()}{reason[1:]} ({listing(group)})." for reason, group in models.items()
    )
    return tag("p", f"{opening}. {told}", class_="absent") if told else Html()


def _limits(run: Run) -> Limits | None:
    real = run.gallery.get("real")
    return figures.limits_of(real) if real is not None and real.dtype.kind == "f" else None


def _figure(picture: Html, *caption: object, plot: bool = False, below: bool = False) -> Html:
    words = tag("figcaption", *caption)
    return tag(
        "figure",
        *((picture, words) if below else (words, picture)),
        class_="plot" if plot else None,
    )


def _grid(x: Array, run: Run, across: int, alt: str) -> Html:
    width = figures.tile_width(run.spec)
    across = max(1, min(across, len(x)))
    return png(
        figures.grid(x, run.spec, across, _limits(run)),
        alt,
        across * width + (across - 1) * width // _native(run.spec),
    )


def _native(spec: Mapping[str, Any]) -> int:
    return min(int(spec["shape"][-1]), figures.LARGEST)


def _across(spec: Mapping[str, Any], tiles: int) -> int:
    return max(1, min(round(290 / figures.tile_width(spec)), int(tiles**0.5)))


def _samples(board: Board, detail: Detail) -> Html:
    told = [entry for entry in board.entries if entry.run or not entry.row.get("reference")]
    shown = [
        (entry, entry.run)
        for entry in told
        if entry.run and len(entry.run.gallery.get("samples", ()))
    ]
    walls = [_wall(run, run.gallery["samples"], entry.name, detail, ACCENT) for entry, run in shown]
    real = next(
        ((run, run.gallery["real"]) for _, run in shown if len(run.gallery.get("real", ()))), None
    )
    if real:
        walls.insert(0, _wall(*real, "real, held out", detail, INK))
    reasons = [
        (entry.name, _why_no_samples(entry))
        for entry in told
        if not any(entry is other for other, _ in shown)
    ]
    lead = "Held-out real data first, then what each model draws. Nothing was picked: these are the first samples."
    return section(
        "Real and generated", lead, tag("div", *walls, class_="wall"), absent("Not shown", reasons)
    )


def _why_no_samples(entry: Entry) -> str:
    if entry.run:
        return entry.run.absent.get("gallery", "its gallery.npz holds no samples")
    return "it failed" if entry.row.get("error") else "it has no run folder here"


def _wall(run: Run, x: Array, name: str, detail: Detail, colour: str) -> Html:
    if figures.is_points(run.spec):
        real = run.gallery.get("real", x)
        return _figure(
            Html(figures.scatter([(real, "o", SOFT), (x, "o", colour)], real)), name, plot=True
        )
    across = _across(run.spec, detail.tiles)
    shown = x[: min(detail.tiles, across**2)]
    return _figure(_grid(shown, run, across, f"{len(shown)} samples: {name}"), name)


def _neighbours(shown: Sequence[tuple[Entry, Run]], detail: Detail) -> Html:
    needed = ("samples", "nearest_train", "nearest_heldout")
    whole = [
        (entry, run)
        for entry, run in shown
        if all(len(run.gallery.get(part, ())) for part in needed)
    ]
    if not whole:
        return Html()
    lead = (
        "Each sample with its nearest training example and its nearest held-out example. "
        "A model that generalises is as close to one as to the other; a model that copies repeats "
        "the training example."
    )
    blocks = [_triplets(entry.name, run, detail) for entry, run in whole]
    return section("Copied or created?", lead, tag("div", *blocks, class_="pairs"))


def _triplets(name: str, run: Run, detail: Detail) -> Html:
    sample, train, heldout = (
        run.gallery[part] for part in ("samples", "nearest_train", "nearest_heldout")
    )
    count = min(len(sample), len(train))
    same = int(sum(np.array_equal(*pair) for pair in zip(sample, train, strict=False)))
    told = (
        f"{same} of {count} equal a training example exactly"
        if same
        else f"none of {count} equals a training example exactly"
    )
    if figures.is_points(run.spec):
        return _figure(_linked(sample, train, heldout), name, " ", tag("small", told), plot=True)
    named = (("sample", sample), ("nearest training", train), ("nearest held-out", heldout))
    rows = [(tag("span", label), _strip(x, run, detail, f"{label}: {name}")) for label, x in named]
    body = tag("div", *(part for row in rows for part in row), class_="triplets")
    return _figure(body, name, " ", tag("small", told))


def _strip(x: Array, run: Run, detail: Detail, alt: str) -> Html:
    count = min(detail.triplets, max(2, 400 // figures.tile_width(run.spec)))
    return _grid(x[:count], run, count, alt)


def _linked(sample: Array, train: Array, heldout: Array) -> Html:
    drawn = figures.scatter(
        [(sample, "o", ACCENT), (train, "x", INK), (heldout, "s", SOFT)],
        heldout,
        [(sample, train), (sample, heldout)],
    )
    return join(
        Html(drawn), tag("p", "● sample, × nearest training, □ nearest held-out", class_="key")
    )


def _evolution(shown: Sequence[tuple[Entry, Run]], detail: Detail) -> Html:
    moving = [(entry, run) for entry, run in shown if run.snapshots]
    if not moving:
        return Html()
    reasons = [
        (entry.name, run.absent["snapshots"])
        for entry, run in shown
        if not run.snapshots and not entry.row.get("reference")
    ]
    blocks = [
        join(tag("h3", entry.name), tag("div", *_frames(run, detail), class_="frames"))
        for entry, run in moving
    ]
    lead = "The same noise, pushed through the model as it learned. Sudden sameness is collapse."
    return section("As they learned", lead, *blocks, absent("Not shown", reasons))


def _frames(run: Run, detail: Detail) -> list[Html]:
    chosen = [run.snapshots[place] for place in _spread(len(run.snapshots), detail.frames)]
    if figures.is_points(run.spec):
        real = run.gallery.get("real", chosen[-1][1])
        plots = [
            (step, Html(figures.scatter([(real, "o", SOFT), (x, "o", ACCENT)], real)))
            for step, x in chosen
        ]
        return [_figure(plot, f"step {step:,}", plot=True, below=True) for step, plot in plots]
    return [
        _figure(
            _grid(np.asarray(x[:9]), run, 3, f"samples at step {step}"),
            f"step {step:,}",
            below=True,
        )
        for step, x in chosen
    ]


def _spread(count: int, wanted: int) -> list[int]:
    """Places of at most `wanted` of `count` snapshots: the first, the last, and more from the
    start, where samples change most.

    >>> _spread(20, 6)
    [0, 1, 2, 5, 10, 19]
    """
    return sorted(
        {round(place) - 1 for place in np.geomspace(1, count, max(1, min(wanted, count)))}
        | {count - 1}
    )


def _curves(shown: Sequence[tuple[Entry, Run]], detail: Detail) -> Html:
    taught = [(entry, run) for entry, run in shown if "log" not in run.absent]
    if not taught:
        return Html()
    blocks = [
        _figure(Html(figures.losses(run.log)), entry.name, _players(run), plot=True)
        for entry, run in taught
    ]
    reasons = [
        (entry.name, run.absent["log"])
        for entry, run in shown
        if "log" in run.absent and not entry.row.get("reference")
    ]
    lead = "Against training steps. Losses of different families are not comparable; the shape of each curve is what to look at."
    return section(
        "Loss curves", lead, tag("div", *blocks, class_="curves"), absent("Not shown", reasons)
    )


def _players(run: Run) -> Html:
    losses = next((line["loss"] for line in run.log if "loss" in line), None)
    several = isinstance(losses, list) and len(losses) > 1
    return join(" ", tag("small", "one line for each player")) if several else Html()
