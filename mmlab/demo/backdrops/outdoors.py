"""Backdrops under the sky."""

import numpy as np
from PIL import ImageDraw

from mmlab.demo.backdrops.paint import FLOOR, HEIGHT, WIDTH, clouds, disc, gradient, shaded


def _meadow(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    gradient(draw, 0, FLOOR, (132, 190, 236), (206, 230, 244))
    clouds(draw, rng, (246, 250, 252))
    draw.ellipse((-200, FLOOR - 70, 420, FLOOR + 120), fill=(126, 184, 92))
    draw.ellipse((260, FLOOR - 50, 900, FLOOR + 140), fill=(112, 172, 82))
    gradient(draw, FLOOR - 10, HEIGHT, (120, 180, 84), (84, 146, 62))
    for _ in range(260):
        x, y = rng.integers(0, WIDTH), rng.integers(FLOOR, HEIGHT)
        draw.line(
            (x, y, x + rng.integers(-5, 6), y - 16),
            fill=shaded((92, 160, 66), rng.uniform(0.8, 1.2)),
            width=3,
        )
    for _ in range(24):
        x, y = rng.integers(0, WIDTH), rng.integers(FLOOR + 6, HEIGHT)
        disc(draw, x, y, 6, ((250, 250, 246), (250, 222, 90), (244, 160, 190))[rng.integers(3)])


def _night_sky(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    gradient(draw, 0, FLOOR, (14, 18, 54), (48, 52, 108))
    for _ in range(110):
        disc(draw, rng.integers(0, WIDTH), rng.integers(0, FLOOR), rng.choice((2, 2, 3, 5)), (244, 240, 214))
    x = int(rng.integers(80, WIDTH - 80))
    disc(draw, x, 76, 46, (248, 240, 206))
    disc(draw, x + 22, 64, 40, (22, 26, 64))
    draw.ellipse((-260, FLOOR - 60, 480, FLOOR + 160), fill=(22, 30, 48))
    gradient(draw, FLOOR, HEIGHT, (28, 38, 58), (38, 50, 70))


def _sandy_beach(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    gradient(draw, 0, 250, (120, 200, 232), (214, 238, 240))
    clouds(draw, rng, (248, 252, 252))
    gradient(draw, 250, FLOOR, (38, 130, 168), (96, 190, 200))
    for y in range(270, FLOOR, 26):
        x = int(rng.integers(-100, 200))
        for left in range(x, WIDTH, 190):
            draw.line((left, y, left + 90, y), fill=(196, 232, 234), width=4)
    draw.rectangle((0, FLOOR + 20, WIDTH, HEIGHT), fill=(236, 212, 160))
    draw.ellipse((-300, FLOOR - 24, WIDTH + 300, HEIGHT + 300), fill=(238, 244, 238))
    draw.ellipse((-300, FLOOR - 10, WIDTH + 300, HEIGHT + 300), fill=(236, 212, 160))
    for _ in range(120):
        disc(draw, rng.integers(0, WIDTH), rng.integers(FLOOR + 14, HEIGHT), 2, (208, 180, 126))


def _snowy_mountains(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    gradient(draw, 0, FLOOR, (150, 176, 206), (222, 232, 240))
    for centre in (60, 250, 430, 600):
        x, top = centre + rng.integers(-40, 40), int(rng.integers(60, 150))
        draw.polygon(
            ((x - 240, FLOOR), (x, top), (x + 240, FLOOR)),
            fill=shaded((112, 126, 148), rng.uniform(0.85, 1.1)),
        )
        cap = [
            (x, top),
            (x + 68, top + 96),
            (x + 30, top + 76),
            (x, top + 104),
            (x - 30, top + 78),
            (x - 68, top + 98),
        ]
        draw.polygon(cap, fill=(250, 252, 254))
    gradient(draw, FLOOR, HEIGHT, (240, 245, 250), (214, 224, 236))
    for _ in range(60):
        disc(draw, rng.integers(0, WIDTH), rng.integers(0, HEIGHT), 4, (255, 255, 255))


def _city_skyline(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    gradient(draw, 0, FLOOR, (98, 84, 142), (250, 176, 136))
    left = -int(rng.integers(0, 50))
    while left < WIDTH:
        width, top = int(rng.integers(60, 104)), int(rng.integers(60, 250))
        draw.rectangle((left, top, left + width, FLOOR), fill=shaded((66, 62, 96), rng.uniform(0.8, 1.15)))
        for x in range(left + 10, left + width - 12, 22):
            for y in range(top + 12, FLOOR - 20, 28):
                if rng.random() < 0.55:
                    draw.rectangle((x, y, x + 10, y + 14), fill=(252, 220, 130))
        left += width + 4
    gradient(draw, FLOOR, HEIGHT, (92, 90, 104), (118, 116, 128))
    for x in range(-20, WIDTH, 120):
        draw.rectangle((x, FLOOR + 22, x + 60, FLOOR + 30), fill=(216, 212, 200))


def _autumn_forest(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    gradient(draw, 0, FLOOR, (248, 226, 178), (240, 204, 140))
    for left in range(-20, WIDTH, 84):
        x = left + int(rng.integers(-16, 16))
        draw.polygon(
            ((x, 0), (x + 26, 0), (x + 34, FLOOR), (x - 8, FLOOR)),
            fill=shaded((98, 70, 52), rng.uniform(0.8, 1.2)),
        )
    leaves = ((214, 104, 40), (232, 156, 48), (190, 66, 40), (170, 118, 44))
    for _ in range(150):
        x, y, radius = rng.integers(0, WIDTH), rng.integers(-20, 150), int(rng.integers(16, 34))
        disc(draw, x, y, radius, leaves[rng.integers(len(leaves))])
    gradient(draw, FLOOR, HEIGHT, (156, 108, 58), (134, 90, 48))
    for _ in range(130):
        x, y = rng.integers(0, WIDTH), rng.integers(FLOOR, HEIGHT)
        draw.ellipse((x - 11, y - 5, x + 11, y + 5), fill=leaves[rng.integers(len(leaves))])


BACKDROPS = {
    "meadow": _meadow,
    "night sky": _night_sky,
    "sandy beach": _sandy_beach,
    "snowy mountains": _snowy_mountains,
    "city skyline": _city_skyline,
    "autumn forest": _autumn_forest,
}
