"""The places a product is shown in: a wall, sky or scene above, and a floor that it stands on.

A place is painted once per process in a few variants, larger than an image, so that each product sees its own cut.
"""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mmlab.demo.backdrops import indoors, outdoors
from mmlab.demo.backdrops.paint import HEIGHT, WIDTH

BACKDROPS = indoors.BACKDROPS | outdoors.BACKDROPS
VARIANTS = 6


@cache
def draw_backdrop(background: str, variant: int) -> Image.Image:
    """Draws a place, (WIDTH / 2, HEIGHT / 2) pixels RGB, in one of its variants."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    BACKDROPS[background](ImageDraw.Draw(image), np.random.default_rng(variant))
    return image.reduce(2).filter(ImageFilter.GaussianBlur(0.6))
