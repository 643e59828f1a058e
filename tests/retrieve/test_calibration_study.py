"""Calibrations tried in each direction, among texts and among images too."""

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs
from mmlab.items import DIRECTIONS, Space, Vectors, exact_search, unit_rows
from mmlab.retrieve.score_studies import (
    rank_intra_modal,
    summarize_calibrations,
    try_calibrations,
)
from mmlab.retrieve.scores.query_split import choose_split

SPACE = Space("s", "1", "", "", "", 4)


def made(pairs: int, texts: int) -> tuple[pd.DataFrame, Vectors]:
    """Pairs of an image and some texts, the labels a and b in turn."""
    rows = [
        (
            f"{kind}{pair}-{number}",
            modality,
            f"p{pair}",
            "ab"[pair % 2],
            ("validation", "test")[pair // 4 % 2],
        )
        for pair in range(pairs)
        for kind, modality, count in (("t", "text", texts), ("i", "image", 1))
        for number in range(count)
    ]
    items = pd.DataFrame(rows, columns=["item_id", "modality", "pair_id", "label", "split"])
    array = unit_rows(np.random.default_rng(0).standard_normal((len(items), 4)))
    return items, Vectors(items["item_id"], array, SPACE)


def test_the_other_texts_of_a_pair_and_the_other_images_of_a_label_are_right() -> None:
    items, vectors = made(8, 2)
    ranked, qrels = rank_intra_modal(vectors, choose_split(items), k=5)
    assert list(ranked) == list(qrels) == ["text-to-text", "image-to-image"]
    texts, images = qrels["text-to-text"], qrels["image-to-image"]
    assert sorted(zip(texts["query_id"], texts["item_id"], strict=True))[:2] == [
        ("t0-0", "t0-1"),
        ("t0-1", "t0-0"),
    ]
    assert set(images.loc[images["query_id"] == "i0-0", "item_id"]) == {"i2-0"}  # of its label and its split
    for name, found in ranked.items():
        assert (found["query_id"] != found["item_id"]).all()
        assert set(found["query_id"]) == set(qrels[name]["query_id"])
        held = {"text-to-text": 5, "image-to-image": 3}  # a split holds four images, of which one asks
        assert found.groupby("query_id").size().eq(held[name]).all()


def test_only_queries_of_validation_and_test_are_ranked() -> None:
    items, vectors = made(16, 2)
    items.loc[items["pair_id"].isin(["p8", "p9"]), "split"] = "train"
    ranked, _ = rank_intra_modal(vectors, choose_split(items), k=3)
    split = items.set_index("item_id")["split"]
    for found in ranked.values():
        asked = split[found["query_id"]].to_numpy()
        assert set(asked) == {"validation", "test"}
        assert (asked == split[found["item_id"]].to_numpy()).all()


def test_a_direction_without_answers_is_left_out() -> None:
    items, vectors = made(8, 1)
    assert rank_intra_modal(vectors, choose_split(items.assign(label=None))) == ({}, {})


def test_what_is_alike_is_calibrated_in_its_own_direction(collection) -> None:
    ranked, qrels = rank_intra_modal(collection.vectors, choose_split(collection.items), k=20)
    table, splits, _ = try_calibrations(ranked, choose_split(collection.items), qrels)
    assert table["direction"].unique().tolist() == ["text-to-text", "image-to-image"]
    assert list(splits) == ["text-to-text", "image-to-image"]
    assert all("validation split" in summary for summary in splits.values())


@pytest.fixture(scope="module")
def plain(collection):
    """The exact rankings of both directions, and their qrels."""
    items, vectors = collection.items, collection.vectors
    ranked, qrels = {}, {}
    for name, (source, target) in DIRECTIONS.items():
        ids = [items.loc[items["modality"] == modality, "item_id"] for modality in (source, target)]
        ranked[name] = exact_search(*(vectors.take(own) for own in ids), 20)
        qrels[name] = qrels_from_pairs(items, source, target)
    return ranked, qrels


def test_every_calibration_is_tried_in_both_directions(collection, plain) -> None:
    ranked, qrels = plain
    trial = try_calibrations(ranked, choose_split(collection.items), qrels)
    assert trial.table["direction"].unique().tolist() == list(DIRECTIONS)
    assert set(trial.table["calibration"]) == {"temperature", "logistic", "isotonic"}
    assert set(trial.fitted) == {"temperature", "logistic", "isotonic"}
    for (direction, kind), part in trial.table.groupby(["direction", "calibration"]):
        one = trial.fitted[kind][direction]
        others = ranked[direction][~ranked[direction]["query_id"].isin(one.fitted_on)]
        test = collection.items.loc[collection.items["split"] == "test", "item_id"]
        others = others[others["query_id"].isin(test)]
        predicted = one.apply(others)
        judged = predicted[predicted["query_id"].isin(qrels[direction]["query_id"])]
        right = pd.MultiIndex.from_frame(judged[["query_id", "item_id"]]).isin(
            pd.MultiIndex.from_frame(qrels[direction][["query_id", "item_id"]])
        )
        place = np.minimum((judged["score"] * 10).astype(int), 9)
        error = sum(
            abs(judged["score"][place == bin].mean() - right[place == bin].mean()) * (place == bin).mean()
            for bin in set(place)
        )
        assert part["ece"].unique() == pytest.approx([error])  # that of the calibration which is kept
        assert one.depth == 20
    least = trial.table.groupby("direction", sort=False)["ece"].min()
    summary = summarize_calibrations(trial)
    for direction, error in least.items():
        assert f"least expected calibration error, {error:.3f} ({trial.splits[direction]})" in summary


def test_a_direction_that_cannot_be_calibrated_says_why(collection, plain) -> None:
    ranked, qrels = plain
    nothing = {name: right.head(0) for name, right in qrels.items()}
    table, splits, fitted = try_calibrations(ranked, choose_split(collection.items), nothing)
    assert fitted == {}
    assert table.empty
    assert list(splits) == list(DIRECTIONS)
    for summary in splits.values():
        assert summary.startswith("not calibrated: expected relevant and irrelevant items")
    nothing_to_try = try_calibrations({}, choose_split(collection.items), qrels)
    assert nothing_to_try.table.empty
    assert summarize_calibrations(nothing_to_try).startswith("Nothing to calibrate")
