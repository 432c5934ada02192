"""The report: what a page and a table say about run folders, whole or damaged."""

from __future__ import annotations

import doctest
import hashlib
import importlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import dalm
from dalm.records import (
    RunFolder,
    Score,
    Status,
    check_run,
    hold,
    read_scoreboard,
    run_state,
    score_records,
    write_meta,
    write_scoreboard,
    write_scores,
    write_status,
)
from dalm.records.scoreboard import is_reference
from dalm.report import build, save_grid, terminal_table
from dalm.report.board import read_board
from dalm.report.curves import losses, players
from dalm.report.figures import scatter
from dalm.report.images import grid, to_images
from dalm.report.ranking import best
from dalm.report.score import columns, value
from dalm.report.verdict import verdict

GREY = {"shape": [1, 8, 8], "levels": 17, "classes": 10}
COLOUR = {"shape": [3, 64, 64], "levels": 256, "classes": 0}
PLANE = {"shape": [2], "levels": None, "classes": 0}
EVIL = '<script>alert("x")</script>&'


def metric(
    value: float | None, half: float = 0.0, direction: Any = "lower", **more: Any
) -> dict[str, Any]:
    low, high = (value - half, value + half) if value is not None else (None, None)
    usual: dict[str, Any] = dict.fromkeys(("features", "label", "flag", "unreliable", "checked"))
    usual |= {"n": 500, "unit": "", "note": "", "unranked": ""}
    return {"value": value, "low": low, "high": high, "direction": direction, **usual, **more}


SCORES = {
    "format": 2,
    "data": "discs",
    "likelihood": "exact",
    "seconds": 61.0,
    "parameters": 4321,
    "samples_per_second": 890.0,
    "seed": 0,
    "machine": {},
    "each": None,
    "sizes": {},
    "scores": [
        {"metric": "bits_per_dim", "title": "bits/dim", "split": "test", "subset": None}
        | metric(1.74, 0.04, label="exact", unit="bits/dim")
    ],
    "explain": {"bits_per_dim": "Bits an ideal code needs."},
}


def row(name: str, bits: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    metrics = more.pop("metrics", {"frechet": metric(10.0, 1.0)})
    likelihood = bits["label"] if bits else None
    costs = {
        "seconds": 12.5,
        "parameters": 123456,
        "samples_per_second": 890.0,
        "run": None,
        "error": None,
    }
    return (
        {
            "name": name,
            "family": name,
            "reference": False,
            "likelihood": likelihood,
            "bits_per_dim": bits,
            "metrics": metrics,
        }
        | costs
        | more
    )


def data(spec: dict[str, Any], seed: int, n: int = 64) -> np.ndarray:
    """Discs of random place and size as discrete images; a noisy ring as points."""
    rng = np.random.default_rng(seed)
    if spec["levels"] is None:
        angle = rng.uniform(0, 2 * np.pi, n)
        return np.stack([np.cos(angle), np.sin(angle)], 1) * rng.normal(1, 0.05, (n, 1))
    channels, height, width = spec["shape"]
    y, x = np.mgrid[:height, :width]
    centre = rng.uniform(0.3, 0.7, (n, 2, 1, 1)) * height
    radius = rng.uniform(0.2, 0.4, (n, 1, 1)) * height
    disc = np.hypot(y - centre[:, 0], x - centre[:, 1]) < radius
    noise = rng.integers(0, spec["levels"], (n, channels, height, width))
    return np.where(disc[:, None], spec["levels"] - 1, noise // 2).astype(np.uint8)


MACHINE = {
    "device": "cpu",
    "cpu": "a processor",
    "cores": 2,
    "threads": 1,
    "python": "3.11",
    "torch": "2.6",
    "system": "Linux",
}


def write_run(folder: Path, spec: dict[str, Any] = GREY, family: str = "vae", **info: Any) -> Path:
    """A run as `fit` and `score` leave it; `**info` overrides what `run.json` says."""
    (folder / "samples").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"weights")
    split = {
        "name": "discs",
        "source": "discs",
        "options": {},
        "fingerprint": "abc123",
        "splits": {"train": 1437, "val": 180, "test": 180},
        "classes": [],
        "notes": ["2 files left out"],
        "warnings": ["rows repeat"],
        "recorded": False,
        "grades": None,
    }
    meta = {
        "format": 1,
        "dalm": dalm.__version__,
        "state": "done",
        "model": {"family": family, "spec": spec},
        "data": split,
        "fit": {"seed": 7, "seconds": 60, "steps": 900},
        "machine": MACHINE,
        "seconds": 61.0,
        "parameters": 4321,
        "error": None,
        "weights": hashlib.sha256(b"weights").hexdigest(),
    }
    meta = write_meta(folder, meta | info)
    write_scores(folder, SCORES, meta["weights"])
    log = [
        {
            "step": step,
            "seconds": 0.1,
            "loss": {"critic": 3 + 9 / step, "generator": 1.0},
            "lr": 1e-3,
        }
        for step in range(1, 400)
    ]
    log += [
        {"step": step, "seconds": 0.1, "validation": 80 + 90 / step}
        for step in range(100, 400, 100)
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, log)) + '\n{"step": 401, "lo')
    arrays: Any = {
        "samples": data(spec, 1),
        "nearest_train": data(spec, 1),
        "nearest_heldout": data(spec, 2),
        "real": data(spec, 3),
    }
    np.savez(folder / "gallery.npz", **arrays)
    for step in (1, 10, 100, 399):
        np.save(folder / "samples" / f"step-{step:08d}.npy", data(spec, step))
    return folder


