import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from mmlab.demo.drawing import draw_product
from mmlab.demo.products import sample_product
from mmlab.ingest.images import look_at
from mmlab.ingest.oddities import odd_flags


@pytest.fixture(scope="module")
def products():
    """Forty drawn products of 256 x 256 pixels: smooth, in every light, on every backdrop."""
    return [draw_product(sample_product(0, "train", number)) for number in range(40)]


@pytest.fixture
def flags(tmp_path):
    """The flags of images, as files."""

    def judge(*images):
        files = {str(number): tmp_path / f"{number}.png" for number in range(len(images))}
        for path, image in zip(files.values(), images, strict=True):
            image.save(path)
        return odd_flags(look_at(files, progress=False)[0]).tolist()

    return judge


def test_drawn_products_are_not_odd(products, flags):
    assert sum(found != () for found in flags(*products)) <= 1


def test_blurred_products_are_found(products, flags):
    found = flags(*(product.filter(ImageFilter.GaussianBlur(4)) for product in products))
    assert found.count(("blurred",)) >= 38


def test_dark_products_are_found_and_are_not_called_blurred(products, flags):
    found = flags(*(ImageEnhance.Brightness(product).enhance(0.1) for product in products))
    assert all("dark" in flags and "blurred" not in flags for flags in found)


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


def test_sides_are_bounded(flags):
    noise = Image.effect_noise((800, 800), 90)
    sizes = ((800, 200), (800, 199), (199, 800), (16, 16), (16, 15), (100, 15))
    expected = [(), ("extreme aspect",), ("extreme aspect",), (), ("tiny",), ("tiny", "extreme aspect")]
    assert flags(*(noise.crop((0, 0, *size)) for size in sizes)) == expected


def test_a_refused_image_has_no_flags(tmp_path):
    (tmp_path / "note.png").write_text("no image")
    looks, _ = look_at({"a": tmp_path / "note.png", "b": tmp_path / "none.png"}, progress=False)
    found = odd_flags(looks)
    assert (found.index.tolist(), found.tolist()) == (["a", "b"], [(), ()])
    assert len(odd_flags(looks.iloc[:0])) == 0
