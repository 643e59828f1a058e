import pandas as pd
import pytest

from mmlab.evaluate import read_labels
from mmlab.evaluate.measures.partial import Pool
from mmlab.panels import pool_panel
from mmlab.panels.inspect_panel import PoolPanel


@pytest.fixture
def asked(collection) -> pd.DataFrame:
    """The items, and two queries of a person."""
    items = collection.items
    own = pd.DataFrame({"item_id": ["first", "second"], "modality": "text", "pair_id": ["first", "second"]})
    return pd.concat([items, own.assign(text=["a <b>red</b> mug", "a hat"])], ignore_index=True)


@pytest.fixture
def images(collection) -> list[str]:
    return sorted(collection.items.loc[collection.items["modality"] == "image", "item_id"].iloc[:3])


@pytest.fixture
def pool(images, tmp_path) -> Pool:
    rows = [
        (query, item, rank, 1 - rank / 10)
        for query in ("first", "second")
        for rank, item in enumerate(images[1::-1], 1)
    ]
    ranked = pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])
    known = pd.DataFrame({"query_id": ["second"], "item_id": [images[0]], "relevance": [1]})
    return Pool({"one": ranked}, known, tmp_path / "labels.jsonl")


@pytest.fixture
def panel(pool, asked) -> PoolPanel:
    return PoolPanel(pool, asked, "one")


def judged(pool: Pool) -> list[list]:
    return read_labels(pool.labels)[["query_id", "item_id", "relevance", "by"]].to_numpy().tolist()


def test_hits_are_shown_without_rank_score_and_mark(panel, images):
    assert [card["item_id"] for card in panel.grid.cards] == images[:2]
    for card in panel.grid.cards:
        assert not {"rank", "score", "probability"} & set(card)
        assert card["right"] is None
    assert "<bdi>a &lt;b&gt;red&lt;/b&gt; mug</bdi>" in panel.query.value
    assert "3 hits of 2 queries left to judge" in panel.query.value


def test_keys_alone_judge_all_hits_and_go_on_to_the_next_query(panel, pool, images):
    panel.grid.press("y", images[0])
    assert (panel.query_id, panel.grid.status) == ("first", "Judged relevant: version 1 of labels.jsonl")
    panel.grid.press("n", images[1])
    assert panel.query_id == "second"
    assert [card["item_id"] for card in panel.grid.cards] == [images[1]]  # the other one was judged before
    panel.grid.press("n", images[1])
    assert judged(pool) == [
        ["first", images[0], 1, "one"], ["first", images[1], 0, "one"], ["second", images[1], 0, "one"],
    ]  # fmt: skip
    assert "0 hits of 0 queries left to judge" in panel.query.value


def test_undo_goes_back_to_the_query_of_the_last_judgement(panel, pool, images):
    panel.grid.press("y", images[0])
    panel.grid.press("n", images[1])
    panel.grid.press("u", images[1])
    assert (panel.query_id, panel.grid.labels) == ("first", {images[0]: 1})
    assert judged(pool) == [["first", images[0], 1, "one"]]


def test_a_second_person_judges_the_same_hits_and_the_agreement_is_shown(panel, images):
    panel.grid.press("y", images[0])
    panel.grid.press("n", images[1])
    panel.by.value = "two"
    assert panel.grid.labels == {}  # what the first one said is not shown
    panel.grid.press("y", images[0])
    assert "one and two agree on 1 of 1 hit " in panel.agreed.value
    panel.grid.press("y", images[1])
    assert panel.agreement["agreed"].tolist() == [0.5]


def test_where_nothing_is_left_it_says_so(pool, asked):
    for row in pool.hits.itertuples():
        pool.add(row.query_id, row.item_id, 0, "one")
    panel = pool_panel(pool, asked, by="one")
    assert panel.grid.empty == "There is no hit left that you have not judged."
    assert panel.grid.cards == []


def test_a_judgement_that_cannot_be_written_is_not_shown_as_one(panel, pool, images):
    pool.labels.mkdir()  # where the file should be
    panel.grid._receive(None, {"do": "key", "key": "y", "id": images[0]}, None)
    assert "IsADirectoryError" in panel.grid.error
    assert panel.grid.labels == {}
