"""A run's answer step by step, on the drawn catalogue."""

from dataclasses import replace
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs, score_queries
from mmlab.evaluate.losses import attribute_losses, loss_changes
from mmlab.index import build_index, open_store
from mmlab.items import DIRECTIONS, ITEM_COLUMNS, Space, Vectors, exact_search, unit_rows
from mmlab.items.tables import item_id
from mmlab.retrieve import RetrievalConfig, csls, rank_directions, rrf, split_queries, weighted_sum
from mmlab.retrieve.pipeline import (
    describe_fitting,
    fitting_split,
    parent_steps,
    rank_direction,
    summarize_steps,
)
from mmlab.retrieve.query.rank import rank, rank_models
from mmlab.retrieve.score_studies import try_rescorings
from mmlab.retrieve.scores import query_split
from mmlab.retrieve.scores.fitted_calibration import fit_calibration
from mmlab.retrieve.scores.fuse import fuse
from mmlab.retrieve.scores.fusion_weights import learn_weights
from mmlab.retrieve.scores.hubness import rescore
from mmlab.retrieve.scores.query_split import choose_split


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
    ranked = rank_directions(retriever.index, [vectors], items, RetrievalConfig(depth=7, split="all"), qrels)
    assert list(ranked) == ["text-to-image", "image-to-text"]
    for name, (source, target) in DIRECTIONS.items():
        assert list(ranked[name].steps) == ["exact", "index", "quantized"]
        asked = vectors.take(items.loc[items["modality"] == source, "item_id"])
        expected = rank(retriever.index, asked, target, 7, exact=True)
        assert ranked[name].answer["item_id"].tolist() == expected["item_id"].tolist()


def test_beside_an_exact_answer_the_graph_is_asked_the_queries_of_some_pairs(
    collection, qrels, monkeypatch
) -> None:
    items, vectors, retriever = collection
    monkeypatch.setattr(query_split, "COMPARED_PAIRS", 5)
    found = {
        exact: rank_directions(
            retriever.index, [vectors], items, RetrievalConfig(depth=7, exact=exact, split="all"), qrels
        )
        for exact in (True, False)
    }
    judged = choose_split(items, "all")
    for name, (source, _) in DIRECTIONS.items():
        asked = items.loc[items["modality"] == source, "item_id"].to_numpy(dtype=str)
        drawn = judged.of_compared_pairs(asked, seed=0)
        assert 0 < len(drawn) < len(asked)
        steps, whole = found[True][name].steps, found[False][name].steps
        assert steps["exact"]["query_id"].nunique() == len(asked)
        for step in ("index", "quantized"):
            assert set(steps[step]["query_id"]) == set(drawn)
            assert set(whole[step]["query_id"]) == set(asked)  # the answer itself, or what it was made from
        assert found[True][name].drawn == len(drawn)
        assert found[False][name].drawn == 0
    words = summarize_steps({"image-to-text": found[True]["image-to-text"]})
    assert words.endswith(
        "beside the answer the index and its quantized copies, asked 5 queries of 2,000 pairs drawn."
    )


def test_every_step_of_the_configuration_runs_in_its_order(collection, both, qrels) -> None:
    index, spaces = both
    config = RetrievalConfig(20, True, "rrf", rescoring="csls", calibration="logistic", rerank=3, split="all")

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
        index, spaces, collection.items, "text", "image", RetrievalConfig(20, split="all", **settings), right
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
        ValueError, match="parameter depth: expected a whole number from 1 to 100,000, found 0"
    ):
        ranked(depth=0)


def test_models_are_weighed_by_hand_or_as_validation_says(collection, both, qrels) -> None:
    index, spaces = both
    items, right = collection.items, qrels["text-to-image"]

    def fused(weights: str):
        config = RetrievalConfig(20, fusion="weighted_sum", weights=weights, split="all")
        return rank_direction(index, spaces, items, "text", "image", config, right)

    alone = rank_models(index, spaces, items, "text", "image", 20)
    assert list(alone) == [vectors.space.key for vectors in spaces]
    by_hand = fused("0.9, 0.1")
    expected = weighted_sum(list(alone.values()), [0.9, 0.1])
    assert by_hand.answer["item_id"].tolist() == expected.loc[expected["rank"] <= 20, "item_id"].tolist()
    assert list(by_hand.weights.values()) == [0.9, 0.1]
    assert list(fused("equal").weights.values()) == [0.5, 0.5]
    learned = fused("learned")
    split = split_queries(choose_split(items, "all"), right["query_id"].unique())
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
    with pytest.raises(ValueError, match=f"weights: expected equal, learned, .* found '{weights}'"):
        rank_direction(
            index, spaces, collection.items, "text", "image", RetrievalConfig(5, fusion="rrf", weights=weights),
            qrels["text-to-image"],
        )  # fmt: skip
    with pytest.raises(ValueError, match="weights: 'learned' needs a fusion; set fusion to rrf, dbsf or"):
        RetrievalConfig(weights="learned")