def as_format_1(folder: Path) -> Path:
    """The same run as an earlier dalm wrote it."""
    run = RunFolder(folder)
    scores = {key: value for key, value in run.metrics.items() if key not in ("format", "scores")}
    kept = {record["metric"]: without(record, "metric", "split", "subset") for record in run.scores}
    write_scores(folder, scores | {"metrics": kept}, run.meta["weights"])
    lines = [
        line | {"loss": list(line["loss"].values())} if "loss" in line else line for line in run.log
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


def without(record: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in keys}


def as_format_2(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows as they are written now."""
    return [
        without(row, "bits_per_dim", "metrics")
        | {"scores": score_records(row), "kind": "reference" if row["reference"] else "model"}
        for row in rows
    ]


BOARD_ROWS = [
    row("pixelcnn", metric(1.74, 0.04, label="exact", unit="bits/dim"), run="pixelcnn"),
    row("gaussian", metric(1.77, 0.04, label="exact", unit="bits/dim")),
    row(
        "kde",
        metric(1.95, 0.04, label="exact"),
        metrics={"frechet": metric(0.5, 0.1), "copying": metric(-7.0, 1.0, 0, flag="copies")},
    ),
    row(
        "vae",
        metric(2.01, 0.05, label="bound"),
        metrics={"frechet": metric(4.0, 0.5), "copying": metric(0.3, 1.0, 0)},
    ),
    row("dcgan", metrics={}, error="the loss became NaN at step 412"),
    row(
        "held-out real",
        reference=True,
        metrics={"frechet": metric(1.1, 0.2), "copying": metric(0.1, 1.0, 0)},
    )
    | {"family": "copycat"},
    row(
        "copycat",
        reference=True,
        metrics={"frechet": metric(0.9, 0.2), "copying": metric(-9.0, 1.0, 0, flag="copies")},
    ),
    row("histogram", metric(1.90, 0.02, label="exact"), reference=True),
]


def write_board(folder: Path, rows: list[dict[str, Any]] = BOARD_ROWS, **more: Any) -> Path:
    """A comparison as `compare` leaves it."""
    folder.mkdir(exist_ok=True)
    board = {
        "data": "digits",
        "spec": GREY,
        "seed": 0,
        "machine": MACHINE,
        "budget": {"seconds": 60},
        "notes": ["a note"],
    }
    explain = {"frechet": "How far apart the two clouds of features are."}
    write_scoreboard(folder, board | {"rows": rows, "explain": explain} | more)
    return folder


@pytest.fixture
def board(tmp_path: Path) -> Path:
    write_run(tmp_path / "cmp" / "pixelcnn", family="pixelcnn")
    return write_board(tmp_path / "cmp")


class Text(HTMLParser):
    """What a reader sees, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag != "img" or dict(attrs)["alt"]
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


def read(page: Path) -> str:
    return " ".join(" ".join(Text(page.read_text(encoding="utf-8")).words).split())


def printed(rows: list[dict[str, Any]], width: int = 120) -> str:
    screen = io.StringIO()
    Console(width=width, file=screen, color_system=None).print(terminal_table(rows, width))
    return screen.getvalue()


@pytest.mark.parametrize(
    "module",
    [
        "board",
        "curves",
        "facts",
        "figures",
        "gallery",
        "images",
        "markup",
        "score",
        "paired",
        "ranking",
        "winners",
        "verdict",
        "table",
    ],
)
def test_examples_in_the_documentation(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"dalm.report.{module}"))
    assert found.failed == 0


def test_page_of_a_comparison(board: Path) -> None:
    words = read(build([board], board / "report.html"))

    assert "5 models of digits" in words
    for fact in (
        "1 × 8 × 8, 17 levels, 10 classes",
        "60 seconds",
        "cores 2",
        "train 1,437, val 180, test 180",
        "a note",
        "2 files left out",
    ):
        assert fact in words
    for name in (item["name"] for item in BOARD_ROWS):
        assert name in words
    assert "1.74 ± 0.04 exact" in words
    assert "≤ 2.01 ± 0.05 bound" in words
    assert "failed: the loss became NaN at step 412" in words
    assert "For reference held-out real" in words
    assert "⚑ copies" in words
    assert "How far apart the two clouds of features are." in words
    assert "Fréchet ↓" in words
    assert "copying → 0" in words
    for part in (
        "Real and generated",
        "nearest training",
        "nearest held-out",
        "step 399",
        "training loss",
        "validation, nats per datum",
    ):
        assert part in words
    assert "64 of 64 equal a training example exactly" in words


def test_page_stands_alone_and_is_the_same_every_time(board: Path) -> None:
    page = build([board], board / "one.html").read_bytes()

    assert page == build([board], board / "two.html").read_bytes()
    links = re.findall(rb'(?:src|href|url)\s*[=(]\s*"?([^"> )]+)', page)
    assert all(link.startswith((b"data:image/png", b"#")) for link in links)
    assert not [path for path in board.iterdir() if path.name.startswith(".")]


def test_verdict_uses_the_figures() -> None:
    found: dict[str, str] = {}
    for heading, sentence in verdict(BOARD_ROWS):
        found[heading] = found.get(heading, "") + sentence

    assert found["Best density"].startswith("pixelcnn: 1.74 ± 0.04 bits/dim")
    assert "Chosen among 4 models by this very figure" in found["Best density"]
    assert "between it and gaussian (by their 95 % intervals)." in found["Best density"]
    assert "Of vae (≤ 2.01 ± 0.05) only a bound is known" in found["Best density"]
    assert "kde (1.95 ± 0.04)" in found["No better than a reference"]
    assert found["Best samples"].startswith("vae: Fréchet distance 4.0 ± 0.5")
    assert "real data score 1.1 ± 0.2." in found["Best samples"]
    assert "kde: copies its training data (copying −7.0 ± 1.0)" in found["Copying"]
    assert found["What the alarms see here"] == "They name copycat (copies)."
    assert found["Failed"] == "dcgan: the loss became NaN at step 412."


def test_moments_do_not_win_where_a_classifier_sees_more() -> None:
    moments = row(
        "gaussian", metrics={"frechet": metric(0.001, 0.001), "c2st": metric(0.99, 0.005, 0.5)}
    )
    shape = row("kde", metrics={"frechet": metric(0.004, 0.001), "c2st": metric(0.55, 0.02, 0.5)})
    blind = row(
        "noise", metrics={"frechet": metric(0.002, 0.001), "c2st": metric(0.985, 0.005, 0.5)}
    )

    assert dict(verdict([moments, shape]))["Best samples"].startswith(
        "kde: told from real data by a classifier with accuracy 0.55"
    )
    found = dict(verdict([moments, blind]))
    assert found["Samples"] == "The best cannot be told from the next by C2ST and Fréchet."


def test_a_bound_above_a_reference_proves_nothing() -> None:
    noise = row("noise", reference=True, bits_per_dim=metric(2.5, 0.0, label="exact"))
    loose = metric(2.6, 0.1, label="bound")
    tight = metric(2.4, 0.1, label="bound")
    found = dict(verdict([noise, row("vae", loose), row("kde", metric(2.7, label="exact"))]))

    assert found["Not shown to be better than a reference"].startswith(
        "vae (≤ 2.60 ± 0.10): the noise reference reaches 2.5"
    )
    assert found["No better than a reference"].startswith("kde (2.7): the noise")
    above = row("vae", loose, metrics={"importance_bits_per_dim": loose})
    below = row("vae", loose, metrics={"importance_bits_per_dim": tight})
    assert "Not shown to be better than a reference" in dict(verdict([noise, above]))
    assert (
        not {"Not shown to be better than a reference", "No better than a reference"}
        & dict(verdict([noise, below])).keys()
    )


def test_verdict_doubts_an_alarm_that_accuses_real_data() -> None:
    accused = row(
        "held-out real",
        family="copycat",
        reference=True,
        metrics={"copying": metric(-5.0, 1.0, 0, flag="copies")},
    )
    model = row("vae", metrics={"copying": metric(0.0, 1.0, 0)})

    said = dict(verdict([model, accused]))["What the alarms see here"]
    assert said == ("Held-out real data raise an alarm too (copies), so do not rely on it here.")


def test_verdict_says_what_the_alarms_do_not_see() -> None:
    noisy = row("noisy copycat", family="copycat", reference=True, options={"noise": 0.05})
    model = row("vae", metrics={"copying": metric(0.0, 1.0, 0)})
    said = dict(verdict([model, noisy]))["What the alarms see here"]
    assert said == "They do not see noisy copycat: such a model would pass for honest."


def test_warnings_about_the_data_come_first() -> None:
    model = row("vae", metrics={"copying": metric(0.0, 1.0, 0)})
    assert verdict([model], ["Test rows are training rows."])[0] == (
        "Data",
        "Test rows are training rows.",
    )


def test_an_impossible_likelihood_does_not_rank() -> None:
    cheat = metric(-2.0, 0.1, label="exact", flag="impossible", unranked="sums to more than 1")
    found = dict(verdict([row("cheat", cheat), row("kde", metric(1.9, 0.1, label="exact"))]))
    assert found["Density"].startswith("kde: 1.9")
    assert found["Density not ranked"] == "cheat: sums to more than 1."
    assert "cheat: impossible" in found["Alarm"]


def test_a_bound_below_the_best_exact_value_wins() -> None:
    rows = [
        row("kde", metric(2.0, 0.01, label="exact")),
        row("vae", metric(1.5, 0.01, label="bound")),
    ]

    found = dict(verdict(rows))["Best density"]
    assert found.startswith("vae: ≤ 1.500 ± 0.010 bits/dim")
    assert "it is the better density" in found


def test_best_is_the_lowest_bound_or_exact_value_of_models_that_do_not_copy() -> None:
    exact = [row(name, metric(bits, label="exact")) for name, bits in (("a", 2.0), ("b", 1.9))]
    bounds = [row(name, metric(bits, label="bound")) for name, bits in (("c", 1.0), ("d", 1.1))]
    reference = row("r", metric(0.5, label="exact"), reference=True)

    assert best([*exact, *bounds, reference], "bits_per_dim") == [2]
    assert best(exact[:1] + bounds[:1], "bits_per_dim") == [1]
    assert best(bounds[:1] + [reference], "bits_per_dim") == []
    assert best(BOARD_ROWS, "frechet") == [3]


@pytest.mark.parametrize(
    ("middle", "low", "high", "shown"),
    [
        (1.7412, 1.702, 1.781, ("1.74", "0.04")),
        (12345.6, 12300.0, 12390.0, ("12,346", "45")),
        (-7.31, -8.5, -6.1, ("−7.3", "1.2")),
        (0.00031, 0.00001, 0.00061, ("0.0003", "0.0003")),
        (0.5, None, None, ("0.5", "")),
        (float("inf"), float("inf"), float("inf"), ("∞", "")),
        (float("nan"), 0.0, 1.0, ("–", "")),
        (None, None, None, ("–", "")),
    ],
)
def test_values_are_rounded_to_what_their_interval_allows(
    middle: Any, low: Any, high: Any, shown: tuple[str, str]
) -> None:
    assert value({"value": middle, "low": low, "high": high}) == shown


@pytest.mark.parametrize(
    ("middle", "half", "shown"),
    [
        (0.00031, 0.00030, "0.0003±0.0003"),
        (0.00031, 1e-7, "0.00031±<0.00001"),
        (1.7, 1e-5, "1.700±<0.001"),
        (0.0, 1e-5, "0.000±<0.001"),
    ],
)
def test_small_values_do_not_become_zero_in_the_terminal(
    middle: float, half: float, shown: str
) -> None:
    assert shown in printed([row("kde", metrics={"frechet": metric(middle, half)})])


def test_every_string_is_escaped(tmp_path: Path) -> None:
    flagged = metric(1.0, 0.1, unit=EVIL, features=EVIL, flag=EVIL, note=EVIL, label=EVIL)
    rows = [
        row(
            EVIL,
            flagged,
            family=EVIL + "f",
            metrics={EVIL: flagged, "kid": metric(None, note=EVIL)},
        ),
        row("b", error=EVIL),
    ]
    run = write_run(
        tmp_path / "run",
        data={
            "source": EVIL,
            "options": {EVIL: EVIL},
            "splits": EVIL,
            "fingerprint": EVIL,
            "notes": [EVIL],
        },
    )
    folder = write_board(
        tmp_path / "cmp",
        rows,
        data=EVIL,
        machine=EVIL,
        budget=EVIL,
        notes=[EVIL],
        explain={EVIL: EVIL},
        date=EVIL,
        seed=EVIL,
    )
    page = build([folder, run], tmp_path / "report.html")

    assert EVIL not in page.read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").count("<script>") == 1
    assert EVIL in read(page)


@pytest.mark.parametrize("missing", ["metrics.json", "gallery.npz", "log.jsonl", "samples"])
def test_a_missing_part_is_told_not_a_crash(tmp_path: Path, missing: str) -> None:
    whole = write_run(tmp_path / "whole")
    lame = write_run(tmp_path / "lame")
    if missing == "samples":
        for path in (lame / "samples").iterdir():
            path.unlink()
    else:
        (lame / missing).unlink()
    words = read(build([whole, lame], tmp_path / "report.html"))

    reason = {
        "samples": "it kept no snapshots",
        "gallery.npz": "it has no gallery.npz",
        "log.jsonl": "it has no log.jsonl",
    }
    assert "2 models of discs" in words
    assert re.search(
        rf"{reason.get(missing, 'It has no metrics.json')}[^.]*(\.jsonl|\.npz)?[^.]*\(lame\)",
        words,
        re.I,
    )


def test_a_reason_that_several_figures_share_is_said_once(tmp_path: Path) -> None:
    few = {name: metric(None, note="too few rows.") for name in ("kid", "recall")}
    rows = [row("a", metrics=few), row("b", metrics=few)]
    page = read(build([write_board(tmp_path / "cmp", rows)], tmp_path / "report.html"))
    assert page.count("too few rows (a and b)") == 1


def test_a_bare_run_still_makes_a_page(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "run.json").write_text("{}")

    assert "No scores yet" in read(build([tmp_path / "bare"], tmp_path / "report.html"))


def test_failed_and_unfinished_runs_say_so(tmp_path: Path) -> None:
    failed = write_run(tmp_path / "broke", state="failed", error="out of memory")
    words = read(
        build([failed, write_run(tmp_path / "half", state="stopped")], tmp_path / "report.html")
    )

    assert "failed: out of memory" in words
    assert "half is not finished: its state is stopped." in words


def test_a_damaged_or_pickled_gallery_is_not_opened(tmp_path: Path) -> None:
    torn, pickled, odd = (write_run(tmp_path / name) for name in ("torn", "pickled", "odd"))
    (torn / "gallery.npz").write_bytes((torn / "gallery.npz").read_bytes()[:200])
    np.savez(pickled / "gallery.npz", samples=np.array([{"a": 1}], dtype=object))
    np.savez(odd / "gallery.npz", samples=np.zeros((4, 5)))
    words = read(build([torn, pickled, odd], tmp_path / "report.html"))

    assert words.count("gallery.npz cannot be shown") == 3
    assert "allow_pickle=False" in words
    assert "data of shape (1, 8, 8) were expected" in words


def test_runs_on_different_data_are_not_compared_silently(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one")
    two = write_run(tmp_path / "two", data={"source": "discs", "fingerprint": "other"})

    assert "do not compare" in read(build([one, two], tmp_path / "report.html"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.txt", "x", "neither run.json nor scoreboard.json"),
        ("run.json", "{broken", "cannot be read as JSON"),
        ("run.json", "[1]", "needs an object"),
        ("run.json", '{"format": 2}', "format 2; this dalm reads formats up to 1"),
        ("scoreboard.json", '{"format": 1}', "has no list of rows"),
        ("scoreboard.json", '{"format": "new", "rows": []}', "format 'new'"),
    ],
)
def test_bad_folders_are_refused_and_nothing_is_written(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / name).write_text(content)

    with pytest.raises(ValueError, match=re.escape(message)):
        build([tmp_path / "bad"], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_no_folder_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        build([], tmp_path / "report.html")
    with pytest.raises(ValueError, match="is not a folder"):
        read_board([tmp_path / "nowhere"])


def test_page_stays_under_two_megabytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 3, 64, 64), np.uint8)
    for name in "ab":
        folder = write_run(tmp_path / name, COLOUR)
        np.savez(
            folder / "gallery.npz",
            samples=noise,
            nearest_train=noise[::-1],
            nearest_heldout=noise,
            real=noise,
        )
    page = build([tmp_path / name for name in "ab"], tmp_path / "report.html")

    assert 500_000 < page.stat().st_size < 2_000_000


def test_points_are_drawn_as_scatter_plots(tmp_path: Path) -> None:
    page = build([write_run(tmp_path / "ring", PLANE)], tmp_path / "report.html")

    assert "<img" not in page.read_text(encoding="utf-8")
    assert "□ nearest held-out" in read(page)
    save_grid(data(PLANE, 0), tmp_path / "ring.png", PLANE)
    save_grid(data(PLANE, 0), tmp_path / "same.png", PLANE)
    assert (tmp_path / "ring.png").read_bytes() == (tmp_path / "same.png").read_bytes()


@pytest.mark.parametrize(
    ("spec", "mode", "size"),
    [
        (GREY, "LA", (568, 568)),
        (COLOUR, "RGBA", (519, 519)),
        ({"shape": [5, 7], "levels": None}, "LA", (567, 423)),
        ({"shape": [10], "levels": None}, "RGBA", (810, 547)),
        ({"shape": [1], "levels": None}, "RGBA", (810, 142)),
        ({"shape": [1, 200, 100], "levels": 256}, "LA", (526, 1038)),
    ],
)
def test_save_grid_of_any_shape(
    tmp_path: Path, spec: dict[str, Any], mode: str, size: tuple[int, int]
) -> None:
    save_grid(np.random.default_rng(0).random((64, *spec["shape"])), tmp_path / "grid.png", spec)

    with Image.open(tmp_path / "grid.png") as picture:
        assert (picture.mode, picture.size) == (mode, size)
        assert picture.getpixel((picture.width - 1, picture.height - 1))[-1] == 255  # type: ignore[index]


def test_save_grid_refuses_other_shapes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("shape (N, 1, 8, 8)")):
        save_grid(np.zeros((4, 8, 8)), tmp_path / "grid.png", GREY)
    with pytest.raises(ValueError, match="N ≥ 1"):
        save_grid(np.zeros((0, 1, 8, 8)), tmp_path / "grid.png", GREY)
    assert not (tmp_path / "grid.png").exists()


