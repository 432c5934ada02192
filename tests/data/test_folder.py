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


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (("Train", "valid", "testing"), [40, 20, 20]),
        (("training", "test"), [36, 4, 20]),
        (("train", "val"), [36, 20, 4]),
        (("TRAIN",), [32, 4, 4]),
    ],
)
def test_folders_named_like_splits_are_splits(tmp_path, names, sizes):
    rng = np.random.default_rng(0)
    for place, name in enumerate(names):
        for label in ("cat", "dog"):
            folder = tmp_path / "d" / name / label
            folder.mkdir(parents=True)
            for number in range(10 if place else 20):
                pixels = rng.integers(0, 256, (4, 4), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    data = load_data(tmp_path / "d", cache=str(tmp_path / "cache"))
    assert [len(split) for split in (data.train, data.val, data.test)] == sizes
    assert data.classes == ("cat", "dog")
    assert "folder" in data.notes[0] or len(names) == 1


def test_folders_named_like_splits_without_train_are_refused(tmp_path):
    for name in ("val", "test"):
        save_images(tmp_path / "d" / name, 5)
    with pytest.raises(DalmError, match=r"named like splits \(test, val\), and none is train"):
        load_data(tmp_path / "d")


def test_classes_named_as_numbers_are_in_the_order_of_the_numbers(tmp_path):
    for name in range(12):
        save_images(tmp_path / "d" / str(name), 3, seed=name)
    data = load_data(tmp_path / "d", cache=str(tmp_path / "cache"))
    assert data.classes == tuple(str(name) for name in range(12))


def test_a_linked_class_is_read_and_a_loop_is_not(tmp_path):
    save_images(tmp_path / "elsewhere", 10, seed=1)
    save_images(tmp_path / "d" / "a", 10, seed=2)
    (tmp_path / "d" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "d" / "a" / "up").symlink_to(tmp_path / "d")
    data = load_data(tmp_path / "d", cache=str(tmp_path / "cache"))
    assert data.classes == ("a", "b")
    assert len(data.train) + len(data.val) + len(data.test) == 20
    assert any("up (a folder that is read already)" in note for note in data.notes)


def test_what_a_file_holds_beside_one_picture_is_said(tmp_path):
    save_images(tmp_path / "d", 20)
    frames = [Image.new("L", (4, 4), value) for value in (1, 2, 3)]
    frames[0].save(tmp_path / "d" / "pages.tiff", save_all=True, append_images=frames[1:])
    (tmp_path / "d" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    for number in range(500):
        (tmp_path / "d" / f"{number}.txt").touch()
    notes = " ".join(load_data(tmp_path / "d", cache=str(tmp_path / "cache")).notes)
    assert "several pages or frames (1) the first counts: pages.tiff" in notes
    assert "(501)" in notes
    assert len(notes) < 2000


def test_copies_across_splits_that_came_are_a_warning(tmp_path):
    save_images(tmp_path / "d" / "train", 20)
    save_images(tmp_path / "d" / "val", 10, seed=5)
    save_images(tmp_path / "d" / "test", 20)
    data = load_data(tmp_path / "d", cache=str(tmp_path / "cache"))
    assert "20 of 20 test images (100%) are training images too" in data.warnings[0]
    assert load_data(tmp_path / "d", cache=str(tmp_path / "cache")).warnings == data.warnings


def save_images(folder, count, seed=0):
    """Random pictures; the same for the same seed."""
    folder.mkdir(parents=True)
    for number, pixels in enumerate(np.random.default_rng(seed).integers(0, 256, (count, 4, 4))):
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{seed}-{number}.png")


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


def test_an_image_beside_folders_that_are_splits_is_refused(tmp_path, fill):
    fill(tmp_path / "train", 20)
    fill(tmp_path / "test", 20)
    fill(tmp_path, 1)
    with pytest.raises(DalmError, match="beside subfolders"):
        load_data(tmp_path)


def test_another_folder_beside_splits_is_refused(tmp_path, fill):
    for name in ("train", "test", "notes"):
        fill(tmp_path / name, 20)
    with pytest.raises(DalmError, match=r"named like splits, and others \(notes\)"):
        load_data(tmp_path)
