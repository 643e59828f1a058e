from dataclasses import replace

import pandas as pd
import pytest

from mmlab.evaluate import read_labels
from mmlab.evaluate.losses import MissedQueries
from mmlab.panels import inspect_panel, misses_gallery
from mmlab.panels.inspect_panel import InspectPanel, login_name


@pytest.fixture
def missed(collection, tmp_path):
    """Two texts whose first hits are wrong: one failed by its text, one by both; a third was found."""
    items = collection.items
    texts = items.loc[items["modality"] == "text", "item_id"].iloc[:3].tolist()
    images = items.loc[items["modality"] == "image", "item_id"].iloc[:6].tolist()
    rows = [
        (query, item, rank + 1, 0.9 - rank / 10) for query in texts for rank, item in enumerate(images[3:])
    ]
    rankings = pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])
    qrels = pd.DataFrame({"query_id": texts, "item_id": images[:3], "relevance": 1})
    explained = pd.DataFrame({"query_id": texts, "failed": ["text", "both", None]})
    return MissedQueries(explained, rankings, qrels, tmp_path / "labels.jsonl")


@pytest.fixture
def backwards(missed):
    """The first image as a missed query: the three texts are found, none of them its own."""
    explained = pd.DataFrame({"query_id": [missed.qrels["item_id"][0]], "failed": ["image"]})
    found = pd.DataFrame({"query_id": explained["query_id"][0], "item_id": missed.explained["query_id"]})
    found = found.assign(rank=[1, 2, 3], score=[0.9, 0.8, 0.7])
    qrels = pd.DataFrame({"query_id": explained["query_id"], "item_id": found["item_id"][2], "relevance": 1})
    return MissedQueries(explained, found, qrels, missed.labels)


FIRST, SECOND = "text-to-image", "image-to-text"


@pytest.fixture
def panel(missed, backwards, collection):
    return InspectPanel({FIRST: missed, SECOND: backwards}, collection.items, 2, "a tester")


def cards(panel):
    return [card["item_id"] for card in panel.grid.cards]


def judged(missed):
    return read_labels(missed.labels)[["query_id", "item_id", "relevance", "by"]].to_numpy().tolist()


def test_the_first_failures_are_shown_by_a_plain_call(missed, collection):
    assert str(misses_gallery(missed, collection.items)).count("not among the first 3") == 2
    assert "No query failed (image)" in str(misses_gallery(missed, collection.items, kind="image"))


def test_a_hit_is_judged_by_its_key_and_found_in_the_file(panel, missed):
    panel.goes_on.value = False
    query, item = missed.explained["query_id"][0], missed.rankings["item_id"][1]
    panel.grid.press("y", item)
    assert judged(missed) == [[query, item, 1, "a tester"]]
    assert panel.grid.status == "Judged relevant: version 1 of labels.jsonl"
    assert panel.grid.labels == {item: 1}
    panel.grid.press("n", item)
    assert [row[2] for row in judged(missed)] == [1, 0]
    assert panel.grid.labels == {item: 0}
    panel.grid.press("2", item)  # the second hit in place is this one
    assert [row[2] for row in judged(missed)] == [1, 0, 1]


def test_judgements_come_back_as_a_table(panel, missed):
    panel.grid.press("1", cards(panel)[0])
    assert panel.labels.equals(read_labels(missed.labels))
    assert len(panel.labels) == 1


def test_where_judgements_are_saved_is_said(panel, missed):
    assert str(missed.labels) in panel.saved.value


def test_once_a_hit_is_relevant_the_next_miss_follows(panel, missed):
    texts = missed.explained["query_id"].tolist()
    panel.grid.press("1", cards(panel)[0])
    assert panel.query_id == texts[1]
    assert panel.grid.labels == {}
    assert panel.grid.status == "Judged relevant: version 1 of labels.jsonl"
    assert "Miss 2 of 2; 1 of them judged" in panel.query.value


def test_once_all_hits_are_judged_the_next_miss_follows(panel, missed):
    texts, (first, second) = missed.explained["query_id"].tolist(), cards(panel)
    panel.grid.press("n", first)
    assert panel.query_id == texts[0]
    panel.grid.press("n", second)
    assert panel.query_id == texts[1]
    panel.grid.press("y", cards(panel)[0])
    assert panel.query_id == texts[1]  # there is none after it


