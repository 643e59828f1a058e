"""The shapes of products, drawn with the pen, and of the small companions that stand beside one.

Companions keep their own colours.
"""

import numpy as np

from mmlab.demo.pen import Pen, box, curve, flipped, loop, mirrored, on_circle, oval, points


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


def _chair(pen: Pen) -> None:
    for x, top in ((-0.52, 0.2), (0.52, 0.2), (-0.34, 0.3), (0.34, 0.3)):
        pen.tube(points((x, top), (x * 1.1, 0.96)), 0.1, "wood")
    for x in (-0.5, 0.5):
        pen.tube(points((x, -0.9), (x, 0.15)), 0.11, "wood")
    pen.fill(box(-0.5, -0.95, 0.5, -0.2, 0.1))
    pen.fill(points((-0.55, 0.05), (0.55, 0.05), (0.72, 0.34), (-0.72, 0.34)))
    pen.fill(box(-0.73, 0.34, 0.73, 0.44), "shade")


def _armchair(pen: Pen) -> None:
    for x in (-0.7, 0.7):
        pen.fill(box(x - 0.08, 0.8, x + 0.08, 1.0), "wood")
    pen.fill(box(-0.68, -0.85, 0.68, 0.6, 0.3))
    pen.fill(box(-0.66, 0.15, 0.66, 0.5, 0.1))
    pen.fill(box(-0.75, 0.48, 0.75, 0.86, 0.05), "shade")
    for x in (-0.78, 0.78):
        pen.fill(box(x - 0.22, -0.15, x + 0.22, 0.88, 0.2))


def _lamp(pen: Pen) -> None:
    pen.tube(points((0, 0.1), (0, 0.9)), 0.1, "metal")
    pen.fill(oval(0, 0.9, 0.45, 0.11), "dark")
    pen.fill(oval(0, 0.08, 0.16, 0.13), "yellow")
    pen.fill(points((-0.38, -0.98), (0.38, -0.98), (0.85, 0.1), (-0.85, 0.1)))
    pen.tube(points((0.5, 0.14), (0.5, 0.38)), 0.04, "metal")


def _alarm_clock(pen: Pen) -> None:
    for side in (-1, 1):
        pen.tube(points((side * 0.4, 0.7), (side * 0.58, 0.96)), 0.13, "dark")
        pen.fill(oval(side * 0.46, -0.68, 0.3, 0.24), "metal")
    pen.tube(points((0, -0.6), (0, -0.86)), 0.09, "dark")
    pen.fill(oval(0, 0.15, 0.82))
    pen.fill(oval(0, 0.15, 0.44), "paper")
    for turn in range(0, 360, 90):
        pen.fill(oval(*on_circle(0, 0.15, 0.35, turn), 0.045), "dark", edge=False)
    pen.line(points((-0.16, 0.02), (0, 0.15), (0.04, -0.13)), 0.07, "dark")


def _watering_can(pen: Pen) -> None:
    pen.tube(oval(-0.42, 0.3, 0.48, 0.52, 80, 290), 0.1, "shade")
    pen.fill(points((0.3, 0.45), (0.85, -0.45), (0.97, -0.36), (0.42, 0.85)))
    pen.fill(points((0.7, -0.5), (0.85, -0.72), (1.12, -0.3), (0.98, -0.14)), "shade")
    pen.fill(points((-0.5, -0.3), (0.4, -0.3), (0.5, 1.0), (-0.6, 1.0)))
    pen.fill(oval(-0.05, -0.3, 0.45, 0.12), "shade")


def _bucket(pen: Pen) -> None:
    pen.line(oval(0, -0.4, 0.72, 0.58, 180, 360), 0.08, "metal")
    pen.fill(mirrored(points((0.8, -0.4), (0.55, 0.95), (0.3, 1.0))))
    pen.fill(oval(0, -0.4, 0.8, 0.2), "shade")
    pen.fill(oval(0, -0.35, 0.66, 0.12), "dark", edge=False)


