"""How the package is built, in figures: arrows, sizes, density, documentation, and what the tools
read.

    python scripts/structure.py

- a file's lines are all of them; a function's are those without its docstring and decorators;
- a packed assignment gives several names values from as many expressions: `a, b = 1, 2`;
- nodes are those of the syntax tree in the body of a function without its docstring, and nodes a
  line those over its lines that are not blank; a nested function counts in the outer one as well.
"""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FEWEST_LINES = 80
MOST_LINES = 300
MOST_COLUMNS = 100
LONG_FUNCTION = 20
MOST_FUNCTION_LINES = 45

Figure = tuple[str, str]
"""What, and its value in words."""


@dataclass(frozen=True)
class Module:
    """A file of the package."""

    path: Path
    source: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        """Its lines of text."""
        return self.source.splitlines()

    def walk(self) -> Iterator[ast.AST]:
        """All nodes of its syntax tree."""
        return ast.walk(self.tree)


@dataclass(frozen=True)
class Function:
    """A function and where it is."""

    place: str
    body: list[ast.stmt]
    lines: int
    body_lines: int

    @property
    def nodes(self) -> int:
        """Of its body."""
        return sum(1 for statement in self.body for _ in ast.walk(statement))


def modules(package: Path) -> list[Module]:
    """Every file of the package."""
    paths = sorted(package.rglob("*.py"))
    sources = [path.read_text() for path in paths]
    return [
        Module(path, source, ast.parse(source)) for path, source in zip(paths, sources, strict=True)
    ]


def functions(module: Module) -> Iterator[Function]:
    """Every function of a file, nested ones too."""
    for node in module.walk():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            place = f"{module.path.name}:{node.lineno} {node.name}"
            skipped = 0
            body = node.body
            if ast.get_docstring(node, clean=False) is not None:
                skipped = span(body[0])
                body = body[1:]
            filled = sum(filled_lines(module, statement) for statement in body)
            yield Function(place, body, span(node) - skipped, filled)


