"""Schemas: derived from items, written as JSON, compared field by field."""

import json

import pytest

from mmlab.index import Cluster, Hnsw, Quantization, WrongSchema
from mmlab.index.schema.schema import OldSchema, Schema
from mmlab.items import Space

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
    }  # fmt: skip
    schema = Schema.from_dict(stored, "demo-named")
    assert (schema.vector_spaces, schema.hnsw.m, schema.index) == ({"toy-image": SPACE}, 16, "demo")
    assert schema.to_dict() == stored


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
        ({"fields": {}, "layout": "spiral"}, "the layout is one of .*found 'spiral'"),
        ({"layout": "named"}, r"only the named layout names its vectors, found \[\]"),
        (
            {"vector_spaces": {"a-image": SPACE}},
            r"only the named layout names its vectors, found \['a-image'\]",
        ),
    ],
)
def test_a_wrong_schema_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schema(SPACE, **arguments)
