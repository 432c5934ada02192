"""Drawings of vectors, as SVG: a density over a histogram in one dimension, a map of it in two, and
of more the columns and pairs of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dalm.report.figures import ACCENT, INK, SOFT, STYLE, Array, drawn, rendered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Gallery = Mapping[str, Array]
"""A run's arrays: `real`, and perhaps `points` with the `density` there."""

MOST_COLUMNS = 8
ACROSS = 4
MARGINAL = 0.95  # inches
CLOUDS = 1.75  # inches
BINS = (6, 28)
"""Fewest and most of a histogram."""
PAIRED = 3
"""Columns that are drawn in pairs."""
CLOUD = 300
"""Points of a pair, at most."""
# Clouds and maps are pixels, which take no colour from the page: these stand on light and dark.
CLOUD_REAL = "#6f7883"
CLOUD_MODEL = "#e8590c"


def curve(x: Array, gallery: Gallery, colour: str) -> str:
    """One-dimensional data (N, 1) beside real ones, with the model's density where it has one.

    Args:
        x: samples, or real data.
        gallery: of the run.
        colour: of the samples.
    """
    figure, axes = _panel(2.6, 1.7)
    real = gallery.get("real", x)
    edges = _edges(real[:, 0], gallery)
    _filled(axes, real[:, 0], edges)
    if "density" in gallery and x is not real:
        order = np.argsort(gallery["points"][:, 0], kind="stable")
        axes.plot(gallery["points"][order, 0], gallery["density"][order], color=colour, linewidth=1)
    else:
        _outlined(axes, x[:, 0], edges, colour)
    axes.set_xlim(edges[0], edges[-1])
    return drawn(figure)


def density_map(gallery: Gallery) -> str:
    """The density of data in the plane, dark where it is high, and real data over it.

    Args:
        gallery: of the run, with `points` and `density`.
    """
    figure, axes = _panel(2.6, 2.6)
    first, second = (np.unique(column) for column in gallery["points"].T)
    # Its root, since a few peaks would leave all else blank.
    height = np.sqrt(np.nan_to_num(gallery["density"], posinf=0.0))
    image = height.reshape(len(first), len(second)).T
    axes.imshow(
        image,
        origin="lower",
        aspect="auto",
        cmap="Oranges",
        extent=(*_ends(first), *_ends(second)),
        interpolation="nearest",
    )
    real = gallery.get("real", gallery["points"][:0])
    axes.plot(*real.T, "o", color="#1c2024", markersize=1.6, markeredgewidth=0, rasterized=True)
    axes.set(xlim=_ends(first), ylim=_ends(second))
    return drawn(figure)


def _ends(points: Array) -> tuple[float, float]:
    """Where the cells of a map begin and end whose middles are these."""
    half = (float(points[-1]) - float(points[0])) / max(1, len(points) - 1) / 2 or 0.5
    return float(points[0]) - half, float(points[-1]) + half


def sheet(real: Array, x: Array | None = None) -> str:
    """Columns of vectors (N, D), each a histogram over that of real data, and below them pairs of
    the columns that depend most on others.

    Args:
        real: real data, which set the axes.
        x: samples; none to draw real data alone.
    """
    return drawn(_sheet(real, x))


def sheet_png(x: Array) -> bytes:
    """Vectors (N, D) as a PNG picture on white."""
    return rendered(_sheet(x, None), "png", facecolor="white", metadata={"Software": None})


