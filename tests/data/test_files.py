"""Files of arrays: .npz and .npy, and everything that a hostile file may hold."""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zipfile

import numpy as np
import pytest

from dalm.data import load_data, reading
from dalm.errors import DalmError


def test_npy_and_array_agree(tmp_path, random_pixels):
    x = random_pixels(20, 3)
    np.save(tmp_path / "a.npy", x)
    fingerprint = load_data(x).fingerprint
    assert load_data(tmp_path / "a.npy").fingerprint == fingerprint
    assert load_data(str(tmp_path / "a.npy")).fingerprint == fingerprint


@pytest.mark.parametrize(
    ("arrays", "message"),
    [({"a": np.zeros(3)}, "holds a; it should hold x"), ({}, "nothing")],
)
def test_npz_without_data(save_npz, arrays, message):
    with pytest.raises(DalmError, match=message):
        load_data(save_npz(**arrays))


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
def test_hostile_files(tmp_path, name):
    content, message = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DalmError, match=message):
        load_data(tmp_path / name)


def test_pickled_arrays_are_refused(tmp_path, save_npz):
    x = np.array([{}, 1], dtype=object)
    np.save(tmp_path / "a.npy", x, allow_pickle=True)
    for path in (tmp_path / "a.npy", save_npz(x=x)):
        with pytest.raises(DalmError, match=r"(?i)object.*pickle|pickle.*object|Python objects"):
            load_data(path)


def test_archive_that_unpacks_beyond_memory(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((10**6,), np.uint8))
    monkeypatch.setattr(reading, "memory_bytes", lambda: 10**5)
    with pytest.raises(DalmError, match=r"unpacks to 1,000,\d+ bytes; this machine has 100,000"):
        load_data(tmp_path / "bomb.npz")


def test_memory_is_known_here_and_without_limit_where_the_system_does_not_say(monkeypatch):
    assert 2**26 < reading.memory_bytes() < math.inf
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert reading.memory_bytes() == math.inf


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DalmError, match="not a regular file"):
        load_data(tmp_path / "pipe")