def _birdhouse(pen: Pen) -> None:
    pen.tube(points((0, 0.5), (0, 1.0)), 0.16, "wood")
    pen.fill(points((-0.58, -0.3), (0, -0.85), (0.58, -0.3), (0.58, 0.72), (-0.58, 0.72)))
    pen.fill(
        points((0, -1.0), (0.88, -0.2), (0.74, -0.04), (0, -0.72), (-0.74, -0.04), (-0.88, -0.2)), "wood"
    )
    pen.fill(oval(0, -0.08, 0.21), "dark")
    pen.tube(points((0, 0.28), (0, 0.36)), 0.09, "wood")
    pen.fill(box(-0.68, 0.66, 0.68, 0.78, 0.04), "wood")


def _tent(pen: Pen) -> None:
    for x in (-1.02, 1.02):
        pen.line(points((0, -0.7), (x * 1.04, 1.0)), 0.03)
    pen.fill(
        np.concatenate([points((0, -0.75)), curve((0.3, 0.1), (0.98, 1.0)), curve((-0.98, 1.0), (-0.3, 0.1))])
    )
    pen.fill(points((0, -0.35), (0.32, 1.0), (-0.32, 1.0)), "dark")
    pen.fill(points((0, -0.35), (-0.32, 1.0), (-0.55, 0.9)), "shade")
    pen.tube(points((0, -0.7), (0, -0.95)), 0.05, "wood")


def _t_shirt(pen: Pen) -> None:
    half = points((0.3, -0.9), (0.55, -0.82), (1.02, -0.3), (0.78, -0.05), (0.58, -0.25), (0.58, 1.0))
    pen.fill(mirrored(half))
    pen.fill(oval(0, -0.9, 0.3, 0.2, 0, 180), "shade")
    for side in (-1, 1):
        pen.line(points((side * 0.58, -0.25), (side * 0.52, -0.5)), 0.03)


def _dress(pen: Pen) -> None:
    half = [(0.2, -1.0), (0.32, -1.0), (0.44, -0.62), (0.28, -0.12), (0.9, 0.85), (0.45, 0.98), (0.0, 1.0)]
    pen.fill(mirrored(points((0.0, -0.72), *half)))
    pen.fill(points((-0.29, -0.18), (0.29, -0.18), (0.32, -0.03), (-0.32, -0.03)), "shade")


def _trousers(pen: Pen) -> None:
    pen.fill(mirrored(points((0.5, -0.95), (0.72, 1.0), (0.2, 1.0), (0.0, -0.25))))
    pen.fill(box(-0.53, -1.0, 0.53, -0.8, 0.04), "shade")
    pen.fill(oval(0, -0.9, 0.06), "metal")
    pen.line(points((0, -0.8), (0, -0.25)), 0.03)


def _sock(pen: Pen) -> None:
    pen.fill(loop((-0.45, -0.9), (0.2, -0.9), (0.22, 0.15), (0.8, 0.48), (0.88, 0.85), (0.5, 1.0),
        (-0.05, 0.95), (-0.5, 0.55)))  # fmt: skip
    pen.fill(box(-0.52, -1.0, 0.27, -0.7, 0.06), "shade")
    pen.fill(loop((0.66, 0.4), (0.86, 0.58), (0.9, 0.85), (0.62, 0.99), (0.55, 0.7)), "shade")
    pen.fill(loop((-0.5, 0.5), (-0.2, 0.55), (-0.05, 0.9), (-0.32, 0.84)), "shade")


def _mitten(pen: Pen) -> None:
    pen.fill(loop((0.4, 0.25), (0.62, -0.25), (0.88, -0.35), (0.95, -0.1), (0.75, 0.35), (0.4, 0.65)))
    pen.fill(loop((-0.55, 0.6), (-0.6, -0.4), (-0.3, -0.95), (0.2, -0.9), (0.45, -0.4), (0.45, 0.6)))
    pen.fill(box(-0.62, 0.55, 0.52, 1.0, 0.1), "shade")


