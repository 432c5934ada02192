"""Checkouts of dalm that run beside each other, each in processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

LIMIT = 900
"""Seconds that one command may take."""


class CommandError(Exception):
    """A command that did not end well; what it said last."""


@dataclass(frozen=True)
class Case:
    """A fit, said as on the command line."""

    family: str
    data: str = "digits"
    options: str = ""

    @property
    def words(self) -> list[str]:
        """The command line without its program."""
        return [self.family, self.data, *self.options.split()]

    @property
    def name(self) -> str:
        """The same for a reader."""
        return " ".join(self.words)

    @property
    def slug(self) -> str:
        """The name of its folder."""
        return self.name.replace(" --", "+").replace(" ", "-")


@dataclass(frozen=True)
class Tree:
    """A checkout and the threads that it computes with."""

    root: Path
    threads: int

    @property
    def packages(self) -> Path:
        """The folder that holds the package: `src`, or the root in older commits."""
        source = self.root / "src"
        return source if (source / "dalm").is_dir() else self.root

    def check_origin(self, cwd: Path) -> None:
        """Refuse to go on if another package than this tree's would run."""
        origin = self.python("-c", "import dalm; print(dalm.__file__)", cwd=cwd).stdout.strip()
        if not Path(origin).is_relative_to(self.packages):
            raise SystemExit(f"a process for {self.root} imports {origin or 'nothing'}")

    def python(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run Python with this tree's package; `cwd` must not hold another one."""
        environment = {
            "PYTHONPATH": str(self.packages),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": str(self.threads),
            "MKL_NUM_THREADS": str(self.threads),
        }
        return subprocess.run(
            [sys.executable, *words],
            cwd=cwd,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )

    def check(self, *words: str, cwd: Path) -> None:
        """Run Python and insist on success."""
        ended = self.python(*words, cwd=cwd)
        if ended.returncode:
            raise CommandError(last_line(ended.stderr or ended.stdout))

    def dalm(self, *words: str, cwd: Path) -> None:
        """A command of the shell that must succeed."""
        self.check("-m", "dalm.cli", *words, cwd=cwd)

    def fit(self, case: Case, steps: int, seed: int, out: Path) -> None:
        """Fit, unless it was done before; how it ended is kept beside the run."""
        note = ending_of(out)
        if note.exists():
            return
        shutil.rmtree(out, ignore_errors=True)
        budget = ["--steps", str(steps), "--seed", str(seed), "--device", "cpu", "--out", str(out)]
        ended = self.python("-m", "dalm.cli", "fit", *case.words, *budget, cwd=out.parent)
        message = last_line(ended.stderr) if ended.returncode else ""
        note.write_text(json.dumps({"exit": ended.returncode, "message": message}))


def ending_of(run: Path) -> Path:
    """Where `Tree.fit` keeps how a fit ended."""
    return run.with_name(f"{run.name}.json")


def last_line(text: str) -> str:
    """What a failed process said last: the error, in a traceback or in words."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was said"


def archived(commit: str, repository: Path, folder: Path) -> Path:
    """The files of a commit, without touching the checkout."""
    words = ["git", "archive", commit]
    packed = subprocess.run(words, cwd=repository, capture_output=True, check=True)
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def describe(tree: Path) -> str:
    """The commit that a tree stands at; `+` says that files differ from it."""
    words = ["git", "describe", "--always", "--dirty=+"]
    return subprocess.run(words, cwd=tree, capture_output=True, text=True).stdout.strip()
