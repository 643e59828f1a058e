"""What the demo catalogue can draw: a function for each category and for each companion."""

from mmlab.demo.shapes import bags, clothing, home, kitchen, leisure
from mmlab.demo.shapes.companions import COMPANIONS
from mmlab.demo.shapes.pen import INKS, Pen

SHAPES = {**kitchen.SHAPES, **clothing.SHAPES, **bags.SHAPES, **home.SHAPES, **leisure.SHAPES}

__all__ = ["COMPANIONS", "INKS", "SHAPES", "Pen"]
