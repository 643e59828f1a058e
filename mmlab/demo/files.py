"""The image files of the catalogue, sound and faulty ones, as bytes."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from mmlab.demo.attributes import Product
from mmlab.demo.drawing import SIDE, draw_product, jpeg_bytes
from mmlab.demo.faults import NEAR, PRINTED, TRUNCATED, printed_text

KEPT = 0.4  # of a truncated file
LETTERS, LINE = 17, 30  # printed letters in a line, and the height of a line in pixels


@dataclass(frozen=True)
class ImageFile:
    """A file to write: the product it shows, and the fault it has if any."""

    path: Path
    product: Product
    fault: str | None


def write_files(files: list[ImageFile]) -> None:
    """Draws and writes image files into a folder that exists."""
    for file in files:
        file.path.write_bytes(file_bytes(file.product, file.fault))


def file_bytes(product: Product, fault: str | None = None) -> bytes:
    """Returns the JPEG file of a product, with one of the faults that a file can have."""
    if fault == TRUNCATED:
        whole = file_bytes(product)
        return whole[: int(KEPT * len(whole))]
    image = draw_product(product)
    if fault == PRINTED:
        image = _printed(image, printed_text(product))
    if fault == NEAR:
        image = ALTERATIONS[alteration(product)](image)
    return jpeg_bytes(image)


def alteration(product: Product) -> str:
    """Names what makes a near duplicate of a product differ from it."""
    return list(ALTERATIONS)[product.number % len(ALTERATIONS)]


def _recompressed(image: Image.Image) -> Image.Image:
    return Image.open(BytesIO(jpeg_bytes(image, quality=30)))


ALTERATIONS = {
    "resized": lambda image: image.resize((220, 220), Image.Resampling.BICUBIC),
    "brightened": lambda image: ImageEnhance.Brightness(image).enhance(1.12),
    "cropped": lambda image: image.crop((6, 4, SIDE - 4, SIDE - 6)),
    "recompressed": _recompressed,
}


def _printed(image: Image.Image, text: str) -> Image.Image:
    """Makes a poster: the image above, the text below in large black letters on white."""
    lines = wrap(text, LETTERS)
    top = SIDE - LINE * len(lines) - 8
    poster = Image.new("RGB", (SIDE, SIDE), "white")
    poster.paste(image.resize((top, top), Image.Resampling.LANCZOS), ((SIDE - top) // 2, 0))
    font = ImageFont.load_default(size=26)
    for number, line in enumerate(lines):
        middle = (SIDE / 2, top + 4 + LINE * (number + 0.5))
        ImageDraw.Draw(poster).text(middle, line, fill="black", font=font, anchor="mm")
    return poster