def _cap(pen: Pen) -> None:
    dome = oval(-0.2, 0.45, 0.75, 1.05, 180, 360)
    pen.fill(np.concatenate([dome, curve((0.55, 0.45), (-0.2, 0.6), (-0.95, 0.45))]))
    pen.fill(loop((0.2, 0.42), (0.75, 0.35), (1.1, 0.62), (0.95, 0.75), (0.45, 0.62)), "shade")
    pen.line(curve((-0.2, -0.6), (0.08, -0.2), (0.15, 0.45)), 0.03)
    pen.line(curve((-0.2, -0.6), (-0.5, -0.2), (-0.56, 0.48)), 0.03)
    pen.fill(oval(-0.2, -0.62, 0.11, 0.07), "shade")


def _sneaker(pen: Pen) -> None:
    upper = curve((-0.95, 0.6), (-0.98, -0.1), (-0.9, -0.4), (-0.55, -0.3), (-0.3, -0.42),
        (0.3, 0.2), (0.9, 0.35), (1.0, 0.6))  # fmt: skip
    pen.fill(upper)
    pen.fill(box(-1.02, 0.55, 1.06, 0.85, 0.12), "paper")
    pen.fill(curve((0.6, 0.56), (0.62, 0.25), (0.92, 0.33), (1.02, 0.56)), "paper")
    for k in range(3):
        x, y = -0.22 + 0.2 * k, -0.26 + 0.19 * k
        pen.tube(points((x - 0.12, y + 0.16), (x + 0.06, y)), 0.08, "paper")


def _boot(pen: Pen) -> None:
    pen.fill(curve((-0.55, 0.85), (-0.5, 0.0), (-0.58, -0.95), (0.2, -0.95), (0.18, 0.05),
        (0.6, 0.3), (0.85, 0.5), (0.9, 0.85)))  # fmt: skip
    pen.fill(box(-0.6, 0.78, 0.95, 0.92, 0.05), "dark")
    pen.fill(box(-0.6, 0.85, -0.15, 1.02, 0.04), "dark")
    pen.fill(box(-0.64, -1.0, 0.26, -0.75, 0.08), "shade")


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


def _guitar(pen: Pen) -> None:
    pen.fill(box(-0.09, -0.85, 0.09, 0.1), "wood")
    pen.fill(points((-0.12, -0.78), (0.12, -0.78), (0.18, -1.08), (-0.18, -1.08)), "dark")
    half = curve((0.0, -0.4), (0.46, -0.42), (0.6, -0.1), (0.48, 0.16), (0.82, 0.5), (0.64, 0.93), (0.0, 1.0))
    pen.fill(mirrored(half))
    pen.fill(oval(0, 0.1, 0.19), "dark")
    pen.fill(box(-0.26, 0.62, 0.26, 0.73), "dark")
    for x in (-0.04, 0.04):
        pen.line(points((x, -0.78), (x, 0.68)), 0.02, "metal")


def _drum(pen: Pen) -> None:
    pen.fill(np.concatenate([oval(0, 0.75, 0.85, 0.25, 0, 180), points((-0.85, -0.25), (0.85, -0.25))]))
    pen.tube(oval(0, 0.75, 0.85, 0.25, 0, 180), 0.09, "metal")
    pen.fill(oval(0, -0.25, 0.87, 0.27), "metal")
    pen.fill(oval(0, -0.27, 0.76, 0.21), "paper")
    for side in (-1, 1):
        pen.tube(points((side * 0.8, -0.88), (side * 0.12, -0.3)), 0.08, "wood")


def _camera(pen: Pen) -> None:
    pen.fill(points((-0.32, -0.42), (-0.22, -0.68), (0.22, -0.68), (0.32, -0.42)), "shade")
    pen.fill(box(-0.8, -0.58, -0.5, -0.4, 0.04), "metal")
    pen.fill(box(-1.0, -0.45, 1.0, 0.85, 0.14))
    pen.fill(oval(0, 0.2, 0.5), "metal")
    pen.fill(oval(0, 0.2, 0.38), "dark")
    pen.fill(oval(0, 0.2, 0.2), "glass")
    pen.fill(box(0.6, -0.32, 0.86, -0.14, 0.03), "paper")


