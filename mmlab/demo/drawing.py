"""Draw a product: its shape in inks, the inks in colours and a pattern, on a backdrop, with shadow and light.

A shape is drawn three times too large as a map of inks, then coloured and averaged down: edges come out smooth, and
only one small palette image has to be drawn.
"""

import math
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from io import BytesIO
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from tqdm.auto import tqdm

from mmlab.demo.pen import INKS, Pen, mix_palette
from mmlab.demo.products import Product, Purpose
from mmlab.demo.shapes import COMPANIONS, SHAPES
from mmlab.items.workers import count_cores

WIDTH, HEIGHT = 640, 560  # pixels; a backdrop is painted at twice the size it has in an image
FLOOR = 380  # pixels from the top to where the floor begins
VARIANTS = 6  # of each place

Colour = tuple[int, ...]  # red, green and blue, 0 to 255
Box = tuple[int, int, int, int]  # left, top, right and bottom in pixels, the last two just outside


@cache
def draw_backdrop(background: str, variant: int) -> Image.Image:
    """Draw one of the VARIANTS of a place, (WIDTH / 2, HEIGHT / 2) pixels RGB."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    BACKDROPS[background](ImageDraw.Draw(image), np.random.default_rng(variant))
    return image.reduce(2).filter(ImageFilter.GaussianBlur(0.6))


def _wooden_table(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _fill_gradient(draw, 0, FLOOR, (226, 214, 196), (204, 190, 170))
    _fill_gradient(draw, FLOOR, HEIGHT, (186, 140, 92), (164, 116, 70))
    for top in range(FLOOR, HEIGHT, 36):
        draw.line((0, top, WIDTH, top), fill=(120, 82, 48), width=4)
        for _ in range(5):
            x, y = _random_int(rng, 0, WIDTH), top + _random_int(rng, 8, 30)
            draw.line((x, y, x + _random_int(rng, 60, 200), y), fill=(150, 104, 62), width=2)
        x = _random_int(rng, 0, WIDTH)
        draw.line((x, top, x, top + 36), fill=(120, 82, 48), width=4)


def _brick_wall(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, WIDTH, FLOOR), fill=(206, 196, 186))
    for row, top in enumerate(range(0, FLOOR, 38)):
        for left in range(-80 + 40 * (row % 2), WIDTH, 80):
            fill = _shade((172, 92, 74), rng.uniform(0.85, 1.12))
            draw.rectangle((left + 3, top + 3, left + 76, top + 34), fill=fill)
    _fill_gradient(draw, FLOOR, HEIGHT, (150, 148, 146), (178, 176, 174))


def _photo_studio(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    tint = rng.uniform(0.97, 1.0)
    _fill_gradient(draw, 0, FLOOR, _shade((206, 208, 212), tint), _shade((236, 237, 239), tint))
    _fill_gradient(draw, FLOOR, HEIGHT, _shade((238, 239, 241), tint), _shade((216, 218, 221), tint))


def _tiled_floor(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _fill_gradient(draw, 0, FLOOR, (196, 214, 216), (180, 200, 204))
    draw.rectangle((0, FLOOR - 34, WIDTH, FLOOR), fill=(232, 236, 236))
    vanishing, rows = WIDTH / 2 + rng.uniform(-60, 60), [FLOOR, 408, 446, 496, HEIGHT]
    for row, (top, bottom) in enumerate(pairwise(rows)):
        for column in range(-9, 9):
            corners = [
                (vanishing + (column + step) * 64 * (y - 220) / 160, y)
                for step, y in ((0, top), (1, top), (1, bottom), (0, bottom))
            ]
            draw.polygon(corners, fill=(226, 230, 230) if (row + column) % 2 else (88, 108, 120))


def _bookshelf(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, WIDTH, FLOOR), fill=(84, 60, 42))
    tones = ((150, 70, 66), (70, 98, 132), (92, 122, 88), (188, 158, 96), (120, 92, 128), (206, 194, 172))
    for shelf in (120, 246, 372):
        left = 0
        while left < WIDTH:
            width, tall = _random_int(rng, 18, 36), _random_int(rng, 70, 100)
            fill = _shade(tones[_random_int(rng, 0, len(tones))], rng.uniform(0.85, 1.05))
            draw.rectangle((left, shelf - tall, left + width - 3, shelf), fill=fill)
            label = (left + 4, shelf - tall + 14, left + width - 8, shelf - tall + 20)
            draw.rectangle(label, fill=(226, 212, 170))
            left += width
        draw.rectangle((0, shelf, WIDTH, shelf + 16), fill=(136, 98, 64))
    _fill_gradient(draw, FLOOR, HEIGHT, (170, 130, 100), (150, 112, 84))


def _meadow(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _fill_gradient(draw, 0, FLOOR, (132, 190, 236), (206, 230, 244))
    _draw_clouds(draw, rng, (246, 250, 252))
    draw.ellipse((-200, FLOOR - 70, 420, FLOOR + 120), fill=(126, 184, 92))
    draw.ellipse((260, FLOOR - 50, 900, FLOOR + 140), fill=(112, 172, 82))
    _fill_gradient(draw, FLOOR - 10, HEIGHT, (120, 180, 84), (84, 146, 62))
    for _ in range(260):
        x, y = _random_int(rng, 0, WIDTH), _random_int(rng, FLOOR, HEIGHT)
        tip = x + _random_int(rng, -5, 6)
        draw.line((x, y, tip, y - 16), fill=_shade((92, 160, 66), rng.uniform(0.8, 1.2)), width=3)
    for _ in range(24):
        x, y = _random_int(rng, 0, WIDTH), _random_int(rng, FLOOR + 6, HEIGHT)
        _draw_disc(draw, x, y, 6, ((250, 250, 246), (250, 222, 90), (244, 160, 190))[_random_int(rng, 0, 3)])


def _night_sky(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _fill_gradient(draw, 0, FLOOR, (14, 18, 54), (48, 52, 108))
    for _ in range(110):
        _draw_disc(
            draw,
            _random_int(rng, 0, WIDTH),
            _random_int(rng, 0, FLOOR),
            int(rng.choice((2, 2, 3, 5))),
            (244, 240, 214),
        )
    x = _random_int(rng, 80, WIDTH - 80)
    _draw_disc(draw, x, 76, 46, (248, 240, 206))
    _draw_disc(draw, x + 22, 64, 40, (22, 26, 64))
    draw.ellipse((-260, FLOOR - 60, 480, FLOOR + 160), fill=(22, 30, 48))
    _fill_gradient(draw, FLOOR, HEIGHT, (28, 38, 58), (38, 50, 70))


def _sandy_beach(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _fill_gradient(draw, 0, 250, (120, 200, 232), (214, 238, 240))
    _draw_clouds(draw, rng, (248, 252, 252))
    _fill_gradient(draw, 250, FLOOR, (38, 130, 168), (96, 190, 200))
    for y in range(270, FLOOR, 26):
        x = _random_int(rng, -100, 200)
        for left in range(x, WIDTH, 190):
            draw.line((left, y, left + 90, y), fill=(196, 232, 234), width=4)
    draw.rectangle((0, FLOOR + 20, WIDTH, HEIGHT), fill=(236, 212, 160))
    draw.ellipse((-300, FLOOR - 24, WIDTH + 300, HEIGHT + 300), fill=(238, 244, 238))
    draw.ellipse((-300, FLOOR - 10, WIDTH + 300, HEIGHT + 300), fill=(236, 212, 160))
    for _ in range(120):
        _draw_disc(draw, _random_int(rng, 0, WIDTH), _random_int(rng, FLOOR + 14, HEIGHT), 2, (208, 180, 126))


def _snowy_mountains(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _fill_gradient(draw, 0, FLOOR, (150, 176, 206), (222, 232, 240))
    for centre in (60, 250, 430, 600):
        x, top = centre + _random_int(rng, -40, 40), _random_int(rng, 60, 150)
        fill = _shade((112, 126, 148), rng.uniform(0.85, 1.1))
        draw.polygon(((x - 240, FLOOR), (x, top), (x + 240, FLOOR)), fill=fill)
        notches = ((0, 0), (68, 96), (30, 76), (0, 104), (-30, 78), (-68, 98))
        draw.polygon([(x + dx, top + dy) for dx, dy in notches], fill=(250, 252, 254))
    _fill_gradient(draw, FLOOR, HEIGHT, (240, 245, 250), (214, 224, 236))
    for _ in range(60):
        _draw_disc(draw, _random_int(rng, 0, WIDTH), _random_int(rng, 0, HEIGHT), 4, (255, 255, 255))


def _city_skyline(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _fill_gradient(draw, 0, FLOOR, (98, 84, 142), (250, 176, 136))
    left = -_random_int(rng, 0, 50)
    while left < WIDTH:
        width, top = _random_int(rng, 60, 104), _random_int(rng, 60, 250)
        draw.rectangle((left, top, left + width, FLOOR), fill=_shade((66, 62, 96), rng.uniform(0.8, 1.15)))
        for x in range(left + 10, left + width - 12, 22):
            for y in range(top + 12, FLOOR - 20, 28):
                if rng.random() < 0.55:
                    draw.rectangle((x, y, x + 10, y + 14), fill=(252, 220, 130))
        left += width + 4
    _fill_gradient(draw, FLOOR, HEIGHT, (92, 90, 104), (118, 116, 128))
    for x in range(-20, WIDTH, 120):
        draw.rectangle((x, FLOOR + 22, x + 60, FLOOR + 30), fill=(216, 212, 200))


def _autumn_forest(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _fill_gradient(draw, 0, FLOOR, (248, 226, 178), (240, 204, 140))
    for left in range(-20, WIDTH, 84):
        x = left + _random_int(rng, -16, 16)
        fill = _shade((98, 70, 52), rng.uniform(0.8, 1.2))
        draw.polygon(((x, 0), (x + 26, 0), (x + 34, FLOOR), (x - 8, FLOOR)), fill=fill)
    leaves = ((214, 104, 40), (232, 156, 48), (190, 66, 40), (170, 118, 44))
    for _ in range(150):
        x, y, radius = _random_int(rng, 0, WIDTH), _random_int(rng, -20, 150), _random_int(rng, 16, 34)
        _draw_disc(draw, x, y, radius, leaves[_random_int(rng, 0, len(leaves))])
    _fill_gradient(draw, FLOOR, HEIGHT, (156, 108, 58), (134, 90, 48))
    for _ in range(130):
        x, y = _random_int(rng, 0, WIDTH), _random_int(rng, FLOOR, HEIGHT)
        draw.ellipse((x - 11, y - 5, x + 11, y + 5), fill=leaves[_random_int(rng, 0, len(leaves))])


def _random_int(rng: np.random.Generator, low: int, high: int) -> int:
    return int(rng.integers(low, high))


def _fill_gradient(draw: ImageDraw.ImageDraw, top: int, bottom: int, first: Colour, last: Colour) -> None:
    """Fill the rows from `top` to `bottom` with colours from `first` to `last`."""
    for y, share in zip(range(top, bottom), np.linspace(0, 1, bottom - top), strict=True):
        fill = tuple(round(a + (b - a) * share) for a, b in zip(first, last, strict=True))
        draw.line((0, y, WIDTH, y), fill=fill)


def _draw_clouds(draw: ImageDraw.ImageDraw, rng: np.random.Generator, fill: Colour) -> None:
    """Draw three clouds in the upper part."""
    for _ in range(3):
        x, y = _random_int(rng, 0, WIDTH), _random_int(rng, 30, 130)
        for dx, dy, radius in ((-46, 8, 24), (-14, -6, 34), (24, 0, 28), (54, 10, 20)):
            _draw_disc(draw, x + dx, y + dy, radius, fill)


def _draw_disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: Colour) -> None:
    """Draw a filled circle."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _shade(colour: Colour, factor: float) -> Colour:
    """Make a colour darker (below 1) or lighter (above 1)."""
    return tuple(min(255, round(channel * factor)) for channel in colour)


