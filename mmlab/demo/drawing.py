"""Draw a product: its shape in inks, the inks in colours and a pattern, on a backdrop, with shadow and light.

A shape is drawn three times too large as a map of inks, then coloured and averaged down: edges come out smooth, and
only one small palette image has to be drawn.
"""

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from tqdm.auto import tqdm

from mmlab.demo.backdrops import VARIANTS, draw_backdrop
from mmlab.demo.pen import INKS, Pen, mix_palette
from mmlab.demo.products import Product, Purpose
from mmlab.demo.shapes import COMPANIONS, SHAPES

Task = TypeVar("Task")
Result = TypeVar("Result")

IMAGE_SIDE = 256  # pixels
OVERSAMPLING = 3  # the ink map is this much larger than the image
GROUND = 232  # pixels from the top to where a product stands
HALF_SIZES = {"small": 66, "medium": 82, "large": 98}  # pixels
COMPANION_HALF_SIZE = 36
LIGHTS = {
    "daylight": (1, 1, 1),
    "warm": (1.08, 1.0, 0.84),
    "cool": (0.88, 0.98, 1.1),
    "dim": (0.72, 0.72, 0.76),
}


MAX_PROCESSES = 8


class Placement(NamedTuple):
    """Where something is in an image: its centre and half its size, in pixels."""

    x: float
    y: float
    half: float

    def pen(self, ink_map: Image.Image, angle: float = 0.0) -> Pen:
        """Return a pen that draws there on the larger ink map."""
        x, y, half = (OVERSAMPLING * pixels for pixels in self)
        return Pen(ink_map, x, y, half, angle)


def draw_product(product: Product) -> Image.Image:
    """Draw a product as an RGB image of IMAGE_SIDE x IMAGE_SIDE pixels; the same product gives the same image."""
    rng = product.rng(Purpose.IMAGE)
    image = _crop_backdrop(product, rng)
    ink_map, placements = _draw_ink_map(product, rng)
    _cast_shadow(image, placements)
    alpha = ink_map.point(lambda ink: 255 if ink else 0).reduce(OVERSAMPLING)
    ink_map.putpalette(mix_palette(product.colour, rng))
    image.paste(_shade_borders(ink_map.convert("RGB").reduce(OVERSAMPLING), alpha), mask=alpha)
    return _apply_light(image, product, rng)


def jpeg_bytes(image: Image.Image, quality: int = 88) -> bytes:
    """Encode an image as the catalogue stores it."""
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def map_processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], description: str, progress: bool = True
) -> Iterator[Result]:
    """Yield `function(task)` of each task, in order, from several processes with a progress bar.

    Processes are spawned, not forked, which works on every system. A single task runs in this process.
    """
    bar = {"desc": description, "total": len(tasks), "disable": not progress}
    processes = min(len(tasks), os.cpu_count() or 1, MAX_PROCESSES)
    if processes <= 1:
        yield from tqdm(map(function, tasks), **bar)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from tqdm(pool.map(function, tasks), **bar)


def _crop_backdrop(product: Product, rng: np.random.Generator) -> Image.Image:
    whole = draw_backdrop(product.background, int(rng.integers(VARIANTS)))
    left, top = (int(rng.integers(0, length - IMAGE_SIDE + 1)) for length in whole.size)
    image = whole.crop((left, top, left + IMAGE_SIDE, top + IMAGE_SIDE))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def _draw_ink_map(product: Product, rng: np.random.Generator) -> tuple[Image.Image, list[Placement]]:
    """Draw the product and its companion as one ink map; return it with their placements."""
    ink_map = Image.new("L", (IMAGE_SIDE * OVERSAMPLING, IMAGE_SIDE * OVERSAMPLING))
    half = HALF_SIZES[product.size] * rng.uniform(0.95, 1.05)
    x = IMAGE_SIDE / 2 + rng.uniform(-8, 8) - (16 * product.side if product.companion else 0)
    placement = Placement(x, GROUND - half + rng.uniform(-6, 4), half)
    SHAPES[product.category](placement.pen(ink_map, product.angle))
    if product.pattern != "plain":
        ink_map = _apply_pattern(ink_map, product, placement)
    if not product.companion:
        return ink_map, [placement]
    beside = IMAGE_SIDE / 2 + product.side * (IMAGE_SIDE / 2 - COMPANION_HALF_SIZE - rng.uniform(4, 12))
    companion = Placement(beside, GROUND - 26, COMPANION_HALF_SIZE)
    COMPANIONS[product.companion](companion.pen(ink_map))
    return ink_map, [placement, companion]


