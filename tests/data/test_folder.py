"""Folders of images: every pixel rule by exact values, the split by content, the cache, and bad
input.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dalm.core import Spec
from dalm.data import Data, load_data
from dalm.data import folder as folder_module
from dalm.data.files import memory
from dalm.data.images import read_image
from dalm.errors import DalmError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test."""
    path = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DALM_CACHE", str(path))
    return path


def picture(path: Path, value: int, mode: str = "L", size: tuple[int, int] = (4, 4)) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new(mode, size, value if mode in "L1" else (value,) * len(mode)).save(path)
    return path


def fill(root: Path, n: int = 20, mode: str = "L") -> Path:
    for i in range(n):
        picture(root / f"{i:02}.png", 10 * i, mode)
    return root


def everything(data: Data) -> torch.Tensor:
    return torch.cat([data.train.x, data.val.x, data.test.x])


def read(
    image: Image.Image, tmp_path: Path, grey: bool = False, size: int | None = None, **options: Any
) -> Any:
    path = tmp_path / f"image.{options.pop('format', 'png')}"
    image.save(path, **options)
    with path.open("rb") as file:
        return read_image(file, grey, size).tolist()


# Pixels


def test_rgba_is_composited_over_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (3, 1))
    for i, pixel in enumerate([(10, 20, 30, 255), (10, 20, 30, 0), (10, 20, 30, 100)]):
        image.putpixel((i, 0), pixel)
    over = [round(c * 100 / 255 + 155) for c in (10, 20, 30)]
    assert read(image, tmp_path) == [
        [[10, 255, over[0]]],
        [[20, 255, over[1]]],
        [[30, 255, over[2]]],
    ]


def test_grey_with_alpha_stays_one_channel(tmp_path: Path) -> None:
    image = Image.new("LA", (3, 1))
    for i, pixel in enumerate([(40, 255), (40, 0), (40, 51)]):
        image.putpixel((i, 0), pixel)
    assert read(image, tmp_path) == [[[40, 255, 8 + 204]]]


def test_palette_becomes_rgb_and_its_transparency_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([1, 2, 3, 9, 8, 7])
    image.putpixel((1, 0), 1)
    assert read(image, tmp_path) == [[[1, 9]], [[2, 8]], [[3, 7]]]
    assert read(image, tmp_path, transparency=1) == [[[1, 255]], [[2, 255]], [[3, 255]]]
    assert read(image, tmp_path, transparency=bytes([255, 51])) == [
        [[1, 2 + 204]],
        [[2, 206]],
        [[3, 205]],
    ]


def test_transparent_colour_is_white(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (4, 5, 6))
    assert read(image, tmp_path, transparency=(4, 5, 6)) == [[[1, 255]], [[2, 255]], [[3, 255]]]
    assert read(Image.new("L", (1, 1), 7), tmp_path, transparency=7) == [[[255]]]


@pytest.mark.parametrize("extension", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled(tmp_path: Path, extension: str) -> None:
    values = np.array([[0, 128, 129, 257, 40_000, 65_535]], np.uint16)
    assert read(Image.fromarray(values), tmp_path, format=extension) == [
        [[round(v * 255 / 65535) for v in values[0].tolist()]]
    ]


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert read(image, tmp_path) == [[[0, 255]]]


def test_other_colour_models_become_rgb(tmp_path: Path) -> None:
    assert read(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), tmp_path, format="tif") == [
        [[255]],
        [[0]],
        [[0]],
    ]
    assert read(Image.new("RGB", (1, 1), (10, 20, 30)), tmp_path, grey=True) == [
        [[(10 * 19595 + 20 * 38470 + 30 * 7471 + 2**15) >> 16]]
    ]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read(image, tmp_path, exif=exif) == [[[4, 1], [5, 2], [6, 3]]]


def test_size_cuts_the_centre_and_resizes(tmp_path: Path) -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(6, 10)
    expected = np.asarray(Image.fromarray(pixels[:, 2:8]).resize((3, 3), Image.Resampling.LANCZOS))
    assert read(Image.fromarray(pixels), tmp_path, size=3) == [expected.tolist()]
    assert read(Image.fromarray(pixels), tmp_path, size=6) == [pixels[:, 2:8].tolist()]