def test_equal_weights_of_a_run_and_of_a_hybrid_mean_the_same_k_of_60(both, collection, qrels) -> None:
    index, spaces = both
    alone = list(rank_models(index, spaces, collection.items, "text", "image", 30).values())
    config = RetrievalConfig(30, fusion="rrf", weights="0.5, 0.5", split="all")
    found = rank_direction(
        index, spaces, collection.items, "text", "image", config, qrels["text-to-image"]
    ).answer
    expected = rrf(alone)
    assert found["score"].tolist() == expected.loc[expected["rank"] <= 30, "score"].tolist()
    config = RetrievalConfig(30, fusion="rrf", rrf_k=5, split="all")
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
    answer = rank_directions(retriever.index, [vectors], items, RetrievalConfig(5, rescoring="csls"), qrels)[
        "text-to-image"
    ].answer
    test = items["split"] == "test"
    asked, found, outside = (
        vectors.take(items.loc[rows & (items["modality"] == side), "item_id"])
        for rows, side in ((test, "text"), (test, "image"), (~test, "text"))
    )
    scores = csls(asked.array @ found.array.T, outside.array @ found.array.T)
    first = answer[answer["rank"] == 1]
    assert first["item_id"].tolist() == found.ids[scores.argmax(axis=1)].tolist()


def test_a_model_alone_is_fused_with_itself_centred(collection, qrels) -> None:
    items, vectors, retriever = collection
    config = RetrievalConfig(20, fusion="rrf", weights="0.7, 0.3", split="all")
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
        retriever.index,
        [vectors],
        items,
        RetrievalConfig(10, fusion="rrf", rescoring="centring", split="all"),
        direction,
    )
    assert list(found) == ["text-to-image"]
    fused = found["text-to-image"]
    assert list(fused.steps) == ["exact", "index", "quantized", "fused", "rescored"]
    centred = ranked_by(collection, "text-to-image", "centring", 10)
    first = fused.answer[fused.answer["rank"] == 1]
    assert first["item_id"].tolist() == centred.loc[centred["rank"] == 1, "item_id"].tolist()


def built_apart(collection, folder):
    """Build an index of a text encoder beside an image encoder: the same vectors, in two spaces."""
    items = collection.items
    apart = [
        replace(part, space=replace(part.space, model=f"{modality}-encoder"))
        for modality in ("text", "image")
        for part in [collection.vectors.take(items.loc[items["modality"] == modality, "item_id"])]
    ]
    return build_index(open_store(folder), "apart", items, apart, progress=False), apart


def test_models_without_a_joint_space_have_nothing_to_fuse(collection, qrels, tmp_path) -> None:
    items, (index, apart) = collection.items, built_apart(collection, tmp_path)
    with pytest.raises(ValueError, match="one model alone answers here, and it holds no texts and images"):
        rank_directions(index, apart, items, RetrievalConfig(fusion="rrf", siblings="keep"), qrels)
    for ranked in rank_directions(index, apart, items, RetrievalConfig(), qrels).values():
        assert ranked.answer.empty  # by siblings alone


@pytest.fixture(scope="module")
def three(collection, both, tmp_path_factory):
    """An index of a text encoder, whose vectors are better than any, beside the two joint models; its vectors first."""
    texts = collection.items.loc[collection.items["modality"] == "text", "item_id"]
    own = collection.vectors.take(texts)
    spaces = [replace(own, space=replace(own.space, model="text-encoder")), *both[1]]
    store = open_store(tmp_path_factory.mktemp("three"))
    return build_index(store, "three", collection.items, spaces, progress=False), spaces


