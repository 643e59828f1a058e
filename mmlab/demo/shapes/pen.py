"""A pen that draws outlines in named inks, and the few lines and curves that shapes are made of.

It knows inks, not colours: an ink map says which ink lies where, `drawing.py` decides what the inks look like.
Coordinates are those of the object: x to the right and y down, the object within -1 to 1, standing on y = 1.
"""

import numpy as np
from PIL import Image, ImageDraw

# An ink's number on the map is its place here; 0 is bare paper. A pattern turns part of "body" into "accent".
INKS = (
    "bare", "body", "accent", "shade", "shine", "line", "dark", "metal", "wood", "paper", "glass",
    "red", "yellow", "green", "orange", "cork",
)  # fmt: skip

EDGE = 0.032  # width of an outline, as a share of the object's half size
SHARP = 0.3  # radians; a corner that turns by more is sharp


class Pen:
    """Draws one object onto an ink map, at one place, size and angle."""

    def __init__(self, ink_map: Image.Image, x: float, y: float, scale: float, angle: float = 0.0) -> None:
        """Places the object's origin at pixel (x, y); `scale` is pixels per unit, `angle` degrees clockwise."""
        self._draw = ImageDraw.Draw(ink_map)
        self._origin = np.array([x, y])
        self._scale = scale
        turn = np.radians(angle)
        self._turn = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])

    def fill(self, points: np.ndarray, ink: str = "body", edge: bool = True) -> None:
        """Fills a closed outline of (n, 2) points and, if `edge`, lines its border."""
        self._draw.polygon(self._placed(points), fill=INKS.index(ink))
        if edge:
            self.line(np.concatenate([points, points[:2]]), EDGE)

    def line(self, points: np.ndarray, width: float, ink: str = "line") -> None:
        """Draws an open line of the given width, its corners rounded."""
        pixels = max(2, round(width * self._scale))
        placed = self._placed(points)
        self._draw.line(placed, fill=INKS.index(ink), width=pixels)
        # Pieces of a line gape where it turns: a thin line at sharp corners only, a wide one everywhere.
        for k in _corners(points, SHARP if width <= 1.5 * EDGE else 0.0):
            x, y = placed[k]
            reach = pixels / 2
            self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=INKS.index(ink))

    def tube(self, points: np.ndarray, width: float, ink: str = "body") -> None:
        """Draws a thick line with round ends and a lined border: a handle, a leg, a pole."""
        for extra, colour in ((EDGE, "line"), (-EDGE, ink)):
            self.line(points, width + extra, colour)
            for end in (points[0], points[-1]):
                self.fill(oval(*end, (width + extra) / 2), colour, edge=False)

    def _placed(self, points: np.ndarray) -> list[tuple[float, float]]:
        placed = np.asarray(points) @ self._turn * self._scale + self._origin
        return [tuple(point) for point in placed.tolist()]


def points(*pairs: tuple[float, float]) -> np.ndarray:
    """Returns straight-lined points (n, 2)."""
    return np.array(pairs, dtype=float)


def oval(
    x: float, y: float, rx: float, ry: float | None = None, start: float = 0, stop: float = 360
) -> np.ndarray:
    """Returns points on an ellipse from `start` to `stop`, in degrees clockwise from the right."""
    turn = np.radians(np.linspace(start, stop, 40))
    return np.stack([x + rx * np.cos(turn), y + (rx if ry is None else ry) * np.sin(turn)], axis=1)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> np.ndarray:
    """Returns a rectangle with corners rounded by `radius`."""
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
    """Returns a smooth open line through the points (Catmull-Rom)."""
    knots = points(pairs[0], *pairs, pairs[-1])
    return np.concatenate([_segment(knots, k) for k in range(len(pairs) - 1)] + [knots[-1:]])


def loop(*pairs: tuple[float, float]) -> np.ndarray:
    """Returns a smooth closed line through the points (Catmull-Rom)."""
    knots = points(pairs[-1], *pairs, *pairs[:2])
    return np.concatenate([_segment(knots, k) for k in range(len(pairs))])


def mirrored(right: np.ndarray) -> np.ndarray:
    """Closes a right half, given from top to bottom, with its mirror image."""
    return np.concatenate([right, right[::-1] * (-1, 1)])


def flipped(shape: np.ndarray) -> np.ndarray:
    """Mirrors points left to right."""
    return shape * (-1, 1)


def _corners(points: np.ndarray, least: float) -> np.ndarray:
    """Numbers of the inner points where the line turns by more than `least` radians."""
    steps = np.diff(points, axis=0)
    before, after = steps[:-1], steps[1:]
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return np.flatnonzero(np.abs(np.arctan2(cross, (before * after).sum(axis=1))) > least) + 1


def _segment(knots: np.ndarray, k: int) -> np.ndarray:
    before, start, stop, after = knots[k : k + 4]
    t = np.linspace(0, 1, 8, endpoint=False)[:, None]
    return 0.5 * (
        2 * start
        + (stop - before) * t
        + (2 * before - 5 * start + 4 * stop - after) * t**2
        + (3 * start - before - 3 * stop + after) * t**3
    )
