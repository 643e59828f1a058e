"""Writes captions: what a product is and where it is shown, in the voices that catalogues and people have."""

import numpy as np

from mmlab.demo import words
from mmlab.demo.attributes import CAPTIONS, Product

SHORTEST = 5  # words of a proper caption

STYLES = {
    "formal": (
        "Product photograph: {thing}, shown {place}{beside}{light}.",
        "{Thing}, presented {place}{beside}{light}.",
        "Catalogue picture — {thing}; setting: {place}{beside}{light}.",
        "Home & décor: {thing}, pictured {place}{beside}{light}.",
    ),
    "informal": (
        "look at this {thing} {place}{beside}!",
        "my new {thing} {place}{beside} :)",
        "So happy with this {thing} — here it is {place}{beside}",
        "found {a_thing} {place}{beside}{light}, isn't it lovely?",
        "Discovered after the café: {a_thing} {place}{beside}!",
    ),
    "alt": (
        "{A_thing} {place}{beside}",
        "{A_thing} {place}{beside}{light}.",
        "Image of {a_thing} {place}{beside}.",
        "{A_thing} standing {place}{beside}",
    ),
    "long": (
        "This {thing}, photographed {place}{beside}{light}, is made to last and will please anyone who likes things"
        " that are simple, useful and a little bit cheerful.",
        "If you have been looking for {a_thing}, you will like this one, which we took a picture of {place}{beside}"
        "{light} before sending it on its way to you.",
        "Seen here {place}{beside}{light}, the {thing} is one of the favourites of our customers — a fine piece of"
        " décor at home, and a faithful companion at the café round the corner.",
    ),
}


def write_captions(product: Product, purpose: int = CAPTIONS) -> list[str]:
    """Writes the two or three captions that a product has in the catalogue, each in another style."""
    rng = product.rng(purpose)
    styles = rng.permutation(list(STYLES))[: rng.integers(2, 4)]
    return [write_caption(product, str(style), rng) for style in styles]


def write_caption(product: Product, style: str, rng: np.random.Generator) -> str:
    """Writes one caption of a style of STYLES. Most tell category, colour, pattern, place and companion."""
    thing = name_product(product, rng)
    beside = ""
    if product.companion and rng.random() < 0.92:
        companion = with_article(_one(rng, words.COMPANIONS[product.companion]))
        beside = _one(rng, (" next to {}", " beside {}", " together with {}")).format(companion)
    light = " " + _one(rng, words.LIGHTS[product.light]) if rng.random() < 0.3 else ""
    return _one(rng, STYLES[style]).format(
        thing=thing,
        Thing=capitalised(thing),
        a_thing=with_article(thing),
        A_thing=capitalised(with_article(thing)),
        place=_one(rng, words.BACKGROUNDS[product.background]),
        beside=beside,
        light=light,
    )


def name_product(product: Product, rng: np.random.Generator) -> str:
    """Names a product without an article, such as "small red mug with stripes"."""
    adjectives, nouns = words.PATTERNS[product.pattern]
    size = _one(rng, words.SIZES[product.size]) if rng.random() < SIZE_TOLD[product.size] else ""
    colour = _one(rng, words.COLOURS[product.colour], usual=0.75)
    category = _one(rng, words.CATEGORIES[product.category], usual=0.75)
    if nouns and rng.random() < 0.3:
        return _joined(size, colour, category, "with", _one(rng, nouns))
    adjective = _one(rng, adjectives)
    first, second = (colour, adjective) if nouns and rng.random() < 0.5 else (adjective, colour)
    return _joined(size, first, second, category)


SIZE_TOLD = {"small": 0.5, "medium": 0.1, "large": 0.5}


def with_article(phrase: str) -> str:
    """Puts "a" or "an" before a phrase."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def capitalised(phrase: str) -> str:
    """Makes the first letter a capital and leaves the rest."""
    return phrase[0].upper() + phrase[1:]


def _one(rng: np.random.Generator, choices: tuple[str, ...], usual: float | None = None) -> str:
    """Picks one at random; with `usual`, the first with that probability."""
    if usual is not None and rng.random() < usual:
        return choices[0]
    return choices[int(rng.integers(len(choices)))]


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