def test_a_text_encoder_has_no_vote_where_siblings_are_left_out(collection, three, qrels) -> None:
    (index, spaces), right = three, qrels["text-to-image"]

    def answer(vectors=spaces, **settings):
        config = RetrievalConfig(20, split="all", **settings)
        return rank_direction(index, vectors, collection.items, "text", "image", config, right)

    alone = answer(spaces[1:2])
    assert answer().answer.equals(alone.answer)  # it comes first, and would answer
    assert list(answer(spaces[:2], fusion="rrf").steps) == list(
        alone.steps
    )  # nobody to fuse the other one with
    kept = answer(fusion="weighted_sum", weights="0.5, 0.3, 0.2", siblings="keep")
    assert list(kept.weights.values()) == [0.5, 0.3, 0.2]
    left_out = answer(fusion="weighted_sum", weights="0.5, 0.3, 0.2")
    assert list(left_out.weights) == [own.space.key for own in spaces[1:]]
    assert list(left_out.weights.values()) == pytest.approx([0.6, 0.4])
    fused = answer(spaces[1:], fusion="weighted_sum", weights="0.6, 0.4")
    assert left_out.answer["item_id"].tolist() == fused.answer["item_id"].tolist()
    assert list(answer(fusion="rrf", weights="1, 0, 0").weights.values()) == [0.5, 0.5]


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
    tried = try_rescorings(vectors, choose_split(items), k=2)["text-to-image"].rescored["none"].rankings
    assert tried["score"].to_numpy() == pytest.approx(np.cos(np.radians([10, 60, 20, 50])), abs=1e-6)
    within = exact_search(texts.asking(), texts, 1)
    assert within["score"].to_numpy() == pytest.approx(
        np.cos(np.radians([20, 30])), abs=1e-6
    )  # 70 to 90, 30 to 0


SPACE = Space("by hand", "1", "", "", "", 2)


def by_hand(rows, tmp_path):
    """Items of (item_id, modality, pair, split, angle in degrees), their vectors, qrels and index."""
    items = pd.DataFrame([row[:4] for row in rows], columns=["name", "modality", "pair_id", "split"]).assign(
        label=None, text="a text", image=None
    )
    ids = {name: str(uuid5(NAMESPACE_OID, name)) for name in items["name"]}
    items.insert(0, "item_id", items["name"].map(ids))
    angles = np.radians([row[4] for row in rows])
    vectors = Vectors(items["item_id"], np.column_stack([np.cos(angles), np.sin(angles)]), SPACE)
    index = build_index(open_store(tmp_path), "hand", items, [vectors], progress=False)
    right = {name: qrels_from_pairs(items, *sides) for name, sides in DIRECTIONS.items()}
    return index, vectors, items, right


def named(table, items):
    """Rows of rankings as (query, item), by name."""
    name = items.set_index("item_id")["name"]
    return list(zip(table["query_id"].map(name), table["item_id"].map(name), strict=True))


ROWS = [
    ("ask", "text", "a", "test", 0), ("right", "image", "a", "test", 30), ("wrong", "image", "b", "test", 60),
    ("nearest", "image", "c", "train", 1), ("learned", "text", "c", "train", 2),
    ("loose", "image", "d", None, 3), ("word", "text", "d", None, 50),
]  # fmt: skip


@pytest.mark.parametrize("exact", [True, False])
def test_what_lies_nearest_in_another_split_is_not_found(tmp_path, exact) -> None:
    index, vectors, items, right = by_hand(ROWS, tmp_path)

    def ranked(split):
        config = RetrievalConfig(5, exact, split=split)
        return rank_directions(index, [vectors], items, config, right)["text-to-image"]

    found = ranked("auto")
    for step in found.steps.values():
        assert named(step, items) == [("ask", "right"), ("ask", "wrong")]
    assert named(found.answer, items) == [("ask", "right"), ("ask", "wrong")]
    assert named(found.beside, items) == [("learned", "nearest"), ("word", "loose")]  # each by its own split
    assert named(ranked("none").answer, items) == [("word", "loose")]
    everything = ranked("all")
    assert named(everything.answer, items)[:3] == [("ask", "nearest"), ("ask", "loose"), ("ask", "right")]
    assert everything.beside.empty


def test_no_split_is_ranked_beside_where_a_matching_head_ranks_again(collection, qrels) -> None:
    items, vectors, retriever = collection
    right = {"image-to-text": qrels["image-to-text"]}
    config = RetrievalConfig(5, rerank=1)
    found = rank_directions(
        retriever.index, [vectors], items, config, right, lambda texts, _: [0.5] * len(texts)
    )["image-to-text"]
    assert list(found.steps)[-1] == "reranked"
    assert found.beside.empty


def test_a_large_split_is_not_ranked_beside(tmp_path, monkeypatch) -> None:
    index, vectors, items, right = by_hand(ROWS, tmp_path)
    monkeypatch.setattr("mmlab.retrieve.pipeline.MAX_SCORES_BESIDE", 0)
    found = rank_directions(index, [vectors], items, RetrievalConfig(5), right)
    assert found["text-to-image"].beside.empty
    assert len(found["text-to-image"].answer) == 2


