import base64
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from mmlab.demo.drawing import draw_product
from mmlab.demo.products import sample_product
from mmlab.ingest.findings_cache import FindingsCache
from mmlab.ingest.images.quality import FILES_PER_CHUNK, ImageFacts, measure_images, quality_flags
from mmlab.items.files import file_hash
from mmlab.items.workers import WorkerError
from tests.conftest import RAY_NODE


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
def cache(tmp_path):
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        yield cache


def measure(image, path, **options):
    image.save(path, **options)
    return measure_images({"it": path}, progress=False)[0].loc["it"]


def spoil(path):
    """Other bytes of the same length, and the same time of change: only who reads the file sees it."""
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_image_is_measured_and_hashed(folder):
    facts, decoded = measure_images({"a": folder / "good.png"}, progress=False)
    assert decoded == 1
    assert tuple(facts.columns) == ImageFacts._fields
    assert facts.loc["a", ["content", "width", "height"]].tolist() == [file_hash(folder / "good.png"), 30, 20]
    assert facts[["reason", "detail"]].isna().all(axis=None)


def test_the_size_is_that_of_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    found = measure(Image.new("RGB", (1203, 802)), tmp_path / "side.jpg", exif=exif)
    assert (found.width, found.height) == (802, 1203)


def test_brightness_and_contrast_are_those_of_its_grey_and_colours(tmp_path):
    """Half black, half white: mean 1/2, deviation 1/2; plain red is grey 76 (0.299 of 255) without deviation."""
    halves = Image.new("RGB", (64, 64))
    halves.paste("white", (32, 0, 64, 64))
    found = measure(halves, tmp_path / "halves.png")
    assert (found.brightness, found.contrast) == (0.5, 0.5)
    found = measure(Image.new("RGB", (64, 64), "red"), tmp_path / "red.png")
    assert (found.brightness, found.contrast, found.sharpness) == (pytest.approx(76 / 255), 0.0, 0.0)


def test_the_signature_holds_the_colours_of_4_x_4_cells(tmp_path):
    cells = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    found = measure(Image.fromarray(cells.repeat(16, 0).repeat(16, 1)), tmp_path / "a.png")
    assert base64.b64decode(found.signature) == cells.tobytes()
    assert len(found.phash) == 16


def test_sharpness_is_the_mean_square_of_the_laplacian_in_the_sharpest_tile(tmp_path):
    """One white pixel in black gives -4 and four times 1: 16 + 4 = 20, over the 16 pixels of its tile."""
    dot = Image.new("L", (16, 16))
    dot.putpixel((5, 5), 255)
    assert measure(dot, tmp_path / "dot.png").sharpness == pytest.approx(20 / 16)
    dot.putpixel((5, 5), 51)  # what is dim is not less sharp
    assert measure(dot, tmp_path / "dim.png").sharpness == pytest.approx(20 / 16)
    noise = Image.effect_noise((160, 160), 60)
    soft = noise.filter(ImageFilter.GaussianBlur(2))
    assert (
        measure(soft, tmp_path / "soft.png").sharpness < measure(noise, tmp_path / "noise.png").sharpness / 10
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3000, 2), (1, 900)])
def test_the_smallest_images_are_measured_too(tmp_path, size):
    found = measure(Image.effect_noise(size, 80), tmp_path / "a.png")
    assert (found.width, found.height) == size
    assert np.isfinite([found.brightness, found.contrast, found.sharpness]).all()


def test_the_facts_of_a_jpeg_hardly_depend_on_its_scale(tmp_path):
    """Decoded at a quarter or in full: PNG has no smaller scale."""
    waves = np.sin(np.arange(960)[:, None] / 40) * np.cos(np.arange(1280)[None] / 60)
    image = Image.fromarray((127 + 120 * waves).astype(np.uint8)).convert("RGB")
    small, full = (
        measure(image, tmp_path / "a.jpg", quality=95),
        measure(image, tmp_path / "a.png"),
    )
    assert (int(small.phash, 16) ^ int(full.phash, 16)).bit_count() <= 4
    assert small.brightness == pytest.approx(full.brightness, abs=0.01)
    assert small.contrast == pytest.approx(full.contrast, abs=0.01)


def test_what_cannot_be_decoded_has_a_reason(folder):
    names = ["cut.jpg", "note.png", "empty.png", "none.png", "."]
    facts, decoded = measure_images({name: folder / name for name in names}, progress=False)
    expected = ["damaged file", "not an image", "empty file", "missing file", "unreadable file"]
    assert facts["reason"].tolist() == expected
    assert decoded == 3
    assert facts["content"].isna().all()
    assert "truncated" in facts.loc["cut.jpg", "detail"]