def _kite(pen: Pen) -> None:
    pen.line(curve((0, 0.45), (0.25, 0.65), (-0.1, 0.8), (0.2, 1.0)), 0.045, "dark")
    for x, y in ((0.18, 0.62), (-0.02, 0.82)):
        pen.fill(
            points((x - 0.15, y - 0.09), (x + 0.15, y + 0.09), (x + 0.15, y - 0.09), (x - 0.15, y + 0.09)),
            "shade",
        )
    pen.fill(points((0, -1.0), (0.75, -0.35), (0, 0.5), (-0.75, -0.35)))
    pen.line(points((0, -1.0), (0, 0.5)), 0.045, "wood")
    pen.line(points((-0.75, -0.35), (0.75, -0.35)), 0.045, "wood")


def _car(pen: Pen) -> None:
    pen.fill(curve((-0.62, 0.1), (-0.45, -0.42), (0.25, -0.45), (0.62, 0.1)))
    pen.fill(points((-0.48, 0.06), (-0.36, -0.3), (-0.06, -0.32), (-0.06, 0.06)), "glass")
    pen.fill(points((0.04, 0.06), (0.04, -0.32), (0.2, -0.32), (0.45, 0.06)), "glass")
    pen.fill(loop((-1.0, 0.1), (-0.6, 0.0), (0.55, 0.0), (0.98, 0.2), (1.06, 0.6), (0.9, 0.72),
        (-0.95, 0.72), (-1.06, 0.5)))  # fmt: skip
    pen.fill(oval(0.98, 0.34, 0.08, 0.1), "yellow")
    for x in (-0.55, 0.55):
        pen.fill(oval(x, 0.7, 0.29), "dark")
        pen.fill(oval(x, 0.7, 0.13), "metal")


def _sailboat(pen: Pen) -> None:
    pen.tube(points((0, -1.0), (0, 0.6)), 0.06, "wood")
    pen.fill(curve((0.06, -0.95), (0.55, -0.3), (0.9, 0.45), (0.06, 0.45)))
    pen.fill(curve((-0.07, -0.7), (-0.35, -0.15), (-0.72, 0.45), (-0.07, 0.45)))
    pen.fill(points((-1.0, 0.55), (1.04, 0.55), (0.72, 1.0), (-0.7, 1.0)), "wood")
    pen.line(points((-0.92, 0.68), (0.94, 0.68)), 0.06, "paper")


def _rocket(pen: Pen) -> None:
    pen.fill(loop((-0.2, 0.65), (0.2, 0.65), (0.16, 0.85), (0, 1.08), (-0.16, 0.85)), "orange")
    fin = points((0.3, 0.2), (0.72, 0.62), (0.66, 0.85), (0.28, 0.66))
    pen.fill(fin, "shade")
    pen.fill(flipped(fin), "shade")
    pen.fill(mirrored(curve((0.0, -1.05), (0.3, -0.6), (0.42, 0.0), (0.28, 0.72), (0.0, 0.72))))
    pen.fill(mirrored(curve((0.0, -1.05), (0.3, -0.6), (0.0, -0.58))), "shade")
    pen.fill(oval(0, -0.25, 0.18), "glass")


def _balloon(pen: Pen) -> None:
    for x in (-0.2, 0.2):
        pen.line(points((x * 1.6, 0.4), (x, 0.75)), 0.035)
    pen.fill(mirrored(curve((0.0, -1.02), (0.6, -0.8), (0.8, -0.3), (0.6, 0.15), (0.26, 0.48))))
    for x in (-0.42, 0.42):
        pen.line(curve((0, -1.02), (x, -0.3), (x * 0.3, 0.48)), 0.03)
    pen.fill(box(-0.26, 0.42, 0.26, 0.52), "shade")
    pen.fill(box(-0.24, 0.7, 0.24, 1.0, 0.05), "cork")