def span(node: ast.stmt) -> int:
    """The lines from a statement's first to its last."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def filled_lines(module: Module, node: ast.stmt) -> int:
    """The lines of a statement that are not blank."""
    lines = module.lines[node.lineno - 1 : node.end_lineno]
    return sum(bool(line.strip()) for line in lines)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def in_words(values: Sequence[float]) -> str:
    """Median, 90 % and the largest."""
    middle = statistics.median(values)
    return f"median {middle:g}, 90 % {quantile(values, 0.9):g}, max {max(values):g}"


def file_figures(files: list[Module]) -> list[Figure]:
    """Lines of files; `__init__.py` lists names and may be short."""
    lengths = {file.path: len(file.lines) for file in files}
    counted = [n for path, n in lengths.items() if path.name != "__init__.py"]
    inside = sum(FEWEST_LINES <= n <= MOST_LINES for n in counted)
    long = [f"{path.parent.name}/{path.name} {n}" for path, n in lengths.items() if n > MOST_LINES]
    share = f"{inside} of {len(counted)} ({inside / len(counted):.0%})"
    return [
        ("files", str(len(files))),
        ("lines of a file", in_words(list(lengths.values()))),
        (f"files of {FEWEST_LINES} to {MOST_LINES} lines, without __init__.py", share),
        (f"files over {MOST_LINES} lines", listed(long)),
    ]


def function_figures(files: list[Module]) -> list[Figure]:
    """Lines and nodes of functions."""
    all_functions = [function for file in files for function in functions(file)]
    lines = [function.lines for function in all_functions]
    short = sum(n <= LONG_FUNCTION for n in lines) / len(lines)
    long = [f"{f.place} ({f.lines})" for f in all_functions if f.lines > MOST_FUNCTION_LINES]
    density = [f.nodes / f.body_lines for f in all_functions if f.body_lines]
    return [
        ("functions", str(len(all_functions))),
        ("lines of a function", in_words(lines)),
        (f"functions of at most {LONG_FUNCTION} lines", f"{short:.1%}"),
        (f"functions over {MOST_FUNCTION_LINES} lines", listed(long)),
        ("nodes of a function", in_words([function.nodes for function in all_functions])),
        ("nodes a line, per function", in_words([round(value, 1) for value in density])),
    ]


def line_figures(files: list[Module]) -> list[Figure]:
    """Width and packing."""
    wide = [
        f"{file.path.name}:{number}"
        for file in files
        for number, line in enumerate(file.lines, 1)
        if len(line) > MOST_COLUMNS
    ]
    packed = [
        f"{file.path.name}:{node.lineno}"
        for file in files
        for node in file.walk()
        if isinstance(node, ast.Assign) and is_packed(node)
    ]
    return [
        (f"lines over {MOST_COLUMNS} columns", listed(wide)),
        ("packed assignments", listed(packed)),
    ]


def is_packed(node: ast.Assign) -> bool:
    """Whether an assignment says several things."""
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def arrow_figures() -> list[Figure]:
    """Imports, as tests/test_layers.py finds them, beside the table of rooms."""
    import test_layers

    arrows = {
        (test_layers.entry(one.source), test_layers.entry(one.target)) for one in test_layers.FOUND
    }
    allowed = {
        (room, target)
        for room, targets in test_layers.TABLE.items()
        for target in sorted(targets or ())
    }
    unused = [f"{room} → {target}" for room, target in sorted(allowed - arrows)]
    return [
        ("import cycle", " → ".join(test_layers.circle(test_layers.FOUND)) or "none"),
        (
            "arrows not in the table",
            listed(test_layers.forbidden(test_layers.FOUND, test_layers.TABLE)),
        ),
        ("arrows of the table that nobody uses", listed(unused)),
    ]


def documentation_figures() -> list[Figure]:
    """Public names and what their docstrings leave out."""
    import public_names

    names = public_names.public_names()
    silent = [public.path for public in names if not public_names.has_docstring(public)]
    gaps = [public.path for public in names if public_names.unexplained(public)]
    methods = [method for public in names for method in public_names.methods(public)]
    silent += [method.path for method in methods if not public_names.has_docstring(method)]
    method_gaps = [method.path for method in methods if public_names.unexplained(method)]
    return [
        ("public names, and methods of public classes", f"{len(names)}, {len(methods)}"),
        ("listed names that do not exist", listed(public_names.missing_names())),
        ("without a docstring", listed(silent)),
        ("functions whose Args leave out a parameter", listed(gaps)),
        ("methods whose Args leave out a parameter", listed(method_gaps)),
    ]


def tool_figures(package: Path) -> list[Figure]:
    """How many files of the package ruff and mypy read."""
    count = len(list(package.rglob("*.py")))
    shown = run("ruff", "check", "--show-files", str(package))
    ruff = sum(line.endswith(".py") for line in shown.splitlines())
    checked = re.search(r"(\d+) source files", run("mypy", "--no-incremental"))
    mypy = checked[1] if checked else "?"
    return [("read by ruff, by mypy, in the package", f"{ruff}, {mypy}, {count}")]


def run(*words: str) -> str:
    """What a tool of this environment prints."""
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout


def listed(names: Sequence[str], most: int = 8) -> str:
    """A count, and the first few of them."""
    if not names:
        return "none"
    more = ", …" if len(names) > most else ""
    return f"{len(names)}: {', '.join(names[:most])}{more}"


def main() -> None:
    """Print the figures."""
    package = ROOT / "src" / "dalm"
    sys.path += [str(ROOT / "tests"), str(ROOT / "scripts")]
    files = modules(package)
    figures = arrow_figures() + file_figures(files) + function_figures(files)
    figures += line_figures(files) + documentation_figures() + tool_figures(package)
    for what, value in figures:
        print(f"{what:<52} {value}")


if __name__ == "__main__":
    main()
