"""Run folders as they stand: old and new formats, missing and damaged parts, edits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from dalm.errors import DalmError
from dalm.records import (
    RunFolder,
    Score,
    check_run,
    check_weights,
    machine,
    read_meta,
    read_scores,
    runs_below,
    with_digest,
    write_meta,
    write_scores,
)

WEIGHTS = b"weights"
SCORE = Score(metric="kid", value=0.1, n=9, unit="squared MMD", direction="lower").to_json()


def make(folder: Path, state: str = "done") -> Path:
    """A scored run of two columns, of the newest format."""
    (folder / "samples").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(WEIGHTS)
    sha = hashlib.sha256(WEIGHTS).hexdigest()
    model = {"family": "vae", "spec": {"shape": [2], "levels": None, "classes": 0}}
    write_meta(folder, {"format": 1, "state": state, "model": model, "weights": sha})
    write_scores(folder, {"format": 2, "scores": [SCORE]}, sha)
    (folder / "log.jsonl").write_text('{"step": 1, "loss": {"vae": 2.0}}\n{"step": 2, "lo')
    np.savez(folder / "gallery.npz", samples=np.zeros((3, 2)), real=np.ones((4, 2)))
    np.save(folder / "samples/step-00000010.npy", np.zeros((3, 2)))
    return folder


@pytest.fixture
def run(tmp_path):
    return make(tmp_path / "run")


def test_every_part_is_read(run):
    folder = RunFolder(run)
    assert folder.meta["state"] == "done"
    assert folder.shape == (2,)
    assert folder.scores == [SCORE]
    assert folder.log == [{"step": 1, "loss": {"vae": 2.0}}]
    assert {name: len(array) for name, array in folder.gallery.items()} == {
        "samples": 3,
        "real": 4,
    }
    assert [step for step, _ in folder.snapshots] == [10]
    assert folder.absent == {}
    check_run(run)


def test_scores_of_format_1_are_read(run):
    old = {key: value for key, value in SCORE.items() if key not in ("metric", "split", "subset")}
    write_scores(run, {"metrics": {"kid": old}}, RunFolder(run).meta["weights"])
    assert RunFolder(run).scores == [SCORE]
    check_run(run)


def test_a_newer_format_is_refused(run):
    (run / "metrics.json").write_text('{"format": 3}')
    with pytest.raises(DalmError, match=r"format 3; this dalm reads formats up to 2.*update dalm"):
        _ = RunFolder(run).metrics


def test_missing_parts_are_named(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    folder = RunFolder(tmp_path)
    assert set(folder.absent) == {"metrics", "log", "gallery", "snapshots"}
    assert (folder.metrics, folder.scores, folder.log) == ({}, [], [])
    assert (folder.gallery, folder.snapshots, folder.events) == ({}, [], [])


def test_damaged_pictures_are_named(run):
    (run / "gallery.npz").write_bytes((run / "gallery.npz").read_bytes()[:100])
    np.save(run / "samples/step-00000020.npy", np.zeros((3, 5)))
    folder = RunFolder(run)
    assert "cannot be shown" in folder.absent["gallery"]
    assert "data of shape (2,) were expected" in folder.absent["snapshots"]
    assert [step for step, _ in folder.snapshots] == [10]


def test_a_pickle_is_not_opened(run):
    np.savez(run / "gallery.npz", samples=np.array([{"a": 1}], dtype=object))
    assert "allow_pickle=False" in RunFolder(run).absent["gallery"]


def test_an_edit_is_found(run):
    text = (run / "run.json").read_text()
    (run / "run.json").write_text(text.replace("done", "failed"))
    with pytest.raises(DalmError, match="was edited"):
        read_meta(run)


def test_other_weights_are_found(run):
    (run / "weights.safetensors").write_bytes(b"others")
    with pytest.raises(DalmError, match="edited or damaged"):
        check_weights(run, read_meta(run))
    with pytest.raises(DalmError, match="edited or damaged"):
        check_run(run)


def test_scores_of_other_weights_are_found(run):
    write_scores(run, {"scores": []}, "of others")
    with pytest.raises(DalmError, match=r"measured on other weights.*dalm score"):
        read_scores(run, read_meta(run))


def test_scores_without_weights_are_of_other_weights(run):
    (run / "metrics.json").write_text(json.dumps(with_digest({"scores": []})))
    with pytest.raises(DalmError, match="measured on other weights"):
        check_run(run)


def test_an_unfinished_run_is_sound_and_has_no_weights(tmp_path):
    write_meta(tmp_path, {"format": 1, "state": "running", "weights": None})
    check_run(tmp_path)
    with pytest.raises(DalmError, match=r"incomplete \(state 'running', no weights\).*--resume"):
        check_weights(tmp_path, read_meta(tmp_path))


def test_runs_below_are_found_but_for_those_being_begun(tmp_path):
    make(tmp_path / "a")
    make(tmp_path / "board" / "b")
    make(tmp_path / ".c.partial")
    assert runs_below(tmp_path) == [tmp_path / "a", tmp_path / "board" / "b"]
    assert runs_below(tmp_path / "a") == [tmp_path / "a"]


def test_the_machine_is_described_without_torch_where_no_device_is_named():
    bare = machine(None)
    full = machine("cpu")
    assert set(full) - set(bare) == {"device", "threads", "torch"}
    assert {key: full[key] for key in bare} == bare
