"""Figures are written with their caption, and labels from outside stay text."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from mmlab.visualize import bars, figure, paired_bars
from mmlab.visualize.image_figures import word_bars
from mmlab.visualize.map_figures import plot_map
from mmlab.visualize.style import render_png


def grouped(**columns: list) -> pd.DataFrame:
    return pd.DataFrame(columns).assign(low=0.1, high=0.9)


def test_a_png_holds_the_sentence_that_reads_it() -> None:
    fig, (ax,) = figure()
    bars(ax, ["mug"], [1], "items")
    with Image.open(io.BytesIO(render_png(fig, "One mug."))) as image:
        assert image.text["Description"] == "One mug."
        assert image.width > 800


def test_a_dollar_sign_in_a_label_begins_no_formula(tmp_path: Path) -> None:
    fig, axs = figure(4)
    label = r"$\frac{ and $5"
    bars(axs[0], [label], [1], "items")
    paired_bars(axs[1], grouped(name=[label], direction=["there"], value=[0.5]), "name", "direction", "share")
    plot_map(axs[2], np.zeros((2, 2)), pd.Series([label, "b"]), f"by {label}")
    word_bars(axs[3], pd.DataFrame({"word": [label], "drop": [0.1]}), label)
    fig.savefig(tmp_path / "figure.png")  # raises on a broken formula
    assert axs[0].get_yticklabels()[0].get_text() == label.replace("$", r"\$")
