"""The products of the demo catalogue: their attributes, and how a random product is sampled.

A product depends on a seed, a split and its number alone, so a catalogue of 1,500 begins with the same products as
one of 100. Every category has one colour that only the test split shows: a model trained on the train split can be
tested on combinations it has never seen.
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
    category = _one(rng, CATEGORIES)
    withheld = split == "test" and rng.random() < WITHHELD_SHARE
    colours = [colour for colour in COLOURS if ((category, colour) in WITHHELD) == withheld]
    return Product(
        category=category,
        colour=_one(rng, colours),
        pattern=_one(rng, PATTERNS, (0.32, 0.17, 0.17, 0.17, 0.17)),
        background=_one(rng, BACKGROUNDS),
        companion=_one(rng, COMPANIONS) if rng.random() < COMPANION_SHARE else None,
        size=_one(rng, SIZES),
        light=_one(rng, LIGHTS, (0.4, 0.2, 0.2, 0.2)),
        angle=round(float(rng.uniform(-MAX_ANGLE, MAX_ANGLE)), 1),
        side=int(_one(rng, (-1, 1))),
        key=key,
    )


def _one(rng: np.random.Generator, choices: Sequence[T], shares: Sequence[float] | None = None) -> T:
    return choices[int(rng.choice(len(choices), p=shares))]