def test_pixels_are_the_data() -> None:
    colour = np.zeros((1, 3, 2, 2), np.uint8)
    colour[0, 0, 0, 1] = 255
    assert to_images(colour, {"shape": [3, 2, 2], "levels": 256})[0, 0, 1].tolist() == [255, 0, 0]
    assert to_images(np.array([[[0, 1]]]), {"shape": [1, 2], "levels": 2}).ravel().tolist() == [
        0,
        255,
    ]
    real = to_images(
        np.array([[[-1.0, 0.0, np.inf, np.nan]]]), {"shape": [1, 4], "levels": None}, (-1.0, 1.0)
    )
    assert real.ravel().tolist() == [0, 128, 255, 0]
    with Image.open(
        io.BytesIO(grid(np.full((3, 1, 2, 2), 16), {"shape": [1, 2, 2], "levels": 17}, 2))
    ) as picture:
        assert (
            np.asarray(picture)[..., 1].tolist()
            == [[255, 255, 0] + [255] * 2] * 2 + [[0] * 5] + [[255, 255, 0, 0, 0]] * 2
        )


def test_figures_follow_the_page_and_survive_bad_numbers() -> None:
    log = [
        {"step": step, "loss": [np.nan if step == 3 else 1.0 / step]} for step in range(1, 9)
    ] + [{"step": 8, "validation": None}]
    curve = losses(log)

    assert curve == losses(log)
    assert "var(--accent)" not in curve
    assert "currentColor" in curve
    assert "nan" not in curve
    assert "var(--accent)" in losses([{"step": 1, "validation": 2.0}])
    assert scatter([(np.array([[0.0, np.nan], [1.0, 2.0]]), "o", "#070809")]).startswith("<svg")


