"""The shell: one command for each verb. Heavy imports are inside the commands, so that `dalm --help` answers at once."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

from dalm import __version__


def fit(arguments: list[str]) -> int:
    """Fit a family to data: dalm fit FAMILY DATA --seconds 60 --out runs/NAME."""
    from dalm import verbs
    from dalm.train import fit as train

    family = verbs.family_of(arguments[0]) if arguments and not arguments[0].startswith("-") else None
    fields = _places(["family", "data"]) + _run_fields() + (_options(family, skip=("spec",)) if family else [])
    asked = _parse("fit", fields, arguments, "Fit a family to data. Its own options show with: dalm fit FAMILY --help")
    data = _load(asked)
    own = {name: asked[name] for name, *_ in (_options(family, skip=("spec",)) if family else [])}
    out = asked["out"]
    run = train(verbs.make(asked["family"], data, asked["seed"], **own), data, out=out, resume=asked["resume"], **_train(asked))
    if run.meta["state"] == "stopped":
        print(f"Stopped. {run.path} is saved; go on with the same command and --resume", file=sys.stderr)
        return 130
    print(f"{run.path}  {run.model.family} on {data.name}: {run.meta['parameters']:,} parameters, {run.meta['seconds']:.1f} s")
    return 0


def sample(arguments: list[str]) -> int:
    """Draw samples from a run: dalm sample RUN -n 64 --out grid.png (or .npz, .npy)."""
    fields = [
        *_places(["run"]),
        _field("n", int, 64, "how many", "-n"),
        _field("out", Path, Path("samples.png"), "a picture (.png) or an array (.npz, .npy)"),
        _field("seed", int, 0, "of the samples"),
        _field("class", int | None, None, "class label, where the model is conditional"),
        _field("device", str, "cpu", "where to compute"),
    ]
    asked = _parse("sample", fields, arguments, "Draw samples from a run.")
    from dalm import verbs

    path = verbs.sample(asked["run"], asked["n"], asked["out"], seed=asked["seed"], label=asked["class"], device=asked["device"])
    print(path)
    return 0


def score(arguments: list[str]) -> int:
    """Score a run on its test split: adds metrics.json to the run."""
    asked = _parse("score", [*_places(["run"]), _field("seed", int, 0, "of samples and metrics")], arguments, "Score a run.")
    from rich.console import Console

    from dalm import report, verbs

    found = verbs.score(asked["run"], seed=asked["seed"])
    metrics = dict(found["metrics"])
    row = found | {"name": Path(asked["run"]).name, "error": None, "bits_per_dim": metrics.pop("bits_per_dim", None), "metrics": metrics}
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(report.terminal_table([row], console.width))
    print(Path(asked["run"]) / "metrics.json")
    return 0


def compare(arguments: list[str]) -> int:
    """Fit every family under one budget, score them, and write scoreboard and report."""
    fields = [
        *_places(["data"]),
        *_run_fields(skip=("learn_from",)),
        _field("families", tuple[str, ...], (), "which families; all by default"),
        _field("conditional", bool, False, "condition on class labels each family that can"),
        _field("prove", bool, False, "prove each likelihood by a file of that size that decodes"),
    ]
    asked = _parse("compare", fields, arguments, "Fit every family under one budget, score them, and write scoreboard and report.")
    from dalm import verbs

    data = _load(asked)
    print(f"{data.name}: {data.spec}, {len(data.train)} train, {len(data.val)} val, {len(data.test)} test", flush=True)
    keep = {name: asked[name] for name in ("families", "out", "conditional", "prove", "resume")}
    try:
        with _scoreboard() as show:
            board = verbs.compare(data, **keep, show=show, **_train(asked))
    except KeyboardInterrupt:
        print("Stopped. What is finished is kept; go on with the same command and --resume", file=sys.stderr)
        return 130
    print(board["report"])
    return 0


@contextlib.contextmanager
def _scoreboard() -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Shows rows as they arrive: a live table in a terminal, else a line for each and the table at the end."""
    from rich import get_console
    from rich.console import Console
    from rich.live import Live

    from dalm.report import terminal_table

    console, rows = get_console(), list[dict[str, Any]]()

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
    fields = [_place("runs", tuple[str, ...]), _field("out", Path | None, None, "the page; report.html in the first folder by default")]
    asked = _parse("report", fields, arguments, "Build the page from run folders or a comparison.")
    from dalm import verbs

    print(verbs.report(asked["runs"], asked["out"]))
    return 0


