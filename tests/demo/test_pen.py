import numpy as np
import pytest
from PIL import Image

from mmlab.demo.pen import INKS, Pen, box, curve, flipped, loop, mirrored, on_circle, oval, points


@pytest.fixture
def paper():
    return Image.new("L", (100, 100))


def test_a_square_is_filled_with_its_ink(paper):
    Pen(paper, 50, 50, 20).fill(box(-1, -1, 1, 1), "glass", edge=False)
    inks = np.asarray(paper)
    assert (inks[31:70, 31:70] == INKS.index("glass")).all()
    assert (inks[:29] == 0).all()
    assert (inks[72:] == 0).all()


def test_angles_turn_clockwise(paper):
    Pen(paper, 50, 50, 40, angle=90).fill(oval(1, 0, 0.1), edge=False)
    assert paper.getpixel((50, 90)) == INKS.index("body")


def test_an_edge_is_a_line_around(paper):
    Pen(paper, 50, 50, 40).fill(oval(0, 0, 0.8))
    assert set(np.unique(paper)) == {0, INKS.index("body"), INKS.index("line")}
    assert paper.getpixel((50, 50)) == INKS.index("body")


def test_a_tube_has_round_ends(paper):
    Pen(paper, 50, 50, 40).tube(points((-0.5, 0), (0.5, 0)), 0.5, "wood")
    assert paper.getpixel((50, 50)) == INKS.index("wood")
    assert paper.getpixel((77, 50)) == INKS.index("wood")
    assert paper.getpixel((84, 50)) == 0


def test_an_unknown_ink_is_refused(paper):
    with pytest.raises(ValueError, match="tuple"):
        Pen(paper, 50, 50, 20).fill(box(-1, -1, 1, 1), "gold")


def test_curves_go_through_their_points():
    through = [(0.0, 0.0), (0.5, 1.0), (1.0, 0.0)]
    for line in (curve(*through), loop(*through)):
        for point in through:
            assert np.isclose(line, point).all(axis=1).any()


def test_a_point_of_a_circle_is_found_by_its_angle_clockwise_from_the_right():
    assert on_circle(1, 2, 0.5, 0) == pytest.approx((1.5, 2))
    assert on_circle(1, 2, 0.5, 90) == pytest.approx((1, 2.5))


def test_mirrored_halves_are_symmetric():
    shape = mirrored(points((0.2, -1), (0.5, 0), (0.1, 1)))
    assert sorted(map(tuple, shape)) == sorted(map(tuple, flipped(shape)))