def test_terminal_table_says_what_the_scoreboard_says() -> None:
    shown = printed(BOARD_ROWS)

    assert max(map(len, shown.splitlines())) <= 120
    for part in (
        "bits/dim ↓",
        "copying → 0",
        "1.74±0.04 exact",
        "≤ 2.01±0.05 bound",
        "kde ⚑",
        "dcgan ✗",
        "✗ dcgan: the loss became NaN",
    ):
        assert part in shown
    assert shown.index("dcgan") < shown.index("held-out real")


def test_a_narrow_terminal_leaves_columns_out_whole() -> None:
    full = {
        name: metric(0.123, 0.012, "higher")
        for name in ("frechet", "precision", "coverage", "c2st", "copying")
    }
    shown = printed(
        [row("held-out real data", metric(1.741, 0.012, label="exact"), metrics=full)], width=80
    )

    assert "1.741±0.012 exact" in shown
    assert "…" not in shown
    assert "Left out for want of room: precision, coverage" in shown
    assert "Left out" not in printed([row("kde", metric(1.741, 0.012, label="exact"))], width=80)


def test_terminal_table_while_rows_arrive() -> None:
    waiting = row("vae", metrics={})
    assert "…" in printed([waiting])
    assert terminal_table([]).row_count == 0
    full = {
        name: metric(0.123, 0.012, "higher")
        for name in ("frechet", "precision", "recall", "coverage", "c2st", "copying")
    }
    wide = printed(
        [waiting, row("held-out real data", metric(1.741, 0.012, label="estimate"), metrics=full)]
    )
    assert max(map(len, wide.splitlines())) <= 120
    assert "≈ 1.741±0.012 estimate" in wide


