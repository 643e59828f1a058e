"""Histograms: what is counted, and that an empty one says so."""

import numpy as np
import pandas as pd

from mmlab.visualize import figure, histogram, overlapping_histograms
from mmlab.visualize.distributions import pair_histograms

COSINES = pd.DataFrame({"positive": [0.8, 0.9], "negative": [0.1, 0.2]})


def words(ax: object) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_a_histogram_marks_its_median() -> None:
    _, (ax,) = figure()
    histogram(ax, np.array([1, 2, 9]), "words")
    assert ax.get_legend().get_texts()[0].get_text() == "median 2"


def test_a_histogram_of_nothing_says_none() -> None:
    _, (ax,) = figure()
    histogram(ax, np.array([]), "words in a text")
    assert words(ax) == ["none"]
    assert ax.get_xlabel() == "words in a text"


def test_whole_numbers_have_whole_ticks() -> None:
    _, (ax,) = figure()
    histogram(ax, np.array([5, 5, 5]), "texts of an image")
    assert all(tick == int(tick) for tick in ax.get_xticks())


def test_overlapping_histograms_are_shares_of_their_own_group() -> None:
    _, (ax,) = figure()
    overlapping_histograms(
        ax, {"few": np.array([0.1, 0.2]), "many": np.linspace(0, 1, 50)}, "cosine", bins=10
    )
    heights = [sum(sorted(set(patch.get_path().vertices[:, 1]))) for patch in ax.patches]
    assert ax.get_ylim()[1] <= 1.1
    assert len(heights) == 2
    assert "few (2, mean 0.15)" in ax.get_legend().get_texts()[0].get_text()


def test_histograms_of_nothing_say_none() -> None:
    _, (ax,) = figure()
    overlapping_histograms(ax, {"few": np.array([]), "many": np.array([])}, "cosine")
    assert words(ax) == ["none"]


def test_each_space_has_its_axes_and_one_without_pairs_says_so():
    fig = pair_histograms({"a-1": ("texts with images", COSINES), "b-2": ("not comparable", COSINES[:0])})
    first, second = fig.axes
    assert first.get_xlabel() == "cosine of texts with images in a-1"
    assert [text.get_text() for text in first.get_legend().get_texts()] == [
        "matched (2, mean 0.85)",
        "mismatched (2, mean 0.15)",
    ]
    assert [text.get_text() for text in second.texts] == ["not comparable"]


def test_one_space_alone_has_the_title_of_the_chart():
    fig = pair_histograms({"a-1": ("texts with images", COSINES)})
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["Matched and mismatched pairs"]
