"""What verbs write: samples in every form, scores of rows, and what is replaced only when asked."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import dalm
from dalm.cli import main
from dalm.errors import DalmError

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run of vectors with classes, and one of images."""
    home = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(0)
    y = rng.choice(["cat", "a/b"], 300)
    x = rng.normal(size=(300, 3)) + 4 * (y == "cat")[:, None]
    np.savez(home / "v.npz", x=x, y=y)
    images = rng.integers(0, 4, (300, 1, 4, 4), dtype=np.uint8)
    np.savez(home / "i.npz", x=images, y=y)
    dalm.fit("discriminant", home / "v.npz", out=home / "v", **QUIET)
    dalm.fit("discriminant", home / "i.npz", levels=4, out=home / "i", **QUIET)
    return home


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_table_of_samples_holds_every_digit_and_the_classes(home, tmp_path):
    dalm.sample(home / "v", 5, tmp_path / "x.csv", seed=3)
    head, *body = rows(tmp_path / "x.csv")
    dalm.sample(home / "v", 5, tmp_path / "x.npz", seed=3)
    with np.load(tmp_path / "x.npz") as stored:
        assert np.array_equal(np.array([line[:3] for line in body], float), stored["x"])
        assert [line[3] for line in body] == stored["y"].tolist()
    assert head == ["x0", "x1", "x2", "y"]


def test_a_folder_of_samples_is_read_again_as_it_was(home, tmp_path):
    dalm.sample(home / "i", 30, tmp_path / "pictures", seed=3)
    x = dalm.sample(home / "i", 30, seed=3)
    found = sorted((tmp_path / "pictures").rglob("*.png"), key=lambda path: path.stem)
    assert len(found) == 30
    assert {path.parent.name for path in found} == {"cat", "a%2Fb"}
    again = dalm.load_data(tmp_path / "pictures", levels=4)
    assert again.spec == dalm.Spec((1, 4, 4), levels=4, classes=2)
    everything = np.concatenate([split.x.numpy() for split in (again.train, again.val, again.test)])
    assert sorted(map(bytes, everything)) == sorted(map(bytes, x))


@pytest.mark.parametrize(
    ("out", "words"),
    [("x.txt", "samples are written as"), ("full", "exists already"), ("v", "vectors of 3")],
)
def test_a_place_that_does_not_suit_is_refused(home, tmp_path, out, words):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept")
    with pytest.raises(DalmError, match=words):
        dalm.sample(home / "v", 2, tmp_path / out)
    assert (tmp_path / "full" / "mine").read_text() == "kept"
    assert not list(tmp_path.glob(".*"))


def test_rows_are_scored_one_by_one(home, tmp_path):
    model = dalm.load(home / "v")
    with np.load(home / "v.npz") as stored:
        x, y = stored["x"], stored["y"]
    found = dalm.score(home / "v", rows=home / "v.npz", out=tmp_path / "s.csv")
    assert np.allclose(found["nats"], model.log_prob(x), atol=1e-6)
    assert np.allclose(found["bits_per_dim"], -model.log_prob(x) / (3 * np.log(2)), atol=1e-6)
    assert np.mean(np.array(found["class"]) == y) > 0.95
    assert rows(tmp_path / "s.csv")[1:] == [[str(cell) for cell in line] for line in found.lines]
    assert "and 290 more rows" in found.legend[0]
    assert dalm.score(home / "v", rows=x)["nats"] == found["nats"]


def test_rows_of_images_come_as_the_model_learned_them(home):
    with np.load(home / "i.npz") as stored:
        x = stored["x"]
    found = dalm.score(home / "i", rows=x[:, 0])  # without the axis of channels
    assert np.allclose(found["nats"], dalm.load(home / "i").log_prob(x), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rows": np.zeros((3, 7))}, "expected data of shape"),
        ({"rows": "digits"}, "rows are data in memory or a file"),
        ({"rows": np.zeros((3, 3)), "out": "s.txt"}, "written as .csv"),
        ({"out": "s.csv"}, "out is for the scores of rows"),
    ],
)
def test_rows_that_do_not_suit_are_refused(home, options, words):
    with pytest.raises(DalmError, match=words):
        dalm.score(home / "v", **options)