def _sheet(real: Array, x: Array | None) -> Figure:
    columns = list(range(min(MOST_COLUMNS, real.shape[1])))
    together = pairs(leading(real)) if len(columns) > 1 else []
    heights = [MARGINAL] * -(-len(columns) // ACROSS) + [CLOUDS] * bool(together)
    with _style():
        figure = _figure(5.4, sum(heights))
        grid = figure.add_gridspec(len(heights), 12, height_ratios=heights)
        for place, column in enumerate(columns):
            row, across = divmod(place, ACROSS)
            axes = figure.add_subplot(grid[row, 3 * across : 3 * across + 3])
            _marginal(axes, _some(x, column), real[:, column], column)
        for place, pair in enumerate(together):
            axes = figure.add_subplot(grid[-1, 4 * place : 4 * place + 4])
            _cloud(axes, _some(x, pair), real[:, pair], pair)
    return figure


def _some(x: Array | None, columns: int | list[int]) -> Array | None:
    return None if x is None else x[:, columns]


def leading(real: Array) -> list[int]:
    """The three columns whose ranks depend most on each other, the same for all models.

    >>> x = np.random.default_rng(0).normal(size=(99, 4))
    >>> x[:, 3] = -x[:, 1]
    >>> leading(x)[:2]
    [1, 3]
    """
    if len(real) < 2:
        return list(range(min(PAIRED, real.shape[1])))
    ranks = real.argsort(0, kind="stable").argsort(0, kind="stable").astype(float)
    ranks[:, np.ptp(real, axis=0) == 0] = 0
    with np.errstate(invalid="ignore", divide="ignore"):
        tied = np.nan_to_num(np.abs(np.corrcoef(ranks.T)))
    np.fill_diagonal(tied, 0)
    first, second = np.unravel_index(tied.argmax(), tied.shape)
    chosen = sorted({int(first), int(second)})
    others = [int(column) for column in np.argsort(-tied[chosen].max(0), kind="stable")]
    return [*chosen, *(column for column in others if column not in chosen)][:PAIRED]


def pairs(columns: list[int]) -> list[list[int]]:
    """Each two of some columns.

    >>> pairs([1, 3, 4])
    [[1, 3], [1, 4], [3, 4]]
    """
    return [[one, other] for place, one in enumerate(columns) for other in columns[place + 1 :]]


def _marginal(axes: Axes, x: Array | None, real: Array, column: int) -> None:
    edges = _edges(real, {})
    _filled(axes, real, edges)
    if x is not None:
        _outlined(axes, x, edges, ACCENT)
    _bare(axes)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_title(f"column {column}", fontsize=7.5, color=INK, loc="left", pad=2)


def _cloud(axes: Axes, x: Array | None, real: Array, pair: list[int]) -> None:
    # Real data lie above, for there may be few of them.
    for points, colour in ((x, CLOUD_MODEL), (real, CLOUD_REAL)):
        if points is None:
            continue
        axes.plot(
            *points[:CLOUD].T,
            "o",
            color=colour,
            markersize=2,
            markeredgewidth=0,
            alpha=0.65,
            rasterized=True,
        )
    _bare(axes)
    ends = [_edges(column, {}) for column in real.T]
    axes.set(xlim=(ends[0][0], ends[0][-1]), ylim=(ends[1][0], ends[1][-1]))
    title = f"{pair[1]} against {pair[0]}"
    axes.set_title(title, fontsize=7.5, color=INK, loc="left", pad=2)


def _edges(real: Array, gallery: Gallery) -> Array:
    """Bins over real data, but for one in two hundred at each end; over the points of a density
    where there is one.
    """
    points = gallery.get("points")
    if points is not None and points.dtype.kind in "iu":  # the mass of each level
        return np.arange(int(points.min()), int(points.max()) + 2) - 0.5
    if points is not None:
        low, high = points.min(), points.max()
    else:
        low, high = np.quantile(real.astype(float), [0.005, 0.995])
    pad = 0.08 * (high - low) or max(0.5, 0.05 * abs(high))
    fewest, most = BINS
    bins = min(most, max(fewest, round(2.5 * len(real) ** (1 / 3))))  # after Rice's rule
    return np.linspace(low - pad, high + pad, bins + 1)


def _heights(x: Array, edges: Array) -> Array:
    """A density: what lies beyond the ends is counted and not drawn."""
    counts, _ = np.histogram(x, edges)
    return counts / (max(1, len(x)) * np.diff(edges))


def _filled(axes: Axes, x: Array, edges: Array) -> None:
    axes.stairs(_heights(x, edges), edges, fill=True, color=SOFT, alpha=0.55, linewidth=0)


def _outlined(axes: Axes, x: Array, edges: Array, colour: str) -> None:
    axes.stairs(_heights(x, edges), edges, color=colour, linewidth=1)


def _panel(width: float, height: float) -> tuple[Figure, Axes]:
    with _style():
        figure = _figure(width, height)
        axes = figure.add_subplot()
        _bare(axes)
    return figure, axes


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _style() -> Any:
    from matplotlib import rc_context

    return rc_context(STYLE)


def _bare(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color=SOFT, linewidth=0.6)
