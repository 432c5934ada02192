"""Bad input in the shell: exit code 2, one clear message, and nothing half-written."""

from __future__ import annotations

import gzip
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from tiny import Killed, listing, small_vae

from dalm.cli import main
from dalm.records import digest

VAE = small_vae(steps=5, validations=1, snapshots=0)


@pytest.fixture(scope="module")
def mess(tmp_path_factory):
    """A folder with everything that can be wrong in it."""
    folder = tmp_path_factory.mktemp("place")
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (40, 4, 4), dtype=np.uint8)
    np.savez(folder / "good.npz", x=x, y=np.arange(40) % 3)
    np.savez(folder / "short.npz", x=x, y=np.arange(39) % 3)
    np.savez(folder / "real-labels.npz", x=x, y=np.linspace(0, 1, 40))
    np.savez(folder / "some-labels.npz", x_train=x, y_train=np.arange(40) % 3, x_test=x)
    np.savez(folder / "unnamed.npz", pictures=x)
    np.savez(folder / "pickled.npz", x=np.array([{"a": 1}] * 40, dtype=object))
    np.save(folder / "pickled.npy", np.array([[1], [2, 3]] * 20, dtype=object), allow_pickle=True)
    np.save(folder / "nan.npy", np.where(np.arange(40) == 7, np.nan, 1.0 * np.arange(40)))
    np.save(folder / "infinite.npy", np.where(np.arange(40) == 7, np.inf, 1.0 * np.arange(40)))
    np.save(folder / "negative.npy", np.arange(40) - 1)
    np.save(folder / "none.npy", np.zeros((0, 3)))
    np.save(folder / "line.npy", np.linspace(0, 1, 50))
    np.save(folder / "few.npy", np.arange(2.0))
    np.save(folder / "wide.npy", random.normal(size=(20, 30)))
    (folder / "empty.npz").write_bytes(b"")
    (folder / "empty.npy").write_bytes(b"")
    (folder / "cut.npz").write_bytes((folder / "good.npz").read_bytes()[:200])
    (folder / "words.txt").write_text("hello")
    (folder / "cut-idx3-ubyte.gz").write_bytes(gzip.compress(b"\x00\x00\x08\x03" + bytes(20))[:15])
    (folder / "nothing").mkdir()
    (folder / "texts").mkdir()
    (folder / "texts/a.txt").write_text("hello")
    (folder / "sizes").mkdir()
    for k in range(30):
        side = 8 + k % 2
        Image.fromarray(random.integers(0, 256, (side, side), dtype=np.uint8)).save(
            folder / f"sizes/{k}.png"
        )
    (folder / "taken").mkdir()
    (folder / "taken/mine.txt").write_text("mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DALM_CACHE", str(tmp_path_factory.mktemp("cache")))
        assert main(["fit", "vae", "digits", *VAE, "--out", "plain"]) == 0
        assert main(["fit", "vae", "digits", *VAE, "--conditional", "--out", "labelled"]) == 0
        patch.setattr("dalm.train.fitting.Fitting.go_on", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            main(["fit", "vae", "digits", *VAE, "--out", "unfinished"])
    for name in ("newer", "edited"):
        shutil.copytree(folder / "plain", folder / name)
        meta = json.loads((folder / name / "run.json").read_text()) | (
            {"format": 2} if name == "newer" else {"seconds": 0.0}
        )
        (folder / name / "run.json").write_text(
            json.dumps(meta | ({"digest": digest(meta)} if name == "newer" else {}))
        )
    shutil.copytree(folder / "plain", folder / "weightless")
    (folder / "weightless/weights.safetensors").unlink()
    return folder


@pytest.fixture
def place(mess, tmp_path):
    """A copy of it, so that what one test breaks does not break the next."""
    return shutil.copytree(mess, tmp_path / "place")


TEN_CLASSES = "there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
BAD = {
    # names and options
    "no such command": ("frobnicate", "there is no command 'frobnicate'"),
    "a command nearly right": ("compar digits", "Did you mean 'compare'"),
    "an unknown family": ("fit vea digits --steps 5 --out out", "Did you mean 'vae'"),
    "an unknown family after options": ("fit --steps 5 --out out vea digits", "Did you mean 'vae'"),
    "an unknown option": ("fit vae digits --latnt 5 --out out", "--latent"),
    "an option of another family": (
        "fit kde digits --latent 5 --out out",
        "kde has no option latent",
    ),
    "an option without a value": ("fit vae digits --steps", "steps"),
    "no data": ("fit vae", "(?i)data"),
    "words for a number": ("fit vae digits --steps ten --out out", "ten"),
    "words for a choice": ("fit vae digits --net deep --out out", "deep"),
    "an unknown data name": ("fit vae digit --steps 5 --out out", "Did you mean 'digits'"),
    "an unknown family to compare": (
        "compare digits --families gausian --out out",
        "Did you mean 'gaussian'",
    ),
    "an unknown data name to compare": ("compare digist --out out", "Did you mean 'digits'"),
    "an unknown option to compare": ("compare digits --second 5 --out out", "--seconds"),
    # values
    "no steps": ("fit vae digits --steps 0 --out out", "fit's steps is at least 1"),
    "negative seconds": ("fit vae digits --seconds -1 --out out", "fit's seconds is above 0"),
    "a weight decay of nan": (
        "fit vae digits --steps 5 --weight-decay nan --out out",
        "weight_decay is a number",
    ),
    "an average of nan": (
        "fit vae digits --steps 5 --ema nan --out out",
        "ema is a number",
    ),
    "a clip of nan to compare": (
        "compare digits --steps 5 --clip nan --out out",
        "clip is a number",
    ),
    "two budgets": ("fit vae digits --steps 5 --seconds 5 --out out", "not both"),
    "two budgets to compare": ("compare digits --steps 5 --seconds 5 --out out", "not both"),
    "a negative seed": ("fit vae digits --steps 5 --seed -1 --out out", "seed"),
    "a negative seed to compare": ("compare digits --steps 5 --seed -1 --out out", "seed"),
    "a negative data seed": ("fit vae digits --steps 5 --data-seed -1 --out out", "seed"),
    "a seed beyond all": (f"fit gaussian digits --seed {10**23} --out out", "below 4294967296"),
    "a negative seed to sample": (
        "sample plain --seed -1 --out x.png",
        "seed must not be negative",
    ),
    "a negative seed to score": ("score plain --seed -1", "seed must not be negative"),
    "a device without numbers": (
        "fit vae digits --steps 5 --device meta --out out",
        "'cpu' always works",
    ),
    "a device that is not there": (
        "fit vae digits --steps 5 --device tpu --out out",
        "'cpu' always works",
    ),
    "a device that is not there to compare": (
        "compare digits --steps 5 --device tpu --out out",
        "'cpu' always works",
    ),
    "a negative bandwidth": ("fit kde digits --bandwidth -1 --out out", "bandwidth"),
    "an even kernel": ("fit pixelcnn digits --kernel 4 --steps 5 --out out", "odd kernel"),
    "no latent": ("fit vae digits --latent 0 --steps 5 --out out", "latent"),
    "a negative width": ("fit vae digits --width -3 --steps 5 --out out", "width"),
    "a negative depth": ("fit pixelcnn digits --depth -1 --steps 5 --out out", "depth"),
    "too much dropout": ("fit pixelcnn digits --dropout 1.5 --steps 5 --out out", "dropout"),
    "no samples": ("fit vae digits --samples 0 --steps 5 --out out", "samples"),
    "no components": (
        "fit pixelcnn digits --output logistic --components 0 --steps 5 --out out",
        "components",
    ),
    "no noise": ("fit dcgan digits --latent 0 --steps 5 --out out", "latent"),
    "an output that does not suit": (
        "fit vae digits --output normal --steps 5 --out out",
        "'categorical' would work",
    ),
    "a family that does not suit": (
        "fit dcgan ring8 --n 50 --steps 5 --out out",
        "images of at least 4",
    ),
    "discrete only": (
        "fit pixelcnn ring8 --n 50 --steps 5 --out out",
        "pixelcnn needs discrete data",
    ),
    "conditional without classes": (
        "fit vae line.npy --conditional --steps 5 --out out",
        "no class labels",
    ),
    "a closed form that fails": ("fit gaussian wide.npy --estimate mle --out out", "singular"),
    # files
    "a missing file": ("fit vae missing.npz --steps 5 --out out", "no such file"),
    "a missing folder": ("compare no/such/folder --steps 5 --out out", "no such file"),
    "an empty npz": ("fit vae empty.npz --steps 5 --out out", "empty.npz"),
    "an empty npy": ("fit vae empty.npy --steps 5 --out out", "empty.npy"),
    "a cut npz": ("fit vae cut.npz --steps 5 --out out", "cut.npz"),
    "a cut gzip": ("fit vae cut-idx3-ubyte.gz --steps 5 --out out", "cut-idx3"),
    "a file of words": ("fit vae words.txt --steps 5 --out out", "words.txt"),
    "an unreadable file to compare": ("compare words.txt --steps 5 --out out", "words.txt"),
    "pickled npz": ("fit vae pickled.npz --steps 5 --out out", "(?i)pickle"),
    "pickled npy": ("fit vae pickled.npy --steps 5 --out out", "(?i)pickle"),
    "pickled to compare": ("compare pickled.npy --steps 5 --out out", "(?i)pickle"),
    "an array that has another name": ("fit vae unnamed.npz --steps 5 --out out", "x_train"),
    "no rows": ("fit vae none.npy --steps 5 --out out", "empty"),
    "few rows": ("fit vae few.npy --steps 5 --out out", "too few data"),
    "NaN": ("fit vae nan.npy --steps 5 --out out", "NaN"),
    "infinity": ("compare infinite.npy --steps 5 --out out", "infinite"),
    "negative levels": ("fit vae negative.npy --steps 5 --out out", "from -1 to 38"),
    "too few labels": ("fit vae short.npz --steps 5 --out out", "labels"),
    "labels that are no classes": ("fit vae real-labels.npz --steps 5 --out out", "labels"),
    "labels for some splits": ("compare some-labels.npz --steps 5 --out out", "labels"),
    "a folder without anything": ("fit vae nothing --steps 5 --out out", "no images"),
    "a folder without images": ("compare texts --steps 5 --out out", r"no images.*a\.txt"),
    "images of different sizes": ("fit vae sizes --steps 5 --out out", "different sizes.*size=8"),
    "more levels than there are": ("fit vae digits --levels 100 --steps 5 --out out", "17 levels"),
    "binary and levels": ("fit vae digits --levels 4 --binary --steps 5 --out out", "not both"),
    "an option that the data do not take": ("fit vae ring8 --size 8 --steps 5 --out out", "size"),
    # output
    "an existing folder": ("fit vae digits --steps 5 --out taken", "taken exists already"),
    "an existing run": ("fit vae digits --steps 5 --out plain", "plain exists already"),
    "an existing file": ("fit gaussian digits --out words.txt", "words.txt exists already"),
    "an existing folder to compare": (
        "compare digits --steps 5 --out taken",
        "taken exists already",
    ),
    "a file in the way": ("fit gaussian digits --out words.txt/run", "words.txt"),
    "a file in the way to compare": (
        "compare digits --steps 5 --families gaussian --out words.txt/run",
        "words.txt",
    ),
    "a bad ending": ("sample plain --out x.jpg", r"\.png, \.npz, \.npy, \.csv, or each"),
    "a missing place": ("sample plain --out no/x.png", "no folder no"),
    "a folder for samples": ("sample plain --out nothing/../taken", "taken exists already"),
    "a folder for the report": ("report plain --out taken", "taken is a folder"),
    "a missing place for the report": ("report plain --out no/x.html", "no folder no"),
    "conditional without classes to compare": (
        "compare line.npy --families gaussian --conditional --steps 5 --out out",
        "has none",
    ),
    # classes and numbers of samples
    "a class beyond all": (f"sample labelled --class {10**23} --out x.png", TEN_CLASSES),
    "a class that does not exist": ("sample labelled --class 10 --out x.npz", TEN_CLASSES),
    "a negative class": ("sample labelled --class -1 --out x.png", TEN_CLASSES),
    "a class for a model without": ("sample plain --class 3 --out x.png", "conditional"),
    "samples by the none": ("sample plain -n 0 --out x.png", "positive"),
    "a negative number of samples": ("sample plain -n -5 --out x.png", "positive"),
    "a device for samples": ("sample plain --device tpu --out x.png", "tpu"),
    # runs
    "a run that is missing": ("sample missing --out x.png", "not a run"),
    "a folder that is no run": ("score nothing", "not a run"),
    "an unfinished run": ("sample unfinished --out x.png", "incomplete.*--resume"),
    "an unfinished run to score": ("score unfinished", "incomplete.*--resume"),
    "a run without weights": ("score weightless", "incomplete"),
    "a newer run": ("sample newer --out x.png", "newer.*update dalm"),
    "an edited run": ("score edited", "was edited"),
    "resume with other options": ("fit vae digits --steps 6 --out plain --resume", "latent|steps"),
    "resume what is no run": ("fit vae digits --steps 6 --out taken --resume", "not a run"),
    "resume an edited run": ("fit vae digits --steps 5 --out edited --resume", "was edited"),
    "resume a comparison that is none": (
        "compare digits --steps 5 --families gaussian --out taken --resume",
        "taken",
    ),
    "report of nothing": ("report", "."),
    "report of a missing folder": ("report missing", "missing"),
    "report of an edited run": ("report edited", "was edited"),
    "report of a run without weights": ("report weightless", "incomplete"),
    "report of a newer run": ("report newer", "newer.*update dalm"),
    "report of no run": ("report taken", "taken"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(place, case, monkeypatch, capfd, tmp_path):
    line, message = BAD[case]
    monkeypatch.chdir(place)
    monkeypatch.setenv("DALM_CACHE", str(tmp_path / "cache"))
    before = listing(place)
    try:
        code = main(line.split())
    except SystemExit as ended:  # the parser of arguments ends the process itself
        code = ended.code
    said = capfd.readouterr()
    assert code == 2, said.err
    said_once = " ".join(said.err.replace("│", " ").split())
    assert re.search(message, said_once), f"the message does not help: {said_once}"
    assert "Traceback" not in said.err
    after = listing(place)
    assert after == before, (
        f"left behind: {sorted(after.keys() ^ before.keys()) or 'changed files'}"
    )
    assert listing(tmp_path / "cache") == {}, "something is cached of what was refused"


def test_a_run_whose_data_are_gone_says_so(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("gone.npy", np.random.default_rng(0).normal(size=(60, 2)))
    assert main(["fit", "gaussian", "gone.npy", "--out", "run"]) == 0
    (tmp_path / "gone.npy").unlink()
    assert main(["score", "run"]) == 2
    assert "gone.npy" in capsys.readouterr().err
    np.save("gone.npy", np.random.default_rng(1).normal(size=(60, 2)))
    before = listing(tmp_path)
    assert main(["score", "run"]) == 2
    assert "was fitted to gone" in capsys.readouterr().err
    assert listing(tmp_path) == before


def test_ten_bad_inputs_of_the_issue_are_all_here():
    rows = [
        "unknown family",
        "unknown option",
        "unknown data name",
        "missing file",
        "empty npz",
        "cut npz",
        "without images",
    ]
    rows += [
        "different sizes",
        "NaN",
        "infinity",
        "labels",
        "class that does not exist",
        "existing folder",
        "unfinished run",
        "newer run",
    ]
    rows += ["edited run", "pickled"]
    assert all(any(row in case for case in BAD) for row in rows)