def test_meaningless_ranges_are_refused(tmp_path: Path) -> None:
    for image in (
        Image.new("F", (1, 1), 0.5),
        Image.new("I", (1, 1), 70_000),
        Image.new("I", (1, 1), -1),
    ):
        with pytest.raises(ValueError, match="no stated range"):
            read(image, tmp_path, format="tif")


# Folders


def test_flat_folder(tmp_path: Path) -> None:
    data = load_data(fill(tmp_path))
    assert data.spec == Spec((1, 4, 4), 256, 0) and data.train.y is None
    assert [len(data.train), len(data.val), len(data.test)] == [16, 2, 2]
    assert sorted(everything(data)[:, 0, 0, 0].tolist()) == [10 * i for i in range(20)]
    assert "BLAKE2b" in data.notes[0] and data.name == tmp_path.name


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for name, low in (("cat", 0), ("ant", 100)):
        for i in range(10):
            picture(tmp_path / name / f"{i}.png", low + i)
    picture(tmp_path / "ant" / "deeper" / "x.png", 99)
    data = load_data(str(tmp_path))
    assert data.classes == ("ant", "cat") and data.spec.classes == 2
    for split in (data.train, data.val, data.test):
        assert split.y is not None and split.y.tolist() == [
            int(v < 50) for v in split.x[:, 0, 0, 0]
        ]


def test_one_colour_image_makes_all_rgb_unless_grey(tmp_path: Path) -> None:
    picture(fill(tmp_path) / "colour.png", 7, "RGB")
    assert load_data(tmp_path).spec.shape == (3, 4, 4)
    assert load_data(tmp_path, grey=True).spec.shape == (1, 4, 4)


def test_unreadable_files_are_listed_and_counted(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty.png").touch()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:5000])
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / ".hidden.png").touch()
    os.mkfifo(tmp_path / "pipe")
    data = load_data(tmp_path)
    assert data.spec.shape == (1, 4, 4) and len(everything(data)) == 20
    note = next(n for n in data.notes if n.startswith("Left out"))
    assert "(6):" in note and all(
        f in note
        for f in ("notes.txt (not an image)", "empty.png", "cut.png", "gone.png", "loop", "pipe")
    )
    assert "Not looked at because the name starts with a dot (1)." in data.notes
    assert load_data(tmp_path).notes == data.notes


def test_copies_of_a_file_share_a_side_whatever_their_names(tmp_path: Path) -> None:
    fill(tmp_path, 12)
    for i in range(12):
        shutil.copy(tmp_path / f"{i:02}.png", tmp_path / f"again-{i}.png")
    data = load_data(tmp_path)
    sides = [set(s.x[:, 0, 0, 0].tolist()) for s in (data.train, data.val, data.test)]
    assert sum(map(len, sides)) == 12 and len(everything(data)) == 24


def test_binary_and_levels_equal_those_of_the_plain_pixels(tmp_path: Path) -> None:
    fill(tmp_path, mode="RGB")
    plain = load_data(tmp_path)
    binary = load_data(tmp_path, binary=True)
    few = load_data(tmp_path, levels=8)
    for a, b, c in zip(
        (plain.train, plain.test), (binary.train, binary.test), (few.train, few.test), strict=True
    ):
        pixels = a.x.numpy()
        assert np.array_equal(
            b.x, np.random.RandomState(0).random_sample(pixels.shape) < pixels / 255
        )
        assert np.array_equal(c.x, pixels.astype(int) * 8 // 256)
    assert binary.spec.levels == 2 and few.spec.levels == 8


def test_options_rebuild_the_data(tmp_path: Path) -> None:
    data = load_data(fill(tmp_path), size=2, seed=4)
    again = load_data(data.source, **data.options)
    assert again.fingerprint == data.fingerprint != load_data(tmp_path, size=2).fingerprint


# Cache


def test_cache_is_used_and_keyed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data(fill(tmp_path / "images"))
    assert len(list(cache.iterdir())) == 2
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "read_image", lambda *_: pytest.fail("decoded again"))
        again = load_data(tmp_path / "images")
    assert (
        again.fingerprint == data.fingerprint
        and torch.equal(everything(again), everything(data))
        and again.notes == data.notes
    )
    picture(tmp_path / "images" / "00.png", 255)
    assert load_data(tmp_path / "images").fingerprint != data.fingerprint
    load_data(tmp_path / "images", cache=tmp_path / "elsewhere")
    assert len(list((tmp_path / "elsewhere").iterdir())) == 2


