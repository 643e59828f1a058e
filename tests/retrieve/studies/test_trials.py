"""Rescorings and calibrations tried on the drawn catalogue."""

import numpy as np
import pytest
from mmlab.retrieve.studies.sentences import say_calibrations, say_hubs
from mmlab.retrieve.studies.trials import (
    judge_rescorings,
    measure_gap,
    occurrences,
    try_calibrations,
    try_rescorings,
)

from mmlab.evaluate import qrels_from_pairs
from mmlab.items import DIRECTIONS


@pytest.fixture(scope="module")
def qrels(collection):
    return {name: qrels_from_pairs(collection.items, *way) for name, way in DIRECTIONS.items()}


def test_rescorings_and_calibrations_are_tried_in_both_directions(collection, qrels) -> None:
    items, vectors = collection.items, collection.vectors
    tried = try_rescorings(vectors, items, k=20)
    hubs = judge_rescorings(tried, vectors, items, qrels)
    assert hubs["direction"].unique().tolist() == list(DIRECTIONS)
    assert hubs["rescoring"].tolist() == ["none", "centring", "csls", "inverted_softmax", "qb_norm"] * 2
    plain = {name: ways["none"] for name, ways in tried.items()}
    table, says = try_calibrations(plain, items, qrels)
    assert set(table["calibration"]) == {"temperature", "logistic", "isotonic"}
    assert all("validation split" in how for how in says.values())
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
    assert counts.sum() == 10 * tried["text-to-image"]["none"]["query_id"].nunique()
    assert say_hubs(hubs, measure_gap(vectors, items)).startswith(f"The modality gap is {gap[0]:.2f}")
    assert "has the least expected calibration error" in say_calibrations(table, says)


def test_without_a_joint_space_there_is_nothing_to_rescore(collection, qrels) -> None:
    items = collection.items
    texts = collection.vectors.take(items.loc[items["modality"] == "text", "item_id"])
    assert try_rescorings(texts, items) == {}
    assert judge_rescorings({}, texts, items, qrels).empty
    assert measure_gap(texts, items).empty
    assert try_calibrations({}, items, qrels)[0].empty
    assert "no gap to close" in say_hubs(judge_rescorings({}, texts, items, qrels), measure_gap(texts, items))
    assert say_calibrations(*try_calibrations({}, items, qrels)).startswith("Nothing to calibrate")


def test_a_direction_that_cannot_be_calibrated_says_why(collection, qrels) -> None:
    tried = try_rescorings(collection.vectors, collection.items, k=20)
    nothing = {name: right.head(0) for name, right in qrels.items()}
    plain = {name: ways["none"] for name, ways in tried.items()}
    table, says = try_calibrations(plain, collection.items, nothing)
    assert table.empty
    assert all(
        how.startswith("not calibrated: expected relevant and irrelevant items") for how in says.values()
    )
