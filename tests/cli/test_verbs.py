"""One tuple of verbs: what stands in it is a function of dalm, a command and a line of help."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import sys
from pathlib import Path

import pytest

import dalm
import dalm.verbs
from dalm.cli import ALIASES, main
from dalm.cli.commands import command_of
from dalm.cli.fields import shell_kind
from dalm.options import REQUIRED
from dalm.verbs import VERBS, load_verb, summary, verb_places


@pytest.fixture
def toys(monkeypatch):
    """Two verbs more in the tuple, and nothing else."""
    path = Path(__file__).with_name("toyverbs.py")
    spec = importlib.util.spec_from_file_location("toyverbs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__spec__ = spec
    monkeypatch.setitem(sys.modules, "toyverbs", module)
    monkeypatch.setattr("dalm.verbs.VERBS", (*VERBS, "toyverbs:toy", "toyverbs:toys"))


def help_of(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


# A new verb in one place


def test_a_new_verb_is_a_function(toys):
    assert dalm.toy(3) == 6
    assert "toy" in dir(dalm)


def test_a_new_verb_is_a_command_with_help(toys, capsys):
    assert main(["toy", "3"]) == 0
    assert capsys.readouterr().out.strip() == "6"
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "Twice a number." in said
    assert "Only the first sentence" not in said
    said = help_of(capsys, "toy")
    assert all(
        word in said for word in ("COUNT", "what is doubled", "{one,two}", "where it is not")
    )
    assert "listener" not in said, "a callback is Python's alone"


def test_what_a_new_verb_gives_back_is_a_table_or_json(toys, capsys):
    assert main(["toys", "ball", "kite", "--steps", "3"]) == 0
    assert capsys.readouterr().out.split() == ["name", "ball", "kite"]
    assert main(["toys", "ball", "--train.steps", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "ball", "steps": 3}]


def test_without_its_name_there_is_no_verb(capsys):
    assert not hasattr(dalm, "toy")
    assert main(["toy", "3"]) == 2
    assert "there is no command 'toy'" in capsys.readouterr().err


# The verbs that there are


@pytest.mark.parametrize("name", sorted(verb_places()))
def test_a_verb_is_the_same_in_python_and_in_the_shell(name):
    verb = getattr(dalm, name)
    assert verb is load_verb(name)
    assert getattr(dalm.verbs, name) is verb
    parameters = inspect.signature(verb).parameters
    command = command_of(name)
    needed = {
        key for key, p in parameters.items() if p.default is p.empty and p.kind < p.VAR_KEYWORD
    }
    assert needed - {"out"} <= command.own.keys() | {"run"}, "a shell can say all that is needed"
    if command.function is verb:
        assert command.own.keys() <= parameters.keys()


@pytest.mark.parametrize("name", sorted(verb_places()))
def test_every_parameter_of_a_verb_is_explained_once(name):
    for key, option in command_of(name).own.items():
        assert option.meaning, f"{name} does not say what {key} means"
    assert summary(name).rstrip(".") in " ".join((load_verb(name).__doc__ or "").split())


def test_type_checkers_see_only_what_is_there():
    tree = ast.parse(Path(dalm.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    names = [alias.name for node in block.body for alias in node.names]
    assert set(names) <= set(dir(dalm))
    assert all(getattr(dalm, name) for name in names)


def test_a_verb_keeps_its_name_from_the_room_of_that_name():
    code = (
        "import dalm.report.table, dalm.verbs.codecs\n"
        "import dalm\n"
        "assert dalm.report.__name__ == 'report' and dalm.codecs.__name__ == 'codecs'\n"
        "assert dalm.verbs.codecs is dalm.codecs\n"
        "from dalm.report import terminal_table\n"
        "assert dalm.models.VAE and dalm.data.SOURCES and dalm.train.Run"
    )
    import subprocess

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_names_that_are_not_there_are_missed():
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        _ = dalm.frobnicate
    with pytest.raises(AttributeError, match="no attribute 'frobnicate'"):
        _ = dalm.verbs.frobnicate


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_says_the_same(alias, name, capsys):
    assert main([alias]) == 0
    said = capsys.readouterr().out
    assert main([name]) == 0
    assert capsys.readouterr().out == said
    assert f"dalm {alias}" in help_of(capsys, alias)


def test_help_is_a_word_too(capsys):
    assert main(["help"]) == 0
    assert "compare" in capsys.readouterr().out


# Types


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (int, int),
        (str | Path, str),
        (str | Path | dalm.Spec, str),
        (float | None, float),
        (dalm.Spec, None),
        (dalm.Spec | None, None),
        (list[str], tuple[str, ...]),
        (str | Path | list[str | Path], tuple[str, ...]),
        (dict[str, int] | None, None),
    ],
    ids=str,
)
def test_a_shell_says_what_it_can_of_a_type(kind, said):
    assert shell_kind(kind) == said


def test_python_writes_where_it_is_told_and_the_shell_has_a_place():
    assert command_of("compress").own["out"].default is REQUIRED
    assert command_of("sample").own["out"].default is None
