"""How much each system should weigh, learned and judged on the drawn catalogue."""

import pandas as pd
import pytest

from mmlab.evaluate import compare_systems, qrels_from_pairs, score_queries
from mmlab.index import build_index, open_store
from mmlab.items import DIRECTIONS, Space, Vectors, exact_search, is_among
from mmlab.items.rankings import rank_by_score
from mmlab.items.tables import TooFew
from mmlab.retrieve import weighted_sum
from mmlab.retrieve.scores.fusion_weights import learn_weights
from mmlab.retrieve.scores.hubness import centre
from mmlab.retrieve.scores.query_split import choose_split
from mmlab.retrieve.weight_study import (
    WeightTrial,
    summarize_weights,
    try_model_weights,
    try_query_weights,
    try_system_weights,
    weight_table,
)


@pytest.fixture(scope="module")
def qrels(collection):
    return {
        name: qrels_from_pairs(collection.items, source, target)
        for name, (source, target) in DIRECTIONS.items()
    }


def test_a_weight_is_learned_on_some_pairs_and_judged_on_others(collection) -> None:
    items, vectors, retriever = collection
    trial = try_query_weights(retriever.index, [vectors], choose_split(items), k=30)
    assert list(trial.weights) == ["text", "image"]
    assert sum(trial.weights.values()) == pytest.approx(1)
    assert list(trial.rankings)[:3] == ["equal shares", "text alone", "image alone"]
    assert list(trial.rankings)[-1] == "60% to the more confident"
    pair = items.set_index("item_id")["pair_id"]
    splits = items.set_index("item_id")["split"]
    assert set(splits[trial.qrels["query_id"]]) == {"test"}
    assert (pair[trial.qrels["query_id"]].to_numpy() == pair[trial.qrels["item_id"]].to_numpy()).all()
    for found in trial.rankings.values():
        assert set(found["query_id"]) == set(trial.qrels["query_id"])
        assert (found["query_id"] != found["item_id"]).all()


def test_of_many_pairs_some_are_drawn_and_ask_the_whole_gallery(collection, qrels, monkeypatch) -> None:
    monkeypatch.setattr("mmlab.retrieve.scores.query_split.COMPARED_PAIRS", 5)
    monkeypatch.setattr("mmlab.retrieve.weight_study.COMPARED_PAIRS", 5)
    items, vectors, retriever = collection
    judged = choose_split(items)
    one = [vectors]
    drawn = {"query": try_query_weights(retriever.index, one, judged, k=30)}
    drawn |= try_model_weights(retriever.index, one, judged, qrels, k=30)
    pair = items.set_index("item_id")["pair_id"]
    for trial in drawn.values():
        assert pair[trial.qrels["query_id"]].nunique() == 5
        assert trial.summary.endswith(", of 5 pairs drawn of a split")
        for found in trial.rankings.values():
            assert set(found["query_id"]) == set(trial.qrels["query_id"])
            assert pair[found["item_id"]].nunique() > 5
    texts = judged.items.loc[judged.items["modality"] == "text", "item_id"]
    assert set(drawn["image-to-text"].rankings["equal shares"]["item_id"]) <= set(texts)


def test_without_two_texts_of_a_pair_no_weight_is_learned(collection) -> None:
    items = collection.items.drop_duplicates(["pair_id", "modality"])
    with pytest.raises(TooFew, match="two pairs or more with two texts and an image, and there are 0"):
        try_query_weights(collection.retriever.index, [collection.vectors], choose_split(items))


def asked_and_found(collection, direction, split=""):
    items, vectors = collection.items, collection.vectors
    items = items[items["split"] == split] if split else items
    return [vectors.take(items.loc[items["modality"] == side, "item_id"]) for side in DIRECTIONS[direction]]


