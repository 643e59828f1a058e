"""The lists of suspects against the truth that the demo catalogue carries."""

import pandas as pd
import pytest

from mmlab.evaluate import (
    alike,
    joint_vectors,
    judge_false_negatives,
    judge_suspects,
    judge_wrong_pairs,
    qrels_from_pairs,
    read_planted,
    suspected_false_negatives,
    suspected_wrong_pairs,
    vectors_by_modality,
)
from mmlab.items import DIRECTIONS, exact_search


@pytest.fixture
def dataset(tmp_path):
    """Four images: a and b have each other's captions, c shows what d shows."""
    shown = {"category": ["mug", "hat", "cap", "cap"], "colour": "red", "pattern": "plain"}
    truth = pd.DataFrame({"image": list("abcd"), **shown, "background": "wall", "companion": ""})
    truth.to_csv(tmp_path / "truth.csv", index=False)
    faults = pd.DataFrame(
        {"fault": ["swapped captions", "swapped captions", "html tags"], "image": list("abc")}
    )
    faults.to_csv(tmp_path / "faults.csv", index=False)
    texts = pd.DataFrame({"item_id": [f"t{n}" for n in "abcd"], "modality": "text", "pair_id": list("abcd")})
    images = texts.assign(item_id=[f"i{n}" for n in "abcd"], modality="image")
    images["image"] = [str(tmp_path / name) for name in "abcd"]
    return pd.concat([texts, images], ignore_index=True)


def test_the_truth_is_read_from_beside_the_images(dataset):
    planted = read_planted(dataset)
    assert planted.wrong_texts == {"ta", "tb"}
    assert planted.product["c"] == planted.product["d"] != planted.product["a"]


def test_precision_and_recall_of_wrong_pairs(dataset):
    found = judge_wrong_pairs(pd.DataFrame({"text_id": ["ta", "tc"]}), read_planted(dataset))
    assert found.to_numpy().tolist() == [["wrong pairs", 2, 1, 2, 1 / 2, 1 / 2]]


def test_a_false_negative_shows_the_same_product(dataset):
    listed = pd.DataFrame({"query_id": ["tc", "ta"], "item_id": ["id", "ib"]})
    possible = pd.DataFrame({"query_id": ["tc", "td", "ta"], "item_id": ["id", "ic", "ib"]})
    found = judge_false_negatives(listed, possible, dataset, read_planted(dataset))
    assert found.to_numpy().tolist() == [["false negatives", 2, 1, 2, 1 / 2, 1 / 2]]


def test_a_dataset_without_truth_has_none(dataset, tmp_path):
    (tmp_path / "truth.csv").write_text("image,what\n")
    assert read_planted(dataset) is None
    (tmp_path / "truth.csv").unlink()
    assert read_planted(dataset) is None
    assert read_planted(dataset[dataset["modality"] == "text"]) is None
    assert read_planted(dataset.assign(image="elsewhere.jpg")) is None


def test_the_demo_catalogue_judges_its_own_lists(collection):
    items = collection.items
    sides = vectors_by_modality([collection.vectors], items)
    rankings, qrels = (
        exact_search(sides["text"], sides["image"], 10),
        qrels_from_pairs(items, *DIRECTIONS["text-to-image"]),
    )
    wrong = suspected_wrong_pairs(joint_vectors(sides), items)
    above = suspected_false_negatives(sides["text"], items, rankings, qrels, threshold=-1.0)
    closer = suspected_false_negatives(sides["text"], items, rankings, qrels)
    pd.testing.assert_frame_equal(alike(above), closer)
    judged = judge_suspects(wrong, above, items).set_index("list")
    assert judged.loc["wrong pairs", "listed"] == len(wrong)
    assert judged.loc["false negatives", "listed"] == len(closer)
    assert judge_suspects(wrong, above, items.assign(image="x")).empty