def test_data_that_have_moved_are_scored_where_they_are(home, tmp_path):
    (tmp_path / "here.npz").write_bytes((home / "v.npz").read_bytes())
    dalm.fit("gaussian", tmp_path / "here.npz", out=tmp_path / "run", **QUIET)
    (tmp_path / "here.npz").rename(tmp_path / "there.npz")
    with pytest.raises(DalmError, match=r"no longer at .*here.npz: say where they are"):
        dalm.score(tmp_path / "run")
    assert dalm.score(tmp_path / "run", tmp_path / "there.npz")["bits_per_dim"].value
    with pytest.raises(DalmError, match="was fitted to"):
        dalm.score(tmp_path / "run", home / "i.npz")


def test_overwrite_replaces_a_run_and_nothing_else(home, tmp_path):
    x = np.random.default_rng(0).normal(size=(99, 2))
    first = dalm.fit("gaussian", x, out=tmp_path / "run", **QUIET)
    with pytest.raises(DalmError, match="exists already"):
        dalm.fit("kde", x, out=tmp_path / "run", **QUIET)
    assert dalm.fit("kde", x, out=first.path, overwrite=True, **QUIET).model.family == "kde"
    with pytest.raises(DalmError, match="ask for one of them"):
        dalm.fit("kde", x, out=first.path, overwrite=True, resume=True, **QUIET)

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("kept")
    with pytest.raises(DalmError, match="is no run and no comparison"):
        dalm.fit("kde", x, out=tmp_path / "mine", overwrite=True, **QUIET)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "kept"


def test_two_comparisons_of_one_folder_do_not_meet(tmp_path):
    x = np.random.default_rng(0).normal(size=(99, 2))
    second = {"families": ["kde"], "out": tmp_path / "board", "overwrite": True, **QUIET}
    words = []

    def compare_again(_) -> None:
        with pytest.raises(DalmError) as error:
            dalm.compare(x, **second)
        words.append(str(error.value))

    board = dalm.compare(x, **second | {"families": ["gaussian"]}, show=compare_again)
    assert words
    assert all("another process is comparing into" in one for one in words)
    assert board["gaussian"]["error"] is None


def test_labels_come_beside_data_in_memory(tmp_path):
    x = np.random.default_rng(0).normal(size=(99, 2))
    y = np.where(x[:, 0] > 0, "up", "down")
    run = dalm.fit("discriminant", x, y, out=tmp_path / "run", **QUIET)
    assert run.meta["data"]["classes"] == ["down", "up"]
    assert repr(run).startswith(f"Run({run.path}  discriminant on array: ")
    board = dalm.compare(x, y, families=["gaussian"], out=tmp_path / "board", **QUIET)
    assert board["gaussian"]["error"] is None
    board = dalm.compare(x, y, families=["kde"], out=board.path, overwrite=True, **QUIET)
    assert {row["name"] for row in board.rows if row["kind"] == "model"} == {"kde"}


