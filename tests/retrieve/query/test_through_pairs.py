"""Through pairs, on five items drawn by hand: texts and images in spaces of their own."""

import numpy as np
import pandas as pd
import pytest
from mmlab.retrieve.query.through_pairs import rank_through_pairs

from mmlab.index import build_index, open_store
from mmlab.items import ITEM_COLUMNS, Space, Vectors, item_id
from mmlab.retrieve import Retriever
from mmlab.retrieve.query.rank import rank

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


def test_more_than_there_are_is_an_error_through_pairs_too(index) -> None:
    class Texts:
        space = TEXTS

    retriever = Retriever(index, Texts())
    assert len(retriever.search(unit(["q"], [5], TEXTS), k=3)) == 3
    with pytest.raises(
        ValueError, match="k = 4 is more than the 3 image items of index 'two': ask for fewer"
    ):
        retriever.search(unit(["q"], [5], TEXTS), k=4)
    assert len(retriever.search(unit(["q"], [5], TEXTS), k=4, where={"label": "y"})) == 2


def test_a_filter_is_on_what_is_found(index) -> None:
    ranked = rank(index, unit(["q"], [5], TEXTS), to="image", k=3, where={"label": "y"})
    assert named(ranked) == ["b", "c"]


def test_few_are_found_by_searching_deeper(index) -> None:
    ranked = rank_through_pairs(index, unit(["q", "r"], [40, 5], TEXTS), "image", 1, where={"label": "x"})
    assert named(ranked) == ["a", "a"]
    assert ranked["query_id"].tolist() == ["q", "r"]


def test_within_its_own_space_nothing_goes_through_pairs(index) -> None:
    assert "via" not in rank(index, unit(["q"], [5], TEXTS), to="text", k=2)
