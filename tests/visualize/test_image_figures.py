"""Images of explanations."""

import matplotlib as mpl
import pandas as pd
import pytest
from PIL import Image

from mmlab.visualize import figure
from mmlab.visualize.image_figures import occlusion_map, word_bars

mpl.use("Agg")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_every_cell_has_its_drop_written_on_it() -> None:
    halves = {"left": [0, 0.5], "top": [0, 0], "right": [0.5, 1], "bottom": [1, 1], "drop": [0.124, -0.001]}
    fig, (ax,) = figure()
    occlusion_map(ax, Image.new("RGB", (20, 10), "red"), pd.DataFrame(halves))
    assert texts(ax) == ["+12", "0"]
    fills = [patch.get_alpha() for patch in ax.patches if patch.get_alpha() is not None]
    assert fills == pytest.approx([0.75, 0.75 * 0.1 / 12.4])
    assert fig.axes[1].get_ylabel() == "drop in cosine x 100"
    with pytest.raises(ValueError, match="occlusion table: columns \\['drop'\\] are missing"):
        occlusion_map(ax, Image.new("RGB", (2, 2)), pd.DataFrame(halves).drop(columns="drop"))


def test_words_keep_their_order_and_only_those_that_matter_are_drawn() -> None:
    _, (ax,) = figure()
    word_bars(ax, pd.DataFrame({"word": ["a", "red", "shoe"], "drop": [0.0, 0.3, -0.1]}), max_words=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["red", "shoe"]
    assert texts(ax) == ["+0.300", "-0.100"]
