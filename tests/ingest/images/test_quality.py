import base64
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.images.quality import CHUNK, Look, image_name, locate, look_at
from mmlab.items import ImageError, file_hash


@pytest.fixture
def folder(tmp_path):
    """good.png (30 x 20), a note, a truncated JPEG, an empty file, and an image beside the folder."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    for path in (folder / "good.png", tmp_path / "outside.png", folder / "cut.jpg"):
        Image.effect_noise((30, 20), 80).convert("RGB").save(path)
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-200])
    (folder / "note.png").write_text("no image")
    (folder / "empty.png").touch()
    return folder


@pytest.fixture
def memo(tmp_path):
    with Memo(tmp_path / "memo.sqlite") as memo:
        yield memo


def look(image, path, **options):
    image.save(path, **options)
    return look_at({"it": path}, progress=False)[0].loc["it"]


def spoil(path):
    """Other bytes of the same length, and the same time of change: only who reads the file sees it."""
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def located(root, name):
    try:
        return locate(root, name)
    except ImageError as error:
        return str(error)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("a/b.jpg", "a/b.jpg"),
        ("./a//b.jpg", "a/b.jpg"),
        ("a\\b.jpg", "a/b.jpg"),
        (" a/c/../b.jpg ", "a/b.jpg"),
        ("../b.jpg", "../b.jpg"),
        (" ", ""),
    ],
)
def test_one_file_has_one_name(entry, name):
    assert image_name(entry) == name


def test_a_file_is_located_below_the_root(folder):
    (folder / "inner.png").symlink_to(folder / "good.png")
    assert located(folder, "good.png") == located(folder, str(folder / "good.png")) == folder / "good.png"
    assert located(folder, "inner.png") == folder / "inner.png"
    assert located(folder, "") == "no image named"


@pytest.mark.parametrize(
    "name", ["none.png", "nul\0.png", "x" * 5000, "loop.png", "pipe.png", "folder.png", "."]
)
def test_what_is_no_file_is_missing(folder, name):
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    assert located(folder, name) == "missing file"


@pytest.mark.parametrize("name", ["link.png", "../outside.png", "/dev/zero", "/etc/passwd"])
def test_a_path_that_leaves_the_dataset_is_not_located(folder, name):
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    assert located(folder, name) == "path leaves the dataset"
    assert located(folder, str(folder.parent / "outside.png")) == "path leaves the dataset"


def test_an_image_is_measured_and_hashed(folder):
    looks, opened = look_at({"a": folder / "good.png"}, progress=False)
    assert opened == 1
    assert tuple(looks.columns) == Look._fields
    assert looks.loc["a", ["content", "width", "height"]].tolist() == [file_hash(folder / "good.png"), 30, 20]
    assert looks[["reason", "detail"]].isna().all(axis=None)


def test_the_size_is_that_of_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    found = look(Image.new("RGB", (1203, 802)), tmp_path / "side.jpg", exif=exif)
    assert (found.width, found.height) == (802, 1203)


def test_brightness_and_contrast_are_those_of_its_grey_and_colours(tmp_path):
    """Half black, half white: mean 1/2, deviation 1/2; plain red is grey 76 (0.299 of 255) without deviation."""
    halves = Image.new("RGB", (64, 64))
    halves.paste("white", (32, 0, 64, 64))
    found = look(halves, tmp_path / "halves.png")
    assert (found.brightness, found.contrast) == (0.5, 0.5)
    found = look(Image.new("RGB", (64, 64), "red"), tmp_path / "red.png")
    assert (found.brightness, found.contrast, found.sharpness) == (pytest.approx(76 / 255), 0.0, 0.0)


def test_the_signature_holds_the_colours_of_4_x_4_cells(tmp_path):
    cells = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    found = look(Image.fromarray(cells.repeat(16, 0).repeat(16, 1)), tmp_path / "a.png")
    assert base64.b64decode(found.signature) == cells.tobytes()
    assert len(found.phash) == 16


def test_sharpness_is_the_mean_square_of_the_laplacian_in_the_sharpest_tile(tmp_path):
    """One white pixel in black gives -4 and four times 1: 16 + 4 = 20, over the 16 pixels of its tile."""
    dot = Image.new("L", (16, 16))
    dot.putpixel((5, 5), 255)
    assert look(dot, tmp_path / "dot.png").sharpness == pytest.approx(20 / 16)
    dot.putpixel((5, 5), 51)  # what is dim is not less sharp
    assert look(dot, tmp_path / "dim.png").sharpness == pytest.approx(20 / 16)
    noise = Image.effect_noise((160, 160), 60)
    soft = noise.filter(ImageFilter.GaussianBlur(2))
    assert look(soft, tmp_path / "soft.png").sharpness < look(noise, tmp_path / "noise.png").sharpness / 10


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3000, 2), (1, 900)])
def test_the_smallest_images_are_measured_too(tmp_path, size):
    found = look(Image.effect_noise(size, 80), tmp_path / "a.png")
    assert (found.width, found.height) == size
    assert np.isfinite([found.brightness, found.contrast, found.sharpness]).all()


def test_the_facts_of_a_jpeg_hardly_depend_on_its_scale(tmp_path):
    """Decoded at a quarter or in full: PNG has no smaller scale."""
    waves = np.sin(np.arange(960)[:, None] / 40) * np.cos(np.arange(1280)[None] / 60)
    image = Image.fromarray((127 + 120 * waves).astype(np.uint8)).convert("RGB")
    small, full = (
        look(image, tmp_path / "a.jpg", quality=95),
        look(image, tmp_path / "a.png"),
    )
    assert (int(small.phash, 16) ^ int(full.phash, 16)).bit_count() <= 4
    assert small.brightness == pytest.approx(full.brightness, abs=0.01)
    assert small.contrast == pytest.approx(full.contrast, abs=0.01)


def test_what_cannot_be_opened_has_a_reason(folder):
    names = ["cut.jpg", "note.png", "empty.png", "none.png", "."]
    looks, opened = look_at({name: folder / name for name in names}, progress=False)
    expected = ["damaged file", "not an image", "empty file", "missing file", "unreadable file"]
    assert looks["reason"].tolist() == expected
    assert opened == 3
    assert looks["content"].isna().all()
    assert "truncated" in looks.loc["cut.jpg", "detail"]


def test_large_files_are_read_as_small_ones_are(folder, monkeypatch):
    small = look_at({"a": folder / "good.png", "b": folder / "cut.jpg"}, progress=False)[0]
    monkeypatch.setattr("mmlab.ingest.images.quality.STREAMED", 10)
    streamed = look_at({"a": folder / "good.png", "b": folder / "cut.jpg"}, progress=False)[0]
    pd.testing.assert_frame_equal(streamed, small)


def test_what_is_known_is_not_opened_again(folder, memo):
    files = {name: folder / name for name in ("good.png", "cut.jpg", "note.png", "empty.png", "none.png")}
    first, opened = look_at(files, memo, progress=False)
    assert opened == 4
    spoil(folder / "good.png")
    again, opened = look_at(files, memo, progress=False)
    assert opened == 0
    pd.testing.assert_frame_equal(again, first)
    assert look_at(files, progress=False)[0].loc["good.png", "reason"] == "not an image"  # it was spoiled


def test_a_changed_file_is_looked_at_again(folder, memo):
    files = {"a": folder / "good.png"}
    look_at(files, memo, progress=False)
    Image.new("RGB", (5, 4)).save(files["a"])
    looks, opened = look_at(files, memo, progress=False)
    assert (opened, looks.loc["a", "width"]) == (1, 5)


def test_a_missing_file_may_come(folder, memo):
    files = {"a": folder / "late.png"}
    assert look_at(files, memo, progress=False)[0].loc["a", "reason"] == "missing file"
    Image.new("RGB", (5, 4)).save(files["a"])
    assert look_at(files, memo, progress=False)[0].loc["a", "width"] == 5


class Stopping(Memo):
    """A memo in whose second `put` the process is interrupted."""

    def put(self, kind, values):
        if getattr(self, "asked", False):
            raise KeyboardInterrupt
        self.asked = True
        super().put(kind, values)


def test_an_interrupted_look_goes_on_where_it_stopped(tmp_path):
    files = {}
    for number in range(CHUNK + 20):
        files[str(number)] = tmp_path / f"{number}.png"
        Image.new("L", (1 + number % 7, 1)).save(files[str(number)])
    with Stopping(tmp_path / "memo.sqlite") as memo, pytest.raises(KeyboardInterrupt):
        look_at(files, memo, progress=False)
    with Memo(tmp_path / "memo.sqlite") as memo:
        looks, opened = look_at(files, memo, progress=False)
    assert opened == 20
    assert looks.index.tolist() == list(files)
    assert looks["width"].tolist() == [1 + number % 7 for number in range(CHUNK + 20)]


def test_two_names_of_one_file_cost_one_look(folder):
    looks, opened = look_at({"a": folder / "good.png", "b": str(folder / "good.png")}, progress=False)
    assert opened == 1
    assert looks.loc["a"].equals(looks.loc["b"])


def test_no_images_are_no_rows():
    looks, opened = look_at({}, progress=False)
    assert (len(looks), opened, tuple(looks.columns)) == (0, 0, Look._fields)


def test_a_name_of_undecodable_bytes_is_looked_at(tmp_path, memo):
    path = os.fsdecode(bytes(tmp_path / "caf") + b"\xe9.png")
    Image.new("L", (3, 2)).save(Path(path), "PNG")
    assert [look_at({"a": path}, memo, progress=False)[1] for _ in range(2)] == [1, 0]
