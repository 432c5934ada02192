"""The shell: one command for each verb. Heavy imports are inside the commands, so that `dalm
--help` answers at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dalm import __version__
from dalm.cli.coding import codecs, compress, decompress, prove
from dalm.cli.fields import (
    load,
    option,
    options,
    parse,
    positional,
    positionals,
    run_fields,
    show_list,
)


def fit(arguments: list[str]) -> int:
    """Fit a family to data: dalm fit FAMILY DATA --seconds 60 --out runs/NAME."""
    from dalm import verbs
    from dalm.train import fit as train

    family = (
        verbs.family_of(arguments[0]) if arguments and not arguments[0].startswith("-") else None
    )
    fields = (
        positionals(["family", "data"])
        + run_fields()
        + (options(family, skip=("spec",)) if family else [])
    )
    asked = parse(
        "fit",
        fields,
        arguments,
        "Fit a family to data. Its own options show with: dalm fit FAMILY --help",
    )
    data = load(asked)
    own = {name: asked[name] for name, *_ in (options(family, skip=("spec",)) if family else [])}
    out = asked["out"]
    run = train(
        verbs.make(asked["family"], data, asked["seed"], **own),
        data,
        out=out,
        resume=asked["resume"],
        **_train(asked),
    )
    if run.meta["state"] == "stopped":
        print(
            f"Stopped. {run.path} is saved; go on with the same command and --resume",
            file=sys.stderr,
        )
        return 130
    print(
        f"{run.path}  {run.model.family} on {data.name}: {run.meta['parameters']:,} parameters, "
        f"{run.meta['seconds']:.1f} s"
    )
    return 0


def sample(arguments: list[str]) -> int:
    """Draw samples from a run: dalm sample RUN -n 64 --out grid.png (or .npz, .npy)."""
    fields = [
        *positionals(["run"]),
        option("n", int, 64, "how many", "-n"),
        option("out", Path, Path("samples.png"), "a picture (.png) or an array (.npz, .npy)"),
        option("seed", int, 0, "of the samples"),
        option("class", int | None, None, "class label, where the model is conditional"),
        option("device", str, "cpu", "where to compute"),
    ]
    asked = parse("sample", fields, arguments, "Draw samples from a run.")
    from dalm import verbs

    path = verbs.sample(
        asked["run"],
        asked["n"],
        asked["out"],
        seed=asked["seed"],
        label=asked["class"],
        device=asked["device"],
    )
    print(path)
    return 0


def score(arguments: list[str]) -> int:
    """Score a run on its test split: adds metrics.json to the run."""
    asked = parse(
        "score",
        [*positionals(["run"]), option("seed", int, 0, "of samples and metrics")],
        arguments,
        "Score a run.",
    )
    from rich.console import Console

    from dalm import report, verbs

    found = verbs.score(asked["run"], seed=asked["seed"]).to_json()
    metrics = {one["metric"]: one for one in found["scores"]}
    row = found | {
        "name": Path(asked["run"]).name,
        "error": None,
        "bits_per_dim": metrics.pop("bits_per_dim", None),
        "metrics": metrics,
    }
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(report.terminal_table([row], console.width))
    print(Path(asked["run"]) / "metrics.json")
    return 0


def compare(arguments: list[str]) -> int:
    """Fit every family under one budget, score them, and write scoreboard and report."""
    fields = [
        *positionals(["data"]),
        *run_fields(skip=("learn_from",)),
        option("families", tuple[str, ...], (), "which families; all by default"),
        option("conditional", bool, False, "condition on class labels each family that can"),
        option("prove", bool, False, "prove each likelihood by a file of that size that decodes"),
    ]
    asked = parse(
        "compare",
        fields,
        arguments,
        "Fit every family under one budget, score them, and write scoreboard and report.",
    )
    from dalm import verbs

    data = load(asked)
    print(
        f"{data.name}: {data.spec}, {len(data.train)} train, {len(data.val)} val, {len(data.test)} "
        "test",
        flush=True,
    )
    keep = {name: asked[name] for name in ("families", "out", "conditional", "prove", "resume")}
    try:
        with _scoreboard() as show:
            board = verbs.compare(data, **keep, show=show, **_train(asked))
    except KeyboardInterrupt:
        print(
            "Stopped. What is finished is kept; go on with the same command and --resume",
            file=sys.stderr,
        )
        return 130
    print(board["report"])
    return 0


@contextlib.contextmanager
def _scoreboard() -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Shows rows as they arrive: a live table in a terminal, else a line for each and the table at
    the end.
    """
    from rich import get_console
    from rich.console import Console
    from rich.live import Live

    from dalm.report import terminal_table

    console = get_console()
    rows = list[dict[str, Any]]()

    def show(so_far: list[dict[str, Any]]) -> None:
        rows[:] = so_far
        live.update(terminal_table(rows, console.width), refresh=console.is_terminal)
        if not console.is_terminal:
            print(f"{rows[-1]['name']}: {rows[-1]['error'] or 'done'}", flush=True)

    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield show
    last = console if console.is_terminal else Console(width=120)
    last.print(terminal_table(rows, last.width))


