"""Queries that are items of the collection, and the rankings that a run saved for them."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mmlab.items.options import Whole
from mmlab.retrieve import Query, search
from mmlab.retrieve.query.known_queries import (
    SavedQuestions,
    SavedRankings,
    add_pair_columns,
    find_right_answers,
    saved_rankings_by_run,
    search_known,
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


def right(**query) -> list[str] | None:
    found = find_right_answers(ITEMS, Query(**query))
    return found and found.item_ids


def test_between_texts_and_images_the_items_of_the_querys_pair_are_right() -> None:
    assert right(text="a cup") == ["i1"]
    assert right(text="a mug") == ["i1", "i2"]  # two items have this text
    assert right(image=Path("/a.jpg"), to="text") == ["t1", "t2"]
    assert right(text="never seen") is None
    assert find_right_answers(ITEMS, Query(text="a cup")).meaning == "images of its own pair"


def test_there_is_no_truth_where_two_parts_ask() -> None:
    both = {"text": "a cup", "image": Path("/b.jpg")}
    assert right(**both) is None
    assert right(**both, weight=1.0) == ["i1"]  # the text alone asks
    assert right(**both, weight=0.0, to="text") == ["t3"]
    assert right(text="a cup", plus=("red",)) is None
    assert right(text="a cup", minus=(Path("/a.jpg"),)) is None
    assert right(text="a cup", context=(("red", "blue"),)) is None
    assert right(text="a cup", image=Image.new("RGB", (2, 2))) is None


def test_among_images_those_of_the_label_are_right_and_the_query_is_not() -> None:
    more = pd.DataFrame([("i3", "image", "p3", None, "/c.jpg", "mug")], columns=ITEMS.columns)
    items = pd.concat([ITEMS, more])
    found = find_right_answers(items, Query(image=Path("/a.jpg"), to="image"))
    assert found == (["i3"], "the other images of label “mug”")
    assert right(image=Path("/a.jpg"), to="image") is None  # no other has its label
    assert right(image=Path("/b.jpg"), to="image") is None  # it has none
    assert right(text="a cup", to="text") == ["t1"]


def test_a_query_is_not_its_own_answer(collection) -> None:
    items = collection.items
    image = items[items["modality"] == "image"].iloc[3]
    query = Query(image=Path(image["image"]), to="image", k=3, exact=True)
    first = search(collection.retriever, replace(query, k=4)).table
    assert first["item_id"].iloc[0] == image["item_id"]
    others = search_known(collection.retriever, items, query).table
    assert others["item_id"].tolist() == first["item_id"].tolist()[1:]
    assert others["rank"].tolist() == [1, 2, 3]
    path = Path(image["image"])
    alike = Query(plus=(path,), recommend="sum_scores", k=3, exact=True)  # the examples, where they ask alone
    assert search_known(collection.retriever, items, alike).table.equals(others)
    assert find_right_answers(items, alike) is None


def test_a_query_that_is_more_items_than_a_search_may_find_is_asked_all_the_same(
    collection, monkeypatch
) -> None:
    monkeypatch.setattr("mmlab.retrieve.query.known_queries.COUNT", Whole(1, 5))
    items = collection.items.copy()
    image = items[items["modality"] == "image"].iloc[3]
    items.loc[items["modality"] == "image", "image"] = image["image"]
    items.loc[items.index[-1], "image"] = "/other.png"
    query = Query(image=Path(image["image"]), to="image", k=3, exact=True)
    assert (
        len(search_known(collection.retriever, items, query).table) == 0
    )  # the five nearest are all the query
    assert len(search_known(collection.retriever, collection.items, query).table) == 3


def test_saved_questions_come_back_with_their_hits_and_labels(tmp_path) -> None:
    saved = SavedQuestions(tmp_path / "run" / "questions.jsonl")
    hits = pd.DataFrame({"rank": [1, 2], "item_id": ["i1", "i2"], "score": [0.9, 0.5]})
    first = Query("a mug", where={"label": ["mug"]}, plus=(Path("/b.jpg"), "red"), models=("one",))
    saved.save("mugs", first, hits)
    mine = Query(image=Image.new("RGB", (4, 2), "white"), image_name="mine.png", to="text")
    saved.save("mine", mine, hits.head(1))
    saved.save("mugs", replace(first, k=3), hits, {"i2": 0})
    assert list(saved.queries()) == ["mugs", "mine"]  # the newest first
    assert saved.queries()["mugs"] == replace(first, k=3)
    assert saved.queries()["mine"].image.size == (4, 2)
    table = saved.table
    assert table["name"].tolist() == ["mugs", "mugs", "mine"]
    assert table["relevance"].fillna(-1).tolist() == [-1, 0, -1]
    with pytest.raises(ValueError, match="name: expected 1 to 100 characters, found 0"):
        saved.save(" ", first, hits)
    saved.path.write_text(saved.path.read_text() + "{half a l")
    with pytest.raises(ValueError, match=r"questions.jsonl, line 4: no saved question; remove the line"):
        saved.queries()


def test_a_saved_question_keeps_its_examples_and_its_boost(tmp_path) -> None:
    saved, hits = (
        SavedQuestions(tmp_path / "questions.jsonl"),
        pd.DataFrame(columns=["rank", "item_id", "score"]),
    )
    paired = Query(context=(("red", Path("/b.jpg")),), boost={"price": -0.01})
    marked = Query("a mug", plus=(Path("/a.jpg"),), minus=("blue",), recommend="feedback")
    saved.save("paired", paired, hits)
    saved.save("marked", marked, hits)
    assert saved.queries() == {"marked": marked, "paired": paired}


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