BACKDROPS = {
    "wooden table": _wooden_table,
    "brick wall": _brick_wall,
    "photo studio": _photo_studio,
    "tiled floor": _tiled_floor,
    "bookshelf": _bookshelf,
    "meadow": _meadow,
    "night sky": _night_sky,
    "sandy beach": _sandy_beach,
    "snowy mountains": _snowy_mountains,
    "city skyline": _city_skyline,
    "autumn forest": _autumn_forest,
}


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


SHADOW_BLUR, BORDER = 5, 6  # pixels
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
    box = _box_around(ink_map)
    left, top, right, bottom = (OVERSAMPLING * edge for edge in box)
    shape = ink_map.crop((left, top, right, bottom))  # most of the map is empty
    alpha = shape.point(lambda ink: 255 if ink else 0).reduce(OVERSAMPLING)
    shape.putpalette(mix_palette(product.colour, rng))
    image.paste(_shade_borders(shape.convert("RGB").reduce(OVERSAMPLING), alpha, box), box, mask=alpha)
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
    processes = min(len(tasks), count_cores(), MAX_PROCESSES)
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
        _apply_pattern(ink_map, product, placement)
    if not product.companion:
        return ink_map, [placement]
    beside = IMAGE_SIDE / 2 + product.side * (IMAGE_SIDE / 2 - COMPANION_HALF_SIZE - rng.uniform(4, 12))
    companion = Placement(beside, GROUND - 26, COMPANION_HALF_SIZE)
    COMPANIONS[product.companion](companion.pen(ink_map))
    return ink_map, [placement, companion]