def test_undo_goes_back_to_the_miss_and_loses_nothing(panel, missed):
    texts, (first, second) = missed.explained["query_id"].tolist(), cards(panel)
    panel.grid.press("n", first)
    panel.grid.press("y", second)
    assert panel.query_id == texts[1]
    panel.direction.value = SECOND
    assert panel.grid.undoable
    panel.grid.press("u", cards(panel)[0])
    assert (panel.direction.value, panel.query_id) == (FIRST, texts[0])
    assert panel.grid.labels == {first: 0}
    assert panel.grid.status == "Undone: judgement taken back: version 3 of labels.jsonl"
    assert judged(missed) == [[texts[0], first, 0, "a tester"]]
    panel.grid.press("u", first)
    assert (judged(missed), panel.grid.labels, panel.grid.undoable) == ([], {}, False)
    assert len(missed.labels.read_text().splitlines()) == 4  # nothing was deleted
    panel.grid.press("u", first)
    assert len(missed.labels.read_text().splitlines()) == 4


def test_undo_brings_back_what_was_judged_before(panel, missed):
    panel.goes_on.value = False
    item = cards(panel)[0]
    for key in "ynu":
        panel.grid.press(key, item)
    assert panel.grid.labels == {item: 1}
    assert [row[2] for row in judged(missed)] == [1, 0, 1]


def test_an_image_that_asks_is_named_and_texts_are_lines(panel, backwards, collection):
    panel.direction.value = SECOND
    assert "the query" in panel.query.value
    words = collection.items.set_index("item_id")["text"]
    assert [card["words"] for card in panel.grid.cards] == words[backwards.rankings["item_id"][:2]].tolist()
    assert {card["modality"] for card in panel.grid.cards} == {"text"}
    assert {card["image"] for card in panel.grid.cards} == {None}


def test_only_a_hit_of_the_querys_pair_is_marked(panel, backwards, collection):
    panel.direction.value = SECOND
    assert [card["right"] for card in panel.grid.cards] == [None, None]
    whole = InspectPanel({SECOND: backwards}, collection.items, 3, "")
    assert [card["right"] for card in whole.grid.cards] == [None, None, True]


def test_a_saved_notebook_shows_the_miss(panel):
    assert "not among the first 3" in panel._static


def test_walking_and_filtering(panel, missed):
    texts = missed.explained["query_id"].tolist()
    assert panel.query_id == texts[0]
    panel.after.click()
    assert panel.query_id == texts[1]
    panel.after.click()
    assert panel.query_id == texts[1]  # the last one stays
    panel.kind.value = "text"
    assert (panel.query_id, panel.place.max) == (texts[0], 1)


def test_the_other_direction_has_kinds_of_its_own(panel, backwards):
    panel.after.click()
    panel.direction.value = SECOND
    assert [value for _, value in panel.kind.options] == ["all misses", "image"]
    assert (panel.query_id, panel.place.value, panel.place.max) == (backwards.explained["query_id"][0], 1, 1)
    panel.kind.value = "image"
    assert panel.query_ids == backwards.explained["query_id"].tolist()


def test_another_kind_is_drawn_once(panel, monkeypatch):
    panel.after.click()
    drawn = []
    draw = panel._draw
    monkeypatch.setattr(panel, "_draw", lambda: drawn.append(1) or draw())
    panel.kind.value = "text"
    assert len(drawn) == 1


def test_a_miss_is_missed_no_more_once_a_hit_of_it_is_judged_relevant(panel):
    panel.goes_on.value = False
    assert "not among the first 3" in panel.query.value
    panel.grid.label(cards(panel)[1], 1)
    assert "first right answer at rank 2" in panel.query.value
    panel.grid.label(cards(panel)[1], None)
    assert "not among the first 3" in panel.query.value


def test_who_judges_is_the_login_name_until_another_is_typed(missed, collection, monkeypatch):
    monkeypatch.setenv("LOGNAME", "somebody")
    opened = inspect_panel({FIRST: missed}, collection.items)
    assert opened.children[0].children[2].value == "somebody"
    panel = InspectPanel({FIRST: missed}, collection.items, 2, "somebody")
    panel.grid.label(cards(panel)[0], 0)
    panel.by.value = "another"
    panel.grid.label(cards(panel)[1], 0)
    assert read_labels(missed.labels)["by"].tolist() == ["somebody", "another"]


@pytest.mark.parametrize("error", [OSError, KeyError, ImportError])
def test_a_system_without_a_login_name_leaves_it_empty(monkeypatch, error):
    def fail():
        raise error("no such user")

    monkeypatch.setattr("getpass.getuser", fail)
    assert login_name() == ""


def test_without_misses_there_is_nothing_to_judge(missed, collection):
    found = {FIRST: replace(missed, explained=missed.explained.iloc[2:])}
    panel = InspectPanel(found, collection.items, 2, "")
    assert panel.grid.empty == "No query failed."
    assert panel.grid.cards == []
    panel.grid.undo()


def test_an_error_while_writing_is_shown_and_the_label_is_not(panel, missed):
    missed.labels.mkdir()
    item = cards(panel)[0]
    panel.grid._receive(None, {"do": "key", "key": "y", "id": item}, [])
    assert "Error" in panel.grid.error
    assert panel.grid.labels == {}
