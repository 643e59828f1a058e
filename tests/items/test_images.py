import io
import os
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from mmlab.items import ImageError, open_image
from mmlab.items.files import file_hash
from mmlab.items.images import open_measured, refuse_changed, thumbnail
from mmlab.items.limits import DECODING_BYTES, MAX_PIXELS, MAX_SCANNED_PIXELS, MAX_SCANS

REASONS = ("empty file", "not an image", "damaged file", "too many pixels", "too many scans")


def saved(image, path, **options):
    image.save(path, **options)
    return path


def photo(width, height):
    """Colours that change all over the image, different at each corner."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    waves = 127 + 100 * np.sin(across / 9) * np.cos(down / 7)
    return Image.fromarray(np.stack([across, down, waves], -1).astype(np.uint8))


def refused(path, reason):
    with pytest.raises(ImageError, match=f"^{reason}$"):
        open_image(path)


def pixels(image):
    return np.asarray(image, dtype=int)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("RGB", (255, 0, 0), "png", (255, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "tif", (255, 0, 0)),
        ("L", 128, "png", (128, 128, 128)),
        ("1", 1, "png", (255, 255, 255)),
        ("LA", (90, 255), "png", (90, 90, 90)),
        ("LA", (90, 0), "png", (255, 255, 255)),
        ("I;16", 0x8000, "png", (128, 128, 128)),
        ("I;16", 0x8000, "tif", (128, 128, 128)),
        ("I;16B", 0x8000, "tif", (128, 128, 128)),
        ("I", 65535, "tif", (255, 255, 255)),
        ("I", 100, "tif", (100, 100, 100)),
        ("I", -5, "tif", (0, 0, 0)),
        ("F", 0.2, "tif", (51, 51, 51)),
        ("F", 200.0, "tif", (200, 200, 200)),
        ("F", 1e9, "tif", (255, 255, 255)),
        ("F", float("nan"), "tif", (0, 0, 0)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, suffix, expected):
    image = open_image(saved(Image.new(mode, (4, 3), colour), tmp_path / f"a.{suffix}"))
    assert (image.mode, image.size, image.getpixel((1, 1))) == ("RGB", (4, 3), expected)


def test_ink_of_printers_is_not_inverted(tmp_path):
    """Pillow writes CMYK into JPEG as Adobe does: inverted, and marked so."""
    path = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg")
    assert b"Adobe" in path.read_bytes()
    assert np.abs(pixels(open_image(path)) - (255, 0, 0)).max() <= 3


def test_a_grey_of_16_bits_is_scaled_as_a_whole(tmp_path):
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    opened = open_image(saved(Image.fromarray(levels), tmp_path / "a.png"))
    assert pixels(opened)[..., 0].ravel().tolist() == list(range(256))


def test_what_is_transparent_becomes_white(tmp_path):
    path = saved(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), tmp_path / "a.png")
    assert open_image(path).getpixel((0, 0)) == (255, 255, 255)
    path = saved(Image.new("RGBA", (2, 2), (0, 0, 0, 128)), tmp_path / "half.png")
    assert open_image(path).getpixel((0, 0)) == (127, 127, 127)


@pytest.mark.parametrize(("suffix", "transparency"), [("gif", 0), ("png", 0), ("png", bytes([0, 255]))])
def test_a_palette_may_be_transparent(tmp_path, suffix, transparency):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    opened = open_image(saved(image, tmp_path / f"a.{suffix}", transparency=transparency))
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 255)]


@pytest.mark.parametrize("least", [None, 32])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(tmp_path, orientation, suffix, least):
    """As Pillow's own transposition of the image; the size is that of the upright image, also when scaled."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(photo(160, 96), tmp_path / f"a.{suffix}", exif=exif)
    with Image.open(path) as stored:
        expected = ImageOps.exif_transpose(stored).convert("RGB")
    opened, size = open_measured(path, least)
    assert size == expected.size == ((160, 96) if orientation < 5 else (96, 160))
    scaled = expected.resize(opened.size, Image.Resampling.BOX)
    assert np.abs(pixels(opened) - pixels(scaled)).mean() < 4


