"""How much the text and how much the picture should weigh, learned and judged on the drawn catalogue."""

import pandas as pd

from mmlab.evaluate import compare_systems, score_queries
from mmlab.retrieve import WeightTrial, say_weights, show_weights, try_weights


def test_a_weight_is_learned_on_some_pairs_and_judged_on_others(collection) -> None:
    items, vectors, retriever = collection
    trial = try_weights(retriever.index, [vectors], items, k=30)
    assert 0 <= trial.weight <= 1
    assert trial.table["weight"].tolist()[0] == 0
    assert list(trial.judged)[:3] == ["half each", "text alone", "picture alone"]
    pair = items.set_index("item_id")["pair_id"]
    split = items.set_index("item_id")["split"]
    assert set(split[trial.qrels["query_id"]]) == {"test"}
    assert (pair[trial.qrels["query_id"]].to_numpy() == pair[trial.qrels["item_id"]].to_numpy()).all()
    for found in trial.judged.values():
        assert set(found["query_id"]) == set(trial.qrels["query_id"])
        assert (found["query_id"] != found["item_id"]).all()


def test_without_two_texts_of_a_pair_no_weight_is_learned(collection) -> None:
    items = collection.items.drop_duplicates(["pair_id", "modality"])
    trial = try_weights(collection.retriever.index, [collection.vectors], items)
    assert trial.judged == {}
    assert trial.says == "no pairs have two texts and a picture"


def test_what_was_learned_is_told_with_its_interval(collection) -> None:
    items = collection.items
    trial = try_weights(collection.retriever.index, [collection.vectors], items, k=30)
    compared = compare_systems(
        {name: score_queries(found, trial.qrels, ["RR"]) for name, found in trial.judged.items()}, items
    )
    told = say_weights(trial._replace(weight=0.6), compared)
    assert "The learned weight of the text is 0.6" in told
    assert "judged on" in told
    assert show_weights(compared)["system"].tolist()[0] == "text alone"
    nothing = WeightTrial(0.5, pd.DataFrame(), {}, trial.qrels, "no pairs")
    assert say_weights(nothing, pd.DataFrame()) == "No weight was learned: no pairs."