def test_one_models_answers_are_weighed_as_embedded_and_centred(collection, qrels) -> None:
    items, vectors, retriever = collection
    trials = try_model_weights(retriever.index, [vectors], choose_split(items), qrels, k=20)
    assert list(trials) == list(DIRECTIONS)
    for name, trial in trials.items():
        assert list(trial.weights) == ["as embedded", "centred"]
        by_split = {}
        for split in ("validation", "test"):  # each by its own items, and centred by its own means
            sides = asked_and_found(collection, name, split)
            centred = centre(*sides, DIRECTIONS[name][0])
            by_split[split] = [exact_search(*sides, 20), exact_search(*centred, 20)]
        learned = learn_weights(by_split["validation"], qrels[name])
        assert tuple(trial.weights.values()) == learned.weights
        system = [one for one in trial.rankings if one.startswith("learned")] or ["equal shares"]
        judged = [one[is_among(one["query_id"], trial.qrels["query_id"])] for one in by_split["test"]]
        expected = weighted_sum(judged, learned.weights)
        pd.testing.assert_frame_equal(trial.rankings[system[0]].reset_index(drop=True), expected)
        test = items.loc[items["split"] == "test", "item_id"]
        assert trial.qrels["query_id"].isin(test).all()
        assert (system[0] == "equal shares") == (learned.weights == (0.5, 0.5))


def test_several_models_are_weighed_where_they_answer(collection, qrels, tmp_path) -> None:
    items, vectors = collection.items, collection.vectors
    texts = vectors.take(items.loc[items["modality"] == "text", "item_id"])
    second = Vectors(texts.ids, texts.array, Space("second", "1", "", "", "", texts.space.dimension))
    index = build_index(open_store(tmp_path), "two", items, [vectors, second], progress=False)
    trials = try_model_weights(index, [vectors, second], choose_split(items), qrels, "rrf", k=10)
    assert list(trials) == ["text-to-image"]  # the second knows no images
    assert list(trials["text-to-image"].weights) == [vectors.space.key, second.space.key]


def test_of_three_systems_each_is_judged_alone_and_as_learned(collection, qrels) -> None:
    right = qrels["text-to-image"]
    plain = exact_search(*asked_and_found(collection, "text-to-image"), 10)
    against = rank_by_score(plain.assign(score=-plain["score"]))  # the same in the opposite order
    three = {"none": plain, "against": against, "as much": against}
    trial = try_system_weights(three, right, choose_split(collection.items, "all"))
    assert [name.split(":")[0] for name in trial.rankings] == [
        "equal shares", "none alone", "against alone", "as much alone", "learned",
    ]  # fmt: skip
    assert trial.weights == {"none": 0.6, "against": 0.2, "as much": 0.2}  # more than both against it


def test_what_was_learned_is_told_with_its_interval(collection) -> None:
    items = collection.items
    trial = try_query_weights(collection.retriever.index, [collection.vectors], choose_split(items), k=30)
    for name, found in trial.rankings.items():
        expected = score_queries(found, trial.qrels, ["RR"]).set_index("query_id")["RR"]
        ours = trial.scores()[name].set_index("query_id")["RR"]
        assert ours.to_dict() == pytest.approx(expected.to_dict())
    compared = compare_systems(trial.scores(), items)
    weighed = {"text": 0.6, "image": 0.4}
    if not compared["system"].str.startswith("learned").any():
        compared.loc[0, "system"] = "learned: 0.6 + 0.4"
    told = summarize_weights({"both": trial._replace(weights=weighed)}, {"both": compared})
    assert told.startswith("Both: the learned weights are text 0.6, image 0.4; against equal shares")
    assert "evaluated on" in told
    even = summarize_weights(
        {"both": trial._replace(weights={"text": 0.5, "image": 0.5})}, {"both": compared}
    )
    assert "the learned weights are equal shares" in even
    shown = weight_table({"both": compared})
    assert shown["system"].tolist() == compared["system"].tolist()
    assert set(shown["of"]) == {"both"}
    assert weight_table({}).empty
    nothing = WeightTrial({}, pd.DataFrame(), {}, trial.qrels, "no pairs")
    assert summarize_weights({"both": nothing}, {}) == "Both: no weight was learned: no pairs."
