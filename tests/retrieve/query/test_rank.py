"""Many queries -> rankings."""

from dataclasses import replace

import numpy as np
import pytest

from mmlab.evaluate import qrels_from_pairs, score_queries
from mmlab.items import SpaceMismatch, Vectors, exact_search
from mmlab.retrieve.query.rank import rank


def test_every_query_is_ranked_over_the_other_modality_in_its_order(collection) -> None:
    items, vectors, retriever = collection
    texts = vectors.take(items.loc[items["modality"] == "text", "item_id"].head(20))
    images = set(items.loc[items["modality"] == "image", "item_id"])
    ranked = rank(retriever.index, texts, to="image", k=7)
    assert ranked["query_id"].drop_duplicates().tolist() == texts.ids.tolist()
    assert ranked.groupby("query_id")["rank"].apply(list).tolist() == [[1, 2, 3, 4, 5, 6, 7]] * 20
    assert set(ranked["item_id"]) <= images


def test_a_query_is_left_out_of_its_own_ranking(collection) -> None:
    items, vectors, retriever = collection
    images = vectors.take(items.loc[items["modality"] == "image", "item_id"].head(20))
    ranked = rank(retriever.index, images, to="image", k=5)
    assert (ranked["query_id"] != ranked["item_id"]).all()
    assert ranked.groupby("query_id")["rank"].apply(list).tolist() == [[1, 2, 3, 4, 5]] * 20


def test_a_filter_narrows_the_gallery(collection) -> None:
    items, vectors, retriever = collection
    images = items[items["modality"] == "image"].set_index("item_id")
    texts = vectors.take(items.loc[items["modality"] == "text", "item_id"].head(5))
    ranked = rank(retriever.index, texts, to="image", k=1000, where={"split": "test"})
    assert set(ranked["item_id"]) == set(images.index[images["split"] == "test"])


def test_exact_rankings_score_as_an_exact_search_by_hand(collection) -> None:
    items, vectors, retriever = collection
    qrels = qrels_from_pairs(items, "text", "image")
    texts, images = (
        vectors.take(items.loc[items["modality"] == side, "item_id"]) for side in ("text", "image")
    )
    ranked = rank(retriever.index, texts, to="image", k=10, exact=True)
    measured = score_queries(ranked, qrels, ["Success@1"]).set_index("query_id")["Success@1"]
    best = images.ids[np.argmax(texts.array @ images.array.T, axis=1)]
    right = qrels.groupby("query_id")["item_id"].agg(set)
    expected = [float(item in right[query]) for query, item in zip(texts.ids, best, strict=True)]
    assert np.mean(measured.loc[texts.ids] == expected) > 0.99  # near ties may fall either way


def test_vectors_at_hand_rank_as_an_exact_search_does(collection) -> None:
    items, vectors, retriever = collection
    for source, target in (("text", "image"), ("image", "image")):
        asked, gallery = (
            vectors.take(items.loc[items["modality"] == side, "item_id"]) for side in (source, target)
        )
        ours, theirs = exact_search(asked, gallery, 9), rank(retriever.index, asked, target, 9, exact=True)
        assert ours["query_id"].tolist() == theirs["query_id"].tolist()
        assert ours["rank"].tolist() == theirs["rank"].tolist()
        assert ours["score"].to_numpy() == pytest.approx(theirs["score"].to_numpy(), abs=1e-6)
        assert (ours["item_id"] == theirs["item_id"]).mean() > 0.99  # near ties may fall either way
        assert (ours["query_id"] != ours["item_id"]).all()


def test_more_than_there_are_gives_all_that_there_are(collection) -> None:
    items, vectors, retriever = collection
    images = items.loc[items["modality"] == "image", "item_id"]
    ranked = rank(retriever.index, vectors.take(images.head(2)), to="image", k=10_000)
    assert ranked.groupby("query_id").size().tolist() == [len(images) - 1] * 2  # all but the query itself


def test_queries_of_another_space_and_a_wrong_k_are_refused(collection) -> None:
    vectors, retriever = collection.vectors, collection.retriever
    foreign = Vectors(["q"], vectors.array[:1], replace(vectors.space, model="another", prompt="find: {}"))
    with pytest.raises(SpaceMismatch, match="prompt"):
        rank(retriever.index, foreign, to="image")
    with pytest.raises(ValueError, match="k is the number of items for each query, at least 1; found 0"):
        rank(retriever.index, vectors.take(vectors.ids[:1]), to="image", k=0)
