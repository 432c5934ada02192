"""The shell on the happy path: every command, what it prints and what it leaves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import DIGITS, listing, small_vae

import dalm
from dalm.cli import command_names, main
from dalm.models import FAMILIES, REFERENCES
from dalm.records import find_score, with_digest
from dalm.verbs import verb_places

VAE = small_vae(steps=20, validations=2, snapshots=1)
ROW = {
    "name",
    "family",
    "kind",
    "likelihood",
    "scores",
    "seconds",
    "parameters",
    "samples_per_second",
    "run",
    "error",
}
RECORD = {"metric", "split", "subset", "value", "low", "high", "n", "unit", "direction"} | {
    "features",
    "unranked",
    "checked",
    "unreliable",
    "title",
    "label",
    "flag",
    "note",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run of each kind and two comparisons, made by the commands themselves."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["fit", "vae", "digits", *VAE, "--out", "vae"]) == 0
        assert main(["fit", "vae", "digits", *VAE, "--conditional", "--out", "labelled"]) == 0
        compare = ["--steps", "5", "--seed", "3"]
        assert (
            main(["compare", "digits", "--families", "gaussian", "kde", *compare, "--out", "board"])
            == 0
        )
        assert (
            main(
                [
                    "compare",
                    "ring8",
                    "--n",
                    "500",
                    "--families",
                    "dcgan",
                    "gaussian",
                    *compare,
                    "--out",
                    "plane",
                ]
            )
            == 0
        )
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


def board(folder: Path) -> dict:
    return json.loads((folder / "scoreboard.json").read_text())


def untimed(rows: list[dict]) -> list[dict]:
    return [
        {key: value for key, value in row.items() if key not in ("seconds", "samples_per_second")}
        for row in rows
    ]


# fit, sample, score


def test_fit_writes_a_run(here):
    meta = json.loads(Path("vae/run.json").read_text())
    assert meta["model"]["latent"] == 2
    assert meta["fit"]["steps"] == 20
    assert meta["state"] == "done"
    assert json.loads(Path("labelled/run.json").read_text())["model"]["conditional"] is True


def test_fit_says_what_it_did(here, tmp_path, capsys):
    assert main(["fit", "gaussian", "digits", "--binary", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "gaussian on digits" in said
    assert "binary" in said, "what was done to the data is said"
    assert json.loads((tmp_path / "run/run.json").read_text())["data"]["options"] == {
        "binary": True
    }


def test_fit_takes_the_options_before_the_names_too(tmp_path):
    assert main(["fit", "--out", str(tmp_path / "run"), "gaussian", "digits"]) == 0
    assert (tmp_path / "run/run.json").exists()


def test_data_seed_and_seed_are_two_things(tmp_path):
    assert (
        main(
            [
                "fit",
                "gaussian",
                "moons",
                "--n",
                "50",
                "--data-seed",
                "7",
                "--seed",
                "1",
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    meta = json.loads((tmp_path / "run/run.json").read_text())
    assert meta["data"]["options"] == {"seed": 7, "n": 50}
    assert meta["fit"]["seed"] == 1


@pytest.mark.parametrize("ending", ["png", "npz", "npy"])
def test_sample(here, tmp_path, ending, capsys):
    out = tmp_path / f"x.{ending}"
    assert main(["sample", "vae", "-n", "7", "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    if ending == "png":
        assert out.read_bytes().startswith(b"\x89PNG")
        return
    x = np.load(out)["x"] if ending == "npz" else np.load(out)
    assert x.shape == (7, 1, 8, 8)
    assert x.dtype == np.uint8
    assert x.max() <= 16


def test_samples_follow_the_seed_and_the_class(here, tmp_path):
    def draw(name: str, *options: str) -> bytes:
        assert (
            main(
                ["sample", "labelled", "-n", "5", "--out", str(tmp_path / f"{name}.npy"), *options]
            )
            == 0
        )
        return (tmp_path / f"{name}.npy").read_bytes()

    assert draw("a", "--class", "3") == draw("b", "--class", "3", "--seed", "0")
    assert draw("c", "--class", "3", "--seed", "1") != draw("d", "--class", "3")
    assert draw("e", "--class", "4") != draw("f", "--class", "3")
    model = dalm.load("labelled")
    expected = model.sample(5, 3, torch.Generator().manual_seed(0)).numpy()
    assert np.array_equal(np.load(tmp_path / "a.npy"), expected), (
        "the shell and Python draw the same"
    )


def test_samples_keep_the_classes_that_were_drawn(here, tmp_path):
    assert main(["sample", "labelled", "-n", "9", "--out", str(tmp_path / "drawn.npz")]) == 0
    assert (
        main(
            ["sample", "labelled", "-n", "3", "--class", "4", "--out", str(tmp_path / "asked.npz")]
        )
        == 0
    )
    drawn = np.load(tmp_path / "drawn.npz")
    asked = np.load(tmp_path / "asked.npz")
    assert drawn["y"].shape == (9,)
    assert len(set(drawn["y"].tolist())) > 1
    assert asked["y"].tolist() == [4, 4, 4]
    model = dalm.load("labelled")
    labels = torch.as_tensor(drawn["y"])
    generator = torch.Generator().manual_seed(0)
    torch.multinomial(model.prior, 9, replacement=True, generator=generator)
    assert np.array_equal(drawn["x"], model.sample(9, labels, generator).numpy())


def test_score_adds_metrics_and_a_gallery(here, capsys):
    before = listing(here / "vae")
    assert main(["score", "vae"]) == 0
    assert "bits" in capsys.readouterr().out
    after = listing(here / "vae")
    assert set(after) - set(before) == {"metrics.json", "scores.npz", "gallery.npz"}
    assert {name: after[name] for name in before} == before, "scoring changed the run"
    found = json.loads(Path("vae/metrics.json").read_text())
    assert found["likelihood"] == "bound"
    bound = find_score(found["scores"], "bits_per_dim")
    tighter = find_score(found["scores"], "importance_bits_per_dim")
    assert bound["n"] == len(DIGITS.test)
    assert tighter["value"] < bound["value"]
    with np.load("vae/gallery.npz", allow_pickle=False) as gallery:
        assert {"samples", "nearest_train", "nearest_heldout", "real"} <= set(gallery)
    assert main(["score", "vae"]) == 0
    again = json.loads(Path("vae/metrics.json").read_text())
    timed = {"samples_per_second", "digest"}
    assert {k: v for k, v in again.items() if k not in timed} == {
        k: v for k, v in found.items() if k not in timed
    }


# compare, report


@pytest.mark.parametrize("name", ["board", "plane"])
def test_the_scoreboard_has_the_keys_of_the_issue(here, name):
    found = board(here / name)
    assert {"data", "spec", "seed", "machine", "rows"} <= set(found)
    assert found["seed"] == 3
    for row in found["rows"]:
        assert set(row) >= ROW
        scores = row["scores"]
        assert all(set(record) == RECORD for record in scores)
        assert all(record["value"] is not None or record["note"] for record in scores), (
            "a score without a value says why"
        )
        if row["error"] is None:
            assert (here / name / row["run"] / "metrics.json").exists()
            assert row["parameters"] > 0
            assert row["samples_per_second"] > 0


def test_every_family_and_reference_has_a_row(here):
    rows = board(here / "board")["rows"]
    assert [row["name"] for row in rows] == [
        "gaussian",
        "kde",
        "held-out real data",
        "copycat",
        "histogram",
        "noise",
        "noisy copycat",
        "collapsed copycat",
    ]
    assert all(row["error"] is None for row in rows)
    found = {row["name"]: find_score(row["scores"], "bits_per_dim") for row in rows}
    bits = {name: record and record["value"] for name, record in found.items()}
    assert max(bits["kde"], bits["gaussian"]) < bits["histogram"] < bits["noise"]
    assert bits["copycat"] is bits["held-out real data"] is None
    flags = {row["name"]: {record["flag"] for record in row["scores"]} - {None} for row in rows}
    assert flags["copycat"]
    assert not flags["held-out real data"]


def test_a_family_that_fails_has_a_row_that_says_why(here):
    rows = {row["name"]: row for row in board(here / "plane")["rows"]}
    assert "dcgan needs images of at least 4 × 4" in rows["dcgan"]["error"]
    assert rows["dcgan"]["scores"] == []
    assert rows["gaussian"]["error"] is None


def test_a_name_asked_for_twice_or_a_reference_stands_once(tmp_path, monkeypatch):
    monkeypatch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
    asked = [
        "--n",
        "200",
        "--families",
        "histogram",
        "gaussian",
        "gaussian",
        "--steps",
        "5",
        "--out",
        str(tmp_path / "board"),
    ]
    assert main(["compare", "ring8", *asked]) == 0
    rows = board(tmp_path / "board")["rows"]
    assert [row["error"] for row in rows] == [None] * len(rows)
    assert len({row["name"] for row in rows}) == len(rows), "no row stands twice"


def test_compare_resumes(here, tmp_path):
    again = shutil.copytree(here / "plane", tmp_path / "plane")
    shutil.rmtree(again / "gaussian")
    (again / "scoreboard.json").write_text(json.dumps(with_digest(board(again) | {"rows": []})))
    asked = [
        "--n",
        "500",
        "--families",
        "dcgan",
        "gaussian",
        "--steps",
        "5",
        "--seed",
        "3",
        "--resume",
    ]
    kept = {
        name: content
        for name, content in listing(again).items()
        if name.split("/")[0] in ("copycat", "histogram", "noise")
    }
    assert main(["compare", "ring8", *asked, "--out", str(again)]) == 0
    after = listing(again)
    assert {name: after[name] for name in kept} == kept, "what was finished is kept"
    assert untimed(board(again)["rows"]) == untimed(board(here / "plane")["rows"])


@pytest.mark.slow
def test_compare_repeats_itself_prints_the_table_and_writes_one_page(here, tmp_path, capsys):
    asked = ["--n", "500", "--families", "dcgan", "gaussian", "--steps", "5", "--seed", "3"]
    assert main(["compare", "ring8", *asked, "--out", str(tmp_path / "again")]) == 0
    assert untimed(board(tmp_path / "again")["rows"]) == untimed(board(here / "plane")["rows"])
    said = capsys.readouterr().out
    for name in ("gaussian", "held-out real data", "copycat", "histogram", "noise"):
        assert name in said
    page = (tmp_path / "again/report.html").read_text()
    assert str(tmp_path / "again/report.html") in said.replace("\n", "")
    assert len(page) < 2_000_000
    assert not re.search(r'(src|href)="https?:', page), "the page stands alone"


def test_report_is_rebuilt_from_folders_alone(here, tmp_path, capsys):
    assert main(["report", "vae", "board/gaussian", "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text().lstrip().lower().startswith("<!doctype html>")
    before = (here / "board/report.html").read_text()
    (here / "board/report.html").unlink()
    assert main(["report", "board"]) == 0
    assert (here / "board/report.html").read_text() == before


@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError(28, "No space left on device"), 1), (PermissionError(13, "Permission denied"), 2)],
    ids=str,
)
def test_a_full_disk_is_a_failure_and_a_bad_path_bad_input(
    tmp_path, monkeypatch, capsys, error, code
):
    monkeypatch.setattr("dalm.records.run.write", lambda *_: (_ for _ in ()).throw(error))
    assert main(["fit", "gaussian", "moons", "--n", "50", "--out", str(tmp_path / "run")]) == code
    assert error.strerror in capsys.readouterr().err


# Lists and help


def test_models(capsys):
    assert main(["models", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == [
        family.family for family in (*FAMILIES, *REFERENCES)
    ]
    assert all({"year", "paper", "likelihood", "capabilities"} <= set(entry) for entry in entries)
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert all(family.family in said for family in FAMILIES)


def test_data(capsys):
    assert main(["data", "--json"]) == 0
    names = {entry["name"] for entry in json.loads(capsys.readouterr().out)}
    assert names == {"digits", "ring8", "grid25", "moons", "checkerboard", "spirals"}
    assert main(["data"]) == 0
    assert "checkerboard" in capsys.readouterr().out


def test_help_and_version(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(verb in said for verb in verb_places())
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"dalm {dalm.__version__}"
    assert main([]) == 2


@pytest.mark.parametrize("command", command_names())
def test_every_command_has_help(command, capsys):
    names = ["vae", "digits"] if command == "fit" else []
    with pytest.raises(SystemExit) as ended:
        main([command, *names, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"dalm {command}" in said
    if command == "fit":
        assert all(
            option in said
            for option in ("--latent", "--seconds", "--resume", "--size", "--data-seed")
        )
        assert "dimension of z" in said, "the docstring explains the option"


@pytest.mark.parametrize(
    "code",
    [
        "import dalm",
        "import dalm; dalm.__version__; dir(dalm)",
        "from dalm.cli import main; main(['--help'])",
        "from dalm.cli import main; main(['--version'])",
    ],
)
def test_quick_things_import_no_torch(code):
    heavy = "{'torch', 'numpy', 'sklearn', 'matplotlib', 'scipy', 'PIL', 'tyro', 'rich'}"
    command = [
        sys.executable,
        "-c",
        f"{code}\nimport sys\nassert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr


def test_listing_data_imports_no_torch_trainer():
    code = (
        "import sys\nfrom dalm.models import FAMILIES\n"
        "assert 'dalm.train' not in sys.modules, 'models import the trainer'"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
