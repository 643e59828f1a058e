"""Rescorings tried on the drawn catalogue."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs
from mmlab.items import DIRECTIONS
from mmlab.retrieve import csls
from mmlab.retrieve.score_studies import (
    compare_rescorings,
    hubness_table,
    measure_gap,
    occurrences,
    try_rescorings,
)
from mmlab.retrieve.scores.hubness import MIN_REFERENCES, Rescored
from mmlab.retrieve.scores.query_split import choose_split
from tests.retrieve.tables import qrels as qrels_of
from tests.retrieve.tables import rankings


@pytest.fixture(scope="module")
def qrels(collection):
    return {
        name: qrels_from_pairs(collection.items, source, target)
        for name, (source, target) in DIRECTIONS.items()
    }


def test_rescorings_are_tried_in_both_directions(collection, qrels) -> None:
    items, vectors = collection.items, collection.vectors
    tried = try_rescorings(vectors, choose_split(items), k=20)
    hubs = compare_rescorings(tried, qrels)
    assert hubs["direction"].unique().tolist() == list(DIRECTIONS)
    assert hubs["rescoring"].tolist() == ["none", "centring", "csls", "inverted_softmax", "qb_norm"] * 2
    assert hubs["temperature"].notna().tolist() == [False, False, False, True, True] * 2
    measured = measure_gap(vectors, items)
    gap = measured["modality gap"]
    assert gap[1] < 0.1 < gap[0]
    pair = items.set_index("item_id")["pair_id"]
    image = items[items["modality"] == "image"].drop_duplicates("pair_id").set_index("pair_id")["item_id"]
    texts = items.loc[items["modality"] == "text", "item_id"]
    texts = texts[pair[texts].isin(image.index).to_numpy()]
    row = dict(zip(vectors.ids, vectors.array, strict=True))
    expected = np.mean([row[text] @ row[image[pair[text]]] for text in texts])
    assert measured["cosine of pairs"][0] == pytest.approx(expected, abs=1e-5)
    trial = tried["text-to-image"]
    counts = occurrences(tried)["text-to-image"]["none"]
    assert counts.sum() == 10 * trial.rescored["none"].rankings["query_id"].nunique()
    test = items[items["split"] == "test"]
    assert set(trial.gallery) == set(test.loc[test["modality"] == "image", "item_id"])
    assert trial.judged == set(test.loc[test["modality"] == "text", "item_id"])
    assert "items of the test split, reference queries: queries of the other splits" in trial.summary


def test_a_split_with_few_queries_beside_it_has_a_bank_of_its_own(collection) -> None:
    items = collection.items
    few = items["pair_id"].isin(items["pair_id"].unique()[:5])
    items = items.assign(split=few.map({True: "train", False: "test"}))
    assert 0 < (few & (items["modality"] == "text")).sum() < MIN_REFERENCES
    summary = try_rescorings(collection.vectors, choose_split(items), k=20)["text-to-image"].summary
    assert (
        "items of the test split, reference queries: queries of pairs that neither ask nor answer" in summary
    )


def test_success_is_that_of_the_test_split_in_its_own_gallery(collection, qrels) -> None:
    """Recomputed from the vectors: the bank are all texts of the other splits."""
    items, vectors = collection.items, collection.vectors
    hubs = compare_rescorings(try_rescorings(vectors, choose_split(items), k=20), qrels).set_index(
        ["direction", "rescoring"]
    )
    test = items["split"] == "test"
    texts, images, others = (
        vectors.take(items.loc[rows & (items["modality"] == side), "item_id"])
        for rows, side in ((test, "text"), (test, "image"), (~test, "text"))
    )
    pair = items.set_index("item_id")["pair_id"]
    scores = texts.array @ images.array.T
    judged = np.isin(pair[texts.ids], pair[images.ids])
    for name, rescored in (("none", scores), ("csls", csls(scores, others.array @ images.array.T))):
        right = pair[images.ids].to_numpy()[rescored.argmax(axis=1)] == pair[texts.ids].to_numpy()
        assert hubs.loc[("text-to-image", name), "Success@1"] == pytest.approx(right[judged].mean())


def test_of_many_pairs_some_are_drawn_and_ask_the_whole_gallery(collection, monkeypatch) -> None:
    whole = try_rescorings(collection.vectors, choose_split(collection.items), k=10)
    monkeypatch.setattr("mmlab.retrieve.scores.query_split.COMPARED_PAIRS", 5)
    drawn = try_rescorings(collection.vectors, choose_split(collection.items), k=10)
    pair = collection.items.set_index("item_id")["pair_id"]
    for direction, trial in drawn.items():
        assert set(trial.gallery) == set(whole[direction].gallery)
        asked = trial.rescored["csls"].rankings["query_id"].unique()
        assert pair[asked].nunique() == 5
        assert trial.judged == set(asked)
        assert trial.summary.endswith(f", {len(asked)} queries, of 5 pairs drawn of a split")
        before = whole[direction].rescored["csls"].rankings
        same = before[before["query_id"].isin(asked)].set_index(["query_id", "rank"])["score"]
        found = trial.rescored["csls"].rankings.set_index(["query_id", "rank"])["score"]
        pd.testing.assert_series_equal(found.sort_index(), same.sort_index(), atol=1e-5)


def test_without_a_bank_there_is_no_success_and_no_temperature(collection, qrels) -> None:
    """30 pairs, no splits: nothing that a bank could be made of."""
    items = collection.items.assign(split=None)
    few = items[items["pair_id"].isin(items["pair_id"].drop_duplicates().iloc[:30])]
    tried = try_rescorings(collection.vectors, choose_split(few), k=5)
    hubs = compare_rescorings(tried, qrels).set_index(["direction", "rescoring"]).loc["image-to-text"]
    assert hubs["Success@1"].notna().to_dict() == {
        "none": True, "centring": True, "csls": False, "inverted_softmax": False, "qb_norm": False,
    }  # fmt: skip
    assert hubs["temperature"].isna().all()
    left_out = tried["image-to-text"].left_out
    assert list(left_out) == ["csls", "inverted_softmax", "qb_norm"]
    assert left_out["qb_norm"].startswith("rescoring: expected 50 reference queries")


def test_without_splits_the_pairs_serve_each_other(collection, qrels) -> None:
    items = collection.items.assign(split=None)
    trial = try_rescorings(collection.vectors, choose_split(items), k=5)["text-to-image"]
    assert len(trial.gallery) == (items["modality"] == "image").sum()
    texts = items.loc[items["modality"] == "text", "item_id"]
    assert 0 < len(trial.judged) < len(texts)  # temperatures were chosen on the others
    assert set(trial.rescored["csls"].rankings["query_id"]) == set(texts)


def test_without_a_joint_space_there_is_nothing_to_rescore(collection, qrels) -> None:
    items = collection.items
    texts = collection.vectors.take(items.loc[items["modality"] == "text", "item_id"])
    assert try_rescorings(texts, choose_split(items)) == {}
    assert compare_rescorings({}, qrels).empty
    assert measure_gap(texts, items).empty


def test_hubs_are_counted() -> None:
    found = rankings({"q1": {"a": 1.0, "b": 0.5}, "q2": {"a": 1.0, "c": 0.5}, "not judged": {"a": 1.0}})
    right = qrels_of({"q1": ["a"], "q2": ["c"]})
    rescored = {"none": Rescored(found), "qb_norm": Rescored(found, 0.1)}
    table = hubness_table(rescored, list("abcd"), right, k=1)
    assert np.isnan(table["temperature"][0])
    assert table["temperature"][1] == 0.1
    assert table.drop(columns="temperature").iloc[0].to_dict() == {
        "rescoring": "none",
        "skewness": pytest.approx(2 / 3**0.5),  # counts 3 0 0 0
        "most": 3,
        "never": 0.75,
        "Success@1": 0.5,
    }
