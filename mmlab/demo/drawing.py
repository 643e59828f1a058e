"""Draws a product: its shape in inks, the inks in colours and a pattern, on a backdrop, with shadow and light.

The shape is drawn three times too large as a map of inks, then coloured and averaged down: smooth edges at the
price of one small palette image.
"""

import math
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mmlab.demo.attributes import PICTURE, Product
from mmlab.demo.backdrops import VARIANTS, draw_backdrop
from mmlab.demo.palette import mix_palette
from mmlab.demo.patterns import PATTERNS
from mmlab.demo.shapes import COMPANIONS, INKS, SHAPES, Pen

SIDE = 256  # pixels of an image
FINE = 3  # the ink map is this much larger
BASE = 232  # where a product stands, pixels from the top
HALF_SIZES = {"small": 66, "medium": 82, "large": 98}
COMPANION_HALF = 36
LIGHTS = {
    "daylight": (1, 1, 1),
    "warm": (1.08, 1.0, 0.84),
    "cool": (0.88, 0.98, 1.1),
    "dim": (0.72, 0.72, 0.76),
}


class Stand(NamedTuple):
    """Where something is in an image: its middle, and half its size, in pixels."""

    x: float
    y: float
    half: float

    def pen(self, ink_map: Image.Image, angle: float = 0.0) -> Pen:
        """Returns a pen that draws there on the larger ink map."""
        return Pen(ink_map, self.x * FINE, self.y * FINE, self.half * FINE, angle)


def draw_product(product: Product) -> Image.Image:
    """Draws a product as an RGB image of SIDE x SIDE pixels, always the same for the same product."""
    rng = product.rng(PICTURE)
    image = _backdrop(product, rng)
    ink_map, stands = _ink_map(product, rng)
    _cast_shadow(image, stands)
    alpha = ink_map.point(lambda ink: 255 if ink else 0).reduce(FINE)
    ink_map.putpalette(mix_palette(product.colour, rng))
    image.paste(_shaded(ink_map.convert("RGB").reduce(FINE), alpha), mask=alpha)
    return _lit(image, product, rng)


def jpeg_bytes(image: Image.Image, quality: int = 88) -> bytes:
    """Encodes an image as the catalogue keeps it."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _backdrop(product: Product, rng: np.random.Generator) -> Image.Image:
    whole = draw_backdrop(product.background, int(rng.integers(VARIANTS)))
    left, top = (int(rng.integers(0, length - SIDE + 1)) for length in whole.size)
    image = whole.crop((left, top, left + SIDE, top + SIDE))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def _ink_map(product: Product, rng: np.random.Generator) -> tuple[Image.Image, list[Stand]]:
    """Draws the product and its companion as one ink map, and says where they stand."""
    ink_map = Image.new("L", (SIDE * FINE, SIDE * FINE))
    half = HALF_SIZES[product.size] * rng.uniform(0.95, 1.05)
    x = SIDE / 2 + rng.uniform(-8, 8) - (16 * product.side if product.companion else 0)
    stand = Stand(x, BASE - half + rng.uniform(-6, 4), half)
    SHAPES[product.category](stand.pen(ink_map, product.angle))
    if product.pattern != "plain":
        ink_map = _patterned(ink_map, product, stand)
    if not product.companion:
        return ink_map, [stand]
    beside = SIDE / 2 + product.side * (SIDE / 2 - COMPANION_HALF - rng.uniform(4, 12))
    companion = Stand(beside, BASE - 26, COMPANION_HALF)
    COMPANIONS[product.companion](companion.pen(ink_map))
    return ink_map, [stand, companion]


def _patterned(ink_map: Image.Image, product: Product, stand: Stand) -> Image.Image:
    """Turns part of the body's ink into the accent, in the object's own coordinates."""
    left, top, right, bottom = ink_map.getbbox()
    across = (np.arange(left, right, dtype=np.float32) - stand.x * FINE)[None, :] / (stand.half * FINE)
    down = (np.arange(top, bottom, dtype=np.float32) - stand.y * FINE)[:, None] / (stand.half * FINE)
    cos, sin = math.cos(math.radians(product.angle)), math.sin(math.radians(product.angle))
    accented = PATTERNS[product.pattern](across * cos + down * sin, down * cos - across * sin)
    inks = np.array(ink_map)
    shape = inks[top:bottom, left:right]
    shape[accented & (shape == INKS.index("body"))] = INKS.index("accent")
    return Image.fromarray(inks)


def _cast_shadow(image: Image.Image, stands: list[Stand]) -> None:
    shadow = Image.new("L", image.size)
    draw = ImageDraw.Draw(shadow)
    for x, y, half in stands:
        foot = y + half
        draw.ellipse((x - half * 0.95, foot - half * 0.13, x + half * 1.1, foot + half * 0.13), fill=130)
    image.paste((16, 14, 24), mask=shadow.filter(ImageFilter.BoxBlur(5)).filter(ImageFilter.BoxBlur(5)))


def _shaded(colours: Image.Image, alpha: Image.Image) -> Image.Image:
    """Rounds the shapes: darker towards their lower right border, lighter towards the upper left one."""
    solid = np.asarray(alpha.filter(ImageFilter.BoxBlur(6)), dtype=np.float32) / 255
    away, towards = np.roll(solid, (-6, -6), (0, 1)), np.roll(solid, (6, 6), (0, 1))
    light = 1.0 - 0.42 * (1 - away) + 0.2 * (1 - towards)
    return Image.fromarray(np.clip(np.asarray(colours) * light[..., None], 0, 255).astype(np.uint8))


def _lit(image: Image.Image, product: Product, rng: np.random.Generator) -> Image.Image:
    colour = np.array(LIGHTS[product.light]) * rng.uniform(0.95, 1.05)
    across = np.linspace(-1, 1, SIDE, dtype=np.float32)
    falloff = 1 - 0.1 * (across[:, None] ** 2 + across[None, :] ** 2)
    lit = np.asarray(image) * (falloff[..., None] * colour.astype(np.float32))
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