def _teddy_bear(pen: Pen) -> None:
    for side in (-1, 1):
        pen.fill(oval(side * 0.42, -0.82, 0.2))
        pen.fill(oval(side * 0.42, -0.82, 0.1), "shade", edge=False)
        pen.fill(oval(side * 0.62, 0.18, 0.22, 0.3))
    pen.fill(oval(0, 0.35, 0.56, 0.58))
    for side in (-1, 1):
        pen.fill(oval(side * 0.48, 0.78, 0.3, 0.24))
        pen.fill(oval(side * 0.5, 0.8, 0.15, 0.12), "shade", edge=False)
    pen.fill(oval(0, -0.45, 0.56, 0.48))
    pen.fill(oval(0, -0.28, 0.24, 0.19), "paper")
    for x, y, radius in ((-0.22, -0.55, 0.07), (0.22, -0.55, 0.07), (0, -0.35, 0.08)):
        pen.fill(oval(x, y, radius), "dark", edge=False)


def _rubber_duck(pen: Pen) -> None:
    pen.fill(loop((-1.0, 0.05), (-0.6, 0.3), (0.2, 0.15), (0.85, 0.3), (0.8, 0.8), (0.3, 1.0),
        (-0.5, 0.98), (-0.95, 0.6)))  # fmt: skip
    pen.fill(points((0.72, -0.5), (1.08, -0.38), (1.05, -0.22), (0.72, -0.2)), "orange")
    pen.fill(oval(0.35, -0.35, 0.5, 0.52))
    pen.fill(oval(0.52, -0.5, 0.09, 0.11), "paper")
    pen.fill(oval(0.55, -0.49, 0.05, 0.07), "dark", edge=False)
    pen.fill(loop((-0.6, 0.45), (0.2, 0.4), (0.25, 0.65), (-0.2, 0.8)), "shade")


def _apple(pen: Pen) -> None:
    pen.fill(loop((0, -0.5), (0.5, -0.68), (0.9, -0.1), (0.55, 0.85), (0, 0.9), (-0.55, 0.85),
        (-0.9, -0.1), (-0.5, -0.68)), "red")  # fmt: skip
    pen.line(curve((0, -0.5), (0.05, -0.75), (0.15, -0.95)), 0.12, "wood")
    pen.fill(loop((0.12, -0.75), (0.5, -1.0), (0.65, -0.8), (0.35, -0.62)), "green")


def _banana(pen: Pen) -> None:
    pen.fill(loop((-0.85, -0.75), (-0.68, -0.8), (-0.4, 0.05), (0.3, 0.4), (0.95, 0.3), (1.0, 0.55),
        (0.3, 0.98), (-0.5, 0.75), (-0.9, 0.0)), "yellow")  # fmt: skip
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
        x, y = on_circle(0, 0.2, 0.66, turn)
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
        pen.fill(oval(*on_circle(0, -0.4, 0.45, turn), 0.2), "yellow")
    pen.fill(oval(0, -0.4, 0.34), "wood")


SHAPES = {
    "mug": _mug,
    "teapot": _teapot,
    "bottle": _bottle,
    "cooking pot": _cooking_pot,
    "vase": _vase,
    "chair": _chair,
    "armchair": _armchair,
    "lamp": _lamp,
    "alarm clock": _alarm_clock,
    "watering can": _watering_can,
    "bucket": _bucket,
    "birdhouse": _birdhouse,
    "tent": _tent,
    "t-shirt": _t_shirt,
    "dress": _dress,
    "trousers": _trousers,
    "sock": _sock,
    "mitten": _mitten,
    "cap": _cap,
    "sneaker": _sneaker,
    "boot": _boot,
    "backpack": _backpack,
    "handbag": _handbag,
    "suitcase": _suitcase,
    "umbrella": _umbrella,
    "guitar": _guitar,
    "drum": _drum,
    "camera": _camera,
    "kite": _kite,
    "car": _car,
    "sailboat": _sailboat,
    "rocket": _rocket,
    "hot-air balloon": _balloon,
    "teddy bear": _teddy_bear,
    "rubber duck": _rubber_duck,
}
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
