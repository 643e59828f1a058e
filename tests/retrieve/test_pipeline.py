"""A run's answer step by step, on the drawn catalogue."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs, score_queries
from mmlab.evaluate.losses import attribute_losses, loss_changes
from mmlab.index import build_index, open_store
from mmlab.items import DIRECTIONS, ITEM_COLUMNS, Space, Vectors, exact_search, unit_rows
from mmlab.items.tables import item_id
from mmlab.retrieve import RetrievalConfig, csls, rank_directions, rrf, split_queries, weighted_sum
from mmlab.retrieve.pipeline import parent_steps, rank_direction, summarize_steps
from mmlab.retrieve.query.rank import rank, rank_models
from mmlab.retrieve.scores.fuse import fuse
from mmlab.retrieve.scores.fusion_weights import learn_weights
from mmlab.retrieve.scores.hubness import rescore
from mmlab.retrieve.studies.score_studies import try_rescorings


@pytest.fixture(scope="module")
def qrels(collection):
    return {
        name: qrels_from_pairs(collection.items, source, target)
        for name, (source, target) in DIRECTIONS.items()
    }


@pytest.fixture(scope="module")
def second(collection):
    """A worse model: the same vectors with twice as much noise, in a space of its own."""
    noise = 2 * np.random.default_rng(0).standard_normal(collection.vectors.array.shape) / 11
    space = Space("second", "1", "", "", "", collection.vectors.space.dimension)
    return Vectors(collection.vectors.ids, unit_rows(collection.vectors.array + noise), space)


@pytest.fixture(scope="module")
def both(collection, second, tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("both"))
    spaces = [collection.vectors, second]
    return build_index(store, "both", collection.items, spaces, progress=False), spaces


def test_the_search_alone_is_ranked_exactly_and_by_the_graph(collection, qrels) -> None:
    items, vectors, retriever = collection
    ranked = rank_directions(retriever.index, [vectors], items, RetrievalConfig(depth=7), qrels)
    assert list(ranked) == ["text-to-image", "image-to-text"]
    for name, (source, target) in DIRECTIONS.items():
        assert list(ranked[name].steps) == ["exact", "index", "quantized"]
        asked = vectors.take(items.loc[items["modality"] == source, "item_id"])
        expected = rank(retriever.index, asked, target, 7, exact=True)
        assert ranked[name].answer["item_id"].tolist() == expected["item_id"].tolist()


def test_every_step_of_the_configuration_runs_in_its_order(collection, both, qrels) -> None:
    index, spaces = both
    config = RetrievalConfig(20, True, "rrf", rescoring="csls", calibration="logistic", rerank=3)

    def match(texts, images):
        return np.arange(len(texts), 0, -1) / 100 - 1  # keeps every query's order, below any probability

    found = rank_direction(
        index, spaces, collection.items, "image", "text", config, qrels["image-to-text"], match
    )
    assert list(found.steps) == ["exact", "index", "quantized", "fused", "rescored", "calibrated", "reranked"]
    asked = [
        part.take(collection.items.loc[collection.items["modality"] == "image", "item_id"]) for part in spaces
    ]
    expected = rrf([rank(index, part, "text", 20, exact=True) for part in asked])
    fused = found.steps["fused"]
    assert fused["item_id"].tolist() == expected.loc[expected["rank"] <= 20, "item_id"].tolist()
    rescored, calibrated = found.steps["rescored"], found.steps["calibrated"]
    assert calibrated["item_id"].tolist() == rescored["item_id"].tolist()
    assert calibrated["score"].between(0, 1).all()
    assert found.calibration.fitted_on == found.split.fitting
    assert "validation split" in found.split.summary
    assert found.answer is found.steps["reranked"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"exact": False},
        {"fusion": "rrf"},
        {"exact": False, "fusion": "rrf", "rescoring": "csls"},
        {"rescoring": "csls", "calibration": "isotonic"},
    ],
    ids=str,
)
def test_the_waterfall_ends_at_what_the_measure_says(collection, both, qrels, settings: dict) -> None:
    """Each loss is booked to a step that led to the answer, so that what is left are the queries answered right."""
    index, spaces = both
    right = qrels["text-to-image"]
    found = rank_direction(
        index, spaces, collection.items, "text", "image", RetrievalConfig(20, **settings), right
    )
    assert next(iter(found.chain)) == "exact"
    assert found.chain[list(found.chain)[-1]] is found.answer
    for k in (1, 5):
        changes = loss_changes(attribute_losses(found.chain, right, k))
        measured = score_queries(found.answer, right, [f"Success@{k}"])[f"Success@{k}"].sum()
        assert changes["queries"].sum() == measured


def test_a_step_is_made_from_the_one_that_led_to_it() -> None:
    steps = ["exact", "index", "quantized", "fused", "rescored", "calibrated", "reranked"]
    assert parent_steps(steps, exact=False) == {
        "index": "exact", "quantized": "index", "fused": "quantized", "rescored": "exact",
        "calibrated": "rescored", "reranked": "calibrated",
    }  # fmt: skip
    assert parent_steps(["exact", "index", "calibrated"], exact=True)["calibrated"] == "exact"
    assert parent_steps(["exact", "index", "calibrated"], exact=False)["calibrated"] == "index"


def test_a_step_that_cannot_be_taken_says_what_is_lacking(collection, qrels) -> None:
    def ranked(**settings):
        return rank_direction(
            collection.retriever.index,
            [collection.vectors],
            collection.items,
            "text",
            "image",
            RetrievalConfig(**settings),
            qrels["text-to-image"],
        )

    with pytest.raises(ValueError, match="no model of this run has a matching head"):
        ranked(rerank=5)
    with pytest.raises(
        ValueError, match="parameter fusion: expected one of none, weighted_sum, rrf, dbsf, found 'sum'"
    ):
        ranked(fusion="sum")
    with pytest.raises(ValueError, match="parameter rescoring: expected one of none, centring, csls"):
        ranked(rescoring="hubs")
    with pytest.raises(ValueError, match="parameter calibration: expected one of none, temperature"):
        ranked(calibration="platt")
    with pytest.raises(
        ValueError, match="expected depth of at least 1, rerank and rrf_k of at least 0; found 0, 0 and 60"
    ):
        ranked(depth=0)


def test_models_are_weighed_by_hand_or_as_validation_says(collection, both, qrels) -> None:
    index, spaces = both
    items, right = collection.items, qrels["text-to-image"]

    def fused(weights: str):
        config = RetrievalConfig(20, fusion="weighted_sum", weights=weights)
        return rank_direction(index, spaces, items, "text", "image", config, right)

    alone = rank_models(index, spaces, items, "text", "image", 20)
    assert list(alone) == [vectors.space.key for vectors in spaces]
    by_hand = fused("0.9, 0.1")
    expected = weighted_sum(list(alone.values()), [0.9, 0.1])
    assert by_hand.answer["item_id"].tolist() == expected.loc[expected["rank"] <= 20, "item_id"].tolist()
    assert list(by_hand.weights.values()) == [0.9, 0.1]
    assert list(fused("equal").weights.values()) == [0.5, 0.5]
    learned = fused("learned")
    split = split_queries(items, right["query_id"].unique())
    best = learn_weights(
        [split.fitting_rows(one) for one in alone.values()], split.fitting_rows(right)
    ).weights
    assert tuple(learned.weights.values()) == best
    assert best[0] > 0.5  # the second model is the same with noise
    summary = summarize_steps({"text-to-image": learned})
    assert f"{best[0]:.2g} {spaces[0].space.key}" in summary
    assert "validation split" in summary


@pytest.mark.parametrize("weights", ["0.7", "0.5, 0.6", "much, little", "1.5, -0.5"])
def test_weights_that_do_not_add_up_are_refused(both, collection, qrels, weights: str) -> None:
    index, spaces = both
    with pytest.raises(ValueError, match=f"weights: expected 'equal', 'learned', .* found '{weights}'"):
        rank_direction(
            index, spaces, collection.items, "text", "image", RetrievalConfig(5, fusion="rrf", weights=weights),
            qrels["text-to-image"],
        )  # fmt: skip
    with pytest.raises(
        ValueError, match="weights 'learned' need a fusion: set fusion to rrf, dbsf or weighted_sum"
    ):
        RetrievalConfig(weights="learned")


def test_equal_weights_of_a_run_and_of_a_hybrid_mean_the_same_k_of_60(both, collection, qrels) -> None:
    index, spaces = both
    alone = list(rank_models(index, spaces, collection.items, "text", "image", 30).values())
    config = RetrievalConfig(30, fusion="rrf", weights="0.5, 0.5")
    found = rank_direction(
        index, spaces, collection.items, "text", "image", config, qrels["text-to-image"]
    ).answer
    expected = rrf(alone)
    assert found["score"].tolist() == expected.loc[expected["rank"] <= 30, "score"].tolist()
    config = RetrievalConfig(30, fusion="rrf", rrf_k=5)
    steep = rank_direction(
        index, spaces, collection.items, "text", "image", config, qrels["text-to-image"]
    ).answer
    expected = rrf(alone, k=5)
    assert steep["score"].tolist() == expected.loc[expected["rank"] <= 30, "score"].tolist()


def ranked_by(collection, direction, rescoring, k):
    """All queries against all items, rescored without a bank."""
    items, vectors = collection.items, collection.vectors
    queries, gallery = (
        vectors.take(items.loc[items["modality"] == side, "item_id"]) for side in DIRECTIONS[direction]
    )
    pairs = items.set_index("item_id")["pair_id"]
    return rescore(queries, gallery, pairs, rescoring, DIRECTIONS[direction][0], k).rankings


def test_a_calibration_does_not_follow_scores_on_two_scales() -> None:
    """QB-Norm leaves the scores of some queries as they are."""
    with pytest.raises(ValueError, match="calibration: qb_norm rescores some queries and leaves others"):
        RetrievalConfig(rescoring="qb_norm", calibration="logistic")
    assert RetrievalConfig(rescoring="csls", calibration="logistic").calibration == "logistic"


def test_queries_outside_the_gallery_are_the_bank_where_there_are_some(collection, qrels) -> None:
    items, vectors, retriever = collection
    pair = items["pair_id"]
    kept = items[pair.isin(pair.drop_duplicates().iloc[:60])]
    others = items[~pair.isin(kept["pair_id"])]
    right = {"text-to-image": qrels_from_pairs(kept, "text", "image")}
    config = RetrievalConfig(5, rescoring="csls")
    answer = rank_directions(retriever.index, [vectors], kept, config, right, others=others)[
        "text-to-image"
    ].answer
    asked, found, outside = (
        vectors.take(table.loc[table["modality"] == side, "item_id"])
        for table, side in ((kept, "text"), (kept, "image"), (others, "text"))
    )
    scores = csls(asked.array @ found.array.T, outside.array @ found.array.T)
    first = answer[answer["rank"] == 1]
    assert first["item_id"].tolist() == found.ids[scores.argmax(axis=1)].tolist()


def test_a_model_alone_is_fused_with_itself_centred(collection, qrels) -> None:
    items, vectors, retriever = collection
    config = RetrievalConfig(20, fusion="rrf", weights="0.7, 0.3")
    ranked = rank_directions(retriever.index, [vectors], items, config, qrels)
    for direction, found in ranked.items():
        systems = [ranked_by(collection, direction, name, 20) for name in ("none", "centring")]
        expected = fuse("rrf", systems, [0.7, 0.3])
        expected = expected[expected["rank"] <= 20]
        assert found.answer["item_id"].tolist() == expected["item_id"].tolist()
        assert found.answer["score"].tolist() == expected["score"].tolist()
        assert found.weights == {"as embedded": 0.7, "centred": 0.3}
    assert "(0.7 as embedded + 0.3 centred)" in summarize_steps(ranked)


def test_a_model_alone_is_rescored_as_embedded_and_centred(collection, qrels) -> None:
    items, vectors, retriever = collection
    direction = {"text-to-image": qrels["text-to-image"]}
    found = rank_directions(
        retriever.index, [vectors], items, RetrievalConfig(10, fusion="rrf", rescoring="centring"), direction
    )
    assert list(found) == ["text-to-image"]
    fused = found["text-to-image"]
    assert list(fused.steps) == ["exact", "index", "quantized", "fused", "rescored"]
    centred = ranked_by(collection, "text-to-image", "centring", 10)
    first = fused.answer[fused.answer["rank"] == 1]
    assert first["item_id"].tolist() == centred.loc[centred["rank"] == 1, "item_id"].tolist()


def test_models_without_a_joint_space_have_nothing_to_fuse(collection, qrels, tmp_path) -> None:
    items = collection.items
    apart = [
        replace(part, space=replace(part.space, model=f"{modality}-encoder"))
        for modality in ("text", "image")
        for part in [collection.vectors.take(items.loc[items["modality"] == modality, "item_id"])]
    ]
    index = build_index(open_store(tmp_path), "apart", items, apart, progress=False)
    with pytest.raises(ValueError, match="one model alone answers here, and it holds no texts and images"):
        rank_directions(index, apart, items, RetrievalConfig(fusion="rrf", siblings="keep"), qrels)
    for ranked in rank_directions(index, apart, items, RetrievalConfig(), qrels).values():
        assert ranked.answer.empty  # by siblings alone


JOINT = Space("joint", "1", "", "", "", 2)


def rows(ids, degrees, space=JOINT, queries=None):
    radians = np.radians(list(degrees))
    return Vectors(ids, np.stack([np.cos(radians), np.sin(radians)], axis=1), space, queries)


@pytest.fixture(scope="module")
def two_sides(tmp_path_factory):
    """Two pairs by hand: as documents each text lies at its own image, as queries at the other one's."""
    made = [("text", "a", 0), ("text", "b", 90), ("image", "a", 10), ("image", "b", 80)]
    ids = [item_id(modality, pair, "") for modality, pair, _ in made]
    queries = rows(ids[:2], [70, 30])
    vectors = rows(ids, [degrees for *_, degrees in made], queries=queries)
    items = pd.DataFrame([one[:2] for one in made], columns=["modality", "pair_id"]).assign(item_id=ids)
    items = items.reindex(columns=ITEM_COLUMNS).assign(width=1, height=1)
    index = build_index(
        open_store(tmp_path_factory.mktemp("sides")), "sides", items, [vectors], progress=False
    )
    return items, vectors, index


