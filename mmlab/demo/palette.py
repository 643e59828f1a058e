"""The colours of the inks that shapes are drawn in."""

import numpy as np

from mmlab.demo.shapes import INKS

COLOURS = {
    "red": (214, 40, 44),
    "orange": (245, 132, 32),
    "yellow": (250, 208, 44),
    "green": (56, 152, 72),
    "blue": (44, 98, 204),
    "purple": (128, 62, 172),
    "pink": (246, 138, 184),
    "brown": (122, 76, 46),
    "black": (50, 50, 56),
    "white": (244, 244, 240),
}
# The second colour of a pattern: light on most, dark where light would not show.
DARK_ACCENTS = {"yellow": (96, 84, 72), "white": (112, 122, 142)}
LIGHT_ACCENT = (250, 246, 236)
DARK_LINE, LIGHT_LINE = (
    np.array((37, 32, 35)),
    np.array((92, 92, 102)),
)  # light around black, which would swallow it
FIXED_INKS = {
    "dark": (58, 56, 62),
    "metal": (186, 192, 200),
    "wood": (176, 124, 78),
    "paper": (246, 242, 230),
    "glass": (158, 208, 232),
    "red": (208, 48, 48),
    "yellow": (250, 206, 60),
    "green": (74, 148, 72),
    "orange": (240, 138, 40),
    "cork": (190, 112, 70),
}


def mix_palette(colour: str, rng: np.random.Generator) -> list[int]:
    """Returns the red, green and blue (0 to 255) of all INKS, one after the other, for a product of a colour."""
    body = np.clip(np.array(COLOURS[colour]) * rng.uniform(0.95, 1.04, 3), 0, 255)
    line = LIGHT_LINE if colour == "black" else DARK_LINE + body * 0.12
    inks = {
        **FIXED_INKS,
        "bare": line,  # what an edge pixel mixes with
        "line": line,
        "body": body,
        "accent": DARK_ACCENTS.get(colour, LIGHT_ACCENT),
        "shade": body * 0.72,
        "shine": body * 0.4 + 255 * 0.6,
    }
    return [int(channel) for ink in INKS for channel in inks[ink]]
