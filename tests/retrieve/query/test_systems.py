from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmlab.index import build_index, open_store
from mmlab.items import Vectors
from mmlab.panels import PanelData
from mmlab.panels.query_panel import QueryPanel
from mmlab.retrieve import FUSIONS, Query, Retriever, search
from mmlab.retrieve.query.systems import (
    crop_matcher,
    filterable_fields,
    fusion_options,
    open_systems,
    retrievers_of,
    systems_of,
)


def test_a_name_is_only_a_name(collection):
    one = collection.retriever
    both = {"text": one, "image": one}
    assert systems_of(one) == {"": both}
    assert systems_of({"a": one, "b": both}) == {"a": both, "b": both}
    assert systems_of(both) == {"text": both, "image": both}  # two of them, which are called so


@pytest.fixture(scope="module")
def several(collection, tmp_path_factory):
    """The catalogue in two layouts of one store, and a second space of texts alone: its model is the demo's, turned."""
    items, vectors = collection.items, collection.vectors
    texts = vectors.take(items.loc[items["modality"] == "text", "item_id"])
    turned = replace(texts.space, model="turned")
    spaces = [vectors, Vectors(texts.ids, texts.array[:, ::-1], turned)]
    store = open_store(tmp_path_factory.mktemp("several"))
    build_index(store, "run", items, spaces[:1], "separate", progress=False)
    index = build_index(store, "run", items, spaces, progress=False)
    build_index(store, "another", items, spaces[:1], "named", progress=False)
    return index, spaces


class Turned:
    """The demo model of texts with its dimensions in the other order, which changes no cosine between texts."""

    def __init__(self, model, space):
        self.model, self.space = model, space

    def embed_queries(self, texts):
        return self.model.embed_queries(texts)[:, ::-1]


@pytest.fixture
def systems(several, collection, monkeypatch):
    index, spaces = several
    model = collection.retriever.model
    models = {spaces[1].space: Turned(model, spaces[1].space)}  # no other is loaded once more
    monkeypatch.setattr("mmlab.embed.models.load.load_for", models.__getitem__)
    opened = dict.fromkeys(("text", "image"), Retriever(index, model))
    return open_systems(opened, spaces, collection.items)


def test_every_model_in_every_layout_is_a_system(several, systems):
    index, spaces = several
    joint, turned = (vectors.space.key for vectors in spaces)
    assert list(systems) == [f"{joint}, unified", f"{turned}, unified", f"{joint}, separate"]
    assert [list(system) for system in systems.values()] == [["text", "image"], ["text"], ["text", "image"]]
    assert [system["text"].index.layout for system in systems.values()] == ["unified", "unified", "separate"]
    assert list(systems.values())[2]["text"].index.name == index.name


def test_the_layouts_give_the_same_answers(systems):
    unified, turned, separate = systems
    found = {
        name: search(systems, Query(text="a red mug", exact=True, models=(name,))).table for name in systems
    }
    assert found[unified]["item_id"].tolist() == found[separate]["item_id"].tolist()
    through = found[turned]
    assert through["modality"].unique().tolist() == ["image"]  # through the captions that were found
    both = search(systems, Query(text="a red mug", models=(unified, turned), fusion="rrf")).table
    assert len(both) == 8


def test_an_image_is_asked_of_the_one_that_sees(collection, systems):
    """Of a system with another retriever for images, the text's is never asked by an image."""
    _, turned, separate = systems
    mixed = {"text": systems[turned]["text"], "image": systems[separate]["image"]}
    image = Path(collection.items.loc[collection.items["modality"] == "image", "image"].iloc[0])
    question = Query(text="a red mug", image=image, models=("mixed", separate), fusion="weighted_sum")
    hits = search({"mixed": mixed, **systems}, question).table
    assert len(hits) == 8
    assert hits["score"].is_monotonic_decreasing
    assert np.isfinite(hits["score"]).all()
    with pytest.raises(ValueError, match="can be asked by image; ask by text"):
        search(systems, Query(image=image, models=(turned,)))
    with pytest.raises(ValueError, match="can be asked by image; ask by text"):
        search(systems, Query(text="a mug", image=image, models=(turned,), fusion="rrf"))


def test_only_the_ways_to_fuse_that_fit_are_offered(systems):
    unified, turned, separate = systems
    late = tuple(FUSIONS)
    assert fusion_options(systems, [unified]) == ("early", *late)
    assert fusion_options(systems, [turned]) == late
    assert fusion_options(systems, [unified, separate]) == fusion_options(systems) == late
    mixed = {"text": systems[turned]["text"], "image": systems[separate]["image"]}
    assert fusion_options({"mixed": mixed}) == late


def test_a_panel_offers_models_and_collections(systems, collection):
    panel = QueryPanel(PanelData(systems, collection.items), "a red mug", 3)
    assert panel.settings.ranking[0].options == tuple(systems)
    assert panel.settings.fusion.value == "early"
    panel.settings.models.value = (list(systems)[1],)
    assert "early" not in panel.settings.fusion.options
    assert "alert" not in panel.message.value
    assert {"label", "colour", "split"} <= set(panel.settings.filters)
    panel.settings.filters["colour"].value = ["red"]
    assert panel.asked[0].where == {"colour": ["red"]}


def test_the_schema_says_what_can_be_filtered(collection, systems):
    kinds = filterable_fields(systems)
    assert (kinds["colour"], kinds["width"]) == ("keyword", "integer")
    assert "text" not in kinds
    assert retrievers_of(systems)


def test_parts_of_images_are_held_against_texts_only(collection, systems):
    match = crop_matcher(systems)
    image = Path(collection.items.loc[collection.items["modality"] == "image", "image"].iloc[0])
    first = list(systems)[:1]
    hits = search(systems, Query(text="a red mug", rerank=3, models=tuple(first)), match=match).table
    assert sorted(hits["before"].iloc[:3]) == [1, 2, 3]
    for asked, to in (({"image": image}, "image"), ({"text": "a red mug"}, "text")):
        with pytest.raises(ValueError, match="holds a text against an image"):
            search(systems, Query(**asked, to=to, rerank=3, models=tuple(first)), match=match)


def test_a_reader_of_texts_alone_offers_no_ranking_by_crops(systems, collection):
    alone = {"texts": systems[list(systems)[1]]}
    assert crop_matcher(alone) is None
    panel = QueryPanel(PanelData(alone, collection.items, match=crop_matcher(alone)))
    assert panel.settings.rerank not in panel.settings.ranking