def _box_around(ink_map: Image.Image) -> Box:
    """Return the box around what was drawn, in pixels of the image."""
    left, top, right, bottom = ink_map.getbbox() or (0, 0, 1, 1)
    return left // OVERSAMPLING, top // OVERSAMPLING, -(-right // OVERSAMPLING), -(-bottom // OVERSAMPLING)


def _apply_pattern(ink_map: Image.Image, product: Product, placement: Placement) -> None:
    """Turn part of the body's ink into the accent, in the object's own coordinates."""
    box = left, top, right, bottom = ink_map.getbbox() or (0, 0, 0, 0)
    x, y, half = (OVERSAMPLING * pixels for pixels in placement)
    across = (np.arange(left, right, dtype=np.float32) - x)[None, :] / half
    down = (np.arange(top, bottom, dtype=np.float32) - y)[:, None] / half
    cos, sin = math.cos(math.radians(product.angle)), math.sin(math.radians(product.angle))
    accented = PATTERNS[product.pattern](across * cos + down * sin, down * cos - across * sin)
    inks = np.array(ink_map.crop(box))
    inks[accented & (inks == INKS.index("body"))] = INKS.index("accent")
    ink_map.paste(Image.fromarray(inks), box)


def _cast_shadow(image: Image.Image, placements: list[Placement]) -> None:
    shadow = Image.new("L", image.size)
    draw = ImageDraw.Draw(shadow)
    for x, y, half in placements:
        foot = y + half
        draw.ellipse((x - half * 0.95, foot - half * 0.13, x + half * 1.1, foot + half * 0.13), fill=130)
    box = _grow(shadow.getbbox() or (0, 0, 1, 1), 2 * SHADOW_BLUR + 1)
    soft = shadow.crop(box).filter(ImageFilter.BoxBlur(SHADOW_BLUR)).filter(ImageFilter.BoxBlur(SHADOW_BLUR))
    image.paste((16, 14, 24), box, mask=soft)


