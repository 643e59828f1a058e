"""One query -> hits, on the drawn catalogue with the demo model."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmlab.index import open_store, schema_for
from mmlab.items import PictureError
from mmlab.retrieve import Retriever, facets


def images_of(items):
    return items[items["modality"] == "image"]


def test_hits_are_the_exact_nearest_by_cosine(collection) -> None:
    items, vectors, retriever = collection
    text = "a red mug on a wooden table"
    images = vectors.take(images_of(items)["item_id"])
    cosines = images.array @ retriever.embed(text).array[0]
    expected = images.ids[np.argsort(-cosines)[:5]].tolist()
    hits = retriever.search(text, k=5, exact=True)
    assert hits["item_id"].tolist() == expected
    assert hits["score"].to_numpy() == pytest.approx(np.sort(cosines)[::-1][:5], abs=1e-5)
    assert hits["rank"].tolist() == [1, 2, 3, 4, 5]


def test_hits_carry_the_payload_and_the_time_spent(collection) -> None:
    hits = collection.retriever.search("a teapot", k=3)
    stored = collection.items.set_index("item_id").loc[hits["item_id"]]
    assert hits["label"].tolist() == stored["label"].tolist()
    assert hits["image"].tolist() == stored["image"].tolist()
    assert hits.attrs["embed_ms"] > 0
    assert hits.attrs["search_ms"] > 0


def test_a_picture_finds_itself_first_and_texts_by_picture_are_texts(collection) -> None:
    picture = images_of(collection.items).iloc[0]
    first = collection.retriever.search(Path(picture["image"]), to="image", k=1).iloc[0]
    assert first["item_id"] == picture["item_id"]
    assert first["score"] == pytest.approx(1, abs=1e-4)
    texts = collection.retriever.search(Path(picture["image"]), to="text", k=4)
    assert set(texts["modality"]) == {"text"}


def test_a_picture_in_memory_asks_like_its_file(collection) -> None:
    path = Path(images_of(collection.items)["image"].iloc[0])
    with Image.open(path) as picture:
        by_picture = collection.retriever.search(picture, k=5)
    assert by_picture["item_id"].tolist() == collection.retriever.search(path, k=5)["item_id"].tolist()


def test_a_filter_holds_and_still_fills_k(collection) -> None:
    colours = images_of(collection.items)["colour"].value_counts()
    hits = collection.retriever.search("anything at all", k=3, where={"colour": colours.index[:2].tolist()})
    assert len(hits) == 3
    assert set(hits["colour"]) <= set(colours.index[:2])


def test_the_model_finds_what_the_words_say(collection) -> None:
    items = collection.items
    texts = items[(items["modality"] == "text")].drop_duplicates("pair_id").head(40)
    found = [collection.retriever.search(text, k=10)["label"].tolist() for text in texts["text"]]
    right = [label in labels for label, labels in zip(texts["label"], found, strict=True)]
    assert np.mean(right) > 0.8


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_query_is_refused(collection, empty: str) -> None:
    with pytest.raises(ValueError, match="the query is empty"):
        collection.retriever.search(empty)


def test_a_file_that_is_no_picture_is_refused(collection, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(PictureError, match="not a picture"):
        collection.retriever.search(tmp_path / "notes.txt")


def test_facets_are_the_columns_worth_filtering_by(collection) -> None:
    found = facets(collection.items)
    colours = images_of(collection.items)["colour"].value_counts()
    assert found["colour"][0] == colours.index[0]
    assert {"label", "split", "colour", "pattern"} <= set(found)
    assert not {"item_id", "image", "text", "pair_id"} & set(found)


def test_a_column_of_the_users_called_score_keeps_out_of_the_way(collection, tmp_path: Path) -> None:
    items = collection.items.assign(score="mine")
    store = open_store(tmp_path / "store")
    store.create("scored", schema_for(items, collection.vectors.space))
    store.upsert("scored", collection.vectors, items)
    hits = Retriever(store, "scored", collection.retriever.model).search("a mug", k=2)
    assert hits["score"].between(-1, 1).all()
    assert hits["score_payload"].tolist() == ["mine", "mine"]