def test_terminal_table_marks_the_best_and_takes_names_literally() -> None:
    rows = [row("[bold]a", metric(1.0, label="exact")), row("b", metric(2.0, label="exact"))]
    assert "[bold]a" in printed(rows)
    styles = [cell.style for cell in terminal_table(rows).columns[1].cells]  # type: ignore[union-attr]
    assert styles == ["bold", ""]


# Formats: what is written now, and what an earlier version wrote


def test_the_layout_of_these_tests_is_the_one_that_fit_and_score_write(tmp_path: Path) -> None:
    real = dalm.fit("gaussian", "moons", out=tmp_path / "real", progress=False).path
    dalm.score(real)
    made = write_run(tmp_path / "made", PLANE)
    check_run(made)
    check_run(real)

    written, ours = RunFolder(real), RunFolder(made)
    assert set(ours.meta) == set(written.meta)
    assert set(ours.meta["data"]) == set(written.meta["data"])
    assert set(ours.meta["machine"]) == set(written.meta["machine"])
    # The list of records took the place of a mapping.
    renamed = {"metrics": "scores"}
    kept = {renamed.get(key, key) for key in written.metrics}
    said_where_it_applies = {"sized", "warning"}
    assert set(ours.metrics) == (kept - said_where_it_applies) | {"format"}
    assert all(set(ours.scores[0]) == set(record) for record in written.scores)
    assert set(ours.scores[0]) == set(Score.__dataclass_fields__)
    assert set(ours.gallery) | {"points", "density"} == set(written.gallery)


