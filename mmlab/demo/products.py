"""The products of the demo catalogue: their attributes, how a random product is sampled, and its captions.

A product depends on a seed, a split and its number alone, so a catalogue of 1,500 begins with the same products as
one of 100. Every category has one colour that only the test split shows: a model trained on the train split can be
tested on combinations it has never seen. Captions are in the styles of catalogues and of people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np

CATEGORIES = (
    "mug", "teapot", "bottle", "cooking pot", "vase", "t-shirt", "dress", "trousers", "sock", "mitten", "cap",
    "sneaker", "boot", "backpack", "handbag", "suitcase", "umbrella", "chair", "armchair", "lamp", "alarm clock",
    "watering can", "bucket", "birdhouse", "tent", "guitar", "drum", "camera", "kite", "car", "sailboat", "rocket",
    "hot-air balloon", "teddy bear", "rubber duck",
)  # fmt: skip
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
PATTERNS = ("plain", "striped", "dotted", "checked", "zigzag")
BACKGROUNDS = (
    "wooden table", "brick wall", "meadow", "night sky", "photo studio", "tiled floor", "sandy beach",
    "snowy mountains", "city skyline", "bookshelf", "autumn forest",
)  # fmt: skip
COMPANIONS = ("apple", "banana", "book", "candle", "cactus", "football", "gift box", "sunflower")
SIZES = ("small", "medium", "large")
LIGHTS = ("daylight", "warm", "cool", "dim")
SPLITS = ("train", "validation", "test")

WITHHELD = frozenset((category, COLOURS[3 * k % len(COLOURS)]) for k, category in enumerate(CATEGORIES))
WITHHELD_SHARE = 0.2  # of the test products
COMPANION_SHARE = 0.4
MAX_ANGLE = 7.0  # degrees

T = TypeVar("T")


class Purpose(IntEnum):
    """What a product draws random numbers for. Each purpose has a generator of its own; another number redraws all."""

    IMAGE = 1
    CAPTIONS = 2
    TRAINING = 3
    FAULTS = 4
    RELISTING = 5


@dataclass(frozen=True)
class Product:
    """One product and how it is shown.

    `angle`: tilt in degrees, clockwise. `side`: where a companion stands, -1 left or 1 right. `key`: seed, number of
    the split and number of the product; it seeds every further choice about the product.
    """

    category: str
    colour: str
    pattern: str
    background: str
    companion: str | None
    size: str
    light: str
    angle: float
    side: int
    key: tuple[int, int, int]

    @property
    def split(self) -> str:
        """Name of its split, one of SPLITS."""
        return SPLITS[self.key[1]]

    @property
    def number(self) -> int:
        """Number in the stream of its seed and split."""
        return self.key[2]

    @property
    def withheld(self) -> bool:
        """Whether its category and colour occur together in the test split only."""
        return (self.category, self.colour) in WITHHELD

    def rng(self, purpose: Purpose) -> np.random.Generator:
        """Return this product's random generator for a purpose."""
        return np.random.default_rng([*self.key, purpose])


def sample_product(seed: int, split: str, number: int) -> Product:
    """Return product `number` of the endless stream of a seed and a split."""
    key = (seed, SPLITS.index(split), number)
    rng = np.random.default_rng(key)
    category = pick_one(rng, CATEGORIES)
    withheld = split == "test" and rng.random() < WITHHELD_SHARE
    colours = [colour for colour in COLOURS if ((category, colour) in WITHHELD) == withheld]
    return Product(
        category=category,
        colour=pick_one(rng, colours),
        pattern=pick_one(rng, PATTERNS, (0.32, 0.17, 0.17, 0.17, 0.17)),
        background=pick_one(rng, BACKGROUNDS),
        companion=pick_one(rng, COMPANIONS) if rng.random() < COMPANION_SHARE else None,
        size=pick_one(rng, SIZES),
        light=pick_one(rng, LIGHTS, (0.4, 0.2, 0.2, 0.2)),
        angle=round(float(rng.uniform(-MAX_ANGLE, MAX_ANGLE)), 1),
        side=int(pick_one(rng, (-1, 1))),
        key=key,
    )


def pick_one(rng: np.random.Generator, choices: Sequence[T], shares: Sequence[float] | None = None) -> T:
    """Pick one at random, with equal probability or with these shares."""
    return choices[int(rng.choice(len(choices), p=shares))]


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
        companion = with_article(_phrase(rng, COMPANION_PHRASES[product.companion]))
        beside = _phrase(rng, (" next to {}", " beside {}", " together with {}")).format(companion)
    light = " " + _phrase(rng, LIGHT_PHRASES[product.light]) if rng.random() < 0.3 else ""
    return _phrase(rng, STYLES[style]).format(
        thing=thing,
        Thing=_capitalise(thing),
        a_thing=with_article(thing),
        A_thing=_capitalise(with_article(thing)),
        place=_phrase(rng, BACKGROUND_PHRASES[product.background]),
        beside=beside,
        light=light,
    )


def name_product(product: Product, rng: np.random.Generator) -> str:
    """Name a product without an article, such as "small red mug with stripes"."""
    adjectives, nouns = PATTERN_PHRASES[product.pattern]
    size = _phrase(rng, SIZE_PHRASES[product.size]) if rng.random() < SIZE_SHARES[product.size] else ""
    colour = _phrase(rng, COLOUR_PHRASES[product.colour], usual=0.75)
    category = _phrase(rng, CATEGORY_PHRASES[product.category], usual=0.75)
    if nouns and rng.random() < 0.3:
        return _joined(size, colour, category, "with", _phrase(rng, nouns))
    adjective = _phrase(rng, adjectives)
    first, second = (colour, adjective) if nouns and rng.random() < 0.5 else (adjective, colour)
    return _joined(size, first, second, category)


def with_article(phrase: str) -> str:
    """Put "a" or "an" before a phrase."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _phrase(rng: np.random.Generator, choices: tuple[str, ...], usual: float | None = None) -> str:
    """Pick one at random; with `usual`, the first with that probability."""
    if usual is not None and rng.random() < usual:
        return choices[0]
    return choices[int(rng.integers(len(choices)))]


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _capitalise(phrase: str) -> str:
    """Make the first letter a capital and leave the rest."""
    return phrase[0].upper() + phrase[1:]
