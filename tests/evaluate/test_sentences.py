"""Sentences say what the numbers say, and outside names stay text."""

import numpy as np
import pandas as pd

from mmlab.evaluate import (
    say_failed,
    say_groups,
    say_labels,
    say_losses,
    say_measures,
    say_published,
    say_separation,
    say_suspects,
)
from mmlab.evaluate.sentences import plain


def frame(rows, columns):
    return pd.DataFrame(rows, columns=columns.split())


def test_measures_come_with_their_intervals():
    means = frame([("text-to-image", "RR", 0.5, 0.4, 0.6)], "direction measure value low high")
    assert say_measures(means, "RR") == "RR: text-to-image 0.500 (0.400 to 0.600)."


def test_published_figures_are_counted_and_a_gap_explained():
    columns = "near source reasons"
    assert say_published(frame([], columns), "demo", "mine") == "Nothing published is known for demo on mine."
    near = frame([(True, "a paper", "")], columns)
    assert say_published(near, "m", "d") == "1 of 1 figures published by a paper lie within 0.5 points."
    far = frame([(True, "a paper", ""), (False, "a paper", "another prompt")], columns)
    assert say_published(far, "m", "d").endswith("1 of 2 figures published by a paper lie within 0.5 points."
                                                 " What usually explains a gap: another prompt.")  # fmt: skip


def test_the_worst_and_the_best_group_are_named():
    rows = [("text-to-image", "label", "mug", 0.9), ("text-to-image", "label", "a<b>*c*", 0.1)]
    groups = frame(rows, "direction column group value")
    said = say_groups(groups, "label", "R@1")
    assert said == (
        r"Worst of 2 groups by label is *a&lt;b&gt;\*c\** with 0.10, best *mug* with 0.90 (R@1, text-to-image)."
    )
    assert "nothing to compare" in say_groups(groups.head(1), "label", "R@1")


def test_losses_and_gains_are_summed():
    steps = ["queries", "missed by exact search", "lost by index", "gained by fused"]
    table = pd.DataFrame({"step": steps, "queries": [10, -2, -1, 1]})
    said = say_losses({"text-to-image": table}, 5)
    assert "of 10 queries exact search misses 2 (20.0%), later steps lose 1 and gain 1" in said


def test_the_most_frequent_failure_is_named():
    rows = [("text-to-image", "text", 0.75, 3), ("text-to-image", "image", 0.25, 1)]
    shares = frame(rows, "direction failed value queries")
    assert say_failed(shares) == "text-to-image misses: most often *text* (3 of 4)."
    assert "No query was missed" in say_failed(shares.head(0))


def test_separation_says_auc_overlap_and_peaks():
    apart = pd.DataFrame({"positive": [0.8, 0.9], "negative": [0.1, 0.2]})
    d = np.sqrt(2) * 0.7 / np.sqrt(2 * 0.05**2)
    assert (
        f"100.0% of all comparisons (AUC); the histograms share 0.0% of their area; Ashman's D is {d:.2f}, two"
        in (say_separation(apart))
    )
    assert "one peak" in say_separation(apart.assign(negative=apart["positive"]))
    assert "no cosine" in say_separation(apart.head(0))


def test_suspects_are_held_against_what_is_known():
    columns = "list listed right planted precision recall"
    said = say_suspects(4, 0, frame([("wrong pairs", 4, 3, 6, 0.75, 0.5)], columns))
    assert said.endswith("Of 6 known wrong pairs 50% are listed, and 75% of the list are right.")
    nothing = frame([("false negatives", 0, 0, 0, np.nan, np.nan)], columns)
    assert say_suspects(4, 0, nothing) == "4 suspected wrong pairs and 0 suspected false negatives."


def test_labels_by_hand_say_how_much_they_change():
    compared = frame([("RR", 2), ("AP", 5)], "measure queries_changed")
    assert "7 judgements by hand, which change the scores of up to 5 queries" in say_labels(compared, 7)
    assert "No relevance" in say_labels(compared.head(0), 0)


def test_a_name_from_outside_stays_text():
    assert plain("<b>x</b>\n# _y_ [z](u)") == r"&lt;b&gt;x&lt;/b&gt; \# \_y\_ \[z\]\(u\)"
    assert len(plain("a" * 500)) == 80
