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


FIRST, SECOND = "text-to-image", "image-to-text"


def by_direction(missed):
    """The misses as text-to-image; of the other direction the same queries, of which one failed by its image."""
    return {
        FIRST: missed,
        SECOND: replace(missed, explained=missed.explained.iloc[:1].assign(failed="image")),
    }


@pytest.fixture
def panel(missed, collection):
    return InspectPanel(by_direction(missed), collection.items, 2, "a tester")


def test_the_first_failures_are_shown_by_a_plain_call(missed, collection):
    assert str(misses_gallery(missed, collection.items)).count("not among the first 3") == 2
    assert "No query failed (image)" in str(misses_gallery(missed, collection.items, kind="image"))


def test_a_hit_is_judged_and_found_in_the_file(panel, missed):
    panel.cards[1].yes.click()
    labels = read_labels(missed.labels)
    query, item = missed.explained["query_id"][0], missed.rankings["item_id"][1]
    assert labels[["query_id", "item_id", "relevance", "by"]].to_numpy().tolist() == [
        [query, item, 1, "a tester"]
    ]
    assert "judged relevant: version 1 of labels.jsonl" in panel.status.value
    assert "judged relevant" in panel.cards[1].image.value
    panel.cards[1].no.click()
    assert read_labels(missed.labels)["relevance"].tolist() == [1, 0]
    assert "judged not relevant" in panel.cards[1].image.value


def test_walking_and_filtering(panel, missed):
    texts = missed.explained["query_id"].tolist()
    assert panel.query_id == texts[0]
    panel.after.click()
    assert panel.query_id == texts[1]
    panel.after.click()
    assert panel.query_id == texts[1]  # the last one stays
    panel.kind.value = "text"
    assert (panel.query_id, panel.place.max) == (texts[0], 1)


def test_the_other_direction_has_kinds_of_its_own(panel, missed):
    panel.after.click()
    panel.direction.value = SECOND
    assert [value for _, value in panel.kind.options] == ["all misses", "image"]
    assert (panel.query_id, panel.place.value, panel.place.max) == (missed.explained["query_id"][0], 1, 1)
    panel.kind.value = "image"
    assert panel.query_ids == missed.explained["query_id"].tolist()[:1]


def test_another_kind_is_drawn_once(panel, monkeypatch):
    panel.after.click()
    drawn = []
    describe = panel.describe_miss
    monkeypatch.setattr(panel, "describe_miss", lambda: drawn.append(1) or describe())
    panel.kind.value = "text"
    assert len(drawn) == 1


def test_a_miss_is_missed_no_more_once_a_hit_of_it_is_judged_relevant(panel):
    assert "not among the first 3" in panel.heading.value
    panel.cards[1].yes.click()
    assert "first right answer at rank 2" in panel.heading.value
    panel.cards[1].no.click()
    assert "not among the first 3" in panel.heading.value


def test_who_judges_is_the_login_name_until_another_is_typed(missed, collection, monkeypatch):
    monkeypatch.setenv("LOGNAME", "somebody")
    opened = inspect_panel(by_direction(missed), collection.items)
    assert opened.children[0].children[2].value == "somebody"
    panel = InspectPanel(by_direction(missed), collection.items, 2, "somebody")
    panel.cards[0].yes.click()
    panel.by.value = "another"
    panel.cards[0].no.click()
    assert read_labels(missed.labels)["by"].tolist() == ["somebody", "another"]


@pytest.mark.parametrize("error", [OSError, KeyError, ImportError])
def test_a_system_without_a_login_name_leaves_it_empty(monkeypatch, error):
    def fail():
        raise error("no such user")

    monkeypatch.setattr("getpass.getuser", fail)
    assert login_name() == ""


def test_without_misses_there_is_nothing_to_judge(missed, collection):
    found = by_direction(replace(missed, explained=missed.explained.iloc[2:]))
    panel = InspectPanel(found, collection.items, 2, "")
    assert "No query failed" in panel.heading.value
    assert {card.box.layout.display for card in panel.cards} == {"none"}


def test_an_error_while_writing_is_shown(panel, missed):
    missed.labels.mkdir()
    panel.cards[0].yes.click()
    assert "Error" in panel.status.value
