"""Right and wrong pairs apart."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mmlab.evaluate.measures.geometry import (
    compare_spaces,
    matched_cosines,
    nearest_right,
    pair_cosines,
    separation,
)
from mmlab.items import Space, Vectors, unit_rows
from mmlab.items.tables import TooFew

SPACE = Space("model", "1", "", "", "", 2)
VECTORS = Vectors(["t1", "t2", "i1", "i2"], np.array([[1, 0], [0, 1], [0.6, 0.8], [0, 1]]), SPACE)
QRELS = pd.DataFrame({"query_id": ["t1", "t2"], "item_id": ["i1", "i2"], "relevance": 1})


@pytest.mark.parametrize("block", [16_384, 1])
def test_positives_are_the_pairs_and_negatives_the_other_image(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmlab.items.vector_files.ROWS_PER_BLOCK", block)
    cosines = pair_cosines(VECTORS, VECTORS, QRELS)
    assert cosines["positive"].tolist() == pytest.approx([0.6, 1.0])
    assert cosines["negative"].tolist() == pytest.approx([0.0, 0.8])


def test_two_spaces_have_no_cosines() -> None:
    other = Vectors(["i1", "i2"], np.eye(2), Space("other", "1", "", "", "", 2))
    cosines = pair_cosines(VECTORS, other, QRELS)
    assert list(cosines.columns) == ["query_id", "item_id", "positive", "negative"]
    assert cosines.empty


def test_the_nearest_right_answer_is_found_for_each_query_that_has_one() -> None:
    rows = [("t1", "i2", 1), ("t1", "i1", 1), ("t2", "i1", 0), ("t2", "gone", 1)]
    qrels = pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])
    assert nearest_right(VECTORS, VECTORS, qrels).to_numpy().tolist() == [["t1", "i1", pytest.approx(0.6)]]
    other = Vectors(["i1", "i2"], np.eye(2), Space("other", "1", "", "", "", 2))
    apart = pd.concat([qrels.assign(query_id=name) for name in ("t1", "t2")], ignore_index=True)
    assert nearest_right(VECTORS, other, apart).index.tolist() == [0, 1]
    (row,) = nearest_right(VECTORS, other, qrels).to_dict("records")
    assert (row["query_id"], row["item_id"]) == ("t1", "i2")  # the first, where there is no cosine
    assert np.isnan(row["cosine"])


def test_one_image_alone_has_no_wrong_pairs() -> None:
    with pytest.raises(TooFew, match="need 2 items or more to be drawn from, found 1"):
        pair_cosines(VECTORS, VECTORS, QRELS.head(1))


def test_an_item_that_answers_all_has_no_wrong_pairs() -> None:
    everything = pd.DataFrame({"query_id": ["t1", "t1"], "item_id": ["i1", "i2"], "relevance": 1})
    with pytest.raises(TooFew, match="no wrong item was found in 1,000 draws: nearly every item"):
        pair_cosines(VECTORS, VECTORS, everything)


@pytest.mark.parametrize(
    ("positive", "negative", "auc"),
    [([2, 3], [0, 1], 1), ([0, 1], [2, 3], 0), ([1, 1], [1, 1], 0.5), ([1, 3], [0, 2], 3 / 4)],
)
def test_auc_counts_the_comparisons_won(positive: list[float], negative: list[float], auc: float) -> None:
    assert separation(np.array(positive), np.array(negative)).auc == pytest.approx(auc)


def test_overlap_is_the_area_under_both_densities() -> None:
    together, apart = np.array([0.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0])
    assert separation(together, together).overlap == pytest.approx(1, abs=1e-3)
    assert separation(apart, apart).overlap == 1
    assert separation(np.zeros(3), np.ones(2)).overlap == 0
    one, other = norm(0.2, 0.1), norm(0.4, 0.1)  # two bells overlap by 2 x Phi(-distance / 2 widths)
    drawn = [bell.rvs(20_000, random_state=seed) for seed, bell in enumerate((one, other))]
    assert separation(*drawn).overlap == pytest.approx(2 * norm.cdf(-1), abs=0.01)


def plain_overlap(positive: np.ndarray, negative: np.ndarray) -> float:
    """The area under the lower of two sums of normal densities of Silverman's width, on a fine grid."""
    at, below = np.linspace(-20, 20, 40_001), []
    for values in (positive, negative):
        middle = np.subtract(*np.quantile(values, [0.75, 0.25])) / 1.34
        width = 0.9 * min(one for one in (values.std(), middle) if one > 0) * len(values) ** -0.2
        below.append(np.mean([norm.pdf(at, value, width) for value in values], axis=0))
    return float(np.minimum(*below).sum() * (at[1] - at[0]))


@pytest.mark.parametrize("seed", range(4))
def test_overlap_is_that_of_silvermans_kernels_for_samples_of_unlike_size_and_shape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    few, many = rng.exponential(0.5, 17) + seed / 2, rng.normal(1, 0.3, 90)
    flat = np.r_[np.full(60, 1.5), rng.normal(1.5, 1, 20)]  # whose quartiles are one value
    for positive, negative in ((few, many), (many, few), (flat, few)):
        assert separation(positive, negative).overlap == pytest.approx(
            plain_overlap(positive, negative), abs=0.01
        )


def test_fifty_draws_of_one_distribution_look_alike() -> None:
    rng = np.random.default_rng(0)
    found = [separation(*rng.standard_normal((2, 50))).overlap for _ in range(20)]
    assert np.mean(found) > 0.85


