from dataclasses import replace

import pytest
from mmlab.retrieve.scores.panel_calibrations import fit_calibrations

from mmlab.evaluate import qrels_from_pairs
from mmlab.items import Vectors
from mmlab.retrieve import CALIBRATIONS
from mmlab.retrieve.query.rank import rank
from mmlab.retrieve.query.search import ask
from mmlab.retrieve.query.spec import Question
from mmlab.retrieve.query.systems import systems_of
from mmlab.retrieve.scores.calibrate import Temperature


def test_every_kind_is_fitted_and_gives_probabilities(collection):
    items, vectors = collection.items, collection.vectors
    texts: Vectors = vectors.take(items.loc[items["modality"] == "text", "item_id"])
    ranked = {"text-to-image": rank(collection.retriever.index, texts, "image", k=20, exact=True)}
    qrels = {"text-to-image": qrels_from_pairs(items, "text", "image")}
    fitted = fit_calibrations(ranked, items, qrels)
    assert list(fitted) == list(CALIBRATIONS)
    assert {direction for found in fitted.values() for direction in found} == {"text-to-image"}
    systems = systems_of(collection.retriever)
    for kind in fitted:
        hits = ask(systems, Question(text="a red mug", k=5, calibration=kind), {"": fitted})
        assert hits["probability"].between(0, 1).all()
        assert hits["probability"].is_monotonic_decreasing


def test_a_calibration_is_not_lent_to_another_system(collection):
    systems = systems_of({"one": collection.retriever, "two": collection.retriever})
    fitted = {"one": {"temperature": {"text-to-image": Temperature(0.1)}}}
    question = Question(text="a red mug", calibration="temperature", systems=("one",))
    assert "probability" in ask(systems, question, fitted)
    with pytest.raises(ValueError, match="the temperature calibration of two is fitted for nothing"):
        ask(systems, replace(question, systems=("two",)), fitted)
    with pytest.raises(ValueError, match="several models are calibrated for none"):
        ask(systems, replace(question, systems=("one", "two"), fusion="rrf"), fitted)


def test_what_cannot_be_fitted_is_left_out(collection):
    items = collection.items
    texts = collection.vectors.take(items.loc[items["modality"] == "text", "item_id"].iloc[:3])
    ranked = {"text-to-image": rank(collection.retriever.index, texts, "image", k=1, exact=True)}
    nothing = qrels_from_pairs(items, "text", "image").iloc[:0]
    assert fit_calibrations(ranked, items, {"text-to-image": nothing}) == {}


def test_a_matching_head_ranks_the_first_hits_again(collection):
    systems = systems_of(collection.retriever)
    plain = ask(systems, Question(text="a red mug", k=4))
    turned = ask(
        systems,
        Question(text="a red mug", k=4, rerank=3),
        match=lambda texts, images: list(range(len(texts))),
    )
    assert turned["item_id"].tolist() == [plain["item_id"][place] for place in (2, 1, 0, 3)]
    assert turned["before"].tolist() == [3, 2, 1, 4]