def page_of(folders: list[Path], out: Path) -> str:
    text = build(folders, out).read_text(encoding="utf-8")
    return text.replace("one line for each player: critic, generator", "one line for each player")


def test_a_page_of_old_folders_looks_the_same(tmp_path: Path) -> None:
    run = write_run(tmp_path / "cmp" / "pixelcnn", family="pixelcnn")
    cmp = write_board(tmp_path / "cmp", as_format_2(BOARD_ROWS), date="2026-11-26")
    new = page_of([cmp, run], tmp_path / "new.html")

    board = without(read_scoreboard(cmp), "digest") | {"format": 1, "rows": BOARD_ROWS}
    (cmp / "scoreboard.json").write_text(json.dumps(board))
    old = page_of([cmp, as_format_1(run)], tmp_path / "old.html")
    assert old == new


def test_a_table_of_old_rows_looks_the_same() -> None:
    for width in (50, 80, 120):
        assert printed(as_format_2(BOARD_ROWS), width) == printed(BOARD_ROWS, width)


def test_scores_of_other_splits_and_subsets_do_not_stand_in_the_table() -> None:
    whole = {"metric": "kid", "split": "test", "subset": None, **metric(1.0)}
    scores = [whole | {"split": "val", "value": 9.0}, whole | {"subset": "class 3"}, whole]
    scores.append(whole | {"metric": "mine", "split": "val"})

    assert columns([{"scores": scores}]) == ["kid"]
    assert dict(verdict([{"name": "a", "scores": scores}])) == {
        "Samples": "a: KID 1.",
        "No likelihood": "a has none: only the samples can be judged.",
    }