def _apply_pattern(ink_map: Image.Image, product: Product, placement: Placement) -> Image.Image:
    """Turn part of the body's ink into the accent, in the object's own coordinates."""
    left, top, right, bottom = ink_map.getbbox() or (0, 0, 0, 0)
    x, y, half = (OVERSAMPLING * pixels for pixels in placement)
    across = (np.arange(left, right, dtype=np.float32) - x)[None, :] / half
    down = (np.arange(top, bottom, dtype=np.float32) - y)[:, None] / half
    cos, sin = math.cos(math.radians(product.angle)), math.sin(math.radians(product.angle))
    accented = PATTERNS[product.pattern](across * cos + down * sin, down * cos - across * sin)
    inks = np.array(ink_map)
    shape = inks[top:bottom, left:right]
    shape[accented & (shape == INKS.index("body"))] = INKS.index("accent")
    return Image.fromarray(inks)


def _cast_shadow(image: Image.Image, placements: list[Placement]) -> None:
    shadow = Image.new("L", image.size)
    draw = ImageDraw.Draw(shadow)
    for x, y, half in placements:
        foot = y + half
        draw.ellipse((x - half * 0.95, foot - half * 0.13, x + half * 1.1, foot + half * 0.13), fill=130)
    image.paste((16, 14, 24), mask=shadow.filter(ImageFilter.BoxBlur(5)).filter(ImageFilter.BoxBlur(5)))


def _shade_borders(colours: Image.Image, alpha: Image.Image) -> Image.Image:
    """Make the shapes look round: darker towards their lower right border, lighter towards the upper left one."""
    solid = np.asarray(alpha.filter(ImageFilter.BoxBlur(6)), dtype=np.float32) / 255
    away, towards = np.roll(solid, (-6, -6), (0, 1)), np.roll(solid, (6, 6), (0, 1))
    light = 1.0 - 0.42 * (1 - away) + 0.2 * (1 - towards)
    return Image.fromarray(np.clip(np.asarray(colours) * light[..., None], 0, 255).astype(np.uint8))


def _apply_light(image: Image.Image, product: Product, rng: np.random.Generator) -> Image.Image:
    colour = np.array(LIGHTS[product.light]) * rng.uniform(0.95, 1.05)
    across = np.linspace(-1, 1, IMAGE_SIDE, dtype=np.float32)
    falloff = 1 - 0.1 * (across[:, None] ** 2 + across[None, :] ** 2)
    lit = np.asarray(image) * (falloff[..., None] * colour.astype(np.float32))
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


# A pattern is a function of the product's own coordinates. Arrays `u` and `v` are the distances to the right and down,
# in half sizes of the product; the result is True where the second colour lies.
def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _waves(u / 0.34 + 0.22) < 0.45


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    row = np.floor(v / 0.32)
    across, down = _waves(u / 0.37 + row / 2) - 0.5, v / 0.32 - row - 0.5
    return (across * 0.37) ** 2 + (down * 0.32) ** 2 < 0.115**2


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (_waves(u / 0.5) < 0.5) == (_waves(v / 0.5) < 0.5)


def _zigzag(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return _waves((v + 0.5 * np.abs(_waves(u / 0.5) - 0.5)) / 0.36) < 0.42


def _waves(x: np.ndarray) -> np.ndarray:
    return x - np.floor(x)


PATTERNS = {"striped": _stripes, "dotted": _dots, "checked": _checks, "zigzag": _zigzag}
