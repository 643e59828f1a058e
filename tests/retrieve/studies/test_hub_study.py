"""Rescorings tried on the drawn catalogue."""

import numpy as np
import pytest

from mmlab.evaluate import qrels_from_pairs
from mmlab.items import DIRECTIONS
from mmlab.retrieve.scores.hubness import Rescored
from mmlab.retrieve.studies.score_studies import (
    compare_rescorings,
    hubness_table,
    measure_gap,
    occurrences,
    try_rescorings,
)
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
    tried = try_rescorings(vectors, items, k=20)
    hubs = compare_rescorings(tried, vectors, items, qrels)
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
    counts = occurrences(tried, vectors, items)["text-to-image"]["none"]
    assert counts.sum() == 10 * tried["text-to-image"]["none"].rankings["query_id"].nunique()


def test_without_a_joint_space_there_is_nothing_to_rescore(collection, qrels) -> None:
    items = collection.items
    texts = collection.vectors.take(items.loc[items["modality"] == "text", "item_id"])
    assert try_rescorings(texts, items) == {}
    assert compare_rescorings({}, texts, items, qrels).empty
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
