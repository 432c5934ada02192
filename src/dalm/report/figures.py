"""Pictures: grids of images as PNG bytes, scatter plots and loss curves as SVG that takes its
colours from the page.

The same arrays give the same bytes: no dates, no random identifiers.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[Any]
Limits = tuple[float, float]
Layer = tuple[Array, str, str]

# Colours that no figure would use, replaced by the page's own so that figures follow light and dark
# mode.
INK = "#010203"
SOFT = "#040506"
ACCENT = "#070809"
THEME = {INK: "currentColor", SOFT: "var(--faint)", ACCENT: "var(--accent)"}
ORANGE = "#c2410c"
LARGEST = 64
STYLE: Any = {
    "svg.hashsalt": "dalm",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "path.simplify": True,
}


def is_points(spec: Mapping[str, Any]) -> bool:
    """Whether data of this Spec are points in the plane."""
    return list(spec.get("shape", ())) == [2]


def tile_width(spec: Mapping[str, Any]) -> int:
    """How many CSS pixels wide one image is shown: a whole multiple of its own width, near 48."""
    width = min(_sides(spec)[1], LARGEST)
    return width * max(1, round(48 / width))


def _sides(spec: Mapping[str, Any]) -> tuple[int, int]:
    shape = [1, *spec.get("shape", ())]
    return int(shape[-2]) if len(shape) > 2 else 1, int(shape[-1])


def limits_of(x: Array) -> Limits:
    """The smallest and the largest finite value of `x`."""
    finite = x[np.isfinite(x)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def to_images(x: Array, spec: Mapping[str, Any], limits: Limits | None = None) -> NDArray[np.uint8]:
    """Data as pictures.

    Args:
        x: data (N, *shape), where shape is (d,), (H, W) or (C, H, W).
        spec: `shape` and `levels`; discrete levels 0 … levels − 1 become 0 … 255.
        limits: for real data, the values shown black and white; by default the range of `x`.

    Returns:
        Pictures (N, H, W, C), C = 1 (grey) or 3 (colour).

    >>> to_images(np.array([[[0, 8, 16]]]), {"shape": [1, 3], "levels": 17}).ravel()
    array([  0, 128, 255], dtype=uint8)
    """
    low, high = (
        (0.0, max(1.0, spec["levels"] - 1.0)) if spec.get("levels") else limits or limits_of(x)
    )
    scaled = (np.nan_to_num(x.astype(np.float64), nan=low, posinf=high, neginf=low) - low) / (
        (high - low) or 1.0
    )
    height, width = _sides(spec)
    pixels = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8).reshape(len(x), -1, height, width)
    channels = 3 if pixels.shape[1] >= 3 else 1
    return np.moveaxis(pixels[:, :channels], 1, -1)


def grid(x: Array, spec: Mapping[str, Any], columns: int, limits: Limits | None = None) -> bytes:
    """Images (N, *shape) in rows of `columns`, one transparent pixel apart, as PNG bytes."""
    images = _shrunk(to_images(x, spec, limits))
    count, height, width, channels = images.shape
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    sheet = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, channels + 1), np.uint8)
    for place, image in enumerate(images):
        top = (height + 1) * (place // columns)
        left = (width + 1) * (place % columns)
        sheet[top : top + height, left : left + width, :-1] = image
        sheet[top : top + height, left : left + width, -1] = 255
    return _png(sheet)


def _shrunk(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # A picture is shown about 50 pixels wide; more would only make the page heavy.
    from PIL import Image

    side = max(images.shape[1:3])
    if side <= LARGEST:
        return images
    size = tuple(max(1, round(length * LARGEST / side)) for length in images.shape[2:0:-1])
    small = [
        np.asarray(
            Image.fromarray(image.squeeze()).resize((size[0], size[1]), Image.Resampling.BOX)
        )
        for image in images
    ]
    return np.stack(small).reshape(len(images), size[1], size[0], -1)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def save_grid(x: Array, path: Path | str, spec: Mapping[str, Any]) -> None:
    """Save samples as one PNG picture: a grid of images, or a scatter plot of points in the plane.

    Args:
        x: samples (N, *shape), N ≥ 1.
        path: the file to write; a file already there is replaced whole.
        spec: `shape` and `levels`.

    Raises:
        ValueError: no samples, or samples of another shape than the Spec's.
    """
    shape = tuple(spec.get("shape", ()))
    if len(x) == 0 or x.shape[1:] != shape:
        raise ValueError(
            f"a grid needs samples of shape (N, {', '.join(map(str, shape))}) with N ≥ 1; these "
            f"have shape {x.shape}"
        )
    if is_points(spec):
        write(
            Path(path),
            _rendered(
                _scatter([(x, "o", ORANGE)], x),
                "png",
                facecolor="white",
                metadata={"Software": None},
            ),
        )
    else:
        write(Path(path), grid(x, spec, round(len(x) ** 0.5)))


def write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def scatter(
    layers: Sequence[Layer], frame: Array | None = None, links: Sequence[tuple[Array, Array]] = ()
) -> str:
    """Points in the plane as SVG.

    Args:
        layers: (points (N, 2), marker, colour: INK, SOFT or ACCENT), drawn in this order.
        frame: points (N, 2) whose extent sets the axes; by default those of the first layer.
        links: pairs of points (N, 2) to be joined by thin lines.
    """
    from matplotlib import rc_context

    with rc_context(STYLE):
        return _svg(_scatter(layers, layers[0][0] if frame is None else frame, links))


def _scatter(
    layers: Sequence[Layer], frame: Array, links: Sequence[tuple[Array, Array]] = ()
) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6, 2.6))
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.98), xticks=[], yticks=[])
    axes.spines[:].set(color=SOFT, linewidth=0.6)
    for start, end in links:
        axes.plot(*np.stack([start, end]).transpose(2, 0, 1), color=SOFT, linewidth=0.6)
    for points, marker, colour in layers:
        filled = (
            {"markerfacecolor": "none"}
            if marker == "s"
            else {"markeredgewidth": 0 if marker == "o" else 0.9}
        )
        axes.plot(
            *points.T, marker, color=colour, markersize=3.2 if marker == "o" else 4.5, **filled
        )
    _framed(axes, frame)
    return figure


def _framed(axes: Axes, frame: Array) -> None:
    finite = frame[np.isfinite(frame).all(axis=1)]
    if not len(finite):
        return
    low = finite.min(axis=0)
    high = finite.max(axis=0)
    pad = 0.12 * np.maximum(high - low, 1e-6)
    axes.set(xlim=(low[0] - pad[0], high[0] + pad[0]), ylim=(low[1] - pad[1], high[1] + pad[1]))


def drawn(figure: Figure) -> str:
    """A figure as SVG in the page's colours."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        return _svg(figure)


