"""The places that products are shown in: a wall, sky or scene above, and a floor to stand on.

Each place is painted once per process in a few variants, larger than an image: every product shows another part of it.
"""

from functools import cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 640, 560  # pixels; a backdrop is painted at twice the size it has in an image
FLOOR = 380  # pixels from the top to where the floor begins
VARIANTS = 6  # of each place

Colour = tuple[int, ...]  # red, green and blue, 0 to 255


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
