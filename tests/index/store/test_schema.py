"""Schemas: derived from items, written as JSON, compared field by field."""

import json

import pytest

from mmlab.index import Cluster, Hnsw, Quantization, WrongSchema
from mmlab.index.store.schema import OldSchema, Schema, check_collection_name
from mmlab.items import Space, SpaceMismatch

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 3)
OTHER = Space("mmlab/other", "1", "mean", "", "none", 2)


def test_a_schema_survives_json():
    schema = Schema(
        SPACE,
        {"label": "keyword", "text": "text"},
        "named",
        Hnsw(m=16, ef=99),
        Quantization("product", 32, oversampling=3),
        on_disk=True,
        cluster=Cluster(shards=3, replicas=2, write_consistency=2),
        vector_spaces={"toy-image": SPACE, "other-text": OTHER},
        modalities=("image", "text"),
        index="demo",
        position=1,
    )
    assert schema.spaces == [SPACE, OTHER]
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict())), "demo") == schema


def test_filterable_leaves_out_text():
    assert Schema(SPACE, {"label": "keyword", "text": "text"}).filterable == {"label": "keyword"}


@pytest.mark.parametrize("stored", [None, [], {}, {"format": 9}, {"format": 2, "space": {}}, "x"])
def test_anything_else_is_no_schema(stored):
    with pytest.raises(WrongSchema, match="'demo' has no schema that this version of mmlab can read"):
        Schema.from_dict(stored, "demo")


@pytest.mark.parametrize("changed", [{"format": 3}, {"distance": "dot"}])
def test_a_newer_format_or_another_distance_is_not_searched_as_cosine(changed):
    stored = Schema(SPACE).to_dict()
    assert Schema.from_dict(stored, "demo") == Schema(SPACE)
    with pytest.raises(WrongSchema, match="expected 2 with 'cosine'"):
        Schema.from_dict(stored | changed, "demo")


def test_the_stored_form_stays_readable():
    """As collections of format 2 have it on disk and on servers."""
    space = {
        "model": "mmlab/toy",
        "revision": "1",
        "pooling": "projected",
        "prompt": "",
        "preprocessing": "none",
    }
    stored = {
        "format": 2,
        "space": space | {"dimension": 3},
        "distance": "cosine",
        "fields": {"label": "keyword"},
        "layout": "named",
        "hnsw": {"m": 16, "ef_construct": 128, "ef": 50, "scan_kb": 256},
        "quantization": {
            "kind": "scalar", "size": 8, "always_ram": True, "rescore": True, "oversampling": 2.0,
        },
        "on_disk": False,
        "cluster": {"shards": 1, "replicas": 1, "write_consistency": 1},
        "named": {"toy-image": space | {"dimension": 3}},
        "modalities": ["image"],
        "index": "demo",
        "position": 0,
        "order": {"fields": ["label"], "named": ["toy-image"]},
    }  # fmt: skip
    schema = Schema.from_dict(stored, "demo-named")
    assert (schema.vector_spaces, schema.hnsw.m, schema.index) == ({"toy-image": SPACE}, 16, "demo")
    assert schema.to_dict() == stored


def test_names_keep_their_order_though_a_server_gives_them_back_in_another():
    fields = {"modality": "keyword", "label": "keyword", "age": "integer", "text": "text"}
    named = {"toy-image": SPACE, "other-text": SPACE}
    schema = Schema(SPACE, fields, "named", vector_spaces=named, modalities=("image", "text"))
    stored = schema.to_dict()
    for part in ("fields", "named"):
        stored[part] = dict(sorted(stored[part].items()))
    found = Schema.from_dict(stored, "demo")
    assert (list(found.fields), list(found.vector_spaces)) == (list(fields), list(named))
    del stored["order"]  # as collections of before have it
    older = Schema.from_dict(stored, "demo")
    assert list(older.fields) == sorted(fields)
    assert (older.differences(schema), older == schema) == ("", True)