def losses(log: Sequence[Mapping[str, Any]]) -> str:
    """Loss curves as SVG: one line for each player's training loss, and validation in a panel of
    its own.

    Args:
        log: the lines of `log.jsonl`: `step`, and `loss` (a number for each player) or `validation`
            (nats per datum).
    """
    from matplotlib import rc_context

    with rc_context(STYLE):
        return _svg(_curves(log))


def _curves(log: Sequence[Mapping[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    validation = _points(
        [(line["step"], line["validation"]) for line in log if "validation" in line]
    )
    panels = [
        ("training loss", _training(log), (INK, ACCENT, SOFT)),
        ("validation, nats per datum", [validation], (ACCENT,)),
    ]
    panels = [panel for panel in panels if sum(map(len, panel[1]))]
    figure = Figure(figsize=(4.2, 1.45 * max(1, len(panels))), layout="constrained")
    for place, (name, lines, colours) in enumerate(panels):
        axes = figure.add_subplot(
            len(panels), 1, place + 1, sharex=figure.axes[0] if place else None
        )
        for line, colour in zip(lines, colours, strict=False):
            axes.plot(*line.T, color=colour, linewidth=1, marker="o" if len(line) == 1 else "")
        _quiet(axes, name, lines)
    return figure


def _training(log: Sequence[Mapping[str, Any]]) -> list[Array]:
    lines = [
        (line["step"], np.atleast_1d(np.asarray(line["loss"], float)))
        for line in log
        if line.get("loss") is not None
    ]
    players = max((len(loss) for _, loss in lines), default=0)
    return [
        _points([(step, loss[player]) for step, loss in lines if player < len(loss)])
        for player in range(players)
    ]


def _points(pairs: Sequence[tuple[Any, Any]], most: int = 160) -> Array:
    """Finite (step, value) pairs (N, 2), averaged in even runs so that at most `most` remain."""
    x = np.array([pair for pair in pairs if pair[1] is not None], float).reshape(-1, 2)
    x = x[np.isfinite(x).all(axis=1)]
    return (
        np.array([part.mean(axis=0) for part in np.array_split(x, min(most, len(x)))])
        if len(x)
        else x
    )


def _quiet(axes: Axes, name: str, lines: Sequence[Array]) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=SOFT, linewidth=0.6)
    axes.tick_params(colors=INK, labelcolor=INK, color=SOFT, length=2.5, width=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(name, fontsize=9, color=INK, loc="left")
    settled = np.concatenate([line[len(line) // 20 :, 1] for line in lines])
    # The first steps fall from far above and would flatten all that follows.
    pad = 0.06 * (float(np.ptp(settled)) or 1.0)
    axes.set_ylim(settled.min() - pad, settled.max() + pad)


def _svg(figure: Figure) -> str:
    for axes in figure.axes:
        axes.set_facecolor("none")
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    text = _rendered(figure, "svg", facecolor="none", metadata=metadata).decode("utf-8")
    for drawn, themed in THEME.items():
        text = text.replace(drawn, themed)
    return text[text.index("<svg") :]


def _rendered(figure: Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150, **options)
    return buffer.getvalue()