def test_large_files_are_read_as_small_ones_are(folder, monkeypatch):
    small = measure_images({"a": folder / "good.png", "b": folder / "cut.jpg"}, progress=False)[0]
    monkeypatch.setattr("mmlab.ingest.images.quality.MAX_BYTES_IN_MEMORY", 10)
    streamed = measure_images({"a": folder / "good.png", "b": folder / "cut.jpg"}, progress=False)[0]
    pd.testing.assert_frame_equal(streamed, small)


def test_what_is_known_is_not_decoded_again(folder, cache):
    files = {name: folder / name for name in ("good.png", "cut.jpg", "note.png", "empty.png", "none.png")}
    first, decoded = measure_images(files, cache, progress=False)
    assert decoded == 4
    spoil(folder / "good.png")
    again, decoded = measure_images(files, cache, progress=False)
    assert decoded == 0
    pd.testing.assert_frame_equal(again, first)
    assert (
        measure_images(files, progress=False)[0].loc["good.png", "reason"] == "not an image"
    )  # it was spoiled


def test_a_changed_file_is_measured_again(folder, cache):
    files = {"a": folder / "good.png"}
    measure_images(files, cache, progress=False)
    Image.new("RGB", (5, 4)).save(files["a"])
    facts, decoded = measure_images(files, cache, progress=False)
    assert (decoded, facts.loc["a", "width"]) == (1, 5)


def test_a_missing_file_may_come(folder, cache):
    files = {"a": folder / "late.png"}
    assert measure_images(files, cache, progress=False)[0].loc["a", "reason"] == "missing file"
    Image.new("RGB", (5, 4)).save(files["a"])
    assert measure_images(files, cache, progress=False)[0].loc["a", "width"] == 5


class Stopping(FindingsCache):
    """A cache in whose second `put` the process is interrupted."""

    def put(self, kind, values):
        if getattr(self, "asked", False):
            raise KeyboardInterrupt
        self.asked = True
        super().put(kind, values)


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path):
    files = {}
    for number in range(FILES_PER_CHUNK + 20):
        files[str(number)] = tmp_path / f"{number}.png"
        Image.new("L", (1 + number % 7, 1)).save(files[str(number)])
    with Stopping(tmp_path / "cache.sqlite") as cache, pytest.raises(KeyboardInterrupt):
        measure_images(files, cache, progress=False)
    with FindingsCache(tmp_path / "cache.sqlite") as cache:
        facts, decoded = measure_images(files, cache, progress=False)
    assert decoded == 20
    assert facts.index.tolist() == list(files)
    assert facts["width"].tolist() == [1 + number % 7 for number in range(FILES_PER_CHUNK + 20)]


class Losing(Stopping):
    """A cache in whose second `put` a node of the cluster is lost."""

    cluster, node = None, None

    def put(self, kind, values):
        if getattr(self, "asked", False) and self.node:
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = None
        self.asked = True
        FindingsCache.put(self, kind, values)


@pytest.mark.ray
def test_a_cluster_that_loses_a_node_measures_as_this_machine_does(cluster, folder, monkeypatch):
    monkeypatch.setattr("mmlab.ingest.images.quality.FILES_PER_CHUNK", 2)
    files = {name: folder / name for name in ("good.png", "cut.jpg", "note.png", "none.png")}
    for number in range(40):
        files[str(number)] = folder / f"{number}.png"
        Image.linear_gradient("L").rotate(9 * number).resize((1000, 1000)).save(files[str(number)])
    with Losing(folder / "cache.sqlite") as cache:
        cache.cluster, cache.node = cluster, cluster.add_node(**RAY_NODE)
        found, decoded = measure_images(files, cache, progress=False, engine="ray")
        again, decoded_again = measure_images(files, cache, progress=False, engine="ray")
    assert (decoded, decoded_again, cache.node) == (43, 0, None)
    for one in (found, again):
        pd.testing.assert_frame_equal(one, measure_images(files, progress=False)[0])