def test_quiet_prints_the_result_alone(home, tmp_path, capsys):
    assert main(["fit", "gaussian", str(home / "v.npz"), "-o", str(tmp_path / "run"), "-q"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{tmp_path / 'run'}  gaussian on v: ")
    assert said.out.count("\n") == 1
    assert said.err == ""


def test_help_of_a_command_may_be_asked_in_words(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["help", "sources"])
    assert capsys.readouterr().out.startswith("usage: dalm sources")


def test_a_folder_of_pictures_is_compressed_as_the_model_saw_it(home, tmp_path):
    dalm.sample(home / "i", 40, tmp_path / "pictures", seed=3)
    run = dalm.fit("gaussian", tmp_path / "pictures", levels=4, out=tmp_path / "run", **QUIET)
    dalm.compress(run, tmp_path / "pictures", tmp_path / "d.dalm")
    dalm.decompress(tmp_path / "d.dalm", tmp_path / "back.npz", run=run.path)
    data = dalm.load_data(tmp_path / "pictures", levels=4)
    splits = (data.train, data.val, data.test)
    x = np.concatenate([split.x.numpy() for split in splits])
    y = np.concatenate([split.y.numpy() for split in splits])
    with np.load(tmp_path / "back.npz") as stored:
        assert sorted(map(bytes, stored["x"])) == sorted(map(bytes, x))
        assert np.bincount(stored["y"]).tolist() == np.bincount(y).tolist()


def test_a_few_pictures_keep_the_numbers_of_the_models_classes(home, tmp_path):
    dalm.sample(home / "i", 40, tmp_path / "pictures", seed=3)
    run = dalm.fit("gaussian", tmp_path / "pictures", levels=4, out=tmp_path / "run", **QUIET)
    assert run.meta["data"]["classes"] == ["a%2Fb", "cat"]
    (tmp_path / "few" / "cat").mkdir(parents=True)
    for path in sorted((tmp_path / "pictures" / "cat").iterdir())[:2]:
        path.rename(tmp_path / "few" / "cat" / path.name)
    dalm.compress(run, tmp_path / "few", tmp_path / "d.dalm")
    dalm.decompress(tmp_path / "d.dalm", tmp_path / "back.npz", run=run.path)
    with np.load(tmp_path / "back.npz") as stored:
        assert stored["y"].tolist() == [1, 1]
    (tmp_path / "few" / "cat").rename(tmp_path / "few" / "dog")
    with pytest.raises(DalmError, match="does not know: dog"):
        dalm.compress(run, tmp_path / "few", tmp_path / "e.dalm")


@pytest.mark.parametrize(
    ("x", "levels", "row", "expected"),
    [
        ([[k % 17] * 3 for k in range(90)], 4, [9, 1, 16], [2, 0, 3]),
        (np.arange(90)[:, None].repeat(3, 1).astype(np.uint8) * 2, 16, [3, 12, 15], [0, 0, 0]),
        (np.linspace(-1, 1, 90)[:, None].repeat(3, 1), 16, [0, 0.5, 0.9], [8, 12, 15]),
        (np.arange(90)[:, None].repeat(3, 1) % 4 / 3, 4, [1 / 3, 0, 0], [1, 0, 0]),
    ],
)
def test_how_a_row_is_read_depends_on_no_other_row(tmp_path, x, levels, row, expected):
    x = np.asarray(x)
    run = dalm.fit("histogram", x, levels=levels, out=tmp_path / "run", **QUIET)
    alone = dalm.score(run, rows=np.array([row], x.dtype))["nats"]
    assert alone == pytest.approx(run.model.log_prob(np.array([expected])).tolist(), abs=1e-6)
    with pytest.raises(DalmError, match="numbers as the data had them"):
        dalm.score(run, rows=np.array([row], float) + 300)


def test_rows_need_no_labels(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(99, 2))
    np.savez(tmp_path / "d.npz", x=x, k=rng.integers(0, 2, 99))
    run = dalm.fit("gaussian", tmp_path / "d.npz", label="k", out=tmp_path / "run", **QUIET)
    assert dalm.score(run, rows={"x": x})["nats"] == dalm.score(run, rows=x)["nats"]


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 10, "seconds": 3}, {"device": "cuda:77"}, {"start_from": "run"}, {"plan": "run"}],
)
def test_a_call_that_fails_replaces_nothing(tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(99, 2))
    dalm.fit("gaussian", x, out="run", **QUIET)
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(DalmError):
        dalm.fit("gaussian", x, out="run", overwrite=True, **wrong, **QUIET)
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert not list(tmp_path.glob(".*.gone"))


def test_a_link_is_not_overwritten(tmp_path):
    x = np.random.default_rng(0).normal(size=(99, 2))
    dalm.fit("gaussian", x, out=tmp_path / "real", **QUIET)
    (tmp_path / "run").symlink_to("real")
    with pytest.raises(DalmError, match="is a link to"):
        dalm.fit("gaussian", x, out=tmp_path / "run", overwrite=True, **QUIET)
    assert (tmp_path / "run" / "run.json").exists()


def test_a_class_is_never_a_folder_above(tmp_path):
    y = np.array(["..", ".x", ""] * 40)
    x = np.random.default_rng(0).integers(0, 4, (120, 1, 4, 4), dtype=np.uint8)
    run = dalm.fit("discriminant", x, y, levels=4, out=tmp_path / "run", **QUIET)
    dalm.sample(run, 30, tmp_path / "s", seed=3)
    assert len(list((tmp_path / "s").rglob("*.png"))) == 30
    assert {path.name for path in (tmp_path / "s").iterdir()} <= {"%2E.", "%2Ex", "_"}
