"""Drawings of things from a kitchen."""

from mmlab.demo.shapes.pen import Pen, box, curve, loop, mirrored, oval, points


def _mug(pen: Pen) -> None:
    pen.tube(oval(0.5, 0.12, 0.4, 0.42, -85, 85), 0.17)
    pen.fill(box(-0.8, -0.72, 0.55, 1.0, 0.16))
    pen.fill(oval(-0.125, -0.72, 0.675, 0.16), "shade")
    pen.fill(oval(-0.125, -0.68, 0.52, 0.09), "wood", edge=False)


def _teapot(pen: Pen) -> None:
    pen.tube(oval(-0.62, 0.2, 0.38, 0.4, 95, 265), 0.14)
    pen.fill(loop((0.45, 0.1), (0.75, -0.1), (0.9, -0.42), (1.06, -0.4), (0.98, 0.1), (0.55, 0.65)))
    pen.fill(box(-0.42, 0.82, 0.42, 1.0, 0.07), "shade")
    pen.fill(oval(0, 0.25, 0.74, 0.66))
    pen.fill(oval(0, -0.34, 0.42, 0.16, 180, 360), "shade")
    pen.fill(oval(0, -0.6, 0.12), "shade")


def _bottle(pen: Pen) -> None:
    pen.fill(mirrored(curve((0.16, -0.75), (0.17, -0.45), (0.44, -0.1), (0.46, 0.3), (0.44, 1.0))))
    pen.fill(box(-0.2, -1.0, 0.2, -0.72, 0.05), "metal")
    pen.fill(box(-0.36, 0.0, -0.28, 0.8, 0.03), "shine", edge=False)


def _cooking_pot(pen: Pen) -> None:
    for side in (-1, 1):
        pen.tube(
            points((side * 0.75, 0.0), (side * 1.0, 0.0), (side * 1.0, 0.22), (side * 0.75, 0.22)),
            0.1,
            "dark",
        )
    pen.fill(box(-0.78, -0.25, 0.78, 1.0, 0.2))
    pen.fill(oval(0, -0.25, 0.84, 0.38, 180, 360), "shade")
    pen.fill(box(-0.86, -0.3, 0.86, -0.16, 0.05), "metal")
    pen.fill(oval(0, -0.7, 0.14, 0.1), "dark")


def _vase(pen: Pen) -> None:
    for x, y, tip in ((-0.1, -0.82, -0.32), (0.1, -0.82, 0.32), (0.0, -0.92, 0.02)):
        pen.tube(points((x, -0.5), (tip, y)), 0.05, "green")
        pen.fill(oval(tip, y, 0.14), "paper")
        pen.fill(oval(tip, y, 0.05), "yellow", edge=False)
    pen.fill(mirrored(curve((0.26, -0.55), (0.18, -0.3), (0.6, 0.15), (0.5, 0.65), (0.28, 1.0))))
    pen.fill(oval(0, -0.54, 0.28, 0.08), "shade")


SHAPES = {"mug": _mug, "teapot": _teapot, "bottle": _bottle, "cooking pot": _cooking_pot, "vase": _vase}
