"""Imports follow the table of rooms in docs/design.md, run in no circle, and no family knows
another.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/design.md").read_text()
FACE = "__init__"


@dataclass(frozen=True)
class Import:
    """One import statement's target, as a module of ours, and the names taken from it."""

    source: str
    target: str
    names: tuple[str, ...] = ()


def modules() -> dict[str, str]:
    """Every module of dalm by dotted name, with its source."""
    found = {}
    for path in sorted((ROOT / "src/dalm").rglob("*.py")):
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports, also those inside functions, but not those for the type checker only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from statements(other)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        else:
            yield from statements(node)


def imports(name: str, source: str, known: set[str], package: bool = False) -> Iterator[Import]:
    """What a module imports of ours. `from dalm.train import run` is an import of the module
    `dalm.train.run`.
    """
    tree = ast.parse(source)
    for node in statements(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "dalm":
                    yield Import(
                        name,
                        alias.name,
                        used(tree, alias.asname or "dalm") if alias.name == "dalm" else (),
                    )
            continue
        base = node.module or ""
        if node.level:
            parents = name.split(".") if package else name.split(".")[:-1]
            base = ".".join(
                [*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])]
            )
        if base.split(".")[0] != "dalm":
            continue
        inside = [alias.name for alias in node.names if f"{base}.{alias.name}" in known]
        yield from (Import(name, f"{base}.{leaf}") for leaf in inside)
        rest = tuple(alias.name for alias in node.names if alias.name not in inside)
        if rest:
            yield Import(name, base, rest)


def used(tree: ast.AST, alias: str) -> tuple[str, ...]:
    """The attributes of a name that a module uses."""
    return tuple(
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == alias
    )


def all_imports(sources: dict[str, str]) -> list[Import]:
    packages = {name.rpartition(".")[0] for name in sources}
    found = [
        found
        for name, source in sources.items()
        for found in imports(name, source, set(sources), name in packages)
    ]
    return [one for one in found if not only_version(one)]


def only_version(found: Import) -> bool:
    """The version number is a constant of the face, not an arrow to it."""
    return found.target == "dalm" and set(found.names) == {"__version__"}


def entry(module: str) -> str:
    """The room of a module: `dalm.train.run` is in `train`."""
    return module.split(".")[1] if "." in module else FACE


def table(page: str) -> dict[str, set[str] | None]:
    """Room → rooms it may import; None means everything. Read from the table under "Rooms"."""
    rows: dict[str, set[str] | None] = {}
    for line in re.findall(r"^\|(.+)\|$", page[page.index("## Rooms") :], re.M):
        cells = [cell.strip() for cell in line.split("|")]
        rooms = [re.sub(r"\.py$|/$", "", room) for room in re.findall(r"`([^`]+)`", cells[0])]
        if len(cells) != 3 or not rooms:
            continue
        may = cells[2].strip()
        words = (
            set()
            if may in ("–", "-", "nothing of ours")
            else {word.strip(" `/") for word in may.split(",")}
        )
        rows |= {room: None if words == {"everything"} else words for room in rooms}
    return rows


def forbidden(found: list[Import], allowed: dict[str, set[str] | None]) -> list[str]:
    """Arrows between rooms that are not in the table, in words."""
    wrong = []
    for one in found:
        source = entry(one.source)
        target = entry(one.target)
        may = allowed.get(source, set())
        if source != target and may is not None and target not in may:
            wrong.append(
                f"{one.source} imports {one.target}: {source} → {target} is not in the table of "
                "docs/design.md"
            )
    return wrong


def sideways(found: list[Import]) -> list[str]:
    """Families that import one another; only the list of families may import them."""
    return [
        f"{one.source} imports {one.target}"
        for one in found
        if one.source.startswith("dalm.models.")
        and one.target.startswith("dalm.models")
        and one.target != one.source
    ]


