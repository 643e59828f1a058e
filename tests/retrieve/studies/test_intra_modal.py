"""Texts for texts and images for images."""

import numpy as np
import pandas as pd
from mmlab.retrieve.studies.intra_modal import rank_within
from mmlab.retrieve.studies.trials import try_calibrations

from mmlab.items import Space, Vectors, unit_rows

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
    ranked, qrels = rank_within(vectors, items, k=5)
    assert list(ranked) == list(qrels) == ["text-to-text", "image-to-image"]
    texts, images = qrels["text-to-text"], qrels["image-to-image"]
    assert sorted(zip(texts["query_id"], texts["item_id"], strict=True))[:2] == [
        ("t0-0", "t0-1"),
        ("t0-1", "t0-0"),
    ]
    assert set(images.loc[images["query_id"] == "i0-0", "item_id"]) == {"i2-0", "i4-0", "i6-0"}
    for name, found in ranked.items():
        assert (found["query_id"] != found["item_id"]).all()
        assert set(found["query_id"]) == set(qrels[name]["query_id"])
        assert found.groupby("query_id").size().eq(5).all()


def test_only_queries_of_validation_and_test_are_ranked() -> None:
    items, vectors = made(16, 2)
    items.loc[items["pair_id"].isin(["p8", "p9"]), "split"] = "train"
    ranked, _ = rank_within(vectors, items, k=3)
    assert not {"t8-0", "t9-1"} & set(ranked["text-to-text"]["query_id"])
    assert {"t8-0", "t9-1"} & set(ranked["text-to-text"]["item_id"])


def test_a_direction_without_answers_is_left_out() -> None:
    items, vectors = made(8, 1)
    assert rank_within(vectors, items.assign(label=None)) == ({}, {})


def test_what_is_alike_is_calibrated_in_its_own_direction(collection) -> None:
    ranked, qrels = rank_within(collection.vectors, collection.items, k=20)
    table, says = try_calibrations(ranked, collection.items, qrels)
    assert table["direction"].unique().tolist() == ["text-to-text", "image-to-image"]
    assert all("validation split" in how for how in says.values())
