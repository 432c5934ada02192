"""Folders of images: classes, files that cannot be read, the split by content, and bad input."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from dalm.core import Spec
from dalm.data import load_data
from dalm.errors import DalmError


def test_flat_folder(tmp_path, fill, splits_of, values_of):
    data = load_data(fill(tmp_path))
    assert data.spec == Spec((1, 4, 4), 256, 0)
    assert data.name == tmp_path.name
    assert data.train.y is None
    assert [len(split) for split in splits_of(data)] == [16, 2, 2]
    assert sorted(values_of(data)[:, 0, 0, 0]) == [10 * i for i in range(20)]
    assert "BLAKE2b" in data.notes[0]


def test_subfolders_are_classes(tmp_path, picture, splits_of):
    for name, low in (("cat", 0), ("ant", 100)):
        for i in range(10):
            picture(tmp_path / name / f"{i}.png", low + i)
    picture(tmp_path / "ant" / "deeper" / "x.png", 99)
    data = load_data(str(tmp_path))
    assert data.classes == ("ant", "cat")
    assert data.spec.classes == 2
    for split in splits_of(data):
        is_cat = split.x[:, 0, 0, 0] < 50
        assert split.y.tolist() == is_cat.int().tolist()


def test_one_colour_image_makes_all_rgb_unless_grey(tmp_path, fill, picture):
    picture(fill(tmp_path) / "colour.png", 7, "RGB")
    assert load_data(tmp_path).spec.shape == (3, 4, 4)
    assert load_data(tmp_path, grey=True).spec.shape == (1, 4, 4)


@pytest.fixture
def littered(tmp_path, fill):
    """Twenty images among files of every kind that cannot be read."""
    fill(tmp_path)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty.png").touch()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    cut = tmp_path / "cut.png"
    Image.fromarray(noise).save(cut)
    cut.write_bytes(cut.read_bytes()[:5000])
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / ".hidden.png").touch()
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def test_unreadable_files_are_listed_and_counted(littered, values_of):
    data = load_data(littered)
    note = next(note for note in data.notes if note.startswith("Left out"))
    assert data.spec.shape == (1, 4, 4)
    assert len(values_of(data)) == 20
    assert "(6):" in note
    for name in ("notes.txt (not an image)", "empty.png", "cut.png", "gone.png", "loop", "pipe"):
        assert name in note
    assert "Not looked at because the name starts with a dot (1)." in data.notes


def test_what_was_left_out_is_said_again_from_the_cache(littered):
    assert load_data(littered).notes == load_data(littered).notes


def test_copies_of_a_file_share_a_side_whatever_their_names(tmp_path, fill, splits_of, values_of):
    fill(tmp_path, 12)
    for i in range(12):
        shutil.copy(tmp_path / f"{i:02}.png", tmp_path / f"again-{i}.png")
    data = load_data(tmp_path)
    sides = [set(split.x[:, 0, 0, 0].tolist()) for split in splits_of(data)]
    assert sum(map(len, sides)) == 12
    assert len(values_of(data)) == 24


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_binary_and_levels_equal_those_of_the_plain_pixels(tmp_path, fill, split):
    fill(tmp_path, mode="RGB")
    pixels = getattr(load_data(tmp_path), split).x.numpy()
    binary = load_data(tmp_path, binary=True)
    few = load_data(tmp_path, levels=8)
    drawn = np.random.RandomState(0).random_sample(pixels.shape) < pixels / 255
    assert np.array_equal(getattr(binary, split).x, drawn)
    assert np.array_equal(getattr(few, split).x, pixels.astype(int) * 8 // 256)
    assert binary.spec.levels == 2
    assert few.spec.levels == 8


def test_options_rebuild_the_data(tmp_path, fill):
    data = load_data(fill(tmp_path), size=2, seed=4)
    again = load_data(data.source, **data.options)
    assert again.fingerprint == data.fingerprint
    assert load_data(tmp_path, size=2).fingerprint != data.fingerprint


# Bad input


def test_folders_without_images(tmp_path):
    with pytest.raises(DalmError, match="no images in the folder"):
        load_data(tmp_path)
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(DalmError, match=r"of 1 files none could be read: a.txt \(not an image\)"):
        load_data(tmp_path)


def test_different_sizes_need_a_size(tmp_path, fill, picture):
    picture(fill(tmp_path) / "zz.png", 1, size=(6, 3))
    message = r"00.png is 4×4 and zz.png is 6×3; give a size for all, such as size=3"
    with pytest.raises(DalmError, match=message):
        load_data(tmp_path)
    assert load_data(tmp_path, size=3).spec.shape == (1, 3, 3)


def test_images_beside_class_folders(tmp_path, fill):
    fill(fill(tmp_path) / "class")
    with pytest.raises(DalmError, match=r"such as 00\.png, beside subfolders"):
        load_data(tmp_path)


def test_folders_named_like_splits(tmp_path, fill):
    for name in ("train", "test"):
        fill(tmp_path / name)
    with pytest.raises(DalmError, match=r"named like splits \(test, train\)"):
        load_data(tmp_path)


def test_too_few_images(tmp_path, fill):
    with pytest.raises(DalmError, match="too few data: 2"):
        load_data(fill(tmp_path, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n": 3}, "a folder of images cannot take the option 'n'"), ({"levels": 999}, "256 levels")],
)
def test_options_that_images_do_not_take(tmp_path, fill, options, message):
    with pytest.raises(DalmError, match=message):
        load_data(fill(tmp_path), **options)