def _grow(box: Box, margin: int) -> Box:
    """Return the box with a margin around it, as far as the image goes."""
    left, top, right, bottom = box
    most = min(right + margin, IMAGE_SIDE), min(bottom + margin, IMAGE_SIDE)
    return max(left - margin, 0), max(top - margin, 0), *most


def _shade_borders(colours: Image.Image, alpha: Image.Image, box: Box) -> Image.Image:
    """Make the shapes look round: darker towards their lower right border, lighter towards the upper left one.

    `box`: where in the image the colours and the alpha lie.
    """
    whole = Image.new("L", (IMAGE_SIDE, IMAGE_SIDE))
    whole.paste(alpha, box)
    around = _grow(box, 2 * BORDER + 1)
    whole.paste(whole.crop(around).filter(ImageFilter.BoxBlur(BORDER)), around)
    solid = np.asarray(whole, dtype=np.float32) / 255
    away, towards = np.roll(solid, (-BORDER, -BORDER), (0, 1)), np.roll(solid, (BORDER, BORDER), (0, 1))
    left, top, right, bottom = box
    light = (1.0 - 0.42 * (1 - away) + 0.2 * (1 - towards))[top:bottom, left:right]
    return _lit(colours, np.repeat(light, 3, axis=1))


def _apply_light(image: Image.Image, product: Product, rng: np.random.Generator) -> Image.Image:
    colour = np.array(LIGHTS[product.light]) * rng.uniform(0.95, 1.05)
    across = np.linspace(-1, 1, IMAGE_SIDE, dtype=np.float32)
    falloff = 1 - 0.1 * (across[:, None] ** 2 + across[None, :] ** 2)
    tint = np.tile(colour.astype(np.float32), IMAGE_SIDE)
    return _lit(image, np.repeat(falloff, 3, axis=1) * tint)


def _lit(image: Image.Image, light: np.ndarray) -> Image.Image:
    """Multiply an image by a light (H, 3 * W) that is never negative; by rows of three numbers it would take longer."""
    pixels = np.asarray(image)
    lit = pixels.reshape(light.shape) * light
    return Image.fromarray(np.minimum(lit, 255, out=lit).astype(np.uint8).reshape(pixels.shape))


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
