"""Units and their rankings, on vectors whose cosines are read off."""

import numpy as np
import pandas as pd
import pytest

from mmlab.index.engines.bm25 import WordModel, word_vectors
from mmlab.items import Space, Vectors
from mmlab.retrieve.units import Units, choose_unit, rank_units

SPACE = Space("toy", "1", "projected", "", "none", 2)
ITEMS = pd.DataFrame(
    {
        "item_id": ["a", "b", "c", "d"],
        "modality": ["image", "text", "image", "text"],
        "pair_id": ["p", "p", "q", "q"],
        "text": [None, "a red mug", None, "a blue hat"],
        "product": ["x", "x", "x", None],
    }
)
VECTORS = Vectors(["a", "b", "c", "d"], [[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], SPACE)
EAST = Vectors(["east"], [[1, 0]], SPACE)


@pytest.mark.parametrize(
    ("unit", "score", "expected"),
    [
        ("image", "best", [("a", 1.0), ("c", 0.6)]),
        ("text", "best", [("d", 0.8), ("b", 0.0)]),
        ("pair", "best", [("p", 1.0), ("q", 0.8)]),
        ("pair", "mean", [("q", 0.7), ("p", 0.5)]),
        ("product", "best", [("x", 1.0)]),
        ("product", "mean", [("x", 1.6 / 3)]),
    ],
)
def test_a_unit_scores_as_its_best_member_or_as_their_mean(unit, score, expected):
    found = rank_units(EAST, VECTORS, ITEMS, Units(unit, score), 10)
    assert found["item_id"].tolist() == [name for name, _ in expected]
    assert found["score"].tolist() == pytest.approx([value for _, value in expected], abs=1e-6)
    assert found["rank"].tolist() == list(range(1, len(expected) + 1))


def test_captions_stand_for_images_where_the_model_reads_texts_alone():
    found = rank_units(EAST, VECTORS.take(["b", "d"]), ITEMS, Units("image"), 10)
    assert found[["item_id", "score"]].to_numpy().tolist() == [["c", pytest.approx(0.8)], ["a", 0.0]]


def test_only_the_gallery_is_found_and_no_more_than_asked_for():
    assert rank_units(EAST, VECTORS, ITEMS.head(2), Units("pair"), 10)["item_id"].tolist() == ["p"]
    assert rank_units(EAST, VECTORS, ITEMS, Units("pair"), 1)["item_id"].tolist() == ["p"]


def test_nothing_is_found_where_no_unit_has_a_vector():
    assert rank_units(EAST, VECTORS, ITEMS.assign(product=None), Units("product"), 10).empty


def test_bm25_finds_pairs_by_their_words_and_leaves_out_those_without():
    words = word_vectors(ITEMS.drop(columns="product"))
    asking = WordModel.of(words.space).ask(["q1", "q2"], ["red", "green"])
    found = rank_units(asking, words, ITEMS, Units("pair"), 10)
    assert found[["query_id", "item_id"]].to_numpy().tolist() == [["q1", "p"]]
    by_item = rank_units(asking, words, ITEMS, Units("image"), 10)
    assert by_item["score"].tolist() == pytest.approx(found["score"].tolist())


def test_scores_are_those_of_a_scan_in_every_block():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((600, 8), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ids = np.array([f"{number:03d}" for number in range(500)])
    space = Space("toy", "1", "projected", "", "none", 8)
    items = pd.DataFrame({"item_id": ids, "modality": "image", "pair_id": [f"p{n % 50}" for n in range(500)]})
    queries = Vectors([f"q{number}" for number in range(100)], rows[500:], space)
    found = rank_units(queries, Vectors(ids, rows[:500], space), items, Units("pair"), 1)
    scores = (rows[500:] @ rows[:500].T).reshape(100, 10, 50).max(axis=1)
    assert found["item_id"].tolist() == [f"p{best}" for best in scores.argmax(axis=1)]
    assert found["score"].to_numpy() == pytest.approx(scores.max(axis=1), abs=1e-6)


def test_a_unit_is_as_relevant_as_its_best_member():
    qrels = pd.DataFrame({"query_id": "q", "item_id": ["a", "b", "d"], "relevance": [1, 2, 0]})
    judged = Units("pair").judged(qrels, ITEMS)
    assert judged.to_numpy().tolist() == [["q", "p", 2], ["q", "q", 0]]
    assert Units("image").judged(qrels, ITEMS).to_numpy().tolist() == [["q", "a", 1]]


def test_the_unit_is_what_most_judgements_name():
    named = pd.DataFrame({"named": ["product_id", "product_id", "image"]})
    assert choose_unit("auto", named) == "product_id"
    assert choose_unit("text", named) == "text"
    assert choose_unit("auto", named.assign(named="item")) == "image"
    assert choose_unit("auto", named.head(0)) == "image"


def test_an_unknown_unit_and_an_unknown_way_to_score_are_named():
    with pytest.raises(ValueError, match=r"unit: items: columns \['sku'\] are missing"):
        Units("sku").of(ITEMS)
    with pytest.raises(ValueError, match="unit_score: expected one of best, mean, found 'worst'"):
        Units("image", "worst")
