"""Own queries as vectors of a tiny CLIP, a tiny sparse model and a vision-language model."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmlab.embed import embed_with_models
from mmlab.embed.multi_model import embed_own_queries
from mmlab.items import open_image


@pytest.fixture(scope="module")
def queries(tmp_path_factory) -> pd.DataFrame:
    """A text, an image, both, an image that is not there, and a text with that image."""
    path = tmp_path_factory.mktemp("queries") / "red.png"
    Image.new("RGB", (40, 40), "red").save(path)
    missing = str(path.with_name("missing.png"))
    return pd.DataFrame(
        {
            "query_id": ["text", "image", "both", "lost", "half"],
            "text": ["a mug", "", "but in blue", "", "a hat"],
            "image": ["", str(path), str(path), missing, missing],
        }
    )


def test_texts_images_and_both_ask_in_the_order_of_the_queries(models, queries):
    model = models("clip")
    found = embed_own_queries(queries, model, progress=False)
    text = model.embed_queries(["a mug", "but in blue", "a hat"])
    image = model.embed_images([open_image(queries["image"][1])])[0]
    mean = text[1] + image
    assert found.ids.tolist() == ["text", "image", "both", "half"]
    expected = [text[0], image, mean / np.linalg.norm(mean), text[2]]
    np.testing.assert_allclose(found.array, expected, atol=1e-5)


def test_a_model_of_both_takes_them_as_one_input(models, queries):
    model = models("vlm")
    found = embed_own_queries(queries[queries["query_id"] == "both"], model, progress=False)
    image = open_image(queries["image"][1])
    np.testing.assert_allclose(
        found.array, model.embed_both(["but in blue"], [image], as_queries=True), atol=1e-5
    )


def test_weighted_terms_are_asked_by_text_alone(models, queries):
    found = embed_own_queries(queries, models("splade"), progress=False)
    assert found.ids.tolist() == ["text", "both", "half"]


def test_queries_of_one_kind_alone_ask(models, queries):
    for kind in ("text", "image"):
        found = embed_own_queries(queries[queries["query_id"] == kind], models("clip"), progress=False)
        assert found.ids.tolist() == [kind]


def test_a_model_that_can_be_asked_nothing_gives_none(models, queries):
    assert embed_own_queries(queries[queries["query_id"] == "lost"], models("clip"), progress=False) is None


def test_a_second_time_they_come_from_the_cache(models, queries, tmp_path):
    model = models("clip")
    first = embed_own_queries(queries, model, tmp_path / "cache.sqlite", progress=False)
    again = embed_own_queries(queries, model, tmp_path / "cache.sqlite", progress=False)
    np.testing.assert_array_equal(first.array, again.array)


def test_each_model_brings_its_own_queries(folders, queries):
    items = pd.DataFrame(
        {"item_id": ["a"], "modality": "text", "pair_id": "p", "text": "a mug", "content": "1"}
    )
    full = dict.fromkeys(("image", "label", "split", "origin", "width", "height", "flags", "duplicate_of"))
    names = [str(folders("clip")), str(folders("splade"))]
    found = embed_with_models(items.assign(**full), names, progress=False, own_queries=queries)
    assert [len(one.own_queries) for one in found] == [4, 3]