def report(arguments: list[str]) -> int:
    """Build the page from run folders or a comparison alone."""
    fields = [
        positional("runs", tuple[str, ...]),
        option("out", Path | None, None, "the page; report.html in the first folder by default"),
    ]
    asked = parse("report", fields, arguments, "Build the page from run folders or a comparison.")
    from dalm import verbs

    print(verbs.report(asked["runs"], asked["out"]))
    return 0


def models(arguments: list[str]) -> int:
    """What families there are: name, year, paper, likelihood, capabilities."""
    asked = parse(
        "models", [option("json", bool, False, "as JSON")], arguments, "List the families."
    )
    from dalm import verbs

    columns = ("name", "year", "likelihood", "conditional", "capabilities", "paper")
    return show_list(verbs.catalogue(), columns, asked["json"])


def data(arguments: list[str]) -> int:
    """What data there are by name; files and folders work too."""
    asked = parse(
        "data",
        [option("json", bool, False, "as JSON")],
        arguments,
        "List the data that have a name.",
    )
    from dalm.data import named_sources

    return show_list(
        [{"name": name, "about": about} for name, about in named_sources().items()],
        ("name", "about"),
        asked["json"],
    )


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "fit": fit,
    "sample": sample,
    "score": score,
    "compare": compare,
    "report": report,
    "compress": compress,
    "decompress": decompress,
    "prove": prove,
    "codecs": codecs,
    "models": models,
    "data": data,
}


PATHS = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
"""Errors that another path mends; others, such as a full disk, are failures."""


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for a failure, 2 for bad input (a path too), 130
    when stopped.
    """
    if argv is None:
        signal.signal(signal.SIGTERM, _stop)
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"dalm {__version__}")
        return 0
    return _run(arguments[0], arguments[1:])


def _stop(*_: object) -> None:
    """Stop as by Ctrl-C, so that a machine which shuts down loses nothing; a shell's background job
    may ignore that one.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _help() -> str:
    lines = [f"  {name:<11}{inspect.getdoc(command)}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "dalm: fit many families of generative model to your data, and see which to trust",
            "",
            *lines,
            "",
            "Options of a command: dalm COMMAND --help",
        ]
    )


def _run(name: str, arguments: list[str]) -> int:
    from dalm.errors import DalmError, did_you_mean
    from dalm.train import Diverged

    try:
        if name not in COMMANDS:
            raise DalmError(f"there is no command {name!r}. {did_you_mean(name, COMMANDS)}")
        return COMMANDS[name](arguments)
    except DalmError as error:
        print(f"dalm: {error}", file=sys.stderr)
        return 2
    except Diverged as error:
        print(f"dalm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dalm: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"dalm: {error}", file=sys.stderr)
        return 2 if isinstance(error, PATHS) else 1


def _train(asked: dict[str, Any]) -> dict[str, Any]:
    from dalm.train import FitOptions

    return {name: asked[name] for name in FitOptions.declared() if name in asked}
