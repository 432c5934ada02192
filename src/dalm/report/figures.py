"""Drawings as SVG that takes its colours from the page, and scatter plots of points in the plane.

The same arrays give the same bytes: no dates, no random identifiers.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]
Layer = tuple[Array, str, str]
Link = tuple[Array, Array]

# Colours that no figure would use, replaced by the page's own so that figures follow light and dark
# mode.
INK = "#010203"
SOFT = "#040506"
ACCENT = "#070809"
THEME = {INK: "currentColor", SOFT: "var(--faint)", ACCENT: "var(--accent)"}
ORANGE = "#c2410c"
STYLE: Any = {
    "svg.hashsalt": "dalm",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "path.simplify": True,
}


def scatter(layers: Sequence[Layer], frame: Array | None = None, links: Sequence[Link] = ()) -> str:
    """Points in the plane as SVG.

    Args:
        layers: (points (N, 2), marker, colour: INK, SOFT or ACCENT), drawn in this order.
        frame: points (N, 2) whose extent sets the axes; by default those of the first layer.
        links: pairs of points (N, 2) to be joined by thin lines.
    """
    extent = layers[0][0] if frame is None else frame
    return drawn(_scatter(layers, extent, links))


def scatter_png(points: Array) -> bytes:
    """Points (N, 2) in the plane as a PNG picture on white."""
    figure = _scatter([(points, "o", ORANGE)], points)
    return rendered(figure, "png", facecolor="white", metadata={"Software": None})


def _scatter(layers: Sequence[Layer], frame: Array, links: Sequence[Link] = ()) -> Figure:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(2.6, 2.6))
        axes = figure.add_axes((0.01, 0.01, 0.98, 0.98), xticks=[], yticks=[])
        axes.spines[:].set(color=SOFT, linewidth=0.6)

        for start, end in links:
            lines = np.stack([start, end]).transpose(2, 0, 1)
            axes.plot(*lines, color=SOFT, linewidth=0.6)
        for points, marker, colour in layers:
            axes.plot(*points.T, marker, color=colour, **_marker(marker))
        _set_limits(axes, frame)
    return figure


def _marker(marker: str) -> Any:
    """How a marker is drawn: discs filled, squares hollow, crosses larger."""
    if marker == "o":
        return {"markersize": 3.2, "markeredgewidth": 0}
    if marker == "s":
        return {"markersize": 4.5, "markerfacecolor": "none"}
    return {"markersize": 4.5, "markeredgewidth": 0.9}


def _set_limits(axes: Axes, frame: Array) -> None:
    finite = frame[np.isfinite(frame).all(axis=1)]
    if len(finite) == 0:
        return

    low = finite.min(axis=0)
    high = finite.max(axis=0)
    pad = 0.12 * np.maximum(high - low, 1e-6)
    left, bottom = low - pad
    right, top = high + pad
    axes.set(xlim=(left, right), ylim=(bottom, top))


def drawn(figure: Figure) -> str:
    """A figure as SVG in the page's colours."""
    from matplotlib import rc_context

    for axes in figure.axes:
        axes.set_facecolor("none")
    undated: Any = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context(STYLE):
        content = rendered(figure, "svg", facecolor="none", metadata=undated)

    text = content.decode("utf-8")
    for colour, themed in THEME.items():
        text = text.replace(colour, themed)
    return text[text.index("<svg") :]


def rendered(figure: Figure, kind: str, **options: Any) -> bytes:
    """A figure as the bytes of a file.

    Args:
        figure: one.
        kind: `"png"` or `"svg"`.
        **options: of matplotlib's `savefig`.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150, **options)
    return buffer.getvalue()
