"""Data: digits, arrays, IDX and split rules. Folders of images are in `test_data_folder.py`, toys
in `test_data_toys.py`.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dalm.core import Spec
from dalm.data import SOURCES, Data, load_data
from dalm.data import files as files_module
from dalm.data.splits import assign_splits, row_digests
from dalm.errors import DalmError

EVERY = ("train", "val", "test")


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def write_idx(path: Path, array: np.ndarray[Any, Any], code: int, packed: bool = False) -> Path:
    content = (
        bytes([0, 0, code, array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def splits(data: Data) -> list[Any]:
    return [getattr(data, name) for name in EVERY]


def images(n: int, *shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


# Digits and the face


def test_digits_are_split_by_position() -> None:
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    data = load_data("digits")
    everything = load_digits()
    assert [len(s) for s in splits(data)] == [1100, 197, 500]
    assert np.array_equal(torch.cat([s.x for s in splits(data)])[:, 0].numpy(), everything.images)
    assert np.array_equal(torch.cat([s.y for s in splits(data)]).numpy(), everything.target)
    assert (
        data.spec == Spec((1, 8, 8), 17, 10)
        and data.train.x.dtype == torch.uint8
        and splits(data)[0].y.dtype == torch.int64
    )
    assert "1,100" in data.notes[0]


def test_digits_with_options() -> None:
    raw = load_data("digits")
    binary = load_data("digits", binary=True, seed=3)
    few = load_data("digits", levels=4)
    expected = np.random.RandomState(3).random_sample((500, 8, 8)) < raw.test.x[:, 0].numpy() / 16
    assert np.array_equal(binary.test.x[:, 0].numpy(), expected) and binary.spec.levels == 2
    assert torch.equal(few.val.x.long(), raw.val.x.long() * 4 // 17) and few.spec.levels == 4
    assert binary.options == {"binary": True, "seed": 3}


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_rebuilds_from_source_and_options(name: str) -> None:
    data = load_data(name, seed=5)
    again = load_data(data.source, **json.loads(json.dumps(data.options)))
    assert again.fingerprint == data.fingerprint and again.options == {"seed": 5}
    assert all(torch.equal(a.x, b.x) for a, b in zip(splits(data), splits(again), strict=True))
    assert len(data.classes) == data.spec.classes
    for split in splits(data):
        data.spec.check(split.x, split.y)
        assert split.x.dtype == data.spec.dtype


def test_importing_data_leaves_pillow_and_sklearn_alone() -> None:
    code = "import sys, dalm.data; assert not {'PIL', 'sklearn', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


# The split rule


def test_split_sizes_and_completeness() -> None:
    for n in (3, 7, 10, 14, 99, 1000):
        parts = assign_splits(row_digests(np.arange(n)[:, None], 0), 2)
        assert sorted(np.concatenate(parts)) == list(range(n))
        assert len(parts[1]) == len(parts[2]) == max(1, (n + 5) // 10)


def test_copies_fall_on_the_same_side_and_order_does_not_matter() -> None:
    x = np.random.default_rng(0).integers(0, 40, (500, 1))
    data = load_data(x)
    shuffled = load_data(x[np.random.default_rng(1).permutation(500)])
    sides = [set(s.x.flatten().tolist()) for s in splits(data)]
    assert (
        all(not a & b for a, b in itertools.combinations(sides, 2))
        and sum(map(len, splits(data))) == 500
    )
    assert data.fingerprint == shuffled.fingerprint
    assert [set(s.x.flatten().tolist()) for s in splits(load_data(x, seed=1))] != sides


@pytest.mark.parametrize("x", [np.zeros((2, 3)), np.zeros((50, 3)), np.arange(100)[:, None] < 50])
def test_too_few_data(x: Any) -> None:
    with pytest.raises(DalmError, match=r"too few data: \d+ \(\d distinct\)"):
        load_data(x)


def test_val_is_carved_from_train(tmp_path: Path) -> None:
    x = images(60, 4, 4)
    data = load_data(
        save(
            tmp_path / "a.npz",
            x_train=x[:50],
            y_train=np.arange(50) % 3,
            x_test=x[50:],
            y_test=np.zeros(10, int),
        )
    )
    assert [len(s) for s in splits(data)] == [45, 5, 10]
    assert np.array_equal(data.test.x[:, 0].numpy(), x[50:])
    where = {row.tobytes(): i for i, row in enumerate(x)}
    for split in splits(data)[:2]:
        assert [where[row.numpy().tobytes()] % 3 for row in split.x[:, 0]] == split.y.tolist()


def test_splits_that_are_given_stay(tmp_path: Path) -> None:
    x = images(12, 2, 2)
    data = load_data(save(tmp_path / "a.npz", x_train=x[:8], x_val=x[8:10], x_test=x[10:], extra=x))
    assert np.array_equal(torch.cat([s.x for s in splits(data)])[:, 0].numpy(), x)
    assert data.name == "a" and data.classes == () and any("extra" in note for note in data.notes)
    assert load_data(data.source, **data.options).fingerprint == data.fingerprint


# Layout, levels and labels


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5,), (5,)),
        ((4, 6), (1, 4, 6)),
        ((3, 4, 6), (3, 4, 6)),
        ((5, 6, 3), (3, 5, 6)),
        ((5, 6, 1), (1, 5, 6)),
        ((4, 6, 4), (4, 6, 4)),
        ((5, 6, 4), (4, 5, 6)),
    ],
)
def test_array_layout(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert load_data(images(20, *shape)).spec.shape == expected


def test_channels_last_moves_pixels_rightly(tmp_path: Path) -> None:
    x = images(6, 5, 7, 3)
    data = load_data(save(tmp_path / "a.npz", x_train=x[:2], x_val=x[2:4], x_test=x[4:]))
    assert np.array_equal(data.test.x.numpy(), x[4:].transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("x", "levels", "dtype"),
    [
        (np.arange(40, dtype=np.uint8), 256, torch.uint8),
        (np.arange(40, dtype=np.int64), 40, torch.uint8),
        (np.arange(40, dtype=np.int16) * 10, 391, torch.int32),
        (np.arange(40, dtype=np.float16), None, torch.float32),
        (np.arange(40, dtype=">f8"), None, torch.float32),
        (np.arange(2**10).reshape(-1, 1) >> np.arange(10) & 1 == 1, 2, torch.uint8),
    ],
)
def test_levels_by_type(x: Any, levels: int | None, dtype: torch.dtype) -> None:
    data = load_data(x)
    assert data.spec.levels == levels and data.train.x.dtype == dtype
    everything = torch.cat([s.x for s in splits(data)]).flatten().sort().values
    assert np.array_equal(everything.numpy(), np.sort(x.flatten()))


def test_values_that_are_levels_already_stay() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (64, 4, 4), dtype=np.uint8)
    for options in ({}, {"levels": 2}, {"binary": True}):
        data = load_data(bits, **options)
        kept = torch.cat([data.train.x, data.val.x, data.test.x])
        assert data.spec.levels == 2
        assert int(kept.sum()) == int(bits.sum())
    few = load_data(np.random.default_rng(0).integers(0, 17, (64, 4, 4), dtype=np.uint8), levels=17)
    assert few.spec.levels == 17
    assert int(few.train.x.max()) == 16
    assert any("below 17" in note for note in few.notes)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_zeros_and_ones_below_the_levels_asked_for_have_those(dtype: Any) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (64, 4, 4)).astype(dtype)
    data = load_data(bits, levels=4)
    assert data.spec.levels == 4
    assert sum(int(split.x.sum()) for split in splits(data)) == int(bits.sum())
    assert any("below 4" in note for note in data.notes)


def test_levels_binary_grey_and_size(tmp_path: Path) -> None:
    x = images(30, 6, 8, 3)
    path = save(tmp_path / "a.npz", x_train=x[:10], x_val=x[10:20], x_test=x[20:])
    first = x[20:].transpose(0, 3, 1, 2)
    assert np.array_equal(load_data(path, levels=5).test.x, first.astype(int) * 5 // 256)
    assert np.array_equal(
        load_data(path, binary=True, seed=2).test.x,
        np.random.RandomState(2).random_sample(first.shape) < first / 255,
    )
    from PIL import Image

    grey = load_data(path, grey=True)
    assert np.array_equal(
        grey.test.x[0, 0], np.asarray(Image.fromarray(x[20]).convert("L"))
    ) and grey.spec.shape == (1, 6, 8)
    small = load_data(path, size=3)
    expected = Image.fromarray(x[20]).crop((1, 0, 7, 6)).resize((3, 3), Image.Resampling.LANCZOS)
    assert np.array_equal(small.test.x[0].permute(1, 2, 0), np.asarray(expected))
    assert (
        len({d.fingerprint for d in (grey, small, load_data(path), load_data(path, seed=1))}) == 4
    )


def test_binary_of_large_splits_is_one_stream(tmp_path: Path) -> None:
    x = images(9000, 28, 28)
    data = load_data(save(tmp_path / "a.npz", x_train=x, x_val=x[:2], x_test=x[:2]), binary=True)
    assert np.array_equal(
        data.train.x[:, 0], np.random.RandomState(0).random_sample(x.shape) < x / 255
    )


@pytest.mark.parametrize(
    ("labels", "names"), [([7, 3, 7, 9], ("3", "7", "9")), (["b", "a", "b", "c"], ("a", "b", "c"))]
)
def test_labels_become_classes(tmp_path: Path, labels: list[Any], names: tuple[str, ...]) -> None:
    data = load_data(save(tmp_path / "a.npz", x=np.arange(40), y=np.tile(labels, 10)))
    assert data.classes == names
    for split in splits(data):
        assert [names[k] for k in split.y] == [
            str(labels[i % 4]) for i in split.x.flatten().tolist()
        ]


def test_npy_and_array_agree(tmp_path: Path) -> None:
    x = images(20, 3)
    np.save(tmp_path / "a.npy", x)
    assert (
        load_data(tmp_path / "a.npy").fingerprint
        == load_data(str(tmp_path / "a.npy")).fingerprint
        == load_data(x).fingerprint
    )


# IDX


@pytest.mark.parametrize("packed", [False, True])
def test_idx_file_with_labels_beside(tmp_path: Path, packed: bool) -> None:
    x = images(20, 5, 4)
    y = np.arange(20, dtype=np.uint8) % 2
    end = ".gz" if packed else ""
    path = write_idx(tmp_path / f"train-images-idx3-ubyte{end}", x, 0x08, packed)
    assert load_data(path).train.y is None
    write_idx(tmp_path / "train-labels-idx1-ubyte", y, 0x08)
    data = load_data(path)
    where = {row.tobytes(): label for row, label in zip(x, y, strict=True)}
    assert [where[row.numpy().tobytes()] for row in data.train.x] == splits(data)[0].y.tolist()
    assert data.spec == Spec((1, 5, 4), 256, 2)


def test_idx_folder(tmp_path: Path) -> None:
    x = images(30, 5, 4)
    y = np.arange(30, dtype=np.uint8) % 3
    for part, rows in (("train", slice(0, 20)), ("t10k", slice(20, 30))):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", x[rows], 0x08, True)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", y[rows], 0x08, True)
    data = load_data(tmp_path)
    assert [len(s) for s in splits(data)] == [18, 2, 10] and splits(data)[2].y.tolist() == y[
        20:
    ].tolist()
    assert np.array_equal(data.test.x[:, 0], x[20:])


@pytest.mark.parametrize(
    ("dtype", "code"), [("i2", 0x0B), ("i4", 0x0C), ("f4", 0x0D), ("f8", 0x0E)]
)
def test_idx_types(tmp_path: Path, dtype: str, code: int) -> None:
    x = np.arange(300).astype(dtype)
    data = load_data(write_idx(tmp_path / "a.idx", x, code))
    assert np.array_equal(np.sort(torch.cat([s.x for s in splits(data)]).flatten().numpy()), x)


# Bad input


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("digit", {}, "no data 'digit'.*Did you mean 'digits'"),
        ("", {}, "no data ''"),
        ("no/such/file.npz", {}, "no such file"),
        (3, {}, "got int"),
        ("ring8", {"grey": True}, "ring8 cannot take the option 'grey'; it takes n, seed"),
        ("digits", {"size": 4}, "cannot take the option 'size'"),
        ("digits", {"n": 4}, "cannot take the option 'n'"),
        ("digits", {"levels": 18}, "17 levels"),
        ("digits", {"levels": 1}, "levels must be from 2"),
        ("digits", {"levels": 4, "binary": True}, "not both"),
        ("moons", {"n": 0}, "n must be from 1"),
        ("moons", {"seed": -1}, "seed must not be negative"),
        (np.array(3), {}, "single number: its shape is"),
        (np.zeros((0, 3)), {}, "empty"),
        (np.zeros((9, 1, 1, 1, 1)), {}, r"give \(N, D\)"),
        (np.array([object()]), {}, "type object"),
        (np.zeros(9, complex), {}, "type complex"),
        (np.arange(20) - 3, {}, "from -3 to 16"),
        (np.arange(20) * 10_000, {}, "at most 65535"),
        (
            np.array([[0, 1], [2, np.nan], [np.inf, 0]]),
            {},
            r"x has 2 values.*first is nan at \(1, 1\)",
        ),
        (np.array([0, 1e300]), {}, "1 values.*beyond float32"),
        (np.linspace(0, 1, 20), {"binary": True}, "binary needs integers"),
        (np.linspace(0, 1, 20), {"levels": 4}, "levels needs integers"),
        (np.linspace(0, 1, 320).reshape(20, 4, 4), {"size": 2}, "size needs images of 8-bit"),
        (images(20, 4, 4), {"grey": True}, "3 channels"),
    ],
)
def test_bad_sources_and_options(source: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DalmError, match=message):
        load_data(source, **options)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(3)}, "holds a; it should hold x"),
        ({}, "nothing"),
        ({"x": np.zeros(3), "x_train": np.zeros(3)}, "give x"),
        ({"x_train": np.zeros(3), "x_val": np.zeros(3)}, "x_train and x_test"),
        ({"y": np.zeros(3, int)}, "no data x"),
        (
            {"x": np.arange(20), "y": np.zeros(19, int)},
            r"should be \(20,\) integers.*they are \(19,\)",
        ),
        ({"x": np.arange(20), "y": np.zeros((20, 1), int)}, r"they are \(20, 1\)"),
        ({"x": np.arange(20), "y": np.zeros(20)}, "of type float64"),
        (
            {"x_train": np.arange(20), "y_train": np.zeros(20, int), "x_test": np.arange(20)},
            "some have none",
        ),
        (
            {"x_train": np.zeros((20, 3)), "x_val": np.zeros((20, 2)), "x_test": np.zeros((20, 3))},
            "different shapes",
        ),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DalmError, match=message):
        load_data(save(tmp_path / "a.npz", **arrays))


def _npy(shape: str, content: bytes = b"12345678") -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


def _zip(member: bytes, name: str = "x.npy") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, member)
    return buffer.getvalue()


HOSTILE = {
    "empty.npz": (b"", "is empty"),
    "text.npy": (b"hello there", "no format"),
    "pickle.npy": (b"\x80\x04K\x01.", "no format.*pickles"),
    "short.npz": (_zip(_npy("(1,)"))[:50], "cannot be read"),
    "huge.npy": (_npy("(999999999999,)"), "cannot be read"),
    "huge.npz": (_zip(_npy("(99999999999999,)")), "cannot be read"),
    "negative.npz": (_zip(_npy("(-5,)")), "cannot be read"),
    "code.npz": (_zip(_npy("(__import__('os'),)")), "cannot be read"),
    "overflow.npz": (_zip(_npy("(4611686018427387904, 8)")), "cannot be read"),
    "text.npz": (_zip(b"hello"), "not an array"),
    "flipped.npz": (_zip(_npy("(1,)")).replace(b"PK\x01\x02", b"PK\x01\x09"), "cannot be read"),
    "idx-short": (bytes([0, 0, 8, 1, 0, 0, 0, 9, 1]), "fewer"),
    "idx-long": (bytes([0, 0, 8, 1, 0, 0, 0, 1, 1, 1]), "more"),
    "idx-header": (bytes([0, 0, 8, 3, 0, 0]), "within its header"),
    "idx-huge": (bytes([0, 0, 8, 2]) + b"\xff" * 8, "bytes of memory"),
    "bad.gz": (gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 9]) + bytes(9))[:-9], "cannot be read"),
    "text.gz": (gzip.compress(b"hello there"), "no format"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(tmp_path: Path, name: str) -> None:
    content, message = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DalmError, match=message):
        load_data(tmp_path / name)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    x = np.array([{}, 1], dtype=object)
    np.save(tmp_path / "a.npy", x, allow_pickle=True)
    for path in (tmp_path / "a.npy", save(tmp_path / "b.npz", x=x)):
        with pytest.raises(DalmError, match=r"(?i)object.*pickle|pickle.*object|Python objects"):
            load_data(path)


def test_archive_that_unpacks_beyond_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((10**6,), np.uint8))
    monkeypatch.setattr(files_module, "memory", lambda: 10**5)
    with pytest.raises(DalmError, match=r"unpacks to 1,000,\d+ bytes; this machine has 100,000"):
        load_data(tmp_path / "bomb.npz")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DalmError, match="not a regular file"):
        load_data(tmp_path / "pipe")