def circle(found: list[Import]) -> list[str]:
    """One circle of imports between modules, or an empty list."""
    arrows: dict[str, set[str]] = {}
    for one in found:
        arrows.setdefault(one.source, set()).add(one.target)
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(arrows.get(module, ())):
            if target != module and (round_trip := walk(target, [*path, module])):
                return round_trip
        done.add(module)
        return []

    return next((trip for module in sorted(arrows) if (trip := walk(module, []))), [])


SOURCES = modules()
FOUND = all_imports(SOURCES)
TABLE = table(PAGE)


def test_every_arrow_is_in_the_table():
    assert forbidden(FOUND, TABLE) == []


def test_no_arrow_of_the_table_is_unused():
    used = {(entry(one.source), entry(one.target)) for one in FOUND}
    unused = [
        f"{room} → {target}"
        for room, may in TABLE.items()
        for target in may or ()
        if (room, target) not in used
    ]
    assert unused == []


def test_no_circle():
    assert circle(FOUND) == []


def test_no_family_knows_another():
    assert sideways(FOUND) == []


def test_every_room_is_in_the_table_and_the_table_has_no_other():
    assert {entry(module) for module in SOURCES} == set(TABLE)
    assert len({entry(module) for module in SOURCES} - {FACE, "verbs"}) <= 18, (
        "one room more needs another one removed"
    )


def test_the_table_names_only_rooms():
    for room, may in TABLE.items():
        assert (may or set()) <= set(TABLE), f"{room} may import something that is no room"


def test_the_search_found_something():
    assert len(SOURCES) > 30
    assert Import("dalm.train.fit", "dalm.core") in {
        Import(one.source, one.target) for one in FOUND
    }
    assert any(entry(one.source) == "cli" for one in FOUND), "imports inside functions count too"


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("dalm.models.fake", "from dalm.train import fit", "models → train"),
        ("dalm.models.fake", "import dalm.data", "models → data"),
        ("dalm.models.fake", "def f():\n    from dalm.metrics.kid import kid", "models → metrics"),
        ("dalm.core", "from dalm.nn import mlp", "core → nn"),
        (
            "dalm.core",
            "try:\n    import dalm.nn.blocks\nexcept ImportError:\n    pass",
            "core → nn",
        ),
        ("dalm.report.fake", "from .. import core", "report → core"),
        ("dalm.report.fake", "from ..core import Spec", "report → core"),
        ("dalm.train.fake", "import dalm\ndalm.fit", "train → __init__"),
        ("dalm.train.fake", "from dalm import fit", "train → __init__"),
        ("dalm.exact.fake", "from dalm import core", "exact → core"),
    ],
)
def test_a_forbidden_arrow_is_caught(module, source, wrong):
    found = all_imports(SOURCES | {module: source})
    assert [
        message
        for message in forbidden(found, TABLE)
        if wrong in message and message.startswith(module)
    ]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "dalm.models.fake",
            "from dalm.nn import mlp\nfrom dalm.probability import Normal\nimport torch\nfrom "
            "datetime import date",
        ),
        ("dalm.train.fake", "import dalm\nprint(dalm.__version__)\nfrom dalm import __version__"),
        (
            "dalm.core",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dalm.models import VAE",
        ),
        ("dalm.report.fake", "from . import page\nfrom .read import read"),
    ],
)
def test_a_permitted_arrow_is_not(module, source):
    assert forbidden(all_imports({**SOURCES, module: source}), TABLE) == []


def test_a_circle_and_a_sideways_import_are_caught():
    fake = {
        "dalm": "",
        "dalm.models": "",
        "dalm.models.a": "from dalm.models.b import B",
        "dalm.models.b": "def f():\n    from . import c",
        "dalm.models.c": "import dalm.models.a",
        "dalm.models.d": "from dalm.models import A",
    }
    found = all_imports(fake)
    assert circle(found) == ["dalm.models.a", "dalm.models.b", "dalm.models.c", "dalm.models.a"]
    assert len(sideways(found)) == 4
    assert (
        circle(all_imports(fake | {"dalm.models.c": "if TYPE_CHECKING:\n    import dalm.models.a"}))
        == []
    )
