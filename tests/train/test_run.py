"""The run folder: its format to the byte, and every way in which one can be damaged."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import struct
from pathlib import Path

import pytest
import torch
from tiny import DIGITS, Killed, kill_at, listing, raise_killed, run_of

import dalm
from dalm.cli import main
from dalm.core import Spec, config
from dalm.errors import DalmError
from dalm.models import Noise
from dalm.records import digest, read_meta
from dalm.records.run import FORMAT
from dalm.train import FitOptions, Run
from dalm.train.run import read_tensors, write_tensors
from dalm.train.state import State

META = {
    "format",
    "dalm",
    "state",
    "model",
    "data",
    "fit",
    "machine",
    "seconds",
    "parameters",
    "players",
    "units",
    "error",
    "weights",
    "digest",
}
DATA = {"name", "source", "options", "fingerprint", "splits", "classes", "notes"} | {
    "warnings",
    "recorded",
    "grades",
}
MACHINE = {"device", "cpu", "cores", "threads", "python", "torch", "system"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return run_of("vae", tmp_path_factory.mktemp("made") / "run", snapshots=2).path


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "run"))


def rewrite(run: Path, **changes: object) -> None:
    """Change the description and sign it again, as a forger would."""
    meta = json.loads((run / "run.json").read_text()) | changes
    (run / "run.json").write_text(json.dumps(meta | {"digest": digest(meta)}))


# Format 1


def test_a_run_folder_has_these_files_and_keys(made):
    assert sorted(listing(made)) == [
        "events.jsonl",
        "log.jsonl",
        "run.json",
        "samples",
        "samples/step-00000010.npy",
        "samples/step-00000020.npy",
        "weights.safetensors",
    ]
    meta = json.loads((made / "run.json").read_text())
    assert set(meta) == META
    assert set(meta["data"]) == DATA
    assert set(meta["fit"]) == set(FitOptions.declared())
    assert set(meta["machine"]) == MACHINE
    assert meta["format"] == FORMAT == 1
    assert meta["dalm"] == dalm.__version__
    assert meta["state"] == "done"
    assert meta["error"] is None
    assert meta["model"] == {
        "family": "vae",
        "spec": {"shape": [1, 8, 8], "levels": 17, "classes": 10},
        "conditional": False,
        "latent": 2,
        "net": "mlp",
        "width": 16,
        "depth": 2,
        "output": "auto",
        "components": 1,
        "samples": 4,
    }
    assert meta["data"]["splits"] == {"train": 1100, "val": 197, "test": 500}
    assert meta["data"]["fingerprint"] == DIGITS.fingerprint
    assert (
        meta["weights"] == hashlib.sha256((made / "weights.safetensors").read_bytes()).hexdigest()
    )


def test_the_digest_is_that_of_the_page(made):
    meta = json.loads((made / "run.json").read_text())
    said = meta.pop("digest")
    assert said == hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def test_an_unfinished_run_has_a_checkpoint_and_no_weights(tmp_path, monkeypatch):
    kill_at(monkeypatch, 17, 11)
    with pytest.raises(Killed):
        run_of("vae", tmp_path / "run", checkpoint=1e-9)
    assert set(listing(tmp_path / "run")) - {"samples"} == {
        "run.json",
        "log.jsonl",
        "events.jsonl",
        "status.json",
        "checkpoint.safetensors",
    }
    meta = read_meta(tmp_path / "run")
    assert set(meta) == META
    assert (meta["state"], meta["weights"]) == ("running", None)


def golden(folder: Path) -> Path:
    """A run in format 1 written by hand: noise with mean 2 and standard deviation 3."""
    header = (
        b'{"__metadata__":{"dalm":"{}"},"mean":{"dtype":"F64","shape":[],"data_offsets":[0,8]},'
    )
    header += b'"spread":{"dtype":"F64","shape":[],"data_offsets":[8,16]}}'
    header += b" " * (-len(header) % 8)
    content = struct.pack("<Q", len(header)) + header + struct.pack("<dd", 2.0, 3.0)
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(content)
    meta = {
        "format": 1,
        "dalm": "0.1.0",
        "state": "done",
        "model": {"family": "noise", "spec": {"shape": [2], "levels": None, "classes": 0}},
        "data": {
            "name": "moons",
            "source": "moons",
            "options": {},
            "fingerprint": "0" * 16,
            "splits": {},
            "classes": [],
            "notes": [],
        },
        "fit": {},
        "machine": {},
        "seconds": 0.1,
        "parameters": 2,
        "error": None,
        "weights": hashlib.sha256(content).hexdigest(),
    }
    (folder / "run.json").write_text(
        json.dumps(
            meta | {"digest": hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()}
        )
    )
    return folder


def test_format_1_stays_readable(tmp_path):
    model = Run.open(golden(tmp_path / "run")).model
    assert config(model) == {
        "family": "noise",
        "spec": {"shape": [2], "levels": None, "classes": 0},
    }
    assert (model.mean.item(), model.spread.item()) == (2.0, 3.0)


def test_weights_are_written_byte_for_byte_as_in_format_1(tmp_path):
    model = Noise(Spec((2,)))
    model.mean.fill_(2.0)
    model.spread.fill_(3.0)
    sha = write_tensors(tmp_path / "weights.safetensors", model.state_dict())
    content = (golden(tmp_path / "run") / "weights.safetensors").read_bytes()
    assert (tmp_path / "weights.safetensors").read_bytes() == content
    assert sha == hashlib.sha256(content).hexdigest()


def test_tensors_come_back_as_they_were(tmp_path):
    tensors = {
        "a": torch.arange(6.0).view(2, 3).T,  # not contiguous
        "b": torch.tensor(7, dtype=torch.int64),
        "c": torch.zeros(0, 4, dtype=torch.uint8),
        "d": torch.tensor([1.5], dtype=torch.bfloat16),
    }
    write_tensors(tmp_path / "file", tensors, {"step": 3, "text": "닮"})
    again, note = read_tensors(tmp_path / "file")
    assert note == {"step": 3, "text": "닮"}
    assert set(again) == set(tensors)
    assert all(
        torch.equal(again[name], value) and again[name].dtype == value.dtype
        for name, value in tensors.items()
    )


# Whole or not at all


def test_a_fit_that_cannot_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    replace = os.replace
    count = []

    def full(source, target):
        count.append(target)
        if len(count) == 8:
            raise OSError("no space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        run_of("vae", tmp_path / "run", checkpoint=1e-9)
    monkeypatch.undo()
    assert run_of("vae", tmp_path / "run", checkpoint=1e-9, resume=True).meta["state"] == "done"
    whole = run_of("vae", tmp_path / "whole")
    assert (whole.path / "weights.safetensors").read_bytes() == (
        tmp_path / "run/weights.safetensors"
    ).read_bytes()


def test_a_kill_before_the_folder_is_whole_leaves_no_run(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(State, "save", raise_killed)
        with pytest.raises(Killed):
            run_of("vae", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    run_of("vae", tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


# Damage


def edit(run: Path) -> None:
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace('"seed": 0', '"seed": 1'))


def flip(run: Path) -> None:
    content = bytearray((run / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (run / "weights.safetensors").write_bytes(content)


def truncate(run: Path) -> None:
    path = run / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def forge(run: Path, content: bytes) -> None:
    """Weights that the description vouches for."""
    (run / "weights.safetensors").write_bytes(content)
    rewrite(run, weights=hashlib.sha256(content).hexdigest())


def other_weights(run: Path) -> None:
    write_tensors(run / "weights.safetensors", {"mean": torch.zeros(1)})
    forge(run, (run / "weights.safetensors").read_bytes())


def no_folder(run: Path) -> None:
    shutil.rmtree(run)


def plain_file(run: Path) -> None:
    shutil.rmtree(run)
    run.write_text("hello")


DAMAGES = {
    "edited": (edit, "was edited"),
    "no digest": (lambda run: (run / "run.json").write_text('{"format": 1}'), "was edited"),
    "edited weights": (flip, "edited or damaged"),
    "truncated weights": (truncate, "edited or damaged"),
    "random weights": (
        lambda run: (run / "weights.safetensors").write_bytes(os.urandom(1000)),
        "edited or damaged",
    ),
    "empty weights": (
        lambda run: (run / "weights.safetensors").write_bytes(b""),
        "edited or damaged",
    ),
    "missing weights": (lambda run: (run / "weights.safetensors").unlink(), "incomplete.*--resume"),
    "unfinished": (
        lambda run: rewrite(run, weights=None, state="running"),
        "incomplete.*has died.*--resume",
    ),
    "newer": (lambda run: rewrite(run, format=FORMAT + 1), "newer.*update dalm"),
    "newer unsigned": (
        lambda run: (run / "run.json").write_text('{"format": 99, "what": "ever"}'),
        "newer.*update dalm",
    ),
    "empty": (lambda run: (run / "run.json").write_text(""), "is not the description of a run"),
    "cut": (
        lambda run: (run / "run.json").write_text('{"format": 1, "da'),
        "is not the description of a run",
    ),
    "list": (
        lambda run: (run / "run.json").write_text("[1, 2]"),
        "is not the description of a run",
    ),
    "null": (lambda run: (run / "run.json").write_text("null"), "is not the description of a run"),
    "bytes": (
        lambda run: (run / "run.json").write_bytes(b"\xff\xfe\x00"),
        "is not the description of a run",
    ),
    "no description": (lambda run: (run / "run.json").unlink(), "no run.json.*dalm fit"),
    "no folder": (no_folder, "is not a run"),
    "a file": (plain_file, "is not a run"),
    "forged random bytes": (lambda run: forge(run, os.urandom(1000)), "cannot be read as weights"),
    "forged pickle": (
        lambda run: forge(run, b"\x80\x04\x95" + bytes(100)),
        "cannot be read as weights",
    ),
    "forged weights of another model": (other_weights, "do not belong to this model"),
    "forged family": (
        lambda run: rewrite(run, model={"family": "vea", "spec": {"shape": [2]}}),
        "there is no family 'vea'",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_explained(run, damage):
    do, message = DAMAGES[damage]
    do(run)
    before = listing(run.parent)
    with pytest.raises(DalmError, match=f"(?s){message}"):
        dalm.load(run)
    assert listing(run.parent) == before


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["sample", "score"])
def test_damage_ends_a_command_with_2(run, damage, command, capsys, monkeypatch):
    DAMAGES[damage][0](run)
    before = listing(run.parent)
    monkeypatch.chdir(run.parent)
    assert main([command, "run", *(["--out", "x.npz"] if command == "sample" else [])]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("dalm: ")
    assert "Traceback" not in said.err
    assert listing(run.parent) == before


def test_scoring_refuses_other_data(run):
    with pytest.raises(DalmError, match="was fitted to digits"):
        dalm.score(run, dalm.load_data("digits", levels=4))
    assert not (run / "metrics.json").exists()


# Loading


def test_a_loaded_model_gives_the_same_samples(made):
    fresh = run_of("vae", made.parent / "again").model
    loaded = dalm.load(made)
    assert loaded.device.type == "cpu"
    assert not loaded.training
    draw = [
        model.sample(50, generator=torch.Generator().manual_seed(1)) for model in (fresh, loaded)
    ]
    assert torch.equal(*draw)
    assert torch.equal(fresh.log_prob(DIGITS.test.x[:9]), loaded.log_prob(DIGITS.test.x[:9]))


def test_nothing_is_ever_unpickled():
    loads = []
    for path in sorted(Path(dalm.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                loads += [
                    f"{path.name}: {name}"
                    for name in names
                    if {"pickle", "joblib", "dill", "shelve", "marshal"} & {*name.split(".")}
                ]
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "torch.load",
                "torch.save",
                "torch.jit.load",
                "pickle.loads",
            ):
                loads.append(f"{path.name}: {ast.unparse(node.func)}")
            if (
                isinstance(node, ast.keyword)
                and node.arg == "allow_pickle"
                and ast.unparse(node.value) != "False"
            ):
                loads.append(f"{path.name}: allow_pickle={ast.unparse(node.value)}")
    assert loads == []
