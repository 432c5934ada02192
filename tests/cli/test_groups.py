"""Options of model, data and training in groups of their own, in Python and in the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, final

import numpy as np
import pytest
import torch

import dalm
from dalm.cli import main
from dalm.core import Estimator, families
from dalm.errors import DalmError
from dalm.options import Options, option
from dalm.verbs.groups import declared_by, family_defaults, options_of, sort_options

QUICK = {"steps": 2, "validations": 1, "snapshots": 0, "device": "cpu"}


class Heat(Options, owner="clashing"):
    temperature: float = option("of the draws", default=1.0, at_least=0)


@pytest.fixture
def clashing():
    """A family that calls its options as the data, training and a verb call theirs."""

    @final
    class Clashing(Estimator):
        """A family."""

        family = "clashing"
        year = 2026
        paper = "none"
        size: int = option("of something", default=3)
        steps: int = option("of a dance", default=4)
        out: Literal["up", "down"] = option("a direction", default="up")
        sampling = Heat
        standardises = False

        def passes(self, work):
            return iter(())

        def _sample(self, n, y, generator, options):
            return torch.full((n, *self.spec.shape), options.temperature)

    yield Clashing
    del families["clashing"]


def model_of(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())["model"]


# In Python


def test_an_option_is_given_by_name_or_in_its_group(tmp_path):
    flat = dalm.fit(
        "vae", "ring8", n=60, data_seed=3, seed=1, latent=3, **QUICK, out=tmp_path / "flat"
    )
    grouped = dalm.fit(
        "vae",
        "ring8",
        data_options={"n": 60, "seed": 3},
        train_options=QUICK | {"seed": 1},
        model_options={"latent": 3},
        out=tmp_path / "grouped",
    )
    for part in ("model", "data", "fit"):
        assert flat.meta[part] == grouped.meta[part]
    assert flat.meta["weights"] == grouped.meta["weights"]
    assert flat.meta["data"]["options"] == {"n": 60, "seed": 3}


def test_a_clash_is_refused_with_both_names(clashing, tmp_path):
    asked = {"progress": False, "out": tmp_path / "run"}
    with pytest.raises(
        DalmError, match=r"'size' is an option of the model and of the data; say which: "
    ) as refused:
        dalm.fit("clashing", "digits", size=7, **asked)
    assert "model_options={'size': …} or data_options={'size': …}" in str(refused.value)
    assert "--model.size or --data.size" in str(refused.value)
    options = {"size": 7, "steps": 8, "out": "down"}
    dalm.fit("clashing", "digits", model_options=options, **asked)
    assert options.items() <= model_of(tmp_path / "run").items()


def test_what_no_group_takes_is_refused_with_the_nearest_name():
    with pytest.raises(DalmError, match=r"fit has no option 'latnt'\. Did you mean 'latent'"):
        dalm.fit("vae", "digits", latnt=3)
    with pytest.raises(DalmError, match="compare has no option 'latent'"):
        dalm.compare("digits", latent=3)
    with pytest.raises(DalmError, match=r"no option 'latent'"):
        dalm.fit("vae", "digits", train_options={"latent": 3}, out="nowhere")


def test_what_is_there_already_takes_no_options(tmp_path):
    data = dalm.load_data("ring8", n=60)
    with pytest.raises(DalmError, match="ring8 are loaded already, so n cannot change them"):
        dalm.fit("gaussian", data, n=50)
    with pytest.raises(DalmError, match="fit has no option 'estimate'"):
        dalm.fit(dalm.models.Gaussian(data.spec), data, estimate="mle")
    with pytest.raises(DalmError, match="built already, so estimate cannot change it"):
        dalm.fit(dalm.models.Gaussian(data.spec), data, model_options={"estimate": "mle"})


def test_an_option_given_twice_is_refused():
    with pytest.raises(DalmError, match="fit got 'latent' twice"):
        dalm.fit("vae", "digits", latent=3, model_options={"latent": 4})


@pytest.mark.slow
def test_a_comparison_takes_options_of_its_data(tmp_path):
    board = dalm.compare(
        "ring8",
        families=["gaussian"],
        n=60,
        data_options={"seed": 5},
        steps=2,
        progress=False,
        out=tmp_path / "board",
    )
    meta = json.loads((tmp_path / "board/gaussian/run.json").read_text())
    assert meta["data"]["options"] == {"n": 60, "seed": 5}
    assert board["gaussian"]["kind"] == "model"


def test_resume_needs_a_folder():
    with pytest.raises(DalmError, match="say which one: out, --out"):
        dalm.fit("vae", "digits", resume=True)


# In the shell


def test_long_names_and_short_ones_say_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick = ["--steps", "2", "--validations", "1", "--snapshots", "0", "--device", "cpu"]
    assert main(["fit", "vae", "ring8", "--n", "60", "--latent", "3", *quick, "-o", "short"]) == 0
    long = [word.replace("--", "--train.") for word in quick]
    assert (
        main(["fit", "vae", "ring8", "--data.n=60", "--model.latent=3", *long, "-o", "long"]) == 0
    )
    short, other = (json.loads((tmp_path / f"{n}/run.json").read_text()) for n in ("short", "long"))
    for part in ("model", "data", "fit", "weights"):
        assert short[part] == other[part]


def test_a_clash_in_the_shell_is_refused_with_both_names(clashing, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["--size", "7"], ["--size=7"]):
        assert main(["fit", "clashing", "digits", *words]) == 2
        assert "--model.size or --data.size" in capsys.readouterr().err
    long = ["--model.size", "7", "--model.steps=8", "--model.out", "down"]
    assert main(["fit", "clashing", "digits", *long, "--out", "run"]) == 0
    assert {"size": 7, "steps": 8, "out": "down"}.items() <= model_of(tmp_path / "run").items()


def test_help_shows_what_holds_for_the_family(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "vae", "--help"])
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "FAMILY DATA" in said.split("Fit a family")[0]
    assert "peak learning rate; above 0 (default: 0.002)" in said, "the family's own, not None"
    assert "None" not in said
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    said = capsys.readouterr().out
    assert "dalm fit FAMILY --help" in said
    assert "--latent" not in said


def test_a_family_has_options_of_sampling(clashing, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = dalm.fit("clashing", "ring8", n=60, out="run", progress=False)
    assert (dalm.sample(run, 2) == 1).all()
    assert (dalm.sample(run, 2, temperature=3) == 3).all()
    assert main(["sample", "run", "--temperature", "2", "-o", "x.npy"]) == 0
    assert (np.load("x.npy") == 2).all()
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["sample", "run", "--help"])
    assert "of the draws; at least 0 (default: 1.0)" in capsys.readouterr().out
    with pytest.raises(DalmError, match="temperature"):
        dalm.sample(run, 2, temperature=-1)


# What is read of options


def test_a_signature_is_read_as_options():
    def walk(miles: float = 1.0, *, shoes: Literal["red", "blue"] = "red", **rest: int) -> None:
        """Walk.

        Args:
            miles: how
                far.
            shoes: on the feet.
        """

    read = declared_by(walk)
    assert {name: one.meaning for name, one in read.items()} == {
        "miles": "how far",
        "shoes": "on the feet",
    }
    assert (read["miles"].kind, read["miles"].default) == (float, 1.0)
    assert read["shoes"].choices == ("red", "blue")


@pytest.mark.parametrize("group", ["model", "data", "train"])
def test_every_option_of_every_group_is_explained(group):
    for family in dalm.models.FAMILIES:
        for name, declared in options_of(group, family).items():
            assert declared.meaning, f"{family.family}: {name}"


def test_a_recipe_is_what_holds_for_a_family():
    assert family_defaults(dalm.models.VAE)["lr"] == dalm.models.VAE.recipe.lr
    assert family_defaults(dalm.models.KDE) == family_defaults(None) == {}


def test_sorting_knows_no_verb():
    groups = {"data": options_of("data"), "train": options_of("train")}
    sorted_options = sort_options("walk", {"seed": 1, "data_seed": 2}, groups, {"data": {"n": 3}})
    assert sorted_options == {"data": {"n": 3, "seed": 2}, "train": {"seed": 1}}
