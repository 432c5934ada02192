"""Pages of the documentation that nobody writes by hand: MkDocs calls these hooks.

- a page of reference for each room that lists its public names, made from their docstrings;
- the table of families, where a page says `<!-- families -->`, as `dalm models` shows it.

And a check that a page loads nothing from other sites.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "dalm"
FAMILIES = "<!-- families -->"
FOREIGN = re.compile(
    r"""<(?:script|img|iframe|link)\b[^>]*(?:src|href)=["']((?:https?:)?//[^"']*)"""
)


def rooms() -> list[str]:
    """The modules of the package's first level that list their public names, and the face."""
    files = [PACKAGE / "__init__.py", *PACKAGE.glob("*/__init__.py"), *PACKAGE.glob("*.py")]
    listing = [file for file in files if re.search(r"^__all__ =", file.read_text(), re.M)]
    return sorted({dotted(file) for file in listing})


def dotted(file: Path) -> str:
    """The name by which a module is imported."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def page(room: str) -> str:
    """Where a room's reference goes."""
    return f"reference/{room}.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of reference."""
    assert config.nav is not None
    config.nav.append({"Reference": [{room: page(room)} for room in rooms()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Write the pages of reference."""
    for room in rooms():
        content = f"# `{room}`\n\n::: {room}\n"
        files.append(File.generated(config, page(room), content=content))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the table of families where a page asks for it."""
    return markdown.replace(FAMILIES, family_table()) if FAMILIES in markdown else markdown


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a page that would load something from another site when it is read."""
    for page in Path(config.site_dir).rglob("*.html"):
        for address in FOREIGN.findall(page.read_text()):
            raise PluginError(f"{page.name} loads {address}")


def family_table() -> str:
    """What `dalm models` says, as a table."""
    command = [sys.executable, "-m", "dalm.cli", "models", "--json"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [[str(cell) for cell in cells(family)] for family in json.loads(listed)]
    head = ["name", "year", "likelihood", "classes", "promises", "paper"]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cells(family: dict[str, object]) -> list[object]:
    """A row: the name leads to the reference."""
    promises = family["capabilities"]
    return [
        f"`{family['name']}`",
        family["year"],
        family["likelihood"] or "–",
        "yes" if family["conditional"] is True else family["conditional"] or "–",
        ", ".join(map(str, promises)) if isinstance(promises, list) else promises,
        family["paper"],
    ]
