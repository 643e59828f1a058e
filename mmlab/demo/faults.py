"""The faults planted in the catalogue: which product has which, and what they do to captions.

A product has one fault at most, so that what is wrong with it is known. What faults do to files is in `files.py`.
"""

import html
from html.entities import codepoint2name

from mmlab.demo.attributes import FAULTS, Product
from mmlab.demo.words import BACKGROUNDS

SWAPPED, PRINTED = "swapped captions", "text in image"
MISSING, TRUNCATED = "missing file", "truncated file"
EXACT, NEAR = "exact duplicate", "near duplicate"
FAULT_SHARE = 0.02  # of the products, for each fault


def plan_faults(products: list[Product]) -> list[str | None]:
    """Names the fault of each product; swapped captions come in pairs of neighbours of different categories."""
    planned = [_lot(product) for product in products]
    for first in range(0, len(products), 2):
        pair = products[first : first + 2]
        if planned[first] == SWAPPED and len({product.category for product in pair}) == 2:
            planned[first + 1] = SWAPPED
        else:
            planned[first : first + 2] = [
                None if fault == SWAPPED else fault for fault in planned[first : first + 2]
            ]
    return planned


def _lot(product: Product) -> str | None:
    place = int(product.rng(FAULTS).random() / FAULT_SHARE)
    return ALL_FAULTS[place] if place < len(ALL_FAULTS) else None


def printed_text(product: Product) -> str:
    """Returns what is printed in the image of a product that has no caption."""
    pattern = "" if product.pattern == "plain" else product.pattern + " "
    return f"{product.colour} {pattern}{product.category} {BACKGROUNDS[product.background][0]}"


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


def _cut_short(caption: str) -> str:
    return " ".join(caption.split()[:3])


CAPTION_FAULTS = {
    "html tags": _with_tags,
    "html entities": _with_entities,
    "newlines": _with_newlines,
    "broken encoding": _with_broken_encoding,
    "too short": _cut_short,
}
ALL_FAULTS = (*CAPTION_FAULTS, SWAPPED, PRINTED, MISSING, TRUNCATED, EXACT, NEAR)


def spoil_caption(caption: str, fault: str) -> tuple[str, str]:
    """Returns the caption as it should have been, and the caption with the fault."""
    if fault == "broken encoding" and caption.isascii():
        caption = f"Fine décor — {caption}"
    return caption, CAPTION_FAULTS[fault](caption)
