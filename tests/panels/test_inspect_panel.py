import pandas as pd
import pytest

from mmlab.evaluate import read_labels
from mmlab.panels import failures_gallery, inspect_panel, judge_hit, judged_hits
from mmlab.panels.failures import failure_kinds, failures
from mmlab.panels.inspecting import InspectPanel, login_name


@pytest.fixture
def misses(collection):
    """Two texts whose first hits are wrong: one failed by its text, one by both; a third was found."""
    items = collection.items
    texts = items.loc[items["modality"] == "text", "item_id"].iloc[:3].tolist()
    images = items.loc[items["modality"] == "image", "item_id"].iloc[:6].tolist()
    rows = [
        (query, item, rank + 1, 0.9 - rank / 10) for query in texts for rank, item in enumerate(images[3:])
    ]
    rankings = pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])
    qrels = pd.DataFrame({"query_id": texts, "item_id": images[:3], "relevance": 1})
    return pd.DataFrame({"query_id": texts, "failed": ["text", "both", None]}), rankings, qrels


WAY, BACK = "text-to-image", "image-to-text"


def directed(misses):
    """The misses as text-to-image; of the other direction the same queries, of which one failed by its image."""
    explained, rankings, qrels = misses
    other = explained.iloc[:1].assign(failed="image")
    return {WAY: explained, BACK: other}, {WAY: rankings, BACK: rankings}, {WAY: qrels, BACK: qrels}


@pytest.fixture
def panel(misses, collection, tmp_path):
    return InspectPanel(*directed(misses), collection.items, tmp_path / "labels.jsonl", 2, "a tester")


def test_failures_by_kind(misses):
    explained = misses[0]
    texts = explained["query_id"].tolist()
    assert failures(explained) == texts[:2]
    assert failures(explained, "both") == texts[1:2]
    assert [value for _, value in failure_kinds(explained)] == ["all misses", "text", "both"]


def test_the_static_twin_shows_the_first_failures(misses, collection):
    assert str(failures_gallery(*misses, collection.items)).count("not among the first 3") == 2
    assert "No query failed (image)" in str(failures_gallery(*misses, collection.items, kind="image"))


def test_a_hit_is_judged_and_found_in_the_file(panel, misses, tmp_path):
    panel.cards[1].yes.click()
    labels = read_labels(tmp_path / "labels.jsonl")
    query, item = misses[0]["query_id"][0], misses[1]["item_id"][1]
    assert labels[["query_id", "item_id", "relevance", "by"]].to_numpy().tolist() == [
        [query, item, 1, "a tester"]
    ]
    assert "judged relevant: version 1 of labels.jsonl" in panel.said.value
    assert "judged relevant" in panel.cards[1].image.value
    panel.cards[1].no.click()
    assert read_labels(tmp_path / "labels.jsonl")["relevance"].tolist() == [1, 0]
    assert "judged not relevant" in panel.cards[1].image.value


def test_walking_and_filtering(panel, misses):
    texts = misses[0]["query_id"].tolist()
    assert panel.query == texts[0]
    panel.after.click()
    assert panel.query == texts[1]
    panel.after.click()
    assert panel.query == texts[1]  # the last one stays
    panel.kind.value = "text"
    assert (panel.query, panel.place.max) == (texts[0], 1)


def test_the_other_direction_has_kinds_of_its_own(panel, misses):
    panel.after.click()
    panel.direction.value = BACK
    assert [value for _, value in panel.kind.options] == ["all misses", "image"]
    assert (panel.query, panel.place.value, panel.place.max) == (misses[0]["query_id"][0], 1, 1)
    panel.kind.value = "image"
    assert panel.misses == misses[0]["query_id"].tolist()[:1]


def test_another_kind_is_drawn_once(panel, monkeypatch):
    panel.after.click()
    drawn = []
    told = panel.tell_miss
    monkeypatch.setattr(panel, "tell_miss", lambda: drawn.append(1) or told())
    panel.kind.value = "text"
    assert len(drawn) == 1


def test_a_miss_is_missed_no_more_once_a_hit_of_it_is_judged_relevant(panel):
    assert "not among the first 3" in panel.heading.value
    panel.cards[1].yes.click()
    assert "first right answer at rank 2" in panel.heading.value
    panel.cards[1].no.click()
    assert "not among the first 3" in panel.heading.value


def test_who_judges_is_the_login_name_until_another_is_typed(misses, collection, tmp_path, monkeypatch):
    monkeypatch.setenv("LOGNAME", "somebody")
    file = tmp_path / "labels.jsonl"
    assert (
        inspect_panel(*directed(misses), collection.items, file).children[0].children[2].value == "somebody"
    )
    panel = InspectPanel(*directed(misses), collection.items, file, 2, "somebody")
    panel.cards[0].yes.click()
    panel.by.value = "another"
    panel.cards[0].no.click()
    assert read_labels(file)["by"].tolist() == ["somebody", "another"]


@pytest.mark.parametrize("error", [OSError, KeyError, ImportError])
def test_a_system_without_a_login_name_leaves_it_empty(monkeypatch, error):
    def fail():
        raise error("no such user")

    monkeypatch.setattr("getpass.getuser", fail)
    assert login_name() == ""


def test_without_misses_there_is_nothing_to_judge(misses, collection, tmp_path):
    explained, rankings, qrels = misses
    found = directed((explained.iloc[2:], rankings, qrels))
    panel = InspectPanel(*found, collection.items, tmp_path / "l.jsonl", 2, "")
    assert "No query failed" in panel.heading.value
    assert {card.box.layout.display for card in panel.cards} == {"none"}


def test_an_error_while_writing_is_shown(panel, tmp_path):
    (tmp_path / "labels.jsonl").mkdir()
    panel.cards[0].yes.click()
    assert "Error" in panel.said.value


def test_labels_stand_over_the_qrels(misses, tmp_path):
    explained, rankings, qrels = misses
    query, item = explained["query_id"][0], rankings["item_id"][0]
    assert judge_hit(tmp_path / "l.jsonl", query, item, 1) == "judged relevant: version 1 of l.jsonl"
    hits = judged_hits(query, rankings, qrels, tmp_path / "l.jsonl", k=2)
    assert hits["relevant"].tolist() == [True, False]
    assert hits["judged"].fillna(-1).tolist() == [1, -1]
