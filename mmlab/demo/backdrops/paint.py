"""The size of a backdrop, and the few things that all of them are painted with."""

import numpy as np
from PIL import ImageDraw

WIDTH, HEIGHT = 640, 560  # pixels; a backdrop is painted at twice the size it has in an image
FLOOR = 380  # where the floor begins


def gradient(draw: ImageDraw.ImageDraw, top: int, bottom: int, first: tuple, last: tuple) -> None:
    """Fills the rows from `top` to `bottom` with colours from `first` to `last`."""
    for y, share in zip(range(top, bottom), np.linspace(0, 1, bottom - top), strict=True):
        draw.line(
            (0, y, WIDTH, y), fill=tuple(round(a + (b - a) * share) for a, b in zip(first, last, strict=True))
        )


def clouds(draw: ImageDraw.ImageDraw, rng: np.random.Generator, fill: tuple) -> None:
    """Draws three clouds in the upper part."""
    for _ in range(3):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(30, 130))
        for dx, dy, radius in ((-46, 8, 24), (-14, -6, 34), (24, 0, 28), (54, 10, 20)):
            disc(draw, x + dx, y + dy, radius, fill)


def disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: tuple) -> None:
    """Draws a filled circle."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def shaded(colour: tuple[int, int, int], factor: float) -> tuple[int, ...]:
    """Makes a colour darker (below 1) or lighter (above 1)."""
    return tuple(min(255, round(channel * factor)) for channel in colour)
