"""What the documentation shows is executed: README's Python and shell, in the order in which a
reader meets them.
"""

from __future__ import annotations

import glob
import os
import re
import shlex
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from dalm.cli import main

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PREPARING = (
    "git ",
    "cd ",
    "pip ",
    "python3 -m venv",
    "source ",
    "export ",
)  # what CI itself does before any test


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    text: str


def blocks(page: str) -> list[Block]:
    found = re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", page, re.M | re.S)
    return [Block(page[: match.start()].count("\n") + 1, match[1], match[2]) for match in found]


def hasten(text: str) -> str:
    """The same with small budgets of time."""
    text = re.sub(r"\bseconds=\d+(\.\d+)?", "seconds=2", text)
    return re.sub(r"--seconds[ =]\d+(\.\d+)?", "--seconds 2", text)


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


def test_readme_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("dalm.verbs.scores.SAMPLES", 500)  # enough to see that it works
    began = time.monotonic()
    ran = execute(ROOT / "README.md")
    assert "python" in ran
    assert "sh" in ran
    assert any(tmp_path.iterdir()), "the commands should have written runs here"
    assert time.monotonic() - began < 300


@pytest.mark.parametrize(
    "page", [p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]]
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
        if not re.match(r"[a-z]+:", target):
            assert (ROOT / page).parent.joinpath(target).exists(), (
                f"{page} links to {target}, which is not there"
            )


@pytest.mark.parametrize(
    "page", [p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]]
)
def test_every_make_target_that_a_page_names_exists(page):
    for target in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text()):
        assert re.search(rf"^{target}\s*:", MAKEFILE, re.M), f"{page} names make {target}"


def test_the_readme_shows_every_family():
    from dalm.models import FAMILIES

    text = (ROOT / "README.md").read_text()
    for family in FAMILIES:
        row = re.search(rf"^\| *`{family.family}` *\|([^|]*)\|([^|]*)\|", text, re.M)
        assert row, f"README has no row for {family.family}"
        assert row[1].strip() == str(family.year)
        assert row[2].strip() == getattr(family, "likelihood", "none")


def test_the_machine_reads_blocks_as_a_person_does():
    page = "a\n```sh\nmake demo # all\ndalm fit vae digits \\\n  --seconds 60 --out r\n```\nb\n```python\nf(seconds=60)\n```\n```\nno\n```\n"
    found = blocks(page)
    assert [(block.line, block.language) for block in found] == [(2, "sh"), (8, "python"), (11, "")]
    assert commands(hasten(found[0].text)) == [
        ["make", "demo"],
        ["dalm", "fit", "vae", "digits", "--seconds", "2", "--out", "r"],
    ]
    assert hasten(found[1].text) == "f(seconds=2)\n"


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