@pytest.mark.ray
def test_a_file_that_a_worker_cannot_read_is_an_error(cluster, tmp_path):
    files = {"a": tmp_path / "a.png"}
    hidden = lambda paths: {path: ImageFacts(reason="missing file") for path in paths}  # noqa: E731 - is pickled
    Image.new("L", (3, 2)).save(files["a"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmlab.ingest.images.quality.measure_files", hidden)
        with pytest.raises(WorkerError, match=r"cannot read .*a.png, which can be read here"):
            measure_images(files, progress=False, engine="ray")


def test_a_file_with_two_names_is_measured_once(folder):
    facts, decoded = measure_images({"a": folder / "good.png", "b": str(folder / "good.png")}, progress=False)
    assert decoded == 1
    assert facts.loc["a"].equals(facts.loc["b"])


def test_no_images_are_no_rows():
    facts, decoded = measure_images({}, progress=False)
    assert (len(facts), decoded, tuple(facts.columns)) == (0, 0, ImageFacts._fields)


@pytest.fixture(scope="module")
def products():
    """Forty drawn products of 256 x 256 pixels: smooth, in every light, on every backdrop."""
    return [draw_product(sample_product(0, "train", number)) for number in range(40)]


@pytest.fixture
def flags(tmp_path):
    """The flags of images, as files."""

    def flag(*images):
        files = {str(number): tmp_path / f"{number}.png" for number in range(len(images))}
        for path, image in zip(files.values(), images, strict=True):
            image.save(path)
        found = quality_flags(measure_images(files, progress=False)[0])
        return [tuple(found.columns[row]) for row in found.to_numpy()]

    return flag


def test_drawn_products_are_not_odd(products, flags):
    assert sum(found != () for found in flags(*products)) <= 1


def test_blurred_products_are_found(products, flags):
    found = flags(*(product.filter(ImageFilter.GaussianBlur(4)) for product in products))
    assert found.count(("blurred",)) >= 38


def test_dark_products_are_found_and_are_not_called_blurred(products, flags):
    found = flags(*(ImageEnhance.Brightness(product).enhance(0.1) for product in products))
    assert all("dark" in one and "blurred" not in one for one in found)


def test_one_colour_is_blank(flags):
    assert (
        flags(*(Image.new("RGB", (64, 64), colour) for colour in ("white", "red", "#808080")))
        == [("blank",)] * 3
    )
    assert flags(Image.new("RGB", (64, 64))) == [("dark", "blank")]


def test_a_line_of_text_on_white_is_not_blank(flags):
    page = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(page).text((20, 20), "Not for sale before Monday", fill="black")
    assert flags(page) == [()]


def test_a_smooth_product_on_white_is_not_blurred(flags):
    """Little but an outline has any sharpness: only the sharpest tile shows it."""
    disc = Image.new("RGB", (500, 500), "white")
    ImageDraw.Draw(disc).ellipse((120, 120, 380, 380), fill=(60, 20, 20))
    assert flags(disc, disc.filter(ImageFilter.GaussianBlur(6))) == [(), ("blurred",)]


def test_tiny_and_long_images_are_flagged(flags):
    noise = Image.effect_noise((800, 800), 90)
    sizes = ((800, 200), (800, 199), (199, 800), (16, 16), (16, 15), (100, 15))
    expected = [(), ("extreme aspect",), ("extreme aspect",), (), ("tiny",), ("tiny", "extreme aspect")]
    assert flags(*(noise.crop((0, 0, *size)) for size in sizes)) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"sharpness": 0.0079}, ("blurred",)),
        ({"sharpness": 0.0081}, ()),
        ({"sharpness": 0.0079, "width": 15}, ("tiny",)),
        ({"width": 16}, ()),
        ({"contrast": 0.0149}, ("blank",)),
        ({"contrast": 0.0151}, ()),
        ({"brightness": 0.099, "contrast": 0.049}, ("dark",)),
        ({"brightness": 0.101, "contrast": 0.049}, ()),
        ({"brightness": 0.099, "contrast": 0.051}, ()),
        ({"width": 401, "height": 100}, ("extreme aspect",)),
        ({"width": 400, "height": 100}, ()),
    ],
)
def test_each_flag_begins_at_its_bound(facts, expected):
    sound = {"width": 50, "height": 40, "brightness": 0.5, "contrast": 0.2, "sharpness": 0.1}
    found = quality_flags(pd.DataFrame([sound | facts]))
    assert tuple(found.columns[found.iloc[0]]) == expected


def test_a_refused_image_has_no_flags(tmp_path):
    (tmp_path / "note.png").write_text("no image")
    facts, _ = measure_images({"a": tmp_path / "note.png", "b": tmp_path / "none.png"}, progress=False)
    found = quality_flags(facts)
    assert found.index.tolist() == ["a", "b"]
    assert not found.any(axis=None)
    assert len(quality_flags(facts.iloc[:0])) == 0
