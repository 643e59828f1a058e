import pytest

from mmlab.visualize import figure
from mmlab.visualize.forest import forest


@pytest.fixture
def ax():
    _, (ax,) = figure()
    return forest(
        ax, ["a", "b", "c"], [0.1, -0.2, 0.0], [(0.05, 0.2), (-0.3, 0.1), (0.0, 0.0)], "difference", "t"
    )


def test_a_point_is_filled_where_its_interval_does_not_hold_zero(ax):
    filled, hollow = (points.get_offsets().tolist() for points in ax.collections[1:])
    assert filled == [[0.1, 0.0]]
    assert hollow == [[-0.2, 1.0], [0.0, 2.0]]


def test_values_are_written_with_their_sign_and_the_first_is_on_top(ax):
    assert [text.get_text() for text in ax.texts] == ["+0.100", "-0.200", "+0.000"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    assert ax.get_xlabel() == "difference"
