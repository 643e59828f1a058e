"""Lists the catalogue: each image with its captions, and what is wrong with it."""

from dataclasses import dataclass

from mmlab.demo.attributes import RELISTING, Product, sample_product
from mmlab.demo.captions import write_captions
from mmlab.demo.faults import (
    CAPTION_FAULTS,
    EXACT,
    NEAR,
    PRINTED,
    SWAPPED,
    plan_faults,
    printed_text,
    spoil_caption,
)
from mmlab.demo.files import alteration

# Neighbours share a split, so that swapped captions stay in it: of ten pairs 6 train, 1 validation, 3 test.
SPLIT_OF_PAIR = ("train", "test", "train", "train", "test", "train", "validation", "train", "test", "train")


@dataclass(frozen=True)
class Flaw:
    """What is wrong: with one caption (its place in the listing, from 0) or, without one, with the file.

    `original` is the caption that should be there, or the image that this one repeats or took its captions from.
    """

    fault: str
    caption: int | None = None
    original: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Listing:
    """An image of the catalogue: its path there, the product it shows, its captions and its flaws."""

    image: str
    product: Product
    captions: tuple[str, ...]
    flaws: tuple[Flaw, ...] = ()

    @property
    def fault(self) -> str | None:
        """The one fault it has, or None."""
        return self.flaws[0].fault if self.flaws else None


def list_catalogue(products: int, seed: int) -> list[Listing]:
    """Lists the images of a number of products; a duplicate comes after what it repeats."""
    chosen = [sample_product(seed, split_of(number), number) for number in range(products)]
    listings = []
    for product, fault in zip(chosen, plan_faults(chosen), strict=True):
        sound = Listing(image_name(product), product, tuple(write_captions(product)))
        if fault is None:
            listings.append(sound)
        elif fault == SWAPPED:
            listings.append(_swapped(sound, chosen[product.number ^ 1]))
        elif fault in (EXACT, NEAR):
            listings += [sound, _repeated(sound, fault)]
        else:
            listings.append(_flawed(sound, fault))
    return listings


def split_of(number: int) -> str:
    """Returns the split of a product of the catalogue."""
    return SPLIT_OF_PAIR[number // 2 % len(SPLIT_OF_PAIR)]


def image_name(product: Product, suffix: str = "") -> str:
    """Returns the path of a product's image within the catalogue."""
    return f"images/{product.number:05}{suffix}.jpg"


def _flawed(sound: Listing, fault: str) -> Listing:
    """Spoils the first caption, or the file."""
    if fault in CAPTION_FAULTS:
        original, spoilt = spoil_caption(sound.captions[0], fault)
        return Listing(sound.image, sound.product, (spoilt, *sound.captions[1:]), (Flaw(fault, 0, original),))
    if fault == PRINTED:
        return Listing(sound.image, sound.product, ("",), (Flaw(fault, 0, printed_text(sound.product)),))
    return Listing(sound.image, sound.product, sound.captions, (Flaw(fault),))


def _swapped(sound: Listing, other: Product) -> Listing:
    captions = tuple(write_captions(other))
    flaws = tuple(Flaw(SWAPPED, place, image_name(other)) for place in range(len(captions)))
    return Listing(sound.image, sound.product, captions, flaws)


def _repeated(sound: Listing, fault: str) -> Listing:
    """Lists the same image a second time, in other words."""
    detail = alteration(sound.product) if fault == NEAR else ""
    captions = tuple(write_captions(sound.product, RELISTING))
    return Listing(
        image_name(sound.product, "b"), sound.product, captions, (Flaw(fault, None, sound.image, detail),)
    )
