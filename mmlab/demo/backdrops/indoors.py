"""Backdrops within walls."""

from itertools import pairwise

import numpy as np
from PIL import ImageDraw

from mmlab.demo.backdrops.paint import FLOOR, HEIGHT, WIDTH, gradient, shaded


def _wooden_table(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    gradient(draw, 0, FLOOR, (226, 214, 196), (204, 190, 170))
    gradient(draw, FLOOR, HEIGHT, (186, 140, 92), (164, 116, 70))
    for top in range(FLOOR, HEIGHT, 36):
        draw.line((0, top, WIDTH, top), fill=(120, 82, 48), width=4)
        for _ in range(5):
            x, y = rng.integers(0, WIDTH), top + rng.integers(8, 30)
            draw.line((x, y, x + rng.integers(60, 200), y), fill=(150, 104, 62), width=2)
        x = int(rng.integers(0, WIDTH))
        draw.line((x, top, x, top + 36), fill=(120, 82, 48), width=4)


def _brick_wall(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    draw.rectangle((0, 0, WIDTH, FLOOR), fill=(206, 196, 186))
    for row, top in enumerate(range(0, FLOOR, 38)):
        for left in range(-80 + 40 * (row % 2), WIDTH, 80):
            fill = shaded((172, 92, 74), rng.uniform(0.85, 1.12))
            draw.rectangle((left + 3, top + 3, left + 76, top + 34), fill=fill)
    gradient(draw, FLOOR, HEIGHT, (150, 148, 146), (178, 176, 174))


def _photo_studio(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    tint = rng.uniform(0.97, 1.0)
    gradient(draw, 0, FLOOR, shaded((206, 208, 212), tint), shaded((236, 237, 239), tint))
    gradient(draw, FLOOR, HEIGHT, shaded((238, 239, 241), tint), shaded((216, 218, 221), tint))


def _tiled_floor(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    gradient(draw, 0, FLOOR, (196, 214, 216), (180, 200, 204))
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
            width, tall = int(rng.integers(18, 36)), int(rng.integers(70, 100))
            fill = shaded(tones[rng.integers(len(tones))], rng.uniform(0.85, 1.05))
            draw.rectangle((left, shelf - tall, left + width - 3, shelf), fill=fill)
            draw.rectangle(
                (left + 4, shelf - tall + 14, left + width - 8, shelf - tall + 20), fill=(226, 212, 170)
            )
            left += width
        draw.rectangle((0, shelf, WIDTH, shelf + 16), fill=(136, 98, 64))
    gradient(draw, FLOOR, HEIGHT, (170, 130, 100), (150, 112, 84))


BACKDROPS = {
    "wooden table": _wooden_table,
    "brick wall": _brick_wall,
    "photo studio": _photo_studio,
    "tiled floor": _tiled_floor,
    "bookshelf": _bookshelf,
}
