"""Why a result: parts and words left out, with a model whose vectors can be worked out by hand; captions nearby."""

import numpy as np
import pytest
from PIL import Image

from mmlab.items import Space, SpaceMismatch, Vectors
from mmlab.retrieve import open_retrievers
from mmlab.retrieve.query.explain import (
    explain_hit,
    nearest_captions,
    occlude_image,
    occlude_words,
)
from mmlab.retrieve.query.rank import rank

SPACE = Space("counts", "1", "", "", "", 2)


class Counts:
    """(share of red, share of blue) of an image, (number of "red", number of other words) of a text, as unit rows."""

    space = SPACE
    modalities = ("text", "image")

    def embed_images(self, images):
        means = [np.asarray(image, dtype=float).reshape(-1, 3).mean(axis=0)[[0, 2]] for image in images]
        return np.array([mean / np.linalg.norm(mean) for mean in means], dtype=np.float32)

    def embed_queries(self, texts):
        rows = [[text.split().count("red"), sum(word != "red" for word in text.split())] for text in texts]
        return np.array([np.array(row) / np.linalg.norm(row) for row in rows], dtype=np.float32)


RED = Vectors(["red"], np.array([[1.0, 0.0]]), SPACE)


def test_the_part_that_speaks_for_the_match_drops_most() -> None:
    image = Image.new("RGB", (40, 40), (0, 0, 200))
    image.paste((200, 0, 0), (0, 0, 20, 20))  # the upper left quarter
    table, cosine = occlude_image(Counts(), image, RED, grid=2)
    assert table[["row", "column"]].to_numpy().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert table[["left", "top", "right", "bottom"]].iloc[1].tolist() == [0.5, 0, 1, 0.5]
    assert cosine == pytest.approx(1 / 10**0.5)  # of (50, 150)
    covered = np.array([50 / 4, 150 + 150 / 4])  # the quarter has the mean colour (50, 0, 150)
    assert table["cosine"].iloc[0] == pytest.approx(covered[0] / np.linalg.norm(covered), abs=1e-5)
    assert (table["drop"] > 0).tolist() == [True, False, False, False]
    assert table["drop"].to_numpy() == pytest.approx(cosine - table["cosine"])


def test_the_word_that_speaks_for_the_match_drops_most() -> None:
    table, cosine = occlude_words(Counts(), " red shoe ", RED)
    assert cosine == pytest.approx(1 / 2**0.5)
    assert table["word"].tolist() == ["red", "shoe"]
    assert table["position"].tolist() == [1, 2]
    assert table["cosine"].tolist() == pytest.approx([0, 1])
    assert table["drop"].tolist() == pytest.approx([1 / 2**0.5, 1 / 2**0.5 - 1])
    assert occlude_words(Counts(), "red", RED).table["cosine"].tolist() == pytest.approx([0])


def test_wrong_calls_are_refused() -> None:
    image = Image.new("RGB", (4, 4))
    with pytest.raises(ValueError, match="grid: expected a whole number from 1 to 32, found 0"):
        occlude_image(Counts(), image, RED, grid=0)
    with pytest.raises(ValueError, match="the text is empty"):
        occlude_words(Counts(), "  ", RED)
    with pytest.raises(ValueError, match="the one vector to compare with, found 2"):
        occlude_words(Counts(), "red", Vectors(["a", "b"], np.eye(2), SPACE))
    with pytest.raises(SpaceMismatch, match="model"):
        occlude_words(Counts(), "red", Vectors(["a"], np.eye(2)[:1], Space("other", "1", "", "", "", 2)))


def test_the_nearest_captions_say_whose_they_are(collection) -> None:
    items, vectors, retriever = collection
    image = items[items["modality"] == "image"].iloc[0]
    found = nearest_captions(retriever.index, [image["item_id"]], vectors.space, k=4)
    expected = rank(retriever.index, vectors.take([image["item_id"]]), "text", 4, exact=True)
    known = items.set_index("item_id").loc[expected["item_id"]]
    assert found["text"].tolist() == known["text"].tolist()
    assert found["own"].tolist() == (known["pair_id"] == image["pair_id"]).tolist()
    assert found["rank"].tolist() == [1, 2, 3, 4]


def test_a_hit_is_explained_by_its_parts_and_the_query_s_words(collection) -> None:
    items, vectors, retriever = collection
    opened = open_retrievers(retriever.index, [vectors], items)
    hit = opened["text"].search("a red mug", k=1).table.iloc[0]
    explained = explain_hit(opened, "a red mug", hit)
    cells, words = explained
    assert len(cells.table) == 49
    assert words.table["word"].tolist() == ["a", "red", "mug"]
    assert cells.cosine == pytest.approx(hit["score"], abs=0.02)  # a smaller copy is covered
    assert words.cosine == pytest.approx(hit["score"], abs=1e-4)
