"""Measures against values worked out by hand."""

from itertools import combinations
from math import log2

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, ndcg_score, precision_score, recall_score

from mmlab.evaluate import (
    measure_names,
    qrels_from_labels,
    qrels_from_pairs,
    score_directions,
    score_queries,
)
from mmlab.evaluate.measures.scoring import (
    add_ndcg_by_labels,
    find_measure,
    join_directions,
    qrels_for_ndcg,
    success_by_gallery_size,
)
from mmlab.items import DIRECTIONS

ALL = ["P@5", "R@10", "Success@10", "RR", "RR@10", "nDCG@10", "nDCG", "AP", "AP@10"]


def rankings(*rows: tuple[str, str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


def qrels(*rows: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame([(*row, 1) for row in rows], columns=["query_id", "item_id", "relevance"])


TWO_QUERIES = rankings(
    ("q1", "a", 1, 0.9), ("q1", "b", 2, 0.8), ("q1", "c", 3, 0.7), ("q1", "d", 4, 0.6),
    ("q2", "c", 1, 0.9), ("q2", "d", 2, 0.5),
)  # fmt: skip
THREE_RIGHT = qrels(("q1", "b"), ("q1", "d"), ("q1", "x"), ("q2", "c"))


@pytest.mark.parametrize(
    ("measure", "first", "second"),
    [
        ("P@1", 0, 1),
        ("P@2", 1 / 2, 1 / 2),
        ("P@4", 2 / 4, 1 / 4),
        ("R@2", 1 / 3, 1),
        ("R@4", 2 / 3, 1),
        ("Success@1", 0, 1),
        ("Success@2", 1, 1),
        ("RR", 1 / 2, 1),
        ("RR@1", 0, 1),
        ("AP", (1 / 2 + 2 / 4) / 3, 1),
        ("AP@2", (1 / 2) / 3, 1),
        ("nDCG@2", (1 / log2(3)) / (1 + 1 / log2(3)), 1),
    ],
)
def test_a_measure_is_what_its_formula_says(measure: str, first: float, second: float) -> None:
    scores = score_queries(TWO_QUERIES, THREE_RIGHT, [measure])
    assert scores["query_id"].tolist() == ["q1", "q2"]
    assert scores[measure].tolist() == pytest.approx([first, second])


def test_a_query_without_an_answer_scores_zero_and_stays() -> None:
    scores = score_queries(TWO_QUERIES, qrels(("q1", "a"), ("silent", "a")), ALL)
    assert scores.set_index("query_id").loc["silent"].tolist() == [0] * len(ALL)


def test_a_ranked_query_that_has_no_right_answer_is_not_judged() -> None:
    assert score_queries(TWO_QUERIES, qrels(("q2", "c")), ["RR"])["query_id"].tolist() == ["q2"]


def test_among_equal_scores_the_wrong_answers_come_first() -> None:
    tied = rankings(
        ("q", "right", 1, 0.5), ("q", "wrong", 2, 0.5), ("q", "other", 3, 0.5), ("q", "last", 4, 0.1)
    )
    assert score_queries(tied, qrels(("q", "right")), ["RR"])["RR"].tolist() == [1 / 3]


def test_as_ranked_the_rank_column_decides_among_equal_scores() -> None:
    tied = rankings(("q", "wrong", 1, 0.5), ("q", "right", 2, 0.5), ("q", "other", 3, 0.5))
    asked = qrels(("q", "right"), ("q", "other"), ("silent", "right"))
    assert score_queries(tied, asked, ["RR"], "as ranked")["RR"].tolist() == [1 / 2, 0]


def test_the_gain_is_the_relevance_itself() -> None:
    graded = qrels(("q1", "b"), ("q1", "c"), ("q1", "x")).assign(relevance=[1, 2, 3])
    found = 1 / log2(1 + 2) + 2 / log2(1 + 3)
    best = 3 / log2(1 + 1) + 2 / log2(1 + 2) + 1 / log2(1 + 3)
    scores = score_queries(TWO_QUERIES, graded, ["nDCG@10", "nDCG@2"])
    assert scores["nDCG@10"].tolist() == pytest.approx([found / best])
    best_two = 3 / log2(1 + 1) + 2 / log2(1 + 2)
    assert scores["nDCG@2"].tolist() == pytest.approx([1 / log2(1 + 2) / best_two])


def test_an_answer_of_relevance_0_is_wrong() -> None:
    judged = qrels(("q1", "a"), ("q1", "b"), ("q2", "d")).assign(relevance=[0, 1, 0])
    scores = score_queries(TWO_QUERIES, judged, ["RR", "R@2"])
    assert scores.to_numpy().tolist() == [["q1", 1 / 2, 1]]


def test_the_measures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    order = np.array([rng.permutation(45) for _ in range(60)])  # (queries, ranks): all items ranked
    relevance = np.zeros((60, 45), int)
    for query in relevance:
        query[rng.choice(45, 6, replace=False)] = rng.integers(1, 4, 6)
    rows = [(f"q{q}", f"i{i}", rank, 1 - rank / 50) for q in range(60) for rank, i in enumerate(order[q], 1)]
    right = [(f"q{q}", f"i{i}", relevance[q, i]) for q, i in zip(*relevance.nonzero(), strict=True)]
    judged = pd.DataFrame(right, columns=["query_id", "item_id", "relevance"])
    ours = score_queries(rankings(*rows), judged, ALL).set_index("query_id")
    for q in range(60):
        ranks = order[q].argsort() + 1
        theirs = {
            "P@5": precision_score(relevance[q] > 0, ranks <= 5),
            "R@10": recall_score(relevance[q] > 0, ranks <= 10),
            "AP": average_precision_score(relevance[q] > 0, -ranks),
            "nDCG": ndcg_score([relevance[q]], [-ranks]),
            "nDCG@10": ndcg_score([relevance[q]], [-ranks], k=10),
        }
        assert ours.loc[f"q{q}", list(theirs)].to_dict() == pytest.approx(theirs, abs=1e-9)


def test_the_input_is_left_as_it_was() -> None:
    ranked, relevant = TWO_QUERIES.copy(), THREE_RIGHT.copy()
    score_queries(ranked, relevant, ["P@1", "RR"])
    pd.testing.assert_frame_equal(ranked, TWO_QUERIES)
    pd.testing.assert_frame_equal(relevant, THREE_RIGHT)


@pytest.mark.parametrize("name", ["MAP@10", "P", "Success", "P@0", "R@", "Success@-1", "ndcg@10", ""])
def test_an_unknown_measure_names_the_known_ones(name: str) -> None:
    with pytest.raises(
        ValueError, match=r"unknown measure .*known: P@k, R@k, Success@k, RR@k, nDCG@k, AP@k, RR, nDCG, AP,"
    ):
        score_queries(TWO_QUERIES, THREE_RIGHT, [name])


def test_missing_columns_are_listed() -> None:
    with pytest.raises(ValueError, match=r"rankings: columns \['score'\] are missing"):
        score_queries(TWO_QUERIES.drop(columns="score"), THREE_RIGHT, ["RR"])


def test_measures_agree_with_a_plain_loop_on_random_rankings() -> None:
    rng = np.random.default_rng(0)
    rows, right = [], []
    for query in range(50):
        order = rng.permutation(30)
        rows += [(f"q{query}", f"i{item}", place + 1, 1 - place / 30) for place, item in enumerate(order)]
        right += [(f"q{query}", f"i{item}") for item in rng.choice(30, size=3, replace=False)]
    ranked, relevant = rankings(*rows), qrels(*right)
    scores = score_queries(ranked, relevant, ["P@5", "R@5", "Success@5", "RR"]).set_index("query_id")
    for query in scores.index:
        answers = set(relevant.loc[relevant["query_id"] == query, "item_id"])
        found = [item in answers for item in ranked.loc[ranked["query_id"] == query, "item_id"]]
        expected = [
            sum(found[:5]) / 5,
            sum(found[:5]) / 3,
            float(any(found[:5])),
            1 / (found.index(True) + 1),
        ]
        assert scores.loc[query].tolist() == pytest.approx(expected)


ITEMS = pd.DataFrame(
    {
        "item_id": ["t1", "t2", "t3", "i1", "i2", "i3"],
        "modality": ["text"] * 3 + ["image"] * 3,
        "pair_id": ["a", "b", "c"] * 2,
        "label": ["mug", "mug", "hat"] * 2,
    }
)
FOUND = {"t1": ["i1", "i3"], "t2": ["i1", "i2"], "t3": ["i1", "i2"]}


def hits_of(found=FOUND):
    return rankings(*((q, i, n, 1 - n / 10) for q, hits in found.items() for n, i in enumerate(hits, 1)))


def both_directions(items=ITEMS):
    ranked = hits_of()
    back = ranked.rename(columns={"query_id": "item_id", "item_id": "query_id"})
    qrels = {name: qrels_from_pairs(items, *pair) for name, pair in DIRECTIONS.items()}
    return {"text-to-image": ranked, "image-to-text": back}, qrels


def test_each_direction_is_scored_by_pairs_and_by_labels():
    scores = score_directions(*both_directions(), ITEMS, [1, 5], 2)["text-to-image"].set_index("query_id")
    assert scores["RR@2"].tolist() == [1, 1 / 2, 0]
    assert scores["Success@1"].tolist() == [1, 0, 0]
    ideal = 2 + 1 / np.log2(3)  # its pair's image first, the other mug second
    assert scores["nDCG@10 by labels"].tolist() == pytest.approx([2 / ideal, (1 + 2 / np.log2(3)) / ideal, 0])


def test_without_labels_there_is_no_graded_measure():
    items = ITEMS.assign(label=None)
    scores = score_directions(*both_directions(items), items, [1], 100)
    assert list(scores["image-to-text"].columns) == ["query_id", *measure_names([1], 100)]
    assert measure_names([1, 5], 7)[:4] == ["P@1", "P@5", "R@1", "R@5"]


def test_tables_of_both_directions_stand_below_each_other():
    table = join_directions({"a-to-b": pd.DataFrame({"x": [1]}), "b-to-a": pd.DataFrame({"x": [2]})})
    assert table.to_numpy().tolist() == [["a-to-b", 1], ["b-to-a", 2]]
    empty = pd.DataFrame(columns=["x"])
    assert list(join_directions({"a-to-b": empty, "b-to-a": empty}).columns) == ["direction", "x"]


def test_a_part_of_the_labels_gives_the_gain_of_all() -> None:
    rng = np.random.default_rng(0)
    pairs = [f"p{n}" for n in range(60)]
    labels = rng.choice(["mug", "hat", None], 60)
    images = pd.DataFrame({"item_id": [f"i{p}" for p in pairs], "pair_id": pairs, "label": labels})
    texts = images.assign(item_id="t" + images["pair_id"])
    items = pd.concat([texts.assign(modality="text"), images.assign(modality="image")], ignore_index=True)
    found = {query: rng.permutation(images["item_id"])[:15] for query in texts["item_id"]}
    ranked = hits_of(found).assign(score=lambda table: np.ceil(table["score"] * 5))  # with ties
    part = qrels_for_ndcg(ranked, items, "text", "image")
    whole = qrels_from_labels(items, "text", "image")
    assert len(part) < len(whole)
    gains = [score_queries(ranked, q, ["nDCG@10"]).set_index("query_id")["nDCG@10"] for q in (part, whole)]
    pd.testing.assert_series_equal(gains[0].sort_index(), gains[1].sort_index())
    asked = pd.DataFrame({"query_id": gains[1].index})
    by_first_hits = add_ndcg_by_labels(asked, ranked, items, "text-to-image")["nDCG@10 by labels"]
    assert by_first_hits.tolist() == gains[1].tolist()


def test_r_precision_and_the_average_precision_of_as_many_hits_as_there_are_right_answers() -> None:
    """q has three right answers at ranks 1, 3 and 5; r two, one of which is not ranked."""
    ranked = pd.DataFrame(
        [("q", item, n + 1, 1 - n / 10) for n, item in enumerate("axbyc")] + [("r", "z", 1, 0.9), ("r", "d", 2, 0.8)],
        columns=["query_id", "item_id", "rank", "score"],
    )  # fmt: skip
    judged = pd.DataFrame(
        [("q", "a", 1), ("q", "b", 2), ("q", "c", 1), ("r", "d", 1), ("r", "e", 1)],
        columns=["query_id", "item_id", "relevance"],
    )
    scores = score_queries(ranked, judged, ["Rprec", "AP@R"]).set_index("query_id")
    assert scores["Rprec"].to_dict() == {"q": pytest.approx(2 / 3), "r": 1 / 2}
    assert scores["AP@R"].to_dict() == {"q": pytest.approx((1 + 2 / 3) / 3), "r": pytest.approx(1 / 2 / 2)}
    ir_measures = pytest.importorskip("ir_measures")
    names = {"query_id": "query_id", "item_id": "doc_id"}
    theirs = ir_measures.iter_calc(
        [ir_measures.Rprec], judged.rename(columns=names), ranked.rename(columns=names)
    )
    assert {one.query_id: one.value for one in theirs} == pytest.approx(scores["Rprec"].to_dict())


def test_success_in_smaller_galleries_is_the_mean_over_all_draws() -> None:
    """Five items, the right one third: of all galleries with it and one or two others, by counting."""
    ranks = pd.DataFrame({"query_id": ["q", "r"], "rank": [3, np.nan]})
    table = success_by_gallery_size(ranks, 5, [1, 2, 3, 5], k=1).set_index("size")["value"]
    for size in (1, 2, 3, 5):
        draws = list(combinations(range(4), size - 1))  # 0 and 1 are ahead
        alone = np.mean([not {0, 1} & set(draw) for draw in draws])
        assert table[size] == pytest.approx(alone / 2)  # r is never found
    two = pd.DataFrame({"query_id": ["q", "q"], "rank": [2, 4]})  # two right answers, three wrong ones
    assert success_by_gallery_size(two, 5, [3], k=1)["value"].item() == pytest.approx(2 / 3)
    alone = pd.DataFrame({"query_id": ["q"], "rank": [1]})  # nothing in the gallery is wrong
    assert success_by_gallery_size(alone, 1, [1])["value"].item() == 1
    default = success_by_gallery_size(ranks, 5, [2, 4])
    assert default.equals(success_by_gallery_size(ranks, 5, [2, 4], k=1))
    assert default.columns.tolist() == ["size", "value"]
    for size in ([6], [0], [2, 6]):
        with pytest.raises(ValueError, match="expected 1 to 5, the size of the gallery"):
            success_by_gallery_size(ranks, 5, size)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_success_at_k_in_smaller_galleries_by_counting_draws(k: int) -> None:
    """Seven items; the nearest right answers stand third and fifth, one query has two right answers."""
    ranks = pd.DataFrame({"query_id": ["q", "q", "r", "s"], "rank": [3, 4, 5, np.nan]})
    table = success_by_gallery_size(ranks, 7, [3, 4, 6, 7], k=k).set_index("size")["value"]
    for size in (3, 4, 6, 7):
        chances = []
        for ahead, right in ((2, 2), (4, 1)):
            draws = list(combinations(range(7 - right), size - right))
            chances.append(np.mean([sum(one < ahead for one in draw) < k for draw in draws]))
        assert table[size] == pytest.approx(sum(chances) / 3)


def test_a_measure_without_its_depth_is_the_one_that_is_there() -> None:
    assert find_measure(["query_id", "RR@50", "AP@50"], "AP") == "AP@50"
    assert find_measure(["RR", "RR@10"], "RR") == "RR"
    with pytest.raises(ValueError, match="expected one of Success@1; found 0 of it"):
        find_measure(["Success@1"], "RR")
    with pytest.raises(ValueError, match="expected one of RR@5, RR@10; found 2 of it"):
        find_measure(["RR@5", "RR@10"], "RR")


def test_rr_and_ap_are_named_by_the_depth() -> None:
    assert measure_names([1, 5], 7) == [
        *("P@1", "P@5", "R@1", "R@5", "Success@1", "Success@5"), "RR@7", "AP@7", "nDCG@10",
    ]  # fmt: skip
