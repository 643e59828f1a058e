"""Both directions scored, by pairs and by labels, and where their answers were lost."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import (
    explain_queries,
    join_directions,
    measure_names,
    qrels_from_labels,
    qrels_from_pairs,
    score_directions,
    score_queries,
    share_failed,
    waterfall_changes,
)
from mmlab.evaluate.measures.directions import qrels_for_gain
from mmlab.items import DIRECTIONS, Space, Vectors

ITEMS = pd.DataFrame(
    {
        "item_id": ["t1", "t2", "t3", "i1", "i2", "i3"],
        "modality": ["text"] * 3 + ["image"] * 3,
        "pair_id": ["a", "b", "c"] * 2,
        "label": ["mug", "mug", "hat"] * 2,
    }
)
FOUND = {"t1": ["i1", "i3"], "t2": ["i1", "i2"], "t3": ["i1", "i2"]}


def rankings(found=FOUND):
    rows = [(q, i, n, 1 - n / 10) for q, hits in found.items() for n, i in enumerate(hits, 1)]
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


def both_ways(items=ITEMS):
    ranked = rankings()
    back = ranked.rename(columns={"query_id": "item_id", "item_id": "query_id"})
    qrels = {name: qrels_from_pairs(items, *ways) for name, ways in DIRECTIONS.items()}
    return {"text-to-image": ranked, "image-to-text": back}, qrels


def test_each_direction_is_scored_by_pairs_and_by_labels():
    scores = score_directions(*both_ways(), ITEMS, [1, 5])["text-to-image"].set_index("query_id")
    assert scores["RR"].tolist() == [1, 1 / 2, 0]
    assert scores["Success@1"].tolist() == [1, 0, 0]
    ideal = 2 + 1 / np.log2(3)  # its pair's image first, the other mug second
    assert scores["nDCG@10 by labels"].tolist() == pytest.approx([2 / ideal, (1 + 2 / np.log2(3)) / ideal, 0])


def test_without_labels_there_is_no_graded_measure():
    items = ITEMS.assign(label=None)
    scores = score_directions(*both_ways(items), items, [1])
    assert list(scores["image-to-text"].columns) == ["query_id", *measure_names([1])]
    assert measure_names([1, 5])[:4] == ["P@1", "P@5", "R@1", "R@5"]


def test_tables_of_both_directions_stand_below_each_other():
    table = join_directions({"a->b": pd.DataFrame({"x": [1]}), "b->a": pd.DataFrame({"x": [2]})})
    assert table.to_numpy().tolist() == [["a->b", 1], ["b->a", 2]]
    empty = pd.DataFrame(columns=["x"])
    assert list(join_directions({"a->b": empty, "b->a": empty}).columns) == ["direction", "x"]


def explained():
    stages = {"exact": rankings(), "index": rankings({**FOUND, "t1": ["i3", "i2"]})}
    vectors = {
        "text": Vectors(["t1", "t2", "t3"], np.eye(3), Space("m", "1", "", "", "", 3)),
        "image": Vectors(["i1", "i2", "i3"], np.eye(3), Space("m", "1", "", "", "", 3)),
    }
    return explain_queries(stages, qrels_from_pairs(ITEMS, "text", "image"), vectors, ITEMS, 2)


def test_every_query_is_booked_and_every_miss_explained():
    table = explained().set_index("query_id")
    assert table["booked"].to_dict() == {"t1": "lost by index", "t2": "found", "t3": "never close"}
    assert table["failed"].notna().to_dict() == {"t1": True, "t2": False, "t3": True}


def test_the_waterfall_goes_from_all_queries_to_those_found():
    changes = waterfall_changes(explained())
    assert changes.to_numpy().tolist() == [
        ["queries", 3],
        ["missed by exact search", -1],
        ["lost by index", -1],
    ]
    assert changes["queries"].sum() == explained()["index"].sum()


def test_the_failures_are_shares_of_the_misses():
    shares = share_failed(explained(), ITEMS)
    assert shares["failed"].tolist() == ["text", "image", "both", "neither", "unknown"]
    assert shares["value"].sum() == pytest.approx(1)
    assert shares["queries"].sum() == 2
    assert ((shares["low"] <= shares["value"]) & (shares["value"] <= shares["high"])).all()
    nothing = explained().assign(failed=None)
    assert share_failed(nothing, ITEMS).empty


def test_a_part_of_the_labels_gives_the_gain_of_all() -> None:
    rng = np.random.default_rng(0)
    pairs = [f"p{n}" for n in range(60)]
    labels = rng.choice(["mug", "hat", None], 60)
    images = pd.DataFrame({"item_id": [f"i{p}" for p in pairs], "pair_id": pairs, "label": labels})
    texts = images.assign(item_id="t" + images["pair_id"])
    items = pd.concat([texts.assign(modality="text"), images.assign(modality="image")], ignore_index=True)
    found = {query: rng.permutation(images["item_id"])[:15] for query in texts["item_id"]}
    ranked = rankings(found).assign(score=lambda table: np.ceil(table["score"] * 5))  # with ties
    part = qrels_for_gain(ranked, items, "text", "image")
    whole = qrels_from_labels(items, "text", "image")
    assert len(part) < len(whole)
    gains = [score_queries(ranked, q, ["nDCG@10"]).set_index("query_id")["nDCG@10"] for q in (part, whole)]
    pd.testing.assert_series_equal(gains[0].sort_index(), gains[1].sort_index())
