"""Families from outside: found by name, imported only where the user says so, and proven."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys

import numpy as np
import pytest

import dalm
from dalm.cli import main
from dalm.codec import weights
from dalm.core import Generative, Spec, build, config, families, outside
from dalm.data import load_data
from dalm.errors import DalmError
from dalm.models import Noise

MODULE = '''
import torch
from torch import nn

from dalm.core import Autoregressive, Estimator
from dalm.exact import Independent


class Bits(Autoregressive, Estimator):
    """Independent bits."""

    family = "outside-bits"
    year = 2026
    paper = "this test"
    likelihood = "exact"

    def setup(self):
        self.parts = nn.Buffer(torch.full((self.spec.dims, 2), 1, dtype=torch.float64))

    def passes(self, work):
        ones = work.train.x.double().mean(0)
        self.parts = (torch.stack([1 - ones, ones], 1) * 2**20).floor().clamp(min=1)
        return ()

    def _log_prob(self, x, y, generator):
        chances = (self.parts / self.parts.sum(1, keepdim=True)).log()
        return chances.gather(1, x.long().T).sum(0)

    def _sample(self, n, y, generator):
        return torch.multinomial(self.parts, n, replacement=True, generator=generator).T

    def predictor(self, n, y):
        return Independent(self.parts, n)


not_a_family = print
'''


@pytest.fixture
def outside_bits(tmp_path, monkeypatch):
    """The family of a module in a folder of its own, forgotten afterwards."""
    (tmp_path / "bits_outside.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outside, "_allowed", set())
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("bits_outside", None)
    families.pop("outside-bits", None)


def bits():
    return load_data((np.random.default_rng(0).random((600, 30)) < 0.1).astype(np.uint8))


def shell(*words):
    """A command in a process that has imported nothing."""
    code = "import sys; from dalm.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-P", "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_class_is_fitted_and_proven_and_read_by_whom_the_user_allows(outside_bits):
    family = importlib.import_module("bits_outside").Bits
    np.save("x.npy", np.concatenate([getattr(bits(), name).x for name in ("train", "test")]))
    run = dalm.fit(family, "x.npy", out="run", progress=False)
    assert run.meta["model"]["class"] == "bits_outside:Bits"
    proof = dalm.prove(run)
    assert proof.sealed, proof.reason
    dalm.compress(run, run.model.sample(50).numpy(), "inside.dalm", embed=True)

    refused = shell("sample", "run", "-o", "out.npy")
    assert refused.returncode == 2
    assert "importing it would run what a file names" in refused.stderr
    assert "--allow bits_outside" in refused.stderr
    refused = shell("decompress", "inside.dalm", "-o", "out.npy")
    assert refused.returncode == 2
    assert "--allow bits_outside" in refused.stderr
    for words in (["sample", "run"], ["decompress", "inside.dalm", "--force"]):
        allowed = shell(*words, "-o", "out.npy", "--allow", "bits_outside")
        assert allowed.returncode == 0, allowed.stderr


@pytest.mark.slow
def test_the_user_names_a_class_in_the_shell(outside_bits):
    np.save("x.npy", bits().train.x.numpy())
    fitted = shell("fit", "bits_outside:Bits", "x.npy", "--out", "run")
    assert fitted.returncode == 0, fitted.stderr
    assert json.loads((outside_bits / "run/run.json").read_text())["model"]["family"] == (
        "outside-bits"
    )


def test_an_entry_point_is_a_name(outside_bits, monkeypatch):
    point = importlib.metadata.EntryPoint("outside-bits", "bits_outside:Bits", outside.GROUP)
    points = importlib.metadata.EntryPoints([point])
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    assert dalm.fit("outside-bits", bits(), out="run", progress=False).model.family == (
        "outside-bits"
    )


def test_a_file_imports_nothing_that_is_not_allowed(outside_bits):
    description = {"family": "outside-bits", "class": "bits_outside:Bits"}
    asked = description | {"spec": {"shape": [3], "levels": 2, "classes": 0}}
    with pytest.raises(DalmError, match="importing it would run what a file names"):
        build(asked)
    assert "bits_outside" not in sys.modules
    outside.allow("bits_out")  # not a module that this one is inside of
    with pytest.raises(DalmError, match="importing it would run"):
        build(asked)
    outside.allow("bits_outside")
    assert build(asked).family == "outside-bits"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("os:system", "importing it would run what a file names"),
        ("os.path:join", "importing it would run what a file names"),
        ("dalm.cli:main", "importing it would run what a file names"),
        ("bits_outside:not_a_family", "is no family"),
        ("bits_outside:Nothing", "is no family"),
        ("bits_outside:Bits", "is the family 'outside-bits', not 'evil'"),
        ("bits_outside.inner:Bits", "cannot be imported"),
        ("", "importing it would run"),
        (":", "importing it would run"),
    ],
)
def test_a_hostile_archive_is_refused_in_words(outside_bits, place, words, monkeypatch):
    outside.allow("bits_outside")
    model = Noise(Spec((3,), levels=2))
    evil = config(model) | {"family": "evil", "class": place}
    monkeypatch.setattr(weights, "config", lambda model: evil)
    content = weights.pack_model(model)
    with pytest.raises(DalmError, match=words):
        weights.unpack_model(content)


@pytest.mark.parametrize("name", ["nowhere:Class", "math:sqrt", "math:", "no module:X", ":X"])
def test_a_class_that_is_none_is_refused(name):
    with pytest.raises(DalmError, match=r"cannot be imported|is no family"):
        dalm.fit(name, "digits", steps=1)


def test_a_name_is_the_same_model_wherever_its_class_is(outside_bits):
    """Hashes and resumes of runs from before do not change."""
    from dalm.codec import hash_of

    family = importlib.import_module("bits_outside").Bits
    model = family(Spec((3,), levels=2))
    before = hash_of(model)
    family.__module__ = "elsewhere"
    assert config(model)["class"] == "elsewhere:Bits"
    assert hash_of(model) == before
    family.__module__ = "__main__"
    assert "class" not in config(model)


def test_our_own_families_are_written_as_before():
    assert all("class" not in config(family(Spec((1, 8, 8), 17, 10))) for family in (Noise,))
    assert outside.place_of(Generative) is None


def test_help_says_what_may_be_allowed(capsys):
    with pytest.raises(SystemExit):
        main(["sample", "--help"])
    assert "--allow" in capsys.readouterr().out