def test_ashmans_d_is_the_distance_of_the_means_in_widths() -> None:
    found = separation(np.array([4.0, 6.0]), np.array([-1.0, 1.0]))  # means 5 and 0, variances 1 and 1
    assert found.ashman_d == pytest.approx(np.sqrt(2) * 5 / np.sqrt(1 + 1))
    assert separation(np.ones(2), np.ones(2)).ashman_d == 0
    assert separation(np.ones(2), np.zeros(2)).ashman_d == np.inf


def test_one_side_alone_cannot_be_apart() -> None:
    with pytest.raises(ValueError, match="expected right and wrong pairs, found 0 and 2"):
        separation(np.array([]), np.ones(2))


ITEMS = pd.DataFrame(
    {
        "item_id": ["i1", "t1", "u1", "i2", "t2", "u2"],
        "modality": ["image", "text", "text"] * 2,
        "pair_id": ["1"] * 3 + ["2"] * 3,
    }
)


def vectors(rows, name):
    return Vectors(list(rows), np.array(list(rows.values()), np.float32), Space(name, "1", "", "", "", 2))


BOTH = vectors({"i1": (1, 0), "t1": (1, 0), "u1": (0.6, 0.8), "i2": (0, 1), "t2": (0, 1), "u2": (0, 1)}, "b")
TEXTS = vectors({"t1": (1, 0), "u1": (0.8, 0.6), "t2": (0, 1), "u2": (0, 1)}, "t")
IMAGES = vectors({"i1": (1, 0), "i2": (0, 1)}, "i")


def test_texts_stand_beside_their_images():
    compared, cosines = matched_cosines(BOTH, ITEMS)
    assert compared == "texts with images"
    found = cosines.set_index("query_id")
    assert found["positive"].to_dict() == pytest.approx({"t1": 1, "u1": 0.6, "t2": 1, "u2": 1})
    assert found["negative"].to_dict() == pytest.approx({"t1": 0, "u1": 0.8, "t2": 0, "u2": 0})


def test_without_images_the_further_texts_stand_beside_the_first_of_their_pair():
    compared, cosines = matched_cosines(TEXTS, ITEMS)
    assert compared == "texts of a pair"
    assert cosines[["query_id", "item_id"]].to_numpy().tolist() == [["u1", "t1"], ["u2", "t2"]]
    np.testing.assert_allclose(cosines[["positive", "negative"]], [[0.8, 0.6], [1, 0]], atol=1e-6)


def test_a_space_of_images_is_not_comparable():
    compared, cosines = matched_cosines(IMAGES, ITEMS)
    assert (compared, len(cosines)) == ("not comparable", 0)


def test_spaces_side_by_side():
    table = compare_spaces([BOTH, TEXTS, IMAGES], ITEMS)
    assert table["pairs"].tolist() == [4, 2, 0]
    # Of 16 comparisons the 0.6 loses one, against 0.8; of 4 there is none to lose.
    np.testing.assert_allclose(table["AUC"], [15 / 16, 1, np.nan])
    np.testing.assert_allclose(table["matched mean"], [3.6 / 4, 1.8 / 2, np.nan], rtol=1e-6)
    np.testing.assert_allclose(table["mismatched mean"], [0.8 / 4, 0.6 / 2, np.nan], rtol=1e-6)
    assert table["space"].tolist() == [one.space.key for one in (BOTH, TEXTS, IMAGES)]
    assert table["compared"].tolist() == ["texts with images", "texts of a pair", "not comparable"]
    # The means are (0.4, 0.7) of the texts and (0.5, 0.5) of the images.
    np.testing.assert_allclose(table["modality gap"], [0.05**0.5, np.nan, np.nan], rtol=1e-6)


def test_the_wrong_items_are_drawn_by_the_seed_from_those_that_are_named_and_not_right() -> None:
    rng = np.random.default_rng(1)
    held = Vectors([f"i{n}" for n in range(12)], unit_rows(rng.standard_normal((12, 2))), SPACE)
    asked = Vectors([f"t{n}" for n in range(20)], unit_rows(rng.standard_normal((20, 2))), SPACE)
    rows = [(f"t{n}", f"i{item}", 1) for n in range(20) for item in rng.choice(10, 1 + n % 4, replace=False)]
    right = pd.DataFrame(rows, columns=["query_id", "item_id", "relevance"])
    cosines = pair_cosines(asked, held, right)
    assert cosines[["query_id", "item_id"]].equals(right[["query_id", "item_id"]])
    of = pd.DataFrame(asked.array @ held.array.T, asked.ids, held.ids)
    assert cosines["positive"].tolist() == pytest.approx([of.loc[query, item] for query, item, _ in rows])
    drawn = [
        (np.abs(of.loc[query] - value)).idxmin()
        for query, value in cosines[["query_id", "negative"]].to_numpy()
    ]
    named = set(right["item_id"])
    answers = right.groupby("query_id")["item_id"].agg(set)
    assert all(item in named - answers[query] for item, query in zip(drawn, right["query_id"], strict=True))
    assert len(set(drawn)) > 5
    assert cosines.equals(pair_cosines(asked, held, right, seed=0))
    assert not cosines.equals(pair_cosines(asked, held, right, seed=1))
    with_seed = [matched_cosines(BOTH, ITEMS, seed).cosines for seed in (0, 0)]
    assert matched_cosines(BOTH, ITEMS).cosines.equals(with_seed[0])
