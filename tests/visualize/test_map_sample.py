"""A sample in which every group has its share, and texts stand in the order of their images."""

import numpy as np
import pandas as pd
import pytest

from mmlab.items import Space, Vectors
from mmlab.visualize import sample_pairs
from mmlab.visualize.map_sample import found_first, name_groups, sampled_vectors


def items(sizes):
    labels = [label for label, size in sizes.items() for _ in range(size)]
    pairs = [f"p{n}" for n in range(len(labels))]
    images = pd.DataFrame({"item_id": pairs, "modality": "image", "pair_id": pairs, "label": labels})
    texts = images.assign(item_id="t " + images["pair_id"], modality="text")
    more = texts.assign(item_id="u " + images["pair_id"])
    return pd.concat([images, texts, more], ignore_index=True)


def test_every_group_has_its_share_to_within_one_pair():
    shown = sample_pairs(items({"mug": 60, "hat": 30, "cap": 10}), 20)
    counts = shown[shown["modality"] == "image"]["label"].value_counts()
    assert counts.to_dict() == {"mug": 12, "hat": 6, "cap": 2}


def test_texts_come_first_and_in_the_order_of_their_images():
    shown = sample_pairs(items({"mug": 5, None: 4}), 6)
    assert shown["modality"].tolist() == ["text"] * 6 + ["image"] * 6
    assert shown["pair_id"][:6].tolist() == shown["pair_id"][6:].tolist()
    assert not shown["pair_id"][:6].duplicated().any()


def test_the_seed_repeats_the_sample_and_all_is_all():
    everything = items({"mug": 30})
    first, again, other = (sample_pairs(everything, 10, seed=seed)["item_id"].tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert len(sample_pairs(everything, 999)) == 60


def test_items_without_a_partner_are_left_out():
    everything = items({"mug": 3})
    shown = sample_pairs(everything[everything["item_id"] != "p1"], 9)
    assert set(shown["pair_id"]) == {"p0", "p2"}
    with pytest.raises(ValueError, match="expected 1 pair or more, found 0"):
        sample_pairs(everything, 0)


def test_vectors_come_in_the_order_of_the_sample_in_one_part_or_two():
    shown = sample_pairs(items({"mug": 2}), 2)
    texts, images = shown["item_id"][:2].tolist(), shown["item_id"][2:].tolist()
    space, other = (Space(name, "1", "", "", "", 2) for name in "ab")
    by_modality = {"text": Vectors(texts[::-1], np.eye(2), space), "image": Vectors(images, np.eye(2), space)}
    (joint,) = sampled_vectors(by_modality, shown)
    assert joint.ids.tolist() == texts + images
    assert joint.array[0].tolist() == [0, 1]
    apart = sampled_vectors({**by_modality, "image": Vectors(images, np.eye(2), other)}, shown)
    assert [part.ids.tolist() for part in apart] == [texts, images]


def test_results_are_given_for_items_of_both_directions():
    shown = pd.DataFrame({"item_id": ["t", "u", "i"]})
    scores = [
        pd.DataFrame({"query_id": ["t", "u"], "RR": [1, 0.5]}),
        pd.DataFrame({"query_id": ["x"], "RR": [1]}),
    ]
    assert found_first(shown, *scores).tolist() == ["found first", "missed", "not judged"]


def test_a_missing_group_has_a_name():
    assert name_groups(pd.DataFrame({"label": ["mug", None]}), "label").tolist() == ["mug", "(none)"]
    assert name_groups(pd.DataFrame({"label": [np.nan, np.nan]}), "label").tolist() == ["(none)"] * 2
