import matplotlib.pyplot as plt
import pandas as pd

from mmlab.visualize import pair_histograms

COSINES = pd.DataFrame({"positive": [0.8, 0.9], "negative": [0.1, 0.2]})


def test_each_space_has_its_axes_and_one_without_pairs_says_so():
    fig = pair_histograms({"a-1": ("texts with images", COSINES), "b-2": ("not comparable", COSINES[:0])})
    first, second = fig.axes
    assert first.get_xlabel() == "cosine of texts with images in a-1"
    assert [text.get_text() for text in first.get_legend().get_texts()] == [
        "matched (2, mean 0.85)",
        "mismatched (2, mean 0.15)",
    ]
    assert [text.get_text() for text in second.texts] == ["not comparable"]
    plt.close(fig)


def test_one_space_alone_has_the_title_of_the_chart():
    fig = pair_histograms({"a-1": ("texts with images", COSINES)})
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["Matched and mismatched pairs"]
    plt.close(fig)
