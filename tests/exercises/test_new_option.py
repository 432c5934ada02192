"""A new option of training in one place: a copy of the package with a line more in FitOptions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dalm

BEFORE = "    snapshots: int = option("
LINE = '    rehearsals: int = option("that nobody needs", default=2, at_least=1)\n'
FIT = ("fit", "histogram", "moons", "--out", "run")


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """What `python -m dalm.cli` says in a package whose training has an option more."""
    folder = tmp_path_factory.mktemp("longer")
    package = shutil.copytree(Path(dalm.__file__).parent, folder / "dalm")
    options = package / "train" / "options.py"
    source = options.read_text()
    assert source.count(BEFORE) == 1
    options.write_text(source.replace(BEFORE, LINE + BEFORE))

    def say(*words: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "dalm.cli", *words)
        environment = os.environ | {"PYTHONPATH": str(folder)}
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    say.folder = folder
    return say


@pytest.mark.slow
def test_a_new_option_of_training_is_a_flag_a_check_and_a_record(longer):
    said = longer("fit", "--help").stdout
    assert "--rehearsals" in said
    assert "that nobody needs" in said
    refused = longer(*FIT, "--rehearsals", "0")
    assert refused.returncode == 2
    assert "rehearsals" in refused.stderr
    done = longer(*FIT, "--rehearsals", "5")
    assert done.returncode == 0, done.stderr
    meta = json.loads((longer.folder / "run" / "run.json").read_text())
    assert meta["fit"]["rehearsals"] == 5
