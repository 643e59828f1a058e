"""Captions near a hit, and the ranks before and after each step."""

import pandas as pd
import pytest

from mmlab.retrieve import open_retrievers
from mmlab.retrieve.query.explain import (
    explain_hit,
    judged_again,
    nearest_captions,
    ranks_by_step,
    ranks_of_query,
)
from mmlab.retrieve.query.rank import rank
from mmlab.retrieve.scores.calibrate import Logistic
from tests.retrieve.tables import qrels, rankings


def test_the_nearest_captions_say_whose_they_are(collection) -> None:
    items, vectors, retriever = collection
    image = items[items["modality"] == "image"].iloc[0]
    found = nearest_captions(retriever.index, [image["item_id"]], vectors.space, k=4)
    expected = rank(retriever.index, vectors.take([image["item_id"]]), "text", 4, exact=True)
    known = items.set_index("item_id").loc[expected["item_id"]]
    assert found["text"].tolist() == known["text"].tolist()
    assert found["own"].tolist() == (known["pair_id"] == image["pair_id"]).tolist()
    assert found["rank"].tolist() == [1, 2, 3, 4]


def test_ranks_stand_beside_each_other_and_what_is_not_ranked_has_none() -> None:
    steps = {
        "exact": rankings({"q": {"a": 3.0, "b": 2.0}, "r": {"a": 1.0}}),
        "fused": rankings({"q": {"b": 3.0, "c": 2.0}}),
    }
    table = ranks_by_step(steps, "q", ["b", "a", "c"], {"b": "Bee"})
    assert table["item"].tolist() == ["Bee", "a", "c"]
    assert table["exact"].tolist() == [2, 1, pd.NA]
    assert table["fused"].tolist() == [1, pd.NA, 2]
    with pytest.raises(ValueError, match="no step has ranked anything for query s"):
        ranks_by_step(steps, "s", ["a"])


def test_a_hit_is_explained_by_its_parts_and_the_query_s_words(collection) -> None:
    items, vectors, retriever = collection
    opened = open_retrievers(retriever.index, [vectors], items)
    hit = opened["text"].search("a red mug", k=1).iloc[0]
    cells, words = explain_hit(opened, "a red mug", hit)
    assert len(cells) == 49
    assert words["word"].tolist() == ["a", "red", "mug"]
    assert cells.attrs["cosine"] == pytest.approx(hit["score"], abs=0.02)  # a smaller copy is covered
    assert words.attrs["cosine"] == pytest.approx(hit["score"], abs=1e-4)


def test_the_first_hits_of_one_query_are_judged_again_and_stand_among_the_ranks() -> None:
    items = pd.DataFrame(
        [(name, "text", f"p{name}", name, None) for name in "qrabc"],
        columns=["item_id", "modality", "pair_id", "text", "image"],
    )
    exact = rankings({"q": {"a": 0.9, "b": 0.8, "c": 0.7}, "r": {"a": 1.0}})
    tried = {"none": exact, "csls": rankings({"q": {"b": 1.0, "a": 0.5, "c": 0.1}})}
    again = judged_again(
        "q", exact, lambda first, second: [ord(one) / 100 for one in second], qrels({"q": ["b"]}), items, 2
    )
    assert again["item"].tolist() == ["pb", "pa"]
    assert again["before"].tolist() == [2, 1]
    assert again["cosine"].tolist() == [0.8, 0.9]
    assert again["score"].tolist() == [0.98, 0.97]
    assert again["right"].tolist() == [True, False]
    table = ranks_of_query("q", {"exact": exact}, exact, tried, items, Logistic(2.0, 0.0), again)
    assert table.columns.tolist() == ["item", "exact", "csls", "fused by rank", "calibrated", "reranked"]
    assert table["item"].tolist() == ["pa", "pb", "pc"]
    assert table["calibrated"].tolist() == [1, 2, 3]  # a calibration keeps the order
    assert table["csls"].tolist() == [2, 1, 3]
    assert table["fused by rank"].tolist() == [1, 2, 3]  # a tie goes by id
    assert table["reranked"].tolist() == [2, 1, pd.NA]
    nothing = judged_again("q", exact, None, qrels({"q": ["b"]}), items)
    assert nothing.empty
    assert nothing.columns.tolist() == again.columns.tolist()
    assert "reranked" not in ranks_of_query("q", {"exact": exact}, exact, {}, items, again=nothing)
