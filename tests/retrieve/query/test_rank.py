"""Many queries -> rankings: over the drawn catalogue, and through pairs on five items drawn by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmlab.evaluate import qrels_from_pairs, score_queries
from mmlab.index import build_index, open_store
from mmlab.items import ITEM_COLUMNS, Space, SpaceMismatch, Vectors, exact_search
from mmlab.items.tables import item_id
from mmlab.retrieve import Retriever
from mmlab.retrieve.query.rank import rank, rank_exactly, rank_through_pairs


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
    with pytest.raises(ValueError, match="k: expected a whole number from 1, found 0"):
        rank(retriever.index, vectors.take(vectors.ids[:1]), to="image", k=0)


TEXTS, IMAGES = (Space(name, "1", "", "", "", 2) for name in ("texts", "images"))
ANGLES = {"a1": 0, "a2": 50, "b1": 20, "c1": 70}  # degrees of the texts; the letter is the pair


def made(names, modality):
    return [item_id(modality, name[0], name) for name in names]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    texts, images = made(ANGLES, "text"), made("abc", "image")
    rows = [(i, "text", n[0], n, None) for i, n in zip(texts, ANGLES, strict=True)]
    rows += [(i, "image", n, None, f"{n}.jpg") for i, n in zip(images, "abc", strict=True)]
    items = pd.DataFrame(rows, columns=["item_id", "modality", "pair_id", "text", "image"])
    items = items.reindex(columns=ITEM_COLUMNS)
    items = items.assign(label=items["pair_id"].map({"a": "x", "b": "y", "c": "y"}), width=1, height=1)
    spaces = [unit(texts, ANGLES.values(), TEXTS), unit(images, (0, 10, 90), IMAGES)]
    return build_index(open_store(tmp_path_factory.mktemp("store")), "two", items, spaces, progress=False)


def unit(ids, degrees, space):
    radians = np.radians(list(degrees))
    return Vectors(ids, np.stack([np.cos(radians), np.sin(radians)], axis=1), space)


def named(ranked, column="item_id"):
    known = dict(zip(made(ANGLES, "text"), ANGLES, strict=True)) | dict(
        zip(made("abc", "image"), "abc", strict=True)
    )
    return [known[item] for item in ranked[column]]


def test_a_caption_stands_for_its_image_and_the_best_counts(index) -> None:
    ranked = rank(index, unit(["q"], [5], TEXTS), to="image", k=3)
    assert named(ranked) == ["a", "b", "c"]
    assert named(ranked, "via") == ["a1", "b1", "c1"]  # a2 comes later than a1
    assert ranked["rank"].tolist() == [1, 2, 3]
    assert ranked["score"].tolist() == pytest.approx(np.cos(np.radians([5, 15, 65])), abs=1e-6)


def test_the_query_s_own_item_is_no_hit(index) -> None:
    own = made(["a1"], "text")
    ranked = rank(index, unit(own, [0], TEXTS), to="image", k=3)
    assert named(ranked) == ["b", "a", "c"]
    assert named(ranked, "via") == ["b1", "a2", "c1"]


def test_an_image_gets_to_texts_through_images_like_it(index) -> None:
    ranked = rank(index, unit(["q"], [0], IMAGES), to="text", k=10)
    assert sorted(named(ranked)[:2]) == ["a1", "a2"]  # both texts of the nearest image, at its score
    assert named(ranked)[2:] == ["b1", "c1"]
    assert named(ranked, "via") == ["a", "a", "b", "c"]


def test_without_vectors_of_the_target_the_index_is_asked_for_pairs(index) -> None:
    own, items = unit(made(["a1"], "text"), [0], TEXTS), index.items()
    kept = rank_exactly(index, [], items, own, "image", 3, siblings="keep")
    assert named(kept) == ["b", "a", "c"]
    assert named(kept, "via") == ["b1", "a2", "c1"]
    assert named(rank_exactly(index, [], items, own, "image", 3)) == ["b", "c"]
    few = rank_exactly(index, [], items, own, "image", 3, within={"label": "y"})
    assert named(few) == ["b", "c"]


def test_more_than_there_are_is_an_error_through_pairs_too(index) -> None:
    class Texts:
        space = TEXTS

    retriever = Retriever(index, Texts())
    assert len(retriever.search(unit(["q"], [5], TEXTS), k=3).table) == 3
    with pytest.raises(
        ValueError, match="k = 4 is more than the 3 image items of index 'two': ask for fewer"
    ):
        retriever.search(unit(["q"], [5], TEXTS), k=4)
    assert len(retriever.search(unit(["q"], [5], TEXTS), k=4, where={"label": "y"}).table) == 2


def test_a_filter_is_on_what_is_found(index) -> None:
    ranked = rank(index, unit(["q"], [5], TEXTS), to="image", k=3, where={"label": "y"})
    assert named(ranked) == ["b", "c"]


def test_few_are_found_by_searching_deeper(index) -> None:
    ranked = rank_through_pairs(index, unit(["q", "r"], [40, 5], TEXTS), "image", 1, where={"label": "x"})
    assert named(ranked) == ["a", "a"]
    assert ranked["query_id"].tolist() == ["q", "r"]


def test_within_its_own_space_nothing_goes_through_pairs(index) -> None:
    assert "via" not in rank(index, unit(["q"], [5], TEXTS), to="text", k=2)


PAIRS = pd.Series({item: name[0] for name, item in zip(ANGLES, made(ANGLES, "text"), strict=True)})


@pytest.mark.parametrize("exact", [True, False])
def test_siblings_of_a_query_neither_answer_nor_vote(index, exact) -> None:
    """The sibling a2 of a1 (0 degrees) lies at 50, nearer than c1 (70): left out, the image of both is not found."""
    own = unit(made(["a1"], "text"), [0], TEXTS)
    kept = rank(index, own, to="image", k=3, exact=exact)
    left_out = rank(index, own, to="image", k=3, exact=exact, own_pairs=PAIRS)
    assert named(kept, "via") == ["b1", "a2", "c1"]
    assert named(left_out, "via") == ["b1", "c1"]
    assert left_out["rank"].tolist() == [1, 2]
    assert left_out["score"].tolist() == kept["score"].tolist()[::2]


def test_a_query_from_outside_has_no_siblings(index) -> None:
    outside = unit(["q"], [0], TEXTS)
    kept, left_out = (rank(index, outside, to="image", k=3, own_pairs=pairs) for pairs in (None, PAIRS))
    pd.testing.assert_frame_equal(kept, left_out)
    assert named(kept) == ["a", "b", "c"]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A pair of thirty captions close together, and nine pairs of one that lie further off; two images a pair."""
    pairs = ["own"] * 30 + [f"p{n}" for n in range(9)]
    angles = [*np.linspace(0, 3, 30), *range(10, 19)]
    texts = [item_id("text", pair, str(n)) for n, pair in enumerate(pairs)]
    names = [*dict.fromkeys(pairs)]
    images = [item_id("image", name, str(copy)) for name in names for copy in range(2)]
    rows = [(i, "text", pair, "t", None) for i, pair in zip(texts, pairs, strict=True)]
    rows += [(i, "image", names[n // 2], None, f"{n}.jpg") for n, i in enumerate(images)]
    items = pd.DataFrame(rows, columns=["item_id", "modality", "pair_id", "text", "image"])
    items = items.reindex(columns=ITEM_COLUMNS).assign(width=1, height=1)
    vectors = [unit(texts, angles, TEXTS), unit(images, range(0, 5 * len(images), 5), IMAGES)]
    folder = tmp_path_factory.mktemp("crowded")
    return items, vectors, build_index(open_store(folder), "crowded", items, vectors, progress=False)


def test_as_many_remain_as_were_asked_for_however_many_siblings_come_first(crowded) -> None:
    """The thirty captions of the own pair are nearest: four times k reaches none of the others at first."""
    items, (texts, _), index = crowded
    asked = texts.take(texts.ids[:30])
    pairs = items.set_index("item_id")["pair_id"]
    for k in (1, 5, 18):
        ranked = rank(index, asked, to="image", k=k, exact=True, own_pairs=pairs)
        assert ranked.groupby("query_id").size().tolist() == [k] * 30
        assert "own" not in set(pairs.loc[ranked["item_id"]])
        first = ranked[ranked["query_id"] == asked.ids[-1]]  # at 3 degrees: p0 lies at 10, p1 at 11, ...
        expected = [f"p{n // 2}" for n in range(k)]
        assert pairs.loc[first["item_id"]].tolist() == expected
        degrees = [7 + n // 2 for n in range(k)]
        assert first["score"].tolist() == pytest.approx(np.cos(np.radians(degrees)), abs=1e-6)


def test_the_other_images_of_a_pair_are_siblings_too(crowded) -> None:
    """Of two images a pair, 5 degrees apart, each finds the texts of its own pair by the other one only."""
    items, (_, images), index = crowded
    pairs = items.set_index("item_id")["pair_id"]
    asked = images.take(images.ids[2:])
    kept = rank(index, asked, to="text", k=1, exact=True)
    right = pairs.loc[kept["item_id"]].to_numpy() == pairs.loc[kept["query_id"]].to_numpy()
    assert 0.4 < right.mean() < 1  # the neighbour on the other side is as near
    left_out = rank(index, asked, to="text", k=1, exact=True, own_pairs=pairs)
    assert (pairs.loc[left_out["item_id"]].to_numpy() != pairs.loc[left_out["query_id"]].to_numpy()).all()
