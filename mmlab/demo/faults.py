"""The faults of the catalogue: which product has which, and what they do to captions and image files.

A product has one fault at most, so that it is known what is wrong with it.
"""

import html
from collections.abc import Sequence
from html.entities import codepoint2name
from io import BytesIO
from textwrap import wrap

from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from mmlab.demo.drawing import IMAGE_SIDE, draw_product, jpeg_bytes
from mmlab.demo.products import BACKGROUND_PHRASES, Product, Purpose

SWAPPED, PRINTED = "swapped captions", "text in image"
MISSING, TRUNCATED = "missing file", "truncated file"
EXACT, NEAR = "exact duplicate", "near duplicate"
FAULT_SHARE = 0.02  # of the products, for each fault
TRUNCATED_SHARE = 0.4  # of a file that is kept
PRINTED_LINE_LENGTH = 17  # letters
PRINTED_LINE_HEIGHT = 30  # pixels


def plan_faults(products: Sequence[Product]) -> list[str | None]:
    """Return the fault of each product, None for most; swapped captions come in pairs of neighbours.

    The two products of a swap belong to different categories.
    """
    planned = [_sample_fault(product) for product in products]
    for first in range(0, len(products), 2):
        pair = products[first : first + 2]
        if planned[first] == SWAPPED and len({product.category for product in pair}) == 2:
            planned[first + 1] = SWAPPED
        else:
            planned[first : first + 2] = [
                None if fault == SWAPPED else fault for fault in planned[first : first + 2]
            ]
    return planned


def spoil_caption(caption: str, fault: str) -> tuple[str, str]:
    """Return the caption as it should have been, and the caption with the fault."""
    if fault == "broken encoding" and caption.isascii():
        caption = f"Fine décor — {caption}"
    return caption, CAPTION_FAULTS[fault](caption)


def printed_text(product: Product) -> str:
    """Return the text that is printed in the image of a product without captions."""
    pattern = "" if product.pattern == "plain" else product.pattern + " "
    return f"{product.colour} {pattern}{product.category} {BACKGROUND_PHRASES[product.background][0]}"


def name_alteration(product: Product) -> str:
    """Return the name of the alteration that makes a near duplicate of a product."""
    return list(ALTERATIONS)[product.number % len(ALTERATIONS)]


def file_bytes(product: Product, fault: str | None = None) -> bytes:
    """Return the JPEG file of a product, with one of the faults that a file can have."""
    if fault == TRUNCATED:
        whole = file_bytes(product)
        return whole[: int(TRUNCATED_SHARE * len(whole))]
    image = draw_product(product)
    if fault == PRINTED:
        image = _print_text(image, printed_text(product))
    if fault == NEAR:
        image = ALTERATIONS[name_alteration(product)](image)
    return jpeg_bytes(image)


def _sample_fault(product: Product) -> str | None:
    number = int(product.rng(Purpose.FAULTS).random() / FAULT_SHARE)
    return ALL_FAULTS[number] if number < len(ALL_FAULTS) else None


def _with_tags(caption: str) -> str:
    first, second, rest = caption.split(maxsplit=2)
    return f'<p class="description">{first} <b>{second}</b> {rest}<br/></p>'


def _with_entities(caption: str) -> str:
    escaped = html.escape(caption).replace(" ", "&nbsp;", 1)
    return "".join(f"&{codepoint2name[ord(letter)]};" if ord(letter) > 127 else letter for letter in escaped)


def _with_newlines(caption: str) -> str:
    first, second, rest = caption.split(maxsplit=2)
    return f"\n{first} {second}\r\n\n   {rest}\n"


def _with_broken_encoding(caption: str) -> str:
    return caption.encode("utf-8").decode("cp1252")


def _shorten(caption: str) -> str:
    return " ".join(caption.split()[:3])


def _resize(image: Image.Image) -> Image.Image:
    return image.resize((220, 220), Image.Resampling.BICUBIC)


def _brighten(image: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(1.12)


def _crop(image: Image.Image) -> Image.Image:
    return image.crop((6, 4, IMAGE_SIDE - 4, IMAGE_SIDE - 6))


def _recompress(image: Image.Image) -> Image.Image:
    return Image.open(BytesIO(jpeg_bytes(image, quality=30)))


def _print_text(image: Image.Image, text: str) -> Image.Image:
    """Make a poster: the image above, the text below in large black letters on white."""
    lines = wrap(text, PRINTED_LINE_LENGTH)
    top = IMAGE_SIDE - PRINTED_LINE_HEIGHT * len(lines) - 8
    poster = Image.new("RGB", (IMAGE_SIDE, IMAGE_SIDE), "white")
    poster.paste(image.resize((top, top), Image.Resampling.LANCZOS), ((IMAGE_SIDE - top) // 2, 0))
    font = ImageFont.load_default(size=26)
    for number, line in enumerate(lines):
        middle = (IMAGE_SIDE / 2, top + 4 + PRINTED_LINE_HEIGHT * (number + 0.5))
        ImageDraw.Draw(poster).text(middle, line, fill="black", font=font, anchor="mm")
    return poster


CAPTION_FAULTS = {
    "html tags": _with_tags,
    "html entities": _with_entities,
    "newlines": _with_newlines,
    "broken encoding": _with_broken_encoding,
    "too short": _shorten,
}
ALL_FAULTS = (*CAPTION_FAULTS, SWAPPED, PRINTED, MISSING, TRUNCATED, EXACT, NEAR)
ALTERATIONS = {"resized": _resize, "brightened": _brighten, "cropped": _crop, "recompressed": _recompress}