def test_a_model_with_the_name_of_a_reference_is_a_model() -> None:
    rows = as_format_2([row("real copycat", metric(1.0, label="exact"))])

    assert not is_reference(rows[0])
    assert dict(verdict(rows))["Density"].startswith("real copycat: 1")


# Runs in progress


def test_a_crashed_run_is_said_to_have_crashed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "half", state="running")
    write_status(run, Status(step=412, steps=800, rate=9.5))
    assert run_state(run) == "crashed"
    words = read(build([run], tmp_path / "report.html"))

    assert "Failed half : it crashed at step 412 of 800: its process died." in words
    assert "--resume" in words
    assert "is not finished" not in words


def test_a_run_in_progress_says_how_far_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path / "half", state="running")
    with hold(run):
        write_status(run, Status(step=1412, steps=None, rate=9.5))
        words = read(build([run], tmp_path / "report.html"))

    assert "half is not finished: its state is running at step 1,412." in words
    assert "crashed" not in words


# Curves


def test_losses_of_both_formats_are_drawn_alike() -> None:
    old = [{"step": step, "loss": [3 / step, 1.0]} for step in range(1, 50)]
    new = [{"step": step, "loss": {"critic": 3 / step, "generator": 1.0}} for step in range(1, 50)]

    assert losses(old) == losses(new)
    assert players(new) == ["critic", "generator"]


def test_terms_have_panels_of_their_own() -> None:
    log = [
        {"step": step, "loss": {"vae": 9.0 / step}, "terms": {"divergence": 1.0, "error": None}}
        for step in range(1, 50)
    ]
    curve = losses(log)

    assert "divergence" in curve
    assert "error" not in curve
    assert "divergence" not in losses([without(line, "terms") for line in log])


def test_every_player_has_a_curve() -> None:
    """Five of them, though there are three colours."""

    def paths(names: str) -> int:
        log = [{"step": step, "loss": dict.fromkeys(names, 1.0 * step)} for step in range(1, 9)]
        return losses(log).count("<path")

    assert paths("abcde") == paths("a") + 4


def test_what_is_doubted_for_one_reason_is_said_once() -> None:
    doubt = {"label": "exact", "unreliable": "9 rows are too few", "note": "median 2; guarded"}
    rows = [row("kde", metric(1.9, 0.1, **doubt)), row("vae", metric(2.5, 0.1, **doubt))]
    words = "kde (1.90 ± 0.10?, median 2) and vae (2.50 ± 0.10?, median 2): 9 rows are too few."
    assert dict(verdict(rows))["Unreliable interval"] == words
