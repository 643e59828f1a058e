"""Queries that are items of the collection, and the rankings that a run saved for them."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmlab.retrieve import Query, search
from mmlab.retrieve.query.known_queries import (
    SavedRankings,
    add_pair_columns,
    find_right_answers,
    saved_rankings_by_run,
)

ITEMS = pd.DataFrame(
    [
        ("i1", "image", "p1", None, "/a.jpg", "mug"),
        ("t1", "text", "p1", "a mug", None, "mug"),
        ("t2", "text", "p1", "a cup", None, "mug"),
        ("i2", "image", "p2", None, "/b.jpg", None),
        ("t3", "text", "p2", "a mug", None, None),
    ],
    columns=["item_id", "modality", "pair_id", "text", "image", "label"],
)


def test_the_items_of_the_querys_pair_answer_it() -> None:
    assert find_right_answers(ITEMS, Query(text="a cup")) == ["i1"]
    assert find_right_answers(ITEMS, Query(text="a mug")) == ["i1", "i2"]  # two items have this text
    assert find_right_answers(ITEMS, Query(image=Path("/a.jpg"), to="text")) == ["t1", "t2"]
    assert find_right_answers(ITEMS, Query(text="a cup", image=Path("/b.jpg"))) == ["i2"]  # the image's
    assert find_right_answers(ITEMS, Query(text="never seen")) is None
    assert find_right_answers(ITEMS, Query(text="a cup", image=Image.new("RGB", (2, 2)))) is None


def test_hits_get_the_image_and_the_words_of_their_pair() -> None:
    shown = add_pair_columns(ITEMS, ITEMS)
    assert shown["pair_image"].tolist() == ["/a.jpg", "/a.jpg", "/a.jpg", "/b.jpg", "/b.jpg"]
    assert shown["words"].tolist() == ["a mug", "a mug", "a cup", "a mug", "a mug"]
    alone = ITEMS[ITEMS["modality"] == "image"]
    assert add_pair_columns(alone, alone)["words"].tolist() == ["mug", "p2"]  # the label, else the pair


def ranked(*ids: str) -> pd.DataFrame:
    ranks = pd.Series(range(1, len(ids) + 1))
    return pd.DataFrame({"query_id": "t2", "item_id": ids, "rank": ranks, "score": 1 / ranks})


def test_saved_rankings_answer_their_queries_as_a_retriever_does() -> None:
    runs = saved_rankings_by_run(
        {"text-to-image": {"one": ranked("i2", "i1"), "two": ranked("i1", "i2")}}, ITEMS
    )
    assert list(runs) == ["one", "two"]
    hits = search(runs, Query(text="a cup", k=2, models=("one",))).table
    assert hits["item_id"].tolist() == ["i2", "i1"]
    assert hits["score"].tolist() == [1, 1 / 2]
    assert hits["image"].tolist() == ["/b.jpg", "/a.jpg"]
    both = search(runs, Query(text="a cup", k=2, fusion="rrf")).table
    assert both["score"].tolist() == pytest.approx([1 / 61 + 1 / 62] * 2)


def test_what_was_not_saved_is_refused() -> None:
    saved = SavedRankings({"text-to-image": ranked("i1")}, ITEMS)
    with pytest.raises(ValueError, match="'a mug' is none of the queries that were ranked"):
        saved.search("a mug")
    with pytest.raises(ValueError, match="no rankings text-to-text are saved; there are text-to-image"):
        saved.search("a cup", to="text")
    with pytest.raises(ValueError, match="cannot be searched anew; leave out: filters, plus"):
        saved.search("a cup", where={"label": "mug"}, plus=["red"])
    with pytest.raises(ValueError, match="saved rankings have no vectors to mix: choose weighted_sum"):
        search(saved, Query("a cup", Path("/a.jpg")))
