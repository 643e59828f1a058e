"""What a product of the demo catalogue can be, and how one is drawn from chance.

A product is a pure function of a seed, a split and its number: a catalogue of 1,500 begins with the same
products as one of 100. Every category has one colour that only the test split shows, so that a model trained
on the train split can be asked about combinations it never saw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
LARGEST_ANGLE = 7.0

# What a product's own random numbers are drawn for.
PICTURE, CAPTIONS, TRAINING, FAULTS, RELISTING = range(1, 6)


@dataclass(frozen=True)
class Product:
    """One product and how it is shown.

    `angle` is its tilt in degrees, clockwise; `side` is where a companion stands (-1 left, 1 right); `key`
    (seed, number of the split, number of the product) seeds every further choice about it.
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
        """Which of SPLITS it belongs to."""
        return SPLITS[self.key[1]]

    @property
    def number(self) -> int:
        """Its place in the stream of its seed and split."""
        return self.key[2]

    @property
    def withheld(self) -> bool:
        """Whether its category and colour occur together in the test split only."""
        return (self.category, self.colour) in WITHHELD

    def rng(self, purpose: int) -> np.random.Generator:
        """Returns a random generator of this product's own, one for each purpose."""
        return np.random.default_rng([*self.key, purpose])


def sample_product(seed: int, split: str, number: int) -> Product:
    """Returns product `number` of the endless stream that a seed and a split name."""
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
        angle=round(float(rng.uniform(-LARGEST_ANGLE, LARGEST_ANGLE)), 1),
        side=int(_one(rng, (-1, 1))),
        key=key,
    )


def _one(rng: np.random.Generator, choices: Sequence, shares: Sequence[float] | None = None) -> Any:
    return choices[int(rng.choice(len(choices), p=shares))]
