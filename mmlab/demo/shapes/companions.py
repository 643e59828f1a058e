"""Drawings of the small things that stand beside a product. They keep their own colours."""

from mmlab.demo.shapes.pen import Pen, box, curve, loop, oval, points


def _apple(pen: Pen) -> None:
    pen.fill(
        loop(
            (0, -0.5),
            (0.5, -0.68),
            (0.9, -0.1),
            (0.55, 0.85),
            (0, 0.9),
            (-0.55, 0.85),
            (-0.9, -0.1),
            (-0.5, -0.68),
        ),
        "red",
    )
    pen.line(curve((0, -0.5), (0.05, -0.75), (0.15, -0.95)), 0.12, "wood")
    pen.fill(loop((0.12, -0.75), (0.5, -1.0), (0.65, -0.8), (0.35, -0.62)), "green")


def _banana(pen: Pen) -> None:
    pen.fill(
        loop(
            (-0.85, -0.75),
            (-0.68, -0.8),
            (-0.4, 0.05),
            (0.3, 0.4),
            (0.95, 0.3),
            (1.0, 0.55),
            (0.3, 0.98),
            (-0.5, 0.75),
            (-0.9, 0.0),
        ),
        "yellow",
    )
    pen.tube(points((-0.78, -0.78), (-0.75, -0.95)), 0.18, "dark")


def _book(pen: Pen) -> None:
    pen.fill(points((-0.95, 0.45), (-0.75, 0.2), (0.95, 0.2), (0.95, 0.7), (-0.9, 0.98)), "paper")
    pen.fill(points((-0.95, 0.4), (-0.35, -0.3), (1.0, -0.3), (0.75, 0.4)), "glass")
    pen.fill(points((-0.95, 0.4), (0.75, 0.4), (0.75, 0.52), (-0.95, 0.52)), "glass")
    pen.fill(points((-0.95, 0.88), (0.75, 0.88), (0.75, 1.0), (-0.95, 1.0)), "glass")
    pen.fill(points((0.75, 0.4), (1.0, -0.3), (1.0, 0.3), (0.75, 1.0)), "paper")


def _candle(pen: Pen) -> None:
    pen.fill(box(-0.65, 0.8, 0.65, 1.0, 0.08), "metal")
    pen.fill(box(-0.32, -0.25, 0.32, 0.82, 0.06), "paper")
    pen.line(points((0, -0.25), (0, -0.45)), 0.1, "dark")
    pen.fill(loop((0, -1.05), (0.24, -0.6), (0, -0.35), (-0.24, -0.6)), "orange")
    pen.fill(loop((0, -0.75), (0.1, -0.55), (0, -0.42), (-0.1, -0.55)), "yellow", edge=False)


def _cactus(pen: Pen) -> None:
    pen.tube(points((0.2, -0.15), (0.62, -0.15), (0.62, -0.5)), 0.26, "green")
    pen.tube(points((-0.2, 0.05), (-0.62, 0.05), (-0.62, -0.3)), 0.26, "green")
    pen.fill(box(-0.28, -1.0, 0.28, 0.5, 0.28), "green")
    pen.fill(points((-0.55, 0.35), (0.55, 0.35), (0.4, 1.0), (-0.4, 1.0)), "cork")


def _football(pen: Pen) -> None:
    pen.fill(oval(0, 0.2, 0.8), "paper")
    pen.fill(oval(0, 0.2, 0.28, None, -90, 270)[::8], "dark")
    for turn in range(-90, 270, 72):
        x, y = oval(0, 0.2, 0.66, None, turn, turn)[0]
        pen.line(points((x * 0.4, 0.2 + (y - 0.2) * 0.4), (x, y)), 0.06, "dark")
        pen.fill(oval(x, y, 0.16), "dark", edge=False)


def _gift_box(pen: Pen) -> None:
    for side in (-1, 1):
        pen.fill(loop((0, -0.42), (side * 0.2, -0.85), (side * 0.6, -0.85), (side * 0.45, -0.45)), "red")
    pen.fill(box(-0.75, -0.1, 0.75, 1.0), "paper")
    pen.fill(box(-0.85, -0.42, 0.85, -0.08), "paper")
    pen.fill(box(-0.16, -0.42, 0.16, 1.0), "red")


def _sunflower(pen: Pen) -> None:
    pen.tube(points((0, 0.0), (0, 0.96)), 0.14, "green")
    pen.fill(loop((0, 0.75), (0.4, 0.4), (0.65, 0.4), (0.4, 0.75)), "green")
    for turn in range(0, 360, 36):
        pen.fill(oval(*oval(0, -0.4, 0.45, None, turn, turn)[0], 0.2), "yellow")
    pen.fill(oval(0, -0.4, 0.34), "wood")


COMPANIONS = {
    "apple": _apple,
    "banana": _banana,
    "book": _book,
    "candle": _candle,
    "cactus": _cactus,
    "football": _football,
    "gift box": _gift_box,
    "sunflower": _sunflower,
}