def compress(arguments: list[str]) -> int:
    """Compress data with the model of a run: dalm compress RUN DATA.npz -o DATA.dalm."""
    fields = [
        *_places(["run", "data"]),
        _field("out", Path, Path("data.dalm"), "the archive", "-o"),
        _field("samples", int, 1, "importance samples of a latent-variable model: more make a smaller file, more slowly"),
        _field("chunk", int, 0, "data that are decoded together; 0 chooses"),
        _field("embed", bool, False, "put the model into the archive"),
        *_code_fields(),
    ]
    asked = _parse("compress", fields, arguments, "Compress data with the model of a run.")
    from dalm import verbs

    _threads(asked)
    keep = {name: asked[name] for name in ("samples", "chunk", "embed", "batch")}
    with _bar("compress") as tell:
        found = verbs.compress(asked["run"], asked["data"], asked["out"], **keep, progress=tell)
    print(
        f"{asked['out']}  {found['count']:,} data: {found['original']:,} bytes to {found['bytes']:,}, "
        f"{found['ratio']:.2f} times smaller, {found['bits_per_dim']:.4f} bits/dim, {found['seconds']:.1f} s"
    )
    return 0


def decompress(arguments: list[str]) -> int:
    """Give back what an archive holds: dalm decompress DATA.dalm -o DATA.npz (or .npy)."""
    fields = [
        *_places(["archive"]),
        _field("out", Path, Path("data.npz"), "the data", "-o"),
        _field("run", Path | None, None, "the run it was written with; by default the model inside, or a run below this folder"),
        *_code_fields(),
    ]
    asked = _parse("decompress", fields, arguments, "Give back what an archive holds.")
    from dalm import verbs

    _threads(asked)
    with _bar("decompress") as tell:
        print(verbs.decompress(asked["archive"], asked["out"], run=asked["run"], batch=asked["batch"], progress=tell))
    return 0


def prove(arguments: list[str]) -> int:
    """Prove the likelihood of runs by files of that size that decode."""
    fields = [_place("runs", tuple[str, ...]), _field("samples", int, 1, "importance samples of a latent-variable model")]
    asked = _parse("prove", fields, arguments, "Compress the test split, decode it in another process, write the seal into metrics.json.")
    from dalm import verbs

    sealed = []
    for run in asked["runs"]:
        record = verbs.prove(run, samples=asked["samples"])
        size = f"{record['bytes']:,} bytes, {record['file']:.4f} bits/dim, claimed {record['claimed']:.4f}" if "bytes" in record else ""
        print(f"{run}  {'proven' if record['sealed'] else 'not proven: ' + record['reason']}  {size}".rstrip(), flush=True)
        sealed.append(record["sealed"] or "bytes" not in record)
    return 0 if all(sealed) else 1


def _code_fields() -> list[Field]:
    """What `compress` and `decompress` share; none of it changes the data."""
    return [
        _field("batch", int, 0, "how many data a network is asked about at once; 0 chooses"),
        _field("threads", int, 0, "threads to compute with; 0 chooses"),
    ]


def _threads(asked: dict[str, Any]) -> None:
    import torch

    if asked["threads"]:
        torch.set_num_threads(asked["threads"])


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, in a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def models(arguments: list[str]) -> int:
    """What families there are: name, year, paper, likelihood, capabilities."""
    asked = _parse("models", [_field("json", bool, False, "as JSON")], arguments, "List the families.")
    from dalm import verbs

    columns = ("name", "year", "likelihood", "conditional", "capabilities", "paper")
    return _list(verbs.catalogue(), columns, asked["json"])


