"""The test split as files: every coder and every proven model on one axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dalm.records.digest import mapping
from dalm.report import figures
from dalm.report.board import Board
from dalm.report.figures import ACCENT, INK, SOFT
from dalm.report.markup import Html, absent, section, tag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
Proof = Mapping[str, Any]

COLOURS = {"model": ACCENT, "coder": SOFT, "baseline": INK}
LEAD = (
    "Bits for each number of the test split in a file that decodes: compressors that people use, "
    "classical coders, and the proven models, "
    "without their weights. The dashed line is the entropy of a histogram for each entry, counted "
    "on the training data."
)
PROOFS = (
    "The test split, compressed with each model and decoded by another process at another batch "
    "size and thread count. A run is proven if that gives the same data, if the file is its code "
    "and its frame to the last word, and if the code is as long as the likelihood claims. Of a "
    "difference, rounding explains 0.1 % at most, and the noise of a bound what its draws differ "
    "by. In a file no level costs more than 24 bits: where a model holds data to be all but "
    "impossible, the code is shorter than its claim, and what is proven is the model with that "
    "floor; its bits/dim stand in the scoreboard. The frame, fifty to a hundred bytes, is what few "
    "data feel most. The weights are counted as they are; dalm compress --embed rounds them, and "
    "needs far less."
)


def _claimed(proof: Proof) -> str:
    samples = f" ({proof['samples']} samples)" if proof["samples"] > 1 else ""
    return f"{proof['claimed']:.4f}{samples}"


def _percent(share: float | None) -> str:
    """Runs proven by an early version do not say."""
    return "–" if share is None else f"{100 * share:+.3f} %"


def _model(proof: Proof) -> str:
    """Runs proven by an early version do not say it."""
    return f"{proof['model']:.4f}" if "model" in proof else "–"


def _seal(proof: Proof) -> str:
    if not proof["sealed"]:
        return str(proof["reason"])
    doubt = ", but mind the data: see above" if proof.get("warnings") else ""
    if proof["n"] < proof.get("of", 0):
        return f"proven, {proof['n']:,} of {proof['of']:,} rows{doubt}"
    return f"proven{doubt}"


COLUMNS: dict[str, Callable[[Proof], str]] = {
    "claimed, bits/dim": _claimed,
    "model in the file, bits/dim": _model,
    "file, bits/dim": lambda proof: f"{proof['file']:.4f}",
    "file / claim": lambda proof: f"{proof['ratio']:.4f}",
    "rounding": lambda proof: _percent(proof.get("rounding")),
    "coder and archive": lambda proof: _percent(proof.get("overhead")),
    "bytes": lambda proof: f"{proof['bytes']:,}",
    "with the weights": lambda proof: f"{proof['with_weights']:,}",
    "encode, MB/s": lambda proof: f"{proof['encode_mb_s']:.2g}",
    "decode, MB/s": lambda proof: f"{proof['decode_mb_s']:.2g}",
    "seal": _seal,
}


def proofs(board: Board) -> Html:
    """The section, if anything was proven."""
    proven = [(entry.name, mapping(run.metrics.get("proof"))) for entry, run in board.runs]
    proven = [(name, proof) for name, proof in proven if proof.get("bytes")]
    rows = [row for row in board.codecs if row.get("bits_per_dim") is not None]
    if not rows and not proven:
        return Html()

    table = _table(proven)
    failed = [(str(row["name"]), str(row["error"])) for row in board.codecs if row.get("error")]
    missing = absent("Not shown", failed)
    if not rows:
        return section("As files", PROOFS, table, missing)
    drawing = tag("figure", Html(figures.drawn(_ladder(rows))), class_="plot wide")
    about = tag("p", PROOFS) if proven else ""
    return section("As files", LEAD, drawing, about, table, missing)


def _table(proven: Sequence[tuple[str, Proof]]) -> Html:
    """What was claimed and what the file weighs, a row for each model."""
    if not proven:
        return Html()

    heads = [tag("th", heading, scope="col") for heading in ("model", *COLUMNS)]
    lines = []
    for name, proof in proven:
        cells = [tag("td", show(proof)) for show in COLUMNS.values()]
        lines.append(tag("tr", tag("th", name, scope="row"), *cells))
    table = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *lines))
    return tag("div", table, class_="scroll")


def _ladder(rows: Sequence[Row]) -> Figure:
    """Bits per dimension of each file, one below the other."""
    from matplotlib.figure import Figure

    files = [row for row in rows if row["kind"] != "entropy"]
    entropies = [row for row in rows if row["kind"] == "entropy"]
    figure = Figure(figsize=(6.4, 0.5 + 0.185 * len(files)), layout="constrained")
    axes = figure.add_subplot()
    for row in entropies:
        if "histogram" in row["name"]:
            axes.axvline(row["bits_per_dim"], color=SOFT, linewidth=0.8, linestyle="--")
    for place, row in enumerate(files):
        _rung(axes, place, row)
    _style(axes, files)
    return figure


def _rung(axes: Axes, place: int, row: Row) -> None:
    bits = row["bits_per_dim"]
    axes.plot(bits, place, "o", color=COLOURS[row["kind"]], markersize=4, markeredgewidth=0)
    axes.annotate(
        f"{bits:.3f}",
        (bits, place),
        (5, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=INK,
    )


def _style(axes: Axes, files: Sequence[Row]) -> None:
    most = max(row["bits_per_dim"] for row in files)
    axes.set_yticks(range(len(files)), [row["name"] for row in files], fontsize=8)
    axes.set(xlim=(0, 1.12 * most), ylim=(-0.7, len(files) - 0.3))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color=SOFT, linewidth=0.6)
    axes.tick_params(colors=INK, labelcolor=INK, color=SOFT, length=0)
    axes.set_title("bits/dim, files of the whole test split", fontsize=9, color=INK, loc="left")
