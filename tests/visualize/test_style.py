"""Figures are written with their caption, and labels from outside stay text."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from mmlab.visualize import bars, figure, paired_bars, show
from mmlab.visualize.image_figures import word_bars
from mmlab.visualize.map_figures import plot_map


def grouped(**columns: list) -> pd.DataFrame:
    return pd.DataFrame(columns).assign(low=0.1, high=0.9)


def test_show_writes_the_image_with_its_sentence(tmp_path: Path) -> None:
    fig, (ax,) = figure()
    bars(ax, ["mug"], [1], "items")
    show(fig, tmp_path / "figure.png", "One mug.")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.text["Description"] == "One mug."
        assert image.width > 800


def test_a_label_in_the_sentence_is_shown_as_text(tmp_path: Path, monkeypatch) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *objects: shown.extend(objects))
    show(figure()[0], tmp_path / "figure.png", "**Most** under <script>alert(1)</script>.")
    assert type(shown[0]).__name__ == "Image"
    assert str(shown[1]) == "<p><strong>Most</strong> under &lt;script&gt;alert(1)&lt;/script&gt;.</p>\n"


def test_a_dollar_sign_in_a_label_begins_no_formula(tmp_path: Path) -> None:
    fig, axs = figure(4)
    label = r"$\frac{ and $5"
    bars(axs[0], [label], [1], "items")
    paired_bars(axs[1], grouped(name=[label], direction=["there"], value=[0.5]), "name", "direction", "share")
    plot_map(axs[2], np.zeros((2, 2)), pd.Series([label, "b"]), f"by {label}")
    word_bars(axs[3], pd.DataFrame({"word": [label], "drop": [0.1]}), label)
    fig.savefig(tmp_path / "figure.png")  # raises on a broken formula
    assert axs[0].get_yticklabels()[0].get_text() == label.replace("$", r"\$")