@pytest.mark.parametrize("seed", range(4))
def test_all_hits_of_a_query_are_of_its_split(collection, qrels, tmp_path, seed) -> None:
    """Splits drawn at random, of very unlike sizes, some items without one; every step, exact and by the graph."""
    rng = np.random.default_rng(seed)
    pairs = collection.items["pair_id"].drop_duplicates()
    drawn = rng.choice(["test", "val", "train", None], len(pairs), p=rng.dirichlet([1, 1, 1, 1]))
    items = collection.items.assign(
        split=collection.items["pair_id"].map(dict(zip(pairs, drawn, strict=True)))
    )
    index = build_index(open_store(tmp_path), "drawn", items, [collection.vectors], progress=False)
    config = RetrievalConfig(9, exact=bool(seed % 2), rescoring="centring", split=("auto", "train")[seed % 2])
    split = items.set_index("item_id")["split"].fillna("none")
    for direction, found in rank_directions(index, [collection.vectors], items, config, qrels).items():
        judged = choose_split(items, config.split)
        source, target = DIRECTIONS[direction]
        asking = judged.items.loc[judged.items["modality"] == source, "item_id"]
        for step in found.steps.values():
            assert set(step["query_id"]) == set(asking)
            assert set(split[step["item_id"]]) == {judged.name}
            held = int((judged.items["modality"] == target).sum())
            assert step.groupby("query_id").size().max() == min(9, held)
        assert (split[found.beside["query_id"]].to_numpy() == split[found.beside["item_id"]].to_numpy()).all()
        assert not set(found.beside["query_id"]) & set(asking)


def test_what_is_fitted_is_fitted_in_the_gallery_of_validation(collection, both, qrels) -> None:
    index, spaces = both
    items, right = collection.items, qrels["text-to-image"]
    config = RetrievalConfig(20, fusion="weighted_sum", weights="learned", calibration="logistic")
    found = rank_directions(index, spaces, items, config, {"text-to-image": right})["text-to-image"]
    ranked = {}
    for split in ("validation", "test"):
        own = items[items["split"] == split]
        ranked[split] = [
            exact_search(
                *(one.take(own.loc[own["modality"] == side, "item_id"]) for side in ("text", "image")), 20
            )
            for one in spaces
        ]
    learned = learn_weights(ranked["validation"], right).weights
    assert tuple(found.weights.values()) == learned
    expected = fuse("weighted_sum", ranked["test"], learned)
    assert found.steps["fused"]["item_id"].tolist() == expected[expected["rank"] <= 20]["item_id"].tolist()
    own = items[items["split"] == "validation"]
    assert found.calibration.fitted_on == set(own.loc[own["modality"] == "text", "item_id"])
    assert found.calibration.gallery == (own["modality"] == "image").sum()
    fused = fuse("weighted_sum", ranked["validation"], learned)
    fused = fused[fused["rank"] <= 20].reset_index(drop=True)
    by_hand = fit_calibration("logistic", fused, right, found.split)
    assert by_hand.calibration == found.calibration.calibration


def test_without_validation_half_of_the_judged_pairs_are_fitted_on_and_not_judged(collection, qrels) -> None:
    items = collection.items
    two = items.assign(split=items["split"].replace({"validation": "train"}))
    config = RetrievalConfig(20, fusion="rrf", weights="learned")
    judged = choose_split(two)
    split = fitting_split(judged, "text", config)
    texts = set(judged.items.loc[judged.items["modality"] == "text", "item_id"])
    assert split.fitting | split.evaluation == texts
    assert 0.4 < len(split.fitting) / len(texts) < 0.6
    told = describe_fitting(judged, "text", config)
    assert told["fitted on"].startswith("weights: not divided by a validation split: fitted on the")
    assert describe_fitting(judged, "text", RetrievalConfig(rescoring="csls")) == {
        "fitted on": "nothing", "bank of rescoring": "queries of train",
    }  # fmt: skip
    assert (
        describe_fitting(choose_split(two, "all"), "text", RetrievalConfig(rescoring="csls"))[
            "bank of rescoring"
        ]
        == "queries of pairs that neither ask nor answer"
    )


def test_captions_that_stand_for_images_are_of_the_same_split(collection, tmp_path) -> None:
    """A text encoder beside an image encoder: a text finds the images of the captions near it."""
    items, (index, apart) = collection.items, built_apart(collection, tmp_path)
    right = {name: qrels_from_pairs(items, *sides) for name, sides in DIRECTIONS.items()}
    split = items.set_index("item_id")["split"]
    for found in rank_directions(index, apart, items, RetrievalConfig(8, siblings="keep"), right).values():
        assert len(found.answer)
        for step in found.steps.values():
            assert (
                set(split[step["query_id"]])
                == set(split[step["item_id"]])
                == set(split[step["via"]])
                == {"test"}
            )


def test_a_split_that_is_not_there_is_told(collection, qrels) -> None:
    items, vectors, retriever = collection
    with pytest.raises(
        ValueError, match="split: expected auto, all or one of test, train, validation; found 'dev1'"
    ):
        rank_directions(retriever.index, [vectors], items, RetrievalConfig(split="dev1"), qrels)
