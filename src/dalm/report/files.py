"""The test split as files: every coder and every proven model on one axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dalm.report import figures
from dalm.report.figures import ACCENT, INK, SOFT
from dalm.report.gallery import absent, section
from dalm.report.markup import Html, tag
from dalm.report.read import Board, mapping

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"model": ACCENT, "coder": SOFT, "baseline": INK}
LEAD = (
    "Bits for each number of the test split in a file that decodes: compressors that people use, "
    "classical coders, and the proven models, "
    "without their weights. The dashed line is the entropy of a histogram for each entry, counted "
    "on the training data."
)

PROOFS = (
    "The test split, compressed with each model and decoded by another process at another batch "
    "size and thread count. A run is proven "
    "if that gives the same data and the file is at most 0.1 % and 192 bytes longer than its "
    "likelihood claims. Of the difference, "
    "rounding is what exact arithmetic adds; it is negative where a model holds data to be all but "
    "impossible, since in a file nothing "
    "costs more than 24 bits. Coder and archive add the rest: fifty to a hundred bytes, which few "
    "data feel most. The weights are counted "
    "as they are; dalm compress --embed rounds them, and needs far less."
)
COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "claimed, bits/dim": lambda proof: (
        f"{proof['claimed']:.4f}"
        + (f" ({proof['samples']} samples)" if proof["samples"] > 1 else "")
    ),
    "file, bits/dim": lambda proof: f"{proof['file']:.4f}",
    "file / claim": lambda proof: f"{proof['ratio']:.4f}",
    "rounding": lambda proof: _percent(proof.get("rounding")),
    "coder and archive": lambda proof: _percent(proof.get("overhead")),
    "bytes": lambda proof: f"{proof['bytes']:,}",
    "with the weights": lambda proof: f"{proof['with_weights']:,}",
    "encode, MB/s": lambda proof: f"{proof['encode_mb_s']:.2g}",
    "decode, MB/s": lambda proof: f"{proof['decode_mb_s']:.2g}",
    "seal": lambda proof: "proven" if proof["sealed"] else str(proof["reason"]),
}


def _percent(share: float | None) -> str:
    """Runs proven by an early version do not say."""
    return "–" if share is None else f"{100 * share:+.3f} %"


def files(board: Board) -> Html:
    """The section, if anything was proven."""
    found = [
        (entry.name, mapping(entry.run.metrics.get("proof")))
        for entry in board.entries
        if entry.run
    ]
    proofs = [(name, proof) for name, proof in found if proof.get("bytes")]
    rows = [row for row in board.codecs if row.get("bits_per_dim") is not None]
    if not rows and not proofs:
        return Html()
    failed = [(str(row["name"]), str(row["error"])) for row in board.codecs if row.get("error")]
    drawing = tag("figure", Html(figures.drawn(_ladder(rows))), class_="plot wide") if rows else ""
    told = tag("p", PROOFS) if rows and proofs else ""
    return section(
        "As files",
        LEAD if rows else PROOFS,
        drawing,
        told,
        _proofs(proofs),
        absent("Not shown", failed),
    )


def _proofs(proofs: Sequence[tuple[str, Mapping[str, Any]]]) -> Html:
    """What was claimed and what the file weighs, a row for each model."""
    heads = tag("tr", *(tag("th", text, scope="col") for text in ("model", *COLUMNS)))
    bodies = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(tag("td", show(proof)) for show in COLUMNS.values()),
        )
        for name, proof in proofs
    ]
    return (
        tag("div", tag("table", tag("thead", heads), tag("tbody", *bodies)), class_="scroll")
        if proofs
        else Html()
    )


def _ladder(rows: Sequence[Mapping[str, Any]]) -> Figure:
    from matplotlib.figure import Figure

    shown = [row for row in rows if row["kind"] != "entropy"]
    figure = Figure(figsize=(6.4, 0.5 + 0.185 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        if row["kind"] == "entropy" and "histogram" in row["name"]:
            axes.axvline(row["bits_per_dim"], color=SOFT, linewidth=0.8, linestyle="--")
    for place, row in enumerate(shown):
        bits = row["bits_per_dim"]
        colour = COLOURS[row["kind"]]
        axes.plot(bits, place, "o", color=colour, markersize=4, markeredgewidth=0)
        axes.annotate(
            f"{bits:.3f}",
            (bits, place),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=INK,
        )
    axes.set_yticks(range(len(shown)), [row["name"] for row in shown], fontsize=8)
    axes.set(
        xlim=(0, 1.12 * max(row["bits_per_dim"] for row in shown)), ylim=(-0.7, len(shown) - 0.3)
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color=SOFT, linewidth=0.6)
    axes.tick_params(colors=INK, labelcolor=INK, color=SOFT, length=0)
    axes.set_title("bits/dim, files of the whole test split", fontsize=9, color=INK, loc="left")
    return figure
