"""The hand-written lists of families are complete, and everything that shows them agrees."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from dalm import models
from dalm.core import Density, Estimator, Generative, Learner, capabilities, config, families
from dalm.data import load_data
from dalm.models import FAMILIES, REFERENCES
from dalm.options import REQUIRED
from dalm.verbs.listings import families as listed
from dalm.verbs.models import make

FOLDER = Path(models.__file__).parent
FILES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
EVERY = (*FAMILIES, *REFERENCES)


def subclasses(cls):
    for child in cls.__subclasses__():
        yield child
        yield from subclasses(child)


def ours(module=""):
    """Concrete families defined in dalm.models, or in one of its files."""
    return {
        c
        for c in subclasses(Generative)
        if f"{c.__module__}.".startswith(f"dalm.models.{module}") and not inspect.isabstract(c)
    }


def test_every_family_is_listed_exactly_once():
    for file in FILES:
        importlib.import_module(f"dalm.models.{file}")
    assert ours() == set(EVERY)
    assert len(set(EVERY)) == len(EVERY)


@pytest.mark.parametrize("file", [file for file in FILES if file != "reference"])
def test_one_family_is_one_file(file):
    [family] = ours(f"{file}.")
    assert family in FAMILIES
    assert family.family == file, "a family is found in the file of its name"
    text = (FOLDER / f"{file}.py").read_text()
    assert len(ast.get_docstring(ast.parse(text)) or "") > 200, (
        "the mathematics and the paper are in the module's docstring"
    )
    assert re.search(r"\b(1[789]|20)\d\d\b", ast.get_docstring(ast.parse(text)) or ""), (
        "the docstring names the paper by its year"
    )
    assert len(text.splitlines()) <= 300, "a family has at most 300 lines"


def test_references_live_together():
    assert ours("reference.") == set(REFERENCES)


@pytest.mark.parametrize("family", EVERY, ids=lambda family: family.family)
def test_a_family_says_what_it_is(family):
    assert re.fullmatch(r"[a-z][a-z0-9-]*", family.family)
    assert 1700 < family.year < 2030
    assert len(family.paper) > 5
    assert families[family.family] is family
    assert issubclass(family, Learner) != issubclass(family, Estimator), (
        "a family learns in exactly one way"
    )
    assert issubclass(family, Density) == (
        getattr(family, "likelihood", None) in ("exact", "bound", "estimate")
    )
    assert issubclass(family, Density) == hasattr(family, "log_prob"), "absent means absent"
    assert getattr(family, "__final__", False), "families are final"
    assert family.__name__ in models.__all__


@pytest.mark.parametrize("family", EVERY, ids=lambda family: family.family)
def test_the_declared_options_are_the_configuration(family):
    declared = family.declared()
    assert next(iter(declared)) == "spec"
    options = {name: option for name, option in declared.items() if name != "spec"}
    assert all(option.default is not REQUIRED for option in options.values()), (
        "every option has a default"
    )
    assert all(option.meaning for option in options.values()), "every option says what it means"
    model = make(family.family, load_data("digits"))
    came_later = {name for name, option in declared.items() if option.later}
    assert set(config(model)) == {"family", *declared} - came_later
    assert ">>>" in (inspect.getdoc(family) or ""), "the docstring has an example"


def test_the_catalogue_agrees():
    entries = list(listed())
    assert [entry["name"] for entry in entries] == [family.family for family in EVERY]
    for entry, family in zip(entries, EVERY, strict=True):
        assert (entry["year"], entry["paper"]) == (family.year, family.paper)
        assert entry["likelihood"] == getattr(family, "likelihood", None)
        assert entry["reference"] == (family in REFERENCES)
        assert entry["capabilities"] == capabilities(family)
        assert set(entry["options"]) == set(family.declared()) - {"spec"}
        conditional = {"conditional": True} if "conditional" in family.declared() else {}
        model = make(family.family, load_data("digits"), **conditional)
        assert entry["conditional"] == model.conditional


def test_the_issue_names_these_families_and_references():
    assert {family.family for family in FAMILIES} >= {
        "gaussian",
        "discriminant",
        "kde",
        "pixelcnn",
        "vae",
        "dcgan",
    }
    assert {family.family for family in REFERENCES} >= {"copycat", "histogram", "noise"}
