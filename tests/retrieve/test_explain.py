"""Captions near a hit, and the ranks before and after each step."""

import pandas as pd
import pytest

from mmlab.retrieve import explain_hit, nearest_captions, open_retrievers, rank, ranks_by_step
from tests.retrieve.tables import rankings


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
