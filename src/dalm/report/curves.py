"""Curves of a log: training losses, their terms, and validation, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dalm.report.figures import ACCENT, INK, SOFT, STYLE, Array, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Line = Mapping[str, Any]
MOST_POINTS = 160
"""Points of a curve; of more, runs are averaged."""
PANEL_HEIGHT = 1.45  # inches


class Panel(NamedTuple):
    """Curves (N, 2) of step and value over one another, and their colours, used in turn."""

    title: str
    curves: list[Array]
    colours: tuple[str, ...]


def losses(log: Sequence[Line]) -> str:
    """Curves as SVG: one for each player's training loss, and terms and validation in panels of
    their own.

    Args:
        log: the lines of `log.jsonl`: `step`, and `loss` and perhaps `terms` (numbers by name, or
            in old runs a list with a number for each player), or `validation` (nats per datum).
    """
    from matplotlib import rc_context

    with rc_context(STYLE):
        return drawn(_figure(_panels(log)))


def players(log: Sequence[Line]) -> list[str]:
    """Who has a loss of its own, in the order of the curves; in old runs numbers.

    >>> players([{"step": 1, "loss": {"critic": 0.5, "generator": 2.0}}])
    ['critic', 'generator']
    >>> players([{"step": 1, "loss": [0.5, 2.0]}])
    ['0', '1']
    """
    return list(_named(log, "loss"))


def _panels(log: Sequence[Line]) -> list[Panel]:
    training = list(_named(log, "loss").values())
    panels = [Panel("training loss", training, (INK, ACCENT, SOFT))]
    # Terms have units of their own, so each has its own axis.
    for name, curve in _named(log, "terms").items():
        panels.append(Panel(name, [curve], (INK,)))

    pairs = [(line["step"], line["validation"]) for line in log if "validation" in line]
    panels.append(Panel("validation, nats per datum", [_curve(pairs)], (ACCENT,)))
    return [panel for panel in panels if any(len(curve) for curve in panel.curves)]


def _named(log: Sequence[Line], key: str) -> dict[str, Array]:
    """The curve of each name that stands under a key of the log's lines."""
    pairs: dict[str, list[tuple[Any, Any]]] = {}
    for line in log:
        for name, value in _values(line.get(key)).items():
            pairs.setdefault(name, []).append((line["step"], value))
    return {name: _curve(points) for name, points in pairs.items()}


def _values(entry: object) -> dict[str, Any]:
    """Numbers by name; those of a list, as format 1 had it, are named by their place."""
    if isinstance(entry, Mapping):
        return {str(name): value for name, value in entry.items()}
    if isinstance(entry, list):
        return {str(place): value for place, value in enumerate(entry)}
    return {} if entry is None else {"0": entry}


def _curve(pairs: Sequence[tuple[Any, Any]]) -> Array:
    """Finite (step, value) pairs (N, 2), averaged in even runs so that at most 160 remain."""
    numbers = [pair for pair in pairs if pair[1] is not None]
    points = np.array(numbers, float).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 0:
        return points
    runs = np.array_split(points, min(MOST_POINTS, len(points)))
    return np.array([run.mean(axis=0) for run in runs])


def _figure(panels: Sequence[Panel]) -> Figure:
    from matplotlib.figure import Figure

    rows = max(1, len(panels))
    figure = Figure(figsize=(4.2, PANEL_HEIGHT * rows), layout="constrained")
    for place, panel in enumerate(panels):
        first = figure.axes[0] if place else None
        axes = figure.add_subplot(rows, 1, place + 1, sharex=first)
        for curve, colour in zip(panel.curves, cycle(panel.colours), strict=False):
            marker = "o" if len(curve) == 1 else ""
            axes.plot(*curve.T, color=colour, linewidth=1, marker=marker)
        _style(axes, panel)
    return figure


def _style(axes: Axes, panel: Panel) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=SOFT, linewidth=0.6)
    axes.tick_params(colors=INK, labelcolor=INK, color=SOFT, length=2.5, width=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(panel.title, fontsize=9, color=INK, loc="left")

    # The first steps fall from far above and would flatten all that follows.
    settled = np.concatenate([curve[len(curve) // 20 :, 1] for curve in panel.curves])
    pad = 0.06 * (float(np.ptp(settled)) or 1.0)
    axes.set_ylim(settled.min() - pad, settled.max() + pad)