def data(arguments: list[str]) -> int:
    """What data there are by name; files and folders work too."""
    asked = _parse("data", [_field("json", bool, False, "as JSON")], arguments, "List the data that have a name.")
    from dalm.data import SOURCES

    return _list([{"name": name, "about": about} for name, about in SOURCES.items()], ("name", "about"), asked["json"])


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "fit": fit,
    "sample": sample,
    "score": score,
    "compare": compare,
    "report": report,
    "compress": compress,
    "decompress": decompress,
    "prove": prove,
    "models": models,
    "data": data,
}


PATHS = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
"""Errors that another path mends; others, such as a full disk, are failures."""


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 for a failure, 2 for bad input (a path too), 130 when stopped."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"dalm {__version__}")
        return 0
    return _run(arguments[0], arguments[1:])


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
    from dalm.core import DalmError, did_you_mean
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


Field = tuple[str, Any, Any]


def _field(name: str, kind: Any, default: Any, about: str, *aliases: str) -> Field:
    import tyro

    return name, Annotated[kind, tyro.conf.arg(name=name, help=about, aliases=aliases or None)], default


def _place(name: str, kind: Any = str) -> Field:
    import tyro

    return name, Annotated[kind, tyro.conf.Positional, tyro.conf.arg(metavar=name.upper())], dataclasses.MISSING


def _places(names: list[str]) -> list[Field]:
    return [_place(name) for name in names]


def _options(target: Callable[..., Any], skip: tuple[str, ...] = ()) -> list[Field]:
    """The parameters of a function or class as fields, explained by its docstring."""
    from docstring_parser import parse

    about = {p.arg_name: p.description or "" for p in parse(inspect.getdoc(target) or "").params}
    parameters = inspect.signature(target, eval_str=True).parameters.items()
    return [_field(name, p.annotation, p.default, about.get(name, "")) for name, p in parameters if name not in skip]


def _run_fields(skip: tuple[str, ...] = ()) -> list[Field]:
    """What `fit` and `compare` share: where to write, how to train, how to load the data."""
    from dalm.data import load_data
    from dalm.train import Options

    load = _options(load_data, skip=("source", "cache", "seed"))
    return [
        _field("out", Path | None, None, "the folder to write"),
        _field("resume", bool, False, "go on with what is in --out"),
        *_options(Options, skip),
        *load,
        _field("data_seed", int, 0, "of the split, of --binary and of toy samples"),
    ]


def _parse(command: str, fields: list[Field], arguments: list[str], about: str) -> dict[str, Any]:
    """Parse arguments into a value for each field; tyro explains what is wrong and exits with 2."""
    import tyro

    places = [(name, kind) for name, kind, default in fields if default is dataclasses.MISSING]
    rest = [
        (name if name != "class" else "class_", kind, dataclasses.field(default=default))
        for name, kind, default in fields
        if default is not dataclasses.MISSING
    ]
    form = dataclasses.make_dataclass("Arguments", [*places, *rest])
    form.__doc__ = about
    asked: Any = tyro.cli(form, args=arguments, prog=f"dalm {command}", description=about)
    return {name.rstrip("_"): getattr(asked, name) for name, *_ in [*places, *rest]}


def _load(asked: dict[str, Any]) -> Any:
    from dalm.data import load_data

    known = inspect.signature(load_data).parameters
    given = {name: value for name, value in asked.items() if name in known and name != "seed"}
    loaded = load_data(asked["data"], seed=asked["data_seed"], **given)
    for note in loaded.notes:
        print(note)
    return loaded


def _train(asked: dict[str, Any]) -> dict[str, Any]:
    from dalm.train import Options

    return {field.name: asked[field.name] for field in dataclasses.fields(Options) if field.name in asked}


def _list(entries: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> int:
    if as_json:
        print(json.dumps(entries, indent=1))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for entry in entries:
        table.add_row(*(_words(entry[column]) for column in columns))
    Console().print(table)
    return 0


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return (
        {None: "–", True: "yes", False: "no"}.get(value, str(value))
        if not isinstance(value, int) or isinstance(value, bool)
        else str(value)
    )


if __name__ == "__main__":
    sys.exit(main())