def test_an_older_format_says_what_to_do():
    with pytest.raises(OldSchema, match="'demo' was made by an older mmlab: run 03_index again"):
        Schema.from_dict({"format": 1}, "demo")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fields": {"a": "number"}}, "kind of field 'a' is one of .*found 'number'"),
        ({"fields": {'a"b': "text"}}, "the name of a field is text without quotes"),
        ({"fields": {"item_id": "keyword"}}, "cannot be called 'item_id'"),
        ({"fields": {3: "keyword"}}, "found 3"),
        ({"fields": {"_fingerprint": "keyword"}}, "cannot be called '_fingerprint'"),
        ({"fields": {}, "layout": "spiral"}, "layout: expected one of .*found 'spiral'"),
        ({"layout": "named"}, r"only the named layout names its dense vectors, found \[\]"),
        (
            {"vector_spaces": {"a-image": SPACE}},
            r"only the named layout names its dense vectors, found \['a-image'\]",
        ),
    ],
)
def test_a_wrong_schema_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schema(SPACE, **arguments)


def test_a_plain_schema_has_no_index_no_names_and_the_usual_graph():
    assert Schema(SPACE) == Schema(SPACE, {}, "unified", Hnsw(), None, False, Cluster(), {}, (), "", 0)
    fields = {
        "label": "keyword",
        "price": "float",
        "width": "integer",
        "origin": "keyword",
        "new": "bool",
        "x": "text",
    }
    schema = Schema(SPACE, fields)
    assert schema.filterable == {name: kind for name, kind in fields.items() if name != "x"}
    assert schema.indexed == {"label": "keyword", "price": "float", "new": "bool"}


def test_each_setting_that_differs_is_named_with_both_values():
    one = Schema(SPACE, {"label": "keyword"}, hnsw=Hnsw(m=8), modalities=("image",), index="a")
    other = Schema(SPACE, {"price": "float"}, quantization=Quantization("scalar"), on_disk=True, position=2)
    found = one.differences(other).split("; ")
    assert found[0] == "fields.label: keyword and absent"
    assert set(found) >= {
        "hnsw.m: 8 and 64", "on_disk: False and True", "modalities: ['image'] and []", "position: 0 and 2",
        "fields.price: absent and float", "quantization.kind: absent and scalar", "index: a and ",
    }  # fmt: skip
    assert one.differences(one) == ""
    with pytest.raises(WrongSchema, match=r"'demo' exists with another schema; they differ in fields.label"):
        one.check_same(other, "demo")
    one.check_same(Schema.from_dict(one.to_dict(), "demo"), "demo")


def test_a_space_of_another_model_is_refused_and_each_named_one_is_known():
    named = Schema(SPACE, layout="named", vector_spaces={"toy-image": SPACE, "other-text": OTHER})
    for space in (SPACE, OTHER):
        named.check_space(space, "demo")
    with pytest.raises(
        SpaceMismatch, match="'demo' holds vectors of toy-.*, these are of other-.*Embed with mmlab/toy"
    ):
        Schema(SPACE).check_space(OTHER, "demo")
    with pytest.raises(SpaceMismatch):
        Schema(SPACE).check_same(Schema(OTHER), "demo")


def test_only_a_declared_modality_can_be_missing():
    Schema(SPACE).check_modality("image")
    images = Schema(SPACE, modalities=("image",))
    images.check_modality("image")
    images.check_modality(None)
    with pytest.raises(ValueError, match=r"no items of modality 'text'; there are \['image'\]"):
        images.check_modality("text")


@pytest.mark.parametrize("name", ["a", "9", "demo-unified", "a" * 63, "a_b-c"])
def test_names_that_a_collection_may_have(name):
    assert check_collection_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "a" * 64, "a b", "a/b", None, 3])
def test_names_that_a_collection_may_not_have(name):
    with pytest.raises(ValueError, match="1 to 63 of a-z, 0-9, '-' and '_', a letter or digit first; found"):
        check_collection_name(name)
