"""The room of records imports nothing heavy, so that a table of runs is there at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "matplotlib", "scipy", "filelock", "rich", "PIL", "sklearn")
CODE = """
import pkgutil, sys
import dalm.records
for module in pkgutil.iter_modules(dalm.records.__path__, "dalm.records."):
    __import__(module.name)
print(*(name for name in {heavy} if name in sys.modules))
"""


def imported(code: str) -> list[str]:
    command = [sys.executable, "-c", code.replace("{heavy}", repr(HEAVY))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_records_import_nothing_heavy():
    assert imported(CODE) == []


def test_records_import_nothing_of_ours_but_errors():
    code = CODE.replace(
        "print(*(name for name in {heavy} if name in sys.modules))",
        "print(*{n.split('.')[1] for n in sys.modules if n.startswith('dalm.')})",
    )
    # The face of dalm, which comes first, knows the names of the verbs; it imports none of them.
    assert set(imported(code)) == {"records", "errors", "verbs"}


@pytest.mark.parametrize("name", ["torch", "numpy"])
def test_the_check_would_see_it(name):
    assert name in imported(f"import {name}\n{CODE}")
