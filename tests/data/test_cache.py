"""The cache of decoded folders: when it is used, what it maps, and what damage it survives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dalm.data import cache as cache_module
from dalm.data import folder as folder_module
from dalm.data import load_data
from dalm.data.reading import memory_bytes
from dalm.errors import DalmError


def test_a_folder_is_decoded_once(tmp_path, cache, fill, values_of, monkeypatch):
    data = load_data(fill(tmp_path))
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(folder_module, "read_image", lambda *_: pytest.fail("decoded again"))
    again = load_data(tmp_path)
    assert again.fingerprint == data.fingerprint
    assert np.array_equal(values_of(again), values_of(data))
    assert again.notes == data.notes


def test_a_changed_file_is_decoded_again(tmp_path, fill, picture):
    data = load_data(fill(tmp_path))
    picture(tmp_path / "00.png", 255)
    assert load_data(tmp_path).fingerprint != data.fingerprint


def test_the_cache_can_lie_elsewhere(tmp_path, cache, fill):
    elsewhere = tmp_path / "elsewhere"
    load_data(fill(tmp_path / "images"), cache=elsewhere)
    assert len(list(elsewhere.iterdir())) == 2
    assert list(cache.iterdir()) == []


def test_pixels_are_mapped_not_loaded_and_the_file_is_safe(tmp_path, cache, fill):
    data = load_data(fill(tmp_path))
    pixels = next(cache.glob("*.pixels"))
    before = pixels.read_bytes()
    assert str(pixels) in Path("/proc/self/maps").read_text()
    data.train.x[:] = 3
    assert pixels.read_bytes() == before
    assert data.train.x.untyped_storage().data_ptr() == data.train.x.data_ptr()


def test_a_file_larger_than_memory_can_be_mapped(tmp_path):
    size = 2 * int(memory_bytes())
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
    mapped = torch.from_numpy(cache_module.map_file(tmp_path / "sparse", (size,)))
    mapped[-1] = 1
    assert mapped[0] == 0
    assert mapped[-1] == 1


def _cut(pixels: Path, _: Path) -> None:
    pixels.write_bytes(pixels.read_bytes()[:-10])


def _flip_a_bit(pixels: Path, _: Path) -> None:
    content = pixels.read_bytes()
    pixels.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def _break_the_json(_: Path, description: Path) -> None:
    description.write_text("{")


def _add_a_label(_: Path, description: Path) -> None:
    text = description.read_text()
    description.write_text(text.replace('"labels": [', '"labels": [1, '))


def _drop_the_notes(_: Path, description: Path) -> None:
    text = description.read_text()
    description.write_text(text.replace('"notes"', '"nothing"'))


DAMAGES = {
    "cut": _cut,
    "flipped": _flip_a_bit,
    "empty": lambda pixels, _: pixels.write_bytes(b""),
    "missing": lambda pixels, _: pixels.unlink(),
    "no JSON": _break_the_json,
    "one label more": _add_a_label,
    "no notes": _drop_the_notes,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_cache_is_rebuilt(tmp_path, cache, fill, picture, values_of, damage):
    fill(tmp_path / "a", 10)
    for i in range(10):
        picture(tmp_path / "b" / f"{i:02}.png", 5 + 10 * i)
    fresh = load_data(tmp_path)
    expected = values_of(fresh)
    fingerprint = fresh.fingerprint
    del fresh

    pixels = next(cache.glob("*.pixels"))
    content = pixels.read_bytes()
    DAMAGES[damage](pixels, next(cache.glob("*.json")))
    again = load_data(tmp_path)
    assert again.fingerprint == fingerprint
    assert np.array_equal(values_of(again), expected)
    assert pixels.read_bytes() == content


def test_failure_leaves_nothing_in_the_cache(tmp_path, cache, fill, picture):
    picture(fill(tmp_path) / "zz.png", 1, size=(5, 4))
    with pytest.raises(DalmError):
        load_data(tmp_path)
    assert list(cache.iterdir()) == []


def test_cache_that_cannot_be_written(tmp_path, fill):
    (tmp_path / "file").touch()
    with pytest.raises(DalmError, match="DALM_CACHE"):
        load_data(fill(tmp_path / "images"), cache=tmp_path / "file")


def test_default_cache(monkeypatch, cache):
    assert cache_module.default_cache() == cache
    monkeypatch.delenv("DALM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_module.default_cache() == Path("/xdg/dalm")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_module.default_cache() == Path.home() / ".cache" / "dalm"
