"""Captions of demo products: what a product is and where it is shown, in the styles of catalogues and of people."""

import numpy as np

from mmlab.demo.products import Product, Purpose

# How often a caption names the size.
SIZE_SHARES = {"small": 0.5, "medium": 0.1, "large": 0.5}

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

# Phrases for each attribute; the first is the usual one. No phrase stands for two attributes: a background is never
# named by a colour of products, a place never by a companion.
CATEGORY_PHRASES = {
    "mug": ("mug", "coffee mug"),
    "teapot": ("teapot", "tea pot"),
    "bottle": ("bottle", "glass bottle"),
    "cooking pot": ("cooking pot", "saucepan"),
    "vase": ("vase", "flower vase"),
    "t-shirt": ("t-shirt", "tee"),
    "dress": ("dress", "summer dress"),
    "trousers": ("pair of trousers", "pair of pants"),
    "sock": ("sock", "woollen sock"),
    "mitten": ("mitten", "winter mitten"),
    "cap": ("cap", "baseball cap"),
    "sneaker": ("sneaker", "running shoe"),
    "boot": ("boot", "rubber boot"),
    "backpack": ("backpack", "rucksack"),
    "handbag": ("handbag", "purse"),
    "suitcase": ("suitcase", "travel case"),
    "umbrella": ("umbrella", "parasol"),
    "chair": ("chair", "dining chair"),
    "armchair": ("armchair", "easy chair"),
    "lamp": ("lamp", "table lamp"),
    "alarm clock": ("alarm clock", "bedside clock"),
    "watering can": ("watering can", "garden watering can"),
    "bucket": ("bucket", "pail"),
    "birdhouse": ("birdhouse", "nesting box"),
    "tent": ("tent", "camping tent"),
    "guitar": ("guitar", "acoustic guitar"),
    "drum": ("drum", "snare drum"),
    "camera": ("camera", "photo camera"),
    "kite": ("kite", "toy kite"),
    "car": ("car", "toy car"),
    "sailboat": ("sailboat", "sailing boat"),
    "rocket": ("rocket", "toy rocket"),
    "hot-air balloon": ("hot-air balloon", "air balloon"),
    "teddy bear": ("teddy bear", "teddy"),
    "rubber duck": ("rubber duck", "bath duck"),
}
COLOUR_PHRASES = {
    "red": ("red", "scarlet"),
    "orange": ("orange", "tangerine"),
    "yellow": ("yellow", "lemon-yellow"),
    "green": ("green", "emerald"),
    "blue": ("blue", "cobalt"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rosy pink"),
    "brown": ("brown", "chestnut"),
    "black": ("black", "jet-black"),
    "white": ("white", "snow-white"),
}
# Adjectives, and what the product is "with". Plain products are seldom called plain.
PATTERN_PHRASES = {
    "plain": (("", "", "plain", "solid"), ()),
    "striped": (("striped", "stripy"), ("stripes",)),
    "dotted": (("dotted", "polka-dot", "spotted"), ("polka dots", "dots")),
    "checked": (("checked", "chequered"), ("a check pattern", "checks")),
    "zigzag": (("zigzag", "chevron"), ("zigzags", "a zigzag pattern")),
}
BACKGROUND_PHRASES = {
    "wooden table": ("on a wooden table", "on a wooden tabletop"),
    "brick wall": ("in front of a brick wall", "against a brick wall"),
    "meadow": ("in a meadow", "on the grass of a meadow"),
    "night sky": ("under a night sky", "under the stars at night"),
    "photo studio": ("in a photo studio", "against a studio backdrop"),
    "tiled floor": ("on a tiled floor", "on kitchen tiles"),
    "sandy beach": ("on a sandy beach", "on the beach by the sea"),
    "snowy mountains": ("in front of snowy mountains", "in the snow with mountains behind"),
    "city skyline": ("in front of a city skyline", "on a city street at dusk"),
    "bookshelf": ("in front of a bookshelf", "in a library"),
    "autumn forest": ("in an autumn forest", "among autumn leaves in the woods"),
}
COMPANION_PHRASES = {
    "apple": ("apple", "juicy apple"),
    "banana": ("banana", "ripe banana"),
    "book": ("book", "thick book"),
    "candle": ("candle", "burning candle"),
    "cactus": ("cactus", "potted cactus"),
    "football": ("football", "soccer ball"),
    "gift box": ("gift box", "wrapped present"),
    "sunflower": ("sunflower", "tall sunflower"),
}
SIZE_PHRASES = {"small": ("small", "little"), "medium": ("medium-sized",), "large": ("large", "big")}
LIGHT_PHRASES = {
    "daylight": ("in bright daylight", "in clear daylight"),
    "warm": ("in warm light", "in warm evening light"),
    "cool": ("in cool light", "in cool morning light"),
    "dim": ("in dim light", "in low light"),
}


def write_captions(product: Product, purpose: Purpose = Purpose.CAPTIONS) -> list[str]:
    """Write the two or three captions of a product in the catalogue, each in another style."""
    rng = product.rng(purpose)
    styles = rng.permutation(list(STYLES))[: rng.integers(2, 4)]
    return [write_caption(product, str(style), rng) for style in styles]


def write_caption(product: Product, style: str, rng: np.random.Generator) -> str:
    """Write one caption in a style of STYLES. Most name category, colour, pattern, place and companion."""
    thing = name_product(product, rng)
    beside = ""
    if product.companion and rng.random() < 0.92:
        companion = with_article(_one(rng, COMPANION_PHRASES[product.companion]))
        beside = _one(rng, (" next to {}", " beside {}", " together with {}")).format(companion)
    light = " " + _one(rng, LIGHT_PHRASES[product.light]) if rng.random() < 0.3 else ""
    return _one(rng, STYLES[style]).format(
        thing=thing,
        Thing=_capitalise(thing),
        a_thing=with_article(thing),
        A_thing=_capitalise(with_article(thing)),
        place=_one(rng, BACKGROUND_PHRASES[product.background]),
        beside=beside,
        light=light,
    )


def name_product(product: Product, rng: np.random.Generator) -> str:
    """Name a product without an article, such as "small red mug with stripes"."""
    adjectives, nouns = PATTERN_PHRASES[product.pattern]
    size = _one(rng, SIZE_PHRASES[product.size]) if rng.random() < SIZE_SHARES[product.size] else ""
    colour = _one(rng, COLOUR_PHRASES[product.colour], usual=0.75)
    category = _one(rng, CATEGORY_PHRASES[product.category], usual=0.75)
    if nouns and rng.random() < 0.3:
        return _joined(size, colour, category, "with", _one(rng, nouns))
    adjective = _one(rng, adjectives)
    first, second = (colour, adjective) if nouns and rng.random() < 0.5 else (adjective, colour)
    return _joined(size, first, second, category)


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _one(rng: np.random.Generator, choices: tuple[str, ...], usual: float | None = None) -> str:
    """Pick one at random; with `usual`, the first with that probability."""
    if usual is not None and rng.random() < usual:
        return choices[0]
    return choices[int(rng.integers(len(choices)))]


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _capitalise(phrase: str) -> str:
    """Make the first letter a capital and leave the rest."""
    return phrase[0].upper() + phrase[1:]