def test_a_broken_exif_block_spoils_no_image(tmp_path):
    path = saved(photo(20, 10), tmp_path / "a.jpg", exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff nothing")
    assert open_image(path).size == (20, 10)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_frame_is_taken(tmp_path, suffix):
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(frames[0], tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    with Image.open(path) as stored:
        assert stored.n_frames == 2
    assert open_image(path).getpixel((1, 1)) == (255, 0, 0)


def test_refusals_have_stable_reasons(tmp_path):
    whole = saved(Image.effect_noise((60, 60), 90), tmp_path / "whole.jpg").read_bytes()
    contents = {
        "cut.jpg": whole[:-300],
        "empty.jpg": b"",
        "note.jpg": b"a note",
        "a.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    refused(tmp_path / "none.jpg", "missing file")
    refused(tmp_path, "unreadable file")
    refused("nul\0.jpg", "unreadable file")
    refused(tmp_path / "cut.jpg", "damaged file")
    refused(tmp_path / "empty.jpg", "empty file")
    refused(tmp_path / "note.jpg", "not an image")
    refused(tmp_path / "a.svg", "not an image")


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PCX", "TGA"])
def test_other_formats_are_never_tried(tmp_path, kind):
    """PostScript would start an interpreter; Pillow alone opens or at least knows each of these."""
    refused(saved(photo(20, 10), tmp_path / "a.jpg", format=kind), "not an image")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_read(tmp_path):
    assert open_image(saved(photo(20, 10), tmp_path / "a.avif")).size == (20, 10)


def test_an_open_file_is_read_as_a_path_is(tmp_path):
    path = saved(photo(20, 10), tmp_path / "a.png")
    assert open_image(io.BytesIO(path.read_bytes())) == open_image(str(path)) == photo(20, 10)
    refused(io.BytesIO(b""), "empty file")
    refused(io.BytesIO(b"a note"), "not an image")


@pytest.mark.parametrize(
    ("size", "least", "scaled"),
    [
        ((640, 480), 160, (160, 120)),
        ((480, 640), 160, (120, 160)),
        ((640, 480), 161, (320, 240)),
        ((641, 481), 60, (81, 61)),
        ((640, 480), 321, (640, 480)),
        ((1000, 50), 300, (500, 25)),
        ((30, 20), 64, (30, 20)),
    ],
)
def test_the_longer_side_keeps_the_least_number_of_pixels(tmp_path, size, least, scaled):
    path = saved(photo(*size), tmp_path / "a.jpg")
    opened, full = open_measured(path, least)
    assert (opened.size, full) == (scaled, size)
    assert open_image(saved(photo(*size), tmp_path / "a.png"), least).size == size


@pytest.mark.parametrize("progressive", [False, True])
def test_a_cut_jpeg_is_refused_at_every_scale(tmp_path, progressive):
    """Wherever it is cut, a small decode tells just what a full one tells."""
    whole = saved(photo(640, 480), tmp_path / "a.jpg", quality=90, progressive=progressive).read_bytes()
    told = {}
    for end in [*range(0, len(whole), len(whole) // 60), *range(len(whole) - 12, len(whole) + 1)]:
        outcomes = []
        for least in (None, 160, 60):
            try:
                outcomes.append(open_measured(io.BytesIO(whole[:end]), least)[1])
            except ImageError as error:
                outcomes.append(str(error))
        told[end] = set(outcomes)
    assert all(len(outcomes) == 1 for outcomes in told.values())
    assert told[len(whole)] == {(640, 480)}
    assert all(outcomes <= set(REASONS) for end, outcomes in told.items() if end < len(whole) - 12)


def bomb(side):
    """A PNG header that promises `side` x `side` pixels, and no pixels."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    png = bytearray(buffer.getvalue())
    png[16:24] = side.to_bytes(4) * 2
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4)
    return bytes(png)


@pytest.mark.parametrize("side", [10_001, 60_000])
def test_a_bomb_is_not_decoded(side):
    assert side * side > MAX_PIXELS
    refused(io.BytesIO(bomb(side)), "too many pixels")


def with_scans(count, side=64):
    """A JPEG of `count` scans: the last one of a progressive file again and again, which is allowed."""
    buffer = io.BytesIO()
    photo(side, side).save(buffer, "JPEG", progressive=True, quality=20)
    content = buffer.getvalue()
    place, own = content.rindex(b"\xff\xda"), content.count(b"\xff\xda")
    return content[:place] + content[place:-2] * (count - own + 1) + content[-2:]


def test_a_jpeg_of_many_scans_is_not_decoded():
    """Each scan goes over all pixels: a file of half a megabyte with 20,000 of them took five minutes."""
    many = with_scans(20_000)
    assert len(many) < 4_000_000
    refused(io.BytesIO(many), "too many scans")
    refused(io.BytesIO(with_scans(MAX_SCANS + 1)), "too many scans")
    assert open_image(io.BytesIO(with_scans(MAX_SCANS))).size == (64, 64)


def test_a_large_jpeg_has_fewer_scans(tmp_path):
    """9,000 x 9,000 pixels in 25 scans are more than 2,000,000,000; its header alone is large."""
    content = bytearray(with_scans(25))
    place = content.index(b"\xff\xc2") + 5
    content[place : place + 4] = (9000).to_bytes(2) * 2
    assert 9000 * 9000 * 25 > MAX_SCANNED_PIXELS > 9000 * 9000 * 24
    refused(io.BytesIO(content), "too many scans")


MEASURE = """
import resource, sys
import mmlab.items.images as images
def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
images.STRIP_PIXELS = 100_000
images.open_image(sys.argv[1])
before = most()
image = images.open_image(sys.argv[2])
print((most() - before) / (image.width * image.height))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no module resource")
@pytest.mark.parametrize("mode", ["LA", "F"])
def test_a_large_image_takes_the_memory_that_is_claimed(tmp_path, mode):
    """4 bytes a pixel for what was decoded, 4 for the result; all of it at once took 20."""
    small = saved(Image.new(mode, (9, 9)), tmp_path / "small.tif")
    large = saved(Image.new(mode, (3000, 3000)), tmp_path / "large.tif")
    command = [sys.executable, "-c", MEASURE, str(small), str(large)]
    taken = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(taken) < DECODING_BYTES[""]


def test_pillows_warnings_do_not_leak(tmp_path):
    """9,600 x 9,600 pixels are fewer than MAX_PIXELS and more than Pillow likes; all warnings are switched on."""
    (tmp_path / "large.png").write_bytes(bomb(9600))
    saved(photo(20, 10), tmp_path / "exif.jpg", exif=b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x09\x01\x12")
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    saved(image, tmp_path / "palette.png", transparency=bytes([0, 255]))
    ours = "from mmlab.items import open_image as read"
    pillows = "from PIL import Image; read = lambda path: Image.open(path).convert('RGB').getexif()"
    body = (
        "{}\nimport sys\nfor path in sys.argv[1:]:\n  try: read(path)\n  except (OSError, ValueError): pass\n"
    )
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    said = [
        subprocess.run([sys.executable, "-W", "always", "-c", body.format(code), *paths], capture_output=True)
        for code in (ours, pillows)
    ]
    assert [done.returncode for done in said] == [0, 0]
    assert said[0].stderr == b""
    assert b"DecompressionBombWarning" in said[1].stderr


FUZZED = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")


@given(data=st.data())
@settings(max_examples=300, deadline=None, database=None)
def test_any_bytes_are_an_image_or_refused(data):
    """Bytes flipped and cut in real files; whatever comes out is an image or a ImageError."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.linear_gradient("L").resize((16, 16)).convert("RGB").save(
        buffer, data.draw(st.sampled_from(FUZZED)), exif=exif
    )
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert open_image(io.BytesIO(cut), data.draw(st.sampled_from([None, 4]))).mode == "RGB"
    except ImageError as error:
        assert str(error) in REASONS  # noqa: PT017


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_thumbnail_fits_its_square(tmp_path, suffix):
    path = saved(photo(800, 400), tmp_path / f"a.{suffix}")
    with Image.open(io.BytesIO(thumbnail(path, 50))) as small:
        assert (small.format, small.size) == ("JPEG", (50, 25))
        assert np.abs(pixels(small) - pixels(photo(800, 400).resize((50, 25)))).mean() < 15
    with pytest.raises(ImageError, match="missing file"):
        thumbnail(tmp_path / "none.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are POSIX")
def test_a_pipe_is_no_image_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match="unreadable file"):
        open_image(tmp_path / "a.png")


def test_a_file_with_other_bytes_than_were_recorded_is_not_opened(tmp_path):
    paths = [tmp_path / name for name in ("same.png", "other.png", "gone.png")]
    for path in paths:
        Image.new("RGB", (4, 2), "red").save(path)
    names, contents = list(map(str, paths)), [file_hash(path) for path in paths]
    Image.new("RGB", (4, 2), "blue").save(paths[1])
    paths[2].unlink()
    assert refuse_changed(names, contents) == names[1:2]
    assert open_image(names[0]).size == (4, 2)
    for path in (paths[1], names[1]):
        with pytest.raises(ImageError, match="^changed file$"):
            open_image(path)
    with pytest.raises(ImageError, match="^missing file$"):
        open_image(names[2])
    assert refuse_changed(names, contents, time.time() + 9) == []  # nothing was written since then
    assert open_image(names[1]).size == (4, 2)


def test_many_files_are_compared_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("mmlab.items.images.FILES_PER_TASK", 2)
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        Image.new("RGB", (8, 8 + number)).save(path)
    contents = [file_hash(path) for path in paths]
    paths[3].write_bytes(b"other")
    try:
        assert refuse_changed([*map(str, paths)], contents) == [str(paths[3])]
    finally:
        Image.new("RGB", (8, 11)).save(paths[3])
        assert refuse_changed([*map(str, paths)], contents) == []