def test_pixels_are_mapped_not_loaded_and_the_file_is_safe(tmp_path: Path, cache: Path) -> None:
    data = load_data(fill(tmp_path))
    pixels = next(cache.glob("*.pixels"))
    before = pixels.read_bytes()
    assert str(pixels) in Path("/proc/self/maps").read_text()
    data.train.x[:] = 3
    assert pixels.read_bytes() == before
    assert data.train.x.untyped_storage().data_ptr() == data.train.x.data_ptr()


def test_a_file_larger_than_memory_can_be_mapped(tmp_path: Path) -> None:
    size = 2 * memory()
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
    mapped = torch.from_numpy(folder_module.map_file(tmp_path / "sparse", (size,)))
    mapped[-1] = 1
    assert mapped[0] == 0 and mapped[-1] == 1


@pytest.mark.parametrize("damage", ["short", "flip", "empty", "json", "labels", "missing"])
def test_damaged_cache_is_rebuilt(tmp_path: Path, cache: Path, damage: str) -> None:
    for name in ("a", "b"):
        fill(tmp_path / name, 10)
    for i in range(10):
        picture(tmp_path / "b" / f"{i:02}.png", 5 + 10 * i)
    fresh = load_data(tmp_path)
    expected = everything(fresh).clone()
    fingerprint = fresh.fingerprint
    del fresh
    pixels = next(cache.glob("*.pixels"))
    meta = next(cache.glob("*.json"))
    content = pixels.read_bytes()
    if damage == "short":
        pixels.write_bytes(content[:-10])
    elif damage == "flip":
        pixels.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "empty":
        pixels.write_bytes(b"")
    elif damage == "json":
        meta.write_text("{")
    elif damage == "labels":
        meta.write_text(meta.read_text().replace('"labels": [', '"labels": [1, '))
    else:
        pixels.unlink()
    again = load_data(tmp_path)
    assert again.fingerprint == fingerprint and torch.equal(everything(again), expected)
    assert pixels.read_bytes() == content


def test_failure_leaves_nothing_in_the_cache(tmp_path: Path, cache: Path) -> None:
    picture(fill(tmp_path) / "zz.png", 1, size=(5, 4))
    with pytest.raises(DalmError):
        load_data(tmp_path)
    assert list(cache.iterdir()) == []


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DalmError, match="DALM_CACHE"):
        load_data(fill(tmp_path / "images"), cache=tmp_path / "file")


def test_default_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    assert folder_module.default_cache() == cache
    monkeypatch.delenv("DALM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert folder_module.default_cache() == Path("/xdg/dalm")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folder_module.default_cache() == Path.home() / ".cache" / "dalm"


# Bad input


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(DalmError, match="no images in the folder"):
        load_data(tmp_path)
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(DalmError, match=r"of 1 files none could be read: a.txt \(not an image\)"):
        load_data(tmp_path)


def test_different_sizes_need_a_size(tmp_path: Path) -> None:
    picture(fill(tmp_path) / "zz.png", 1, size=(6, 3))
    with pytest.raises(
        DalmError, match=r"00.png is 4×4 and zz.png is 6×3; give a size for all, such as size=3"
    ):
        load_data(tmp_path)
    assert load_data(tmp_path, size=3).spec.shape == (1, 3, 3)


def test_images_beside_class_folders(tmp_path: Path) -> None:
    fill(fill(tmp_path) / "class")
    with pytest.raises(DalmError, match=r"such as 00\.png, beside subfolders"):
        load_data(tmp_path)


def test_folders_named_like_splits(tmp_path: Path) -> None:
    for name in ("train", "test"):
        fill(tmp_path / name)
    with pytest.raises(DalmError, match=r"named like splits \(test, train\)"):
        load_data(tmp_path)


def test_too_few_images_and_wrong_options(tmp_path: Path) -> None:
    with pytest.raises(DalmError, match="too few data: 2"):
        load_data(fill(tmp_path, 2))
    with pytest.raises(DalmError, match="option 'n'"):
        load_data(tmp_path, n=3)
