"""What is shown of systems that are compared: the baseline, counts, losses, and what more pairs would show."""

import numpy as np
import pandas as pd
import pytest

from mmlab.workbench.system_comparison import SystemComparison

QUERIES = [f"q{n}" for n in range(200)]
ITEMS = pd.DataFrame({"item_id": QUERIES, "pair_id": QUERIES})


def scores(values: list[float] | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"query_id": QUERIES, "Success@1": values})


BASE = np.r_[np.ones(150), np.zeros(50)]
INDEX = np.r_[np.zeros(4), np.ones(149), np.zeros(47)]  # 4 lost, 3 won
SAME, POOR = BASE.copy(), np.r_[np.zeros(100), np.ones(100)]
SYSTEMS = {
    name: scores(one) for name, one in zip(("base", "index", "poor"), (BASE, INDEX, POOR), strict=True)
}


@pytest.fixture(scope="module")
def comparison():
    return SystemComparison(
        {"text-to-image": SYSTEMS, "image-to-text": {"base": SYSTEMS["base"]}}, ITEMS, "Success@1"
    )


def test_the_baselines_own_row_comes_first(comparison):
    shown = comparison.overview().shown
    assert shown["system"].tolist() == ["base", "index", "poor"]
    assert shown["value"].iloc[0] == "0.750"
    assert shown["difference, 95%"].tolist()[0] == ""
    assert shown["wins / ties / losses"].tolist() == ["", "3 / 193 / 4", "50 / 50 / 100"]
    assert shown["p_holm"].tolist() == ["", "1.0000", "0.0002"]
    change = INDEX - BASE
    d = change.mean() / change.std(ddof=1)
    assert shown["standardised, 95%"].iloc[1].startswith(f"{d:+.2f} (")
    # a direction that only one system answered is not compared
    assert comparison.table["direction"].unique().tolist() == ["text-to-image"]
    assert comparison.figure().axes


def test_the_sentence_counts_queries(comparison):
    start = "Against *base*, Success@1 over 200 queries of 200 pairs: *index* text-to-image "
    assert comparison.sentence.startswith(start)
    assert "better for 3 queries and worse for 4, no more than chance (p 1.0000)" in comparison.sentence
    assert "better for 50 queries and worse for 100, more than chance (p 0.0002)" in comparison.sentence


def test_a_loss_is_held_against_the_margin_in_points(comparison):
    """Student's t by hand: the margin lies so many standard errors below the mean."""
    from scipy.stats import t

    change = INDEX - BASE
    error = change.std(ddof=1) / np.sqrt(200)
    p = t.sf((change.mean() + 0.04) / error, 199)
    answer = comparison.non_inferiority(margin=4)
    assert answer.table["p"].iloc[0] == pytest.approx(p)
    assert answer.table["largest_loss"].iloc[0] == pytest.approx(t.isf(0.05, 199) * error - change.mean())
    assert answer.shown["at most 4 points"].tolist() == ["yes", "not shown"]
    assert answer.sentence.startswith(
        f"**Success@1, text-to-image**: that *index* loses at most 4 points to *base* is shown (p {2 * p:.4f} after "
        f"Holm; with 95% confidence it loses at most {100 * (t.isf(0.05, 199) * error - change.mean()):.2f} points)"
    )
    assert comparison.non_inferiority(margin=1).shown["at most 1 points"].tolist() == ["not shown"] * 2
    for wrong in (0, 101):
        with pytest.raises(ValueError, match=f": expected a number above 0 and up to 100, found {wrong}"):
            comparison.non_inferiority(margin=wrong)


def test_half_the_difference_needs_four_times_the_pairs(comparison):
    power = comparison.power(difference=1)
    own = power.table[power.table["own"]].set_index("system")["smallest_difference"]
    needed = np.ceil(200 * (own["index"] / 0.01) ** 2)
    said = f"200 pairs show {100 * own['index']:.2f} points; 1 points need about {needed:,.0f} pairs"
    assert f"*index* text-to-image: {said}" in power.sentence
    assert power.shown["pairs"].tolist() == [50, 100, 200, 500, 1000, 2000, 5000]
    ratio = power.shown.set_index("pairs")["text-to-image, index"]
    assert ratio[500] / ratio[2000] == pytest.approx(2)
    assert power.figure().axes


def test_systems_that_answer_alike_say_what_can_be_said():
    alike = SystemComparison(
        {"text-to-image": {"base": scores(BASE), "same": scores(SAME)}}, ITEMS, "Success@1"
    )
    assert alike.power().sentence == "No query differs in Success@1, so there is nothing to count pairs with."
    answer = alike.non_inferiority(margin=2)
    assert answer.table["p"].tolist() == pytest.approx([0.98**200])
    assert answer.table["largest_loss"].tolist() == pytest.approx([1 - 0.05 ** (1 / 200)])
    assert alike.overview().shown["standardised, 95%"].tolist() == ["", ""]
    nothing = {name: scores(BASE).head(0) for name in ("base", "same")}
    empty = SystemComparison({"text-to-image": nothing}, ITEMS, "Success@1")
    assert empty.overview().sentence == empty.non_inferiority().sentence == empty.power().sentence
