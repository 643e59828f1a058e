"""A pen that draws outlines in named inks, and the lines and curves that shapes are made of.

The pen knows inks, not colours: an ink map says which ink lies where, and `mix_palette` what the inks look like.
Coordinates are those of the object: x points right, y points down, the object lies within -1 to 1 and stands on y = 1.
"""

import numpy as np
from PIL import Image, ImageDraw

Rgb = tuple[int, int, int]

# The number of an ink on the map is its position here; 0 is no ink. A pattern turns part of "body" into "accent".
INKS = (
    "bare", "body", "accent", "shade", "shine", "line", "dark", "metal", "wood", "paper", "glass",
    "red", "yellow", "green", "orange", "cork",
)  # fmt: skip

COLOURS: dict[str, Rgb] = {
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
# The second colour of a pattern: light on most products, dark where light would not show.
DARK_ACCENTS: dict[str, Rgb] = {"yellow": (96, 84, 72), "white": (112, 122, 142)}
LIGHT_ACCENT = (250, 246, 236)
DARK_LINE = np.array((37, 32, 35))
LIGHT_LINE = np.array((92, 92, 102))  # around black products
FIXED_INKS: dict[str, Rgb] = {
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

EDGE_WIDTH = 0.032  # of an outline, as a share of the object's half size
SHARP_ANGLE = 0.3  # radians; a corner that turns by more is sharp


class Pen:
    """Draws one object onto an ink map, at one place, size and angle."""

    def __init__(self, ink_map: Image.Image, x: float, y: float, scale: float, angle: float = 0.0) -> None:
        """Place the object's origin at pixel (x, y); `scale` is in pixels per unit, `angle` in degrees clockwise."""
        self._draw = ImageDraw.Draw(ink_map)
        self._origin = np.array([x, y])
        self._scale = scale
        turn = np.radians(angle)
        self._turn = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])

    def fill(self, points: np.ndarray, ink: str = "body", edge: bool = True) -> None:
        """Fill a closed outline of points (n, 2) and, if `edge`, draw its border."""
        self._draw.polygon(self._placed(points), fill=INKS.index(ink))
        if edge:
            self.line(np.concatenate([points, points[:2]]), EDGE_WIDTH)

    def line(self, points: np.ndarray, width: float, ink: str = "line") -> None:
        """Draw an open line of the given width with rounded corners."""
        pixels = max(2, round(width * self._scale))
        placed = self._placed(points)
        self._draw.line(placed, fill=INKS.index(ink), width=pixels)
        # Pillow leaves gaps where a line turns: in thin lines at sharp corners only, in wide lines at every corner.
        for k in _corners(points, SHARP_ANGLE if width <= 1.5 * EDGE_WIDTH else 0.0):
            x, y = placed[k]
            reach = pixels / 2
            self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=INKS.index(ink))

    def tube(self, points: np.ndarray, width: float, ink: str = "body") -> None:
        """Draw a thick line with round ends and a border: a handle, a leg, a pole."""
        for extra, drawn in ((EDGE_WIDTH, "line"), (-EDGE_WIDTH, ink)):
            self.line(points, width + extra, drawn)
            for end in (points[0], points[-1]):
                self.fill(oval(end[0], end[1], (width + extra) / 2), drawn, edge=False)

    def _placed(self, points: np.ndarray) -> list[tuple[float, float]]:
        placed = np.asarray(points) @ self._turn * self._scale + self._origin
        return [tuple(point) for point in placed.tolist()]


def mix_palette(colour: str, rng: np.random.Generator) -> list[int]:
    """Return red, green and blue (0 to 255) of all INKS, one after the other, for a product of a colour."""
    body = np.clip(np.array(COLOURS[colour]) * rng.uniform(0.95, 1.04, 3), 0, 255)
    line = LIGHT_LINE if colour == "black" else DARK_LINE + body * 0.12
    inks: dict[str, np.ndarray | Rgb] = {
        **FIXED_INKS,
        "bare": line,  # edge pixels mix with it
        "line": line,
        "body": body,
        "accent": DARK_ACCENTS.get(colour, LIGHT_ACCENT),
        "shade": body * 0.72,
        "shine": body * 0.4 + 255 * 0.6,
    }
    return [int(channel) for ink in INKS for channel in inks[ink]]


def points(*pairs: tuple[float, float]) -> np.ndarray:
    """Return the points of a line without curves, (n, 2)."""
    return np.array(pairs, dtype=float)


def oval(
    x: float, y: float, rx: float, ry: float | None = None, start: float = 0, stop: float = 360
) -> np.ndarray:
    """Return points on an ellipse from `start` to `stop`, in degrees clockwise from the right."""
    turn = np.radians(np.linspace(start, stop, 40))
    return np.stack([x + rx * np.cos(turn), y + (rx if ry is None else ry) * np.sin(turn)], axis=1)


def on_circle(x: float, y: float, radius: float, angle: float) -> tuple[float, float]:
    """Return the point of a circle at an angle in degrees, clockwise from the right."""
    point = oval(x, y, radius, start=angle, stop=angle)[0]
    return float(point[0]), float(point[1])


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> np.ndarray:
    """Return a rectangle with corners rounded by `radius`."""
    if not radius:
        return points((left, top), (right, top), (right, bottom), (left, bottom))
    corners = (
        (left + radius, top + radius, 180),
        (right - radius, top + radius, 270),
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
    )
    return np.concatenate([oval(x, y, radius, None, start, start + 90)[::6] for x, y, start in corners])


def curve(*pairs: tuple[float, float]) -> np.ndarray:
    """Return a smooth open line through the points (Catmull-Rom)."""
    knots = points(pairs[0], *pairs, pairs[-1])
    return np.concatenate([_segment(knots, k) for k in range(len(pairs) - 1)] + [knots[-1:]])


def loop(*pairs: tuple[float, float]) -> np.ndarray:
    """Return a smooth closed line through the points (Catmull-Rom)."""
    knots = points(pairs[-1], *pairs, *pairs[:2])
    return np.concatenate([_segment(knots, k) for k in range(len(pairs))])


def mirrored(right: np.ndarray) -> np.ndarray:
    """Close a right half, given from top to bottom, with its mirror image."""
    return np.concatenate([right, right[::-1] * (-1, 1)])


def flipped(shape: np.ndarray) -> np.ndarray:
    """Mirror points left to right."""
    return shape * (-1, 1)


def _corners(points: np.ndarray, min_angle: float) -> np.ndarray:
    """Return the numbers of the inner points where the line turns by more than `min_angle` radians."""
    steps = np.diff(points, axis=0)
    before, after = steps[:-1], steps[1:]
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return np.flatnonzero(np.abs(np.arctan2(cross, (before * after).sum(axis=1))) > min_angle) + 1


def _segment(knots: np.ndarray, k: int) -> np.ndarray:
    before, start, stop, after = knots[k : k + 4]
    t = np.linspace(0, 1, 8, endpoint=False)[:, None]
    return 0.5 * (
        2 * start
        + (stop - before) * t
        + (2 * before - 5 * start + 4 * stop - after) * t**2
        + (3 * start - before - 3 * stop + after) * t**3
    )
