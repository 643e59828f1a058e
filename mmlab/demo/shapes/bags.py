"""Drawings of things to carry."""

import numpy as np

from mmlab.demo.shapes.pen import Pen, box, curve, oval, points


def _backpack(pen: Pen) -> None:
    pen.tube(oval(0, -0.75, 0.2, 0.2, 180, 360), 0.09, "dark")
    for side in (-1, 1):
        pen.tube(curve((side * 0.6, -0.3), (side * 0.86, 0.1), (side * 0.66, 0.75)), 0.14, "shade")
    pen.fill(box(-0.68, -0.78, 0.68, 1.0, 0.36))
    pen.line(curve((-0.66, -0.2), (0, -0.05), (0.66, -0.2)), 0.05)
    pen.fill(box(-0.48, 0.3, 0.48, 0.88, 0.14), "shade")
    pen.line(points((-0.36, 0.46), (0.36, 0.46)), 0.05, "metal")


def _handbag(pen: Pen) -> None:
    pen.tube(oval(0, -0.2, 0.45, 0.7, 180, 360), 0.11, "shade")
    pen.fill(points((-0.68, -0.2), (0.68, -0.2), (0.95, 0.9), (0.85, 1.0), (-0.85, 1.0), (-0.95, 0.9)))
    pen.fill(
        np.concatenate([points((-0.68, -0.2), (0.68, -0.2)), curve((0.74, 0.1), (0, 0.35), (-0.74, 0.1))]),
        "shade",
    )
    pen.fill(box(-0.12, 0.18, 0.12, 0.42, 0.05), "metal")


def _suitcase(pen: Pen) -> None:
    pen.tube(points((-0.3, -0.5), (-0.3, -0.85), (0.3, -0.85), (0.3, -0.5)), 0.11, "dark")
    for x in (-0.55, 0.55):
        pen.fill(oval(x, 0.92, 0.12), "dark")
    pen.fill(box(-0.95, -0.52, 0.95, 0.88, 0.16))
    for x in (-0.55, 0.55):
        pen.fill(box(x - 0.09, -0.52, x + 0.09, 0.88), "wood")
        pen.fill(box(x - 0.07, -0.1, x + 0.07, 0.06), "metal")


def _umbrella(pen: Pen) -> None:
    pen.tube(points((0, -0.9), (0, 0.6)), 0.07, "metal")
    pen.tube(oval(0.17, 0.78, 0.17, 0.19, 0, 180), 0.1, "wood")
    pen.tube(points((0, 0.4), (0, 0.78)), 0.1, "wood")
    scallops = [oval(x, 0.08, 0.25, 0.13, 360, 180) for x in (0.75, 0.25, -0.25, -0.75)]
    pen.fill(np.concatenate([oval(0, 0.08, 1.0, 0.95, 180, 360), *scallops]))
    for x in (-0.5, 0.0, 0.5):
        pen.line(curve((0, -0.87), (x * 0.85, -0.4), (x, 0.08)), 0.035)
    pen.fill(oval(0, -0.92, 0.06, 0.08), "metal")


SHAPES = {"backpack": _backpack, "handbag": _handbag, "suitcase": _suitcase, "umbrella": _umbrella}
