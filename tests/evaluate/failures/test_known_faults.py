"""The lists of suspects against the faults that the demo catalogue knows."""

import pandas as pd
import pytest

from mmlab.evaluate import (
    qrels_from_pairs,
    suspected_false_negatives,
    suspected_wrong_pairs,
    vectors_by_modality,
)
from mmlab.evaluate.failures.known_faults import (
    read_known_faults,
    score_false_negatives,
    score_suspects,
    score_wrong_pairs,
)
from mmlab.evaluate.failures.suspected import above_threshold
from mmlab.evaluate.measures.geometry import joint_vectors
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


def test_the_faults_are_read_from_beside_the_images(dataset):
    faults = read_known_faults(dataset)
    assert faults.wrong_texts == {"ta", "tb"}
    assert faults.product["c"] == faults.product["d"] != faults.product["a"]


def test_precision_and_recall_of_wrong_pairs(dataset):
    found = score_wrong_pairs(pd.DataFrame({"text_id": ["ta", "tc"]}), read_known_faults(dataset))
    assert found.to_numpy().tolist() == [["wrong pairs", 2, 1, 2, 1 / 2, 1 / 2]]


def test_a_false_negative_shows_the_same_product(dataset):
    listed = pd.DataFrame({"query_id": ["tc", "ta"], "item_id": ["id", "ib"]})
    possible = pd.DataFrame({"query_id": ["tc", "td", "ta"], "item_id": ["id", "ic", "ib"]})
    found = score_false_negatives(listed, possible, dataset, read_known_faults(dataset))
    assert found.to_numpy().tolist() == [["false negatives", 2, 1, 2, 1 / 2, 1 / 2]]


def test_a_dataset_without_known_faults_has_none(dataset, tmp_path):
    (tmp_path / "truth.csv").write_text("image,what\n")
    assert read_known_faults(dataset) is None
    (tmp_path / "truth.csv").unlink()
    assert read_known_faults(dataset) is None
    assert read_known_faults(dataset[dataset["modality"] == "text"]) is None
    assert read_known_faults(dataset.assign(image="elsewhere.jpg")) is None


def test_the_lists_of_the_demo_catalogue_are_scored(collection):
    items = collection.items
    both = vectors_by_modality([collection.vectors], items)
    rankings = exact_search(both["text"], both["image"], 10)
    qrels = qrels_from_pairs(items, *DIRECTIONS["text-to-image"])
    wrong = suspected_wrong_pairs(joint_vectors(both), items)
    above = suspected_false_negatives(both["text"], items, rankings, qrels, threshold=-1.0)
    closer = suspected_false_negatives(both["text"], items, rankings, qrels)
    pd.testing.assert_frame_equal(above_threshold(above), closer)
    scored = score_suspects(wrong, above, items).set_index("list")
    assert scored.loc["wrong pairs", "listed"] == len(wrong)
    assert scored.loc["false negatives", "listed"] == len(closer)
    assert score_suspects(wrong, above, items.assign(image="x")).empty
