import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmlab.items import PictureError, open_picture, thumbnail
from mmlab.items.pictures import MAX_PIXELS


def saved(picture, path, **options):
    picture.save(path, **options)
    return path


def refused(path, reason):
    with pytest.raises(PictureError, match=f"^{reason}$"):
        open_picture(path)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix"),
    [
        ("RGB", (255, 0, 0), "png"),
        ("CMYK", (0, 255, 255, 0), "tif"),
        ("L", 128, "png"),
        ("1", 1, "png"),
        ("LA", (90, 255), "png"),
        ("YCbCr", (76, 85, 255), "jpg"),
        ("I;16", 700, "png"),
        ("F", 0.5, "tif"),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, suffix):
    picture = open_picture(saved(Image.new(mode, (4, 3), colour), tmp_path / f"a.{suffix}"))
    assert (picture.mode, picture.size) == ("RGB", (4, 3))


def test_a_grey_of_16_bits_keeps_its_brightness(tmp_path):
    path = saved(Image.new("I;16", (4, 3), 0x8000), tmp_path / "a.png")
    assert open_picture(path).getpixel((0, 0)) == (128, 128, 128)


def test_what_is_transparent_becomes_white(tmp_path):
    path = saved(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), tmp_path / "a.png")
    assert open_picture(path).getpixel((0, 0)) == (255, 255, 255)
    path = saved(Image.new("RGBA", (2, 2), (0, 0, 0, 128)), tmp_path / "half.png")
    assert open_picture(path).getpixel((0, 0)) == (127, 127, 127)


def test_a_palette_may_be_transparent(tmp_path):
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    opened = open_picture(saved(picture, tmp_path / "a.gif", transparency=0))
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 255)]


def test_an_orientation_is_applied(tmp_path):
    picture, exif = Image.new("RGB", (4, 2)), Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned by 90 degrees clockwise
    picture.paste("white", (0, 0, 2, 2))
    opened = open_picture(saved(picture, tmp_path / "a.png", exif=exif))
    assert opened.size == (2, 4)
    assert opened.getpixel((0, 0)) == (255, 255, 255)
    assert opened.getpixel((0, 3)) == (0, 0, 0)


def test_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (3, 3), colour) for colour in ("red", "blue")]
    path = saved(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert open_picture(path).getpixel((1, 1)) == (255, 0, 0)


def test_refusals_have_stable_reasons(tmp_path):
    whole = saved(Image.effect_noise((60, 60), 90), tmp_path / "whole.jpg").read_bytes()
    for name, content in {"cut.jpg": whole[:-300], "empty.jpg": b"", "note.jpg": b"a note"}.items():
        (tmp_path / name).write_bytes(content)
    refused(tmp_path / "none.jpg", "missing file")
    refused(tmp_path / "cut.jpg", "damaged file")
    refused(tmp_path / "empty.jpg", "empty file")
    refused(tmp_path / "note.jpg", "not a picture")


@pytest.mark.parametrize("side", [10_001, 60_000])
def test_a_bomb_is_not_decoded(tmp_path, side):
    """A PNG header that promises more than MAX_PIXELS, and no pixels."""
    assert side * side > MAX_PIXELS
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    png = bytearray(buffer.getvalue())
    png[16:24] = side.to_bytes(4) * 2
    png[29:33] = zlib.crc32(png[12:29]).to_bytes(4)
    (tmp_path / "bomb.png").write_bytes(png)
    refused(tmp_path / "bomb.png", "too many pixels")


FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")


@given(data=st.data())
@settings(max_examples=300, deadline=None, database=None)
def test_any_bytes_are_a_picture_or_refused(tmp_path_factory, data):
    """Bytes flipped and cut in real files; whatever comes out is a picture or a PictureError."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.linear_gradient("L").resize((16, 16)).convert("RGB").save(
        buffer, data.draw(st.sampled_from(FORMATS)), exif=exif
    )
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "any-bytes"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert open_picture(path).mode == "RGB"
    except PictureError as error:
        assert str(error) in ("empty file", "not a picture", "damaged file", "too many pixels")  # noqa: PT017


def test_a_thumbnail_fits_its_square(tmp_path):
    path = saved(Image.new("RGB", (400, 200), "red"), tmp_path / "a.png")
    with Image.open(io.BytesIO(thumbnail(path, 50))) as small:
        assert (small.format, small.size) == ("JPEG", (50, 25))
    with pytest.raises(PictureError, match="missing file"):
        thumbnail(tmp_path / "none.png")
