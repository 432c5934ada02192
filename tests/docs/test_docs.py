"""What the documentation shows is executed: the Python and the shell of README and of each
tutorial, in the order in which a reader meets them.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from dalm.cli import main
from dalm.metrics import MEASURES

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TUTORIALS = sorted(ROOT.glob("docs/tutorials/*.md"))
PAGES = [
    path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
]
MAKEFILE = (ROOT / "Makefile").read_text()
PREPARING = ("git ", "cd ", "pip ", "python3 -m venv", "source ", "export ")
"""How commands begin that CI itself runs before any test."""


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    fences = re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", page, re.M | re.S)
    return [Block(page[: fence.start()].count("\n") + 1, fence[1], fence[2]) for fence in fences]


def hasten(text: str) -> str:
    """The same with small budgets of time, and with fewer points of a toy distribution."""
    text = re.sub(r"\bseconds=\d+(\.\d+)?", "seconds=1", text)
    text = re.sub(r"--seconds[ =]\d+(\.\d+)?", "--seconds 1", text)
    return re.sub(r"^(dalm \w+ ring8)", r"\1 --n 2000", text, flags=re.M)


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block, with continuation lines joined and comments dropped."""
    lines = text.replace("\\\n", " ").splitlines()
    return [
        words for line in lines if (words := shlex.split(line.removeprefix("$ "), comments=True))
    ]


def run_command(words: list[str]) -> None:
    if words[0] == "make":
        for target in (word for word in words[1:] if "=" not in word):
            assert re.search(rf"^{re.escape(target)}\s*:", MAKEFILE, re.M), (
                f"the Makefile has no target {target!r}"
            )
        return
    if " ".join(words).startswith(PREPARING):
        return
    assert words[0] == "dalm", f"this test cannot run {' '.join(words)!r}"
    arguments = [
        match
        for word in words[1:]
        for match in (sorted(glob.glob(word)) if "*" in word else [word])
    ]
    assert main(arguments) == 0, f"dalm {' '.join(arguments)} failed"


def execute(page: Path) -> list[str]:
    """Run every block of a page in the working directory, with one Python namespace; returns the
    languages in order.
    """
    space: dict[str, object] = {"__name__": "__main__"}
    ran = []
    for block in blocks(page.read_text()):
        text = hasten(block.text)
        if block.language == "sh":
            for words in commands(text):
                try:
                    run_command(words)
                except SystemExit as error:
                    raise AssertionError(
                        f"{page.name}:{block.line}: {' '.join(words)} exits with {error.code}"
                    ) from None
        elif block.language == "python":
            exec(compile("\n" * block.line + text, str(page), "exec"), space)
        ran.append(block.language)
    return ran


@pytest.fixture
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("dalm.metrics.MEASURES", MEASURES)  # a page adds one of its own
    monkeypatch.setattr("dalm.verbs.scores.SAMPLES", 500)  # enough to see that it works
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", [README, *TUTORIALS], ids=lambda page: page.stem)
def test_a_page_is_executed(page, empty_folder):
    began = time.monotonic()
    languages = execute(page)
    assert "python" in languages
    assert "sh" in languages
    assert any(empty_folder.glob("runs/*/run.json")), "the commands should have written runs here"
    assert crashes(empty_folder) == []
    assert time.monotonic() - began < 300


def crashes(folder: Path) -> list[str]:
    """Rows of scoreboards that say that a family crashed; a refusal is no crash."""
    boards = [json.loads(path.read_text()) for path in folder.rglob("scoreboard.json")]
    errors = [row["error"] or "" for board in boards for row in board["rows"]]
    return [error for error in errors if re.match(r"\w+(Error|Exception): ", error)]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        written = target.startswith("reference/")  # by scripts/docs_pages.py; `make docs` checks it
        if not written and not re.match(r"[a-z]+:", target):
            assert (ROOT / page).parent.joinpath(target).exists(), (
                f"{page} links to {target}, which is not there"
            )


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_exists(page):
    for target in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text()):
        assert re.search(rf"^{target}\s*:", MAKEFILE, re.M), f"{page} names make {target}"


def test_the_readme_shows_every_family():
    from dalm.models import FAMILIES

    text = README.read_text()
    for family in FAMILIES:
        row = re.search(rf"^\| *`{family.family}` *\|([^|]*)\|([^|]*)\|", text, re.M)
        assert row, f"README has no row for {family.family}"
        assert row[1].strip() == str(family.year)
        assert row[2].strip() == getattr(family, "likelihood", "none")


def test_the_machine_reads_blocks_as_a_person_does():
    page = """a
```sh
make demo # all
dalm fit vae digits \\
  --seconds 60 --out r
dalm compare ring8 --out b
```
b
```python
f(seconds=60)
```
```
no
```
"""
    found = blocks(page)
    assert [(block.line, block.language) for block in found] == [(2, "sh"), (9, "python"), (12, "")]
    assert commands(hasten(found[0].text)) == [
        ["make", "demo"],
        ["dalm", "fit", "vae", "digits", "--seconds", "1", "--out", "r"],
        ["dalm", "compare", "ring8", "--n", "2000", "--out", "b"],
    ]
    assert hasten(found[1].text) == "f(seconds=1)\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```sh\ndalm frobnicate\n```\n", AssertionError),
        ("```sh\nmake coffee\n```\n", AssertionError),
        ("```sh\nrm -rf /\n```\n", AssertionError),
        ("```sh\ndalm fit vae digits --nonsense 3\n```\n", AssertionError),
        ("```python\nimport dalm\ndalm.frobnicate()\n```\n", AttributeError),
    ],
)
def test_a_wrong_example_is_caught(tmp_path, monkeypatch, text, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(error):
        execute(tmp_path / "page.md")
    assert os.listdir(tmp_path) == ["page.md"]
