"""Vectors that came ready: their space, their rows as they are written, and the items that ask by them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmlab.embed import load_model
from mmlab.embed.given_vectors import (
    KnownVectors,
    NoModel,
    VectorsOnly,
    agree,
    compare_with_model,
    find_space,
    take_vectors,
    without_model,
)
from mmlab.items import Space, Vectors
from mmlab.items.vectors import AS_GIVEN

SPACE = without_model("toy", 2)


def placed(**columns: list) -> pd.DataFrame:
    """Items with their places; item i is of record i + 1 unless said."""
    count = len(next(iter(columns.values())))
    given = {
        "item_id": [f"i{i}" for i in range(count)], "modality": "image", "pair_id": "p", "text": None, "image": "a.jpg",
        "row": range(1, count + 1), "file": "t", "record": range(1, count + 1),
    }  # fmt: skip
    return pd.DataFrame(given | columns)


def test_rows_are_normalised_and_those_without_direction_are_skipped(tmp_path: Path) -> None:
    rows = np.array([[3, 4], [0, 0], [np.nan, np.nan], [np.inf, 1], [0, 2]], np.float32)
    items = placed(item_id=list("abcde"))
    taken = take_vectors(items, {"image": [("t", 1, rows[:2]), ("t", 3, rows[2:])]}, SPACE, tmp_path / "v.arrow")
    assert taken.dense.ids.tolist() == ["a", "e"]
    assert np.allclose(taken.dense.array, [[0.6, 0.8], [0, 1]])
    assert taken.skipped[["row", "reason", "detail"]].values.tolist() == [
        [2, "vector of zeros", "t, record 2"], [3, "no vector", "t, record 3"], [4, "vector not finite", "t, record 4"],
    ]  # fmt: skip
    assert taken.counts[["modality", "items", "cached", "failed"]].values.tolist() == [["image", 5, 2, 3]]
    assert Vectors.load(tmp_path / "v.arrow").ids.tolist() == ["a", "e"]


def test_items_are_found_by_table_and_record(tmp_path: Path) -> None:
    items = placed(item_id=list("abcd"), modality=["image", "text", "image", "text"], file=["t", "t", "u", "u"],
                   record=[2, 1, 1, 1])  # fmt: skip
    images = [("t", 1, np.array([[9, 9], [1, 0]])), ("u", 1, np.array([[0, 1]]))]
    texts = [("t", 1, np.array([[0, 3]])), ("u", 1, np.array([[4, 0]]))]
    taken = take_vectors(items, {"image": images, "text": texts}, SPACE, tmp_path / "v.arrow").dense
    assert dict(zip(taken.ids, taken.array.tolist(), strict=True)) == {"a": [1, 0], "c": [0, 1], "b": [0, 1], "d": [1, 0]}
    lone = take_vectors(items.iloc[[0, 1]], {"row": [("t", 1, np.array([[0, 3], [4, 0]]))]}, SPACE, tmp_path / "w.arrow")
    assert dict(zip(lone.dense.ids, lone.dense.array.tolist(), strict=True)) == {"b": [0, 1], "a": [1, 0]}


def test_items_that_no_block_holds_are_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 of 2 items stand in no table of the ready vectors"):
        take_vectors(placed(file=["t", "u"]), {"image": [("t", 1, np.eye(2))]}, SPACE, tmp_path / "v.arrow")
    assert list(tmp_path.iterdir()) == []


def test_the_space_of_a_model_at_hand_is_that_of_the_model() -> None:
    found = find_space("demo", 128)
    assert found.model is not None
    assert found.space == load_model("demo").space == found.model.space
    with pytest.raises(ValueError, match="demo makes dense vectors of 128 dimensions, the ready vectors have 2"):
        find_space("demo", 2)


def test_without_a_model_the_space_says_so() -> None:
    unnamed, named = find_space("", 2), find_space("nobody/has-this", 2)
    assert (unnamed.model, unnamed.space.model, unnamed.sentence) == (
        None, "unnamed", "Nobody has named their space.",
    )  # fmt: skip
    assert (named.model, named.space.model, named.space.has_model) == (None, "nobody/has-this", False)
    assert named.sentence.startswith("The model nobody/has-this cannot be loaded here: ")


def test_a_space_that_the_files_say_comes_before_its_name() -> None:
    said = load_model("demo").space
    assert find_space("", 128, said).space == said
    with pytest.raises(ValueError, match="the files say that demo made their vectors, found 'other'"):
        find_space("other", 128, said)
    gone = Space("nobody/has-this", "1", "mean", "", "none, float32", 2)
    assert find_space("", 2, gone).space.pooling == AS_GIVEN


def test_vectors_are_compared_with_those_that_the_model_makes(collection) -> None:
    items, vectors, model = collection.items, collection.vectors, load_model("demo")
    named = items.assign(content="named:" + items["pair_id"])  # as 01_ingest leaves images that it has not opened
    cosines = compare_with_model(vectors, named, model)
    assert cosines.min() > 0.999
    assert cosines.index.isin(items.loc[items["modality"] == "image", "item_id"]).sum() == 16
    away = named.assign(image="not/here.jpg")
    assert len(compare_with_model(vectors, away, model)) == 16  # texts alone
    other = Vectors(vectors.ids, np.roll(vectors.array, 1, axis=1), vectors.space)
    assert [agree(cosines), agree(compare_with_model(other, named, model)), agree(cosines[:0])] == [True, False, True]


def test_items_ask_by_their_own_vectors_where_no_model_can_embed_them(tmp_path: Path) -> None:
    here = tmp_path / "here.jpg"
    here.write_bytes(b"")
    paths = [None, str(here), "away.jpg", "https://example.org/a//b.jpg"]
    items = pd.DataFrame({"item_id": list("abcd"), "text": ["a mug", None, None, None], "image": paths})
    alone = KnownVectors(items, Vectors(list("abcd"), np.eye(4), without_model("toy", 4)))
    with_model = KnownVectors(items, Vectors(list("abcd"), np.eye(4), Space("toy", "1", "mean", "", "", 4)))
    asked = ["a mug", here, Path("away.jpg"), Path("https://example.org/a//b.jpg"), "a cup", object()]
    found = [[None if (row := known.find(one)) is None else int(row.argmax()) for one in asked]
             for known in (alone, with_model)]  # fmt: skip
    assert found == [[0, 1, 2, None, None, None], [None, None, 2, None, None, None]]
    assert alone.find(Path("https://example.org/a/b.jpg")) is None


def test_a_new_text_cannot_ask_without_a_model() -> None:
    with pytest.raises(VectorsOnly, match=r"vectors only \(toy\).*-p space=MODEL"):
        NoModel(SPACE).embed_queries(["a mug"])