@pytest.mark.parametrize(
    "settings", [{}, {"fusion": "rrf"}, {"exact": False}, {"rescoring": "centring"}], ids=str
)
def test_texts_ask_as_queries_and_are_found_as_documents(two_sides, settings) -> None:
    items, vectors, index = two_sides
    right = {name: qrels_from_pairs(items, *sides) for name, sides in DIRECTIONS.items()}
    found = rank_directions(index, [vectors], items, RetrievalConfig(**settings), right)
    success = {
        name: score_queries(found[name].answer, right[name], ["Success@1"])["Success@1"].tolist()
        for name in found
    }
    assert success == {"text-to-image": [0, 0], "image-to-text": [1, 1]}
    if not settings:
        scores = found["text-to-image"].answer["score"].to_numpy()
        degrees = [10, 60, 20, 50]  # of the queries at 70 and 30 to the images at 80 and 10
        assert scores == pytest.approx(np.cos(np.radians(degrees)), abs=1e-6)


def test_texts_among_texts_ask_as_queries_too(two_sides) -> None:
    items, vectors, _ = two_sides
    texts = vectors.take(items.loc[items["modality"] == "text", "item_id"])
    tried = try_rescorings(vectors, items, k=2)["text-to-image"].rescored["none"].rankings
    assert tried["score"].to_numpy() == pytest.approx(np.cos(np.radians([10, 60, 20, 50])), abs=1e-6)
    within = exact_search(texts.asking(), texts, 1)
    assert within["score"].to_numpy() == pytest.approx(
        np.cos(np.radians([20, 30])), abs=1e-6
    )  # 70 to 90, 30 to 0
