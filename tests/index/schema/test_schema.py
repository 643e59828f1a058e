"""Schemas: derived from items, written as JSON, compared field by field."""

import json

import pandas as pd
import pytest

from mmlab.index import Cluster, Hnsw, Quantization, Schema, WrongSchema, schema_for
from mmlab.index.schema.schema import OldSchema, describe_fields
from mmlab.items import Space

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 3)
OTHER = Space("mmlab/other", "1", "mean", "", "none", 2)


def test_fields_are_typed_by_the_columns():
    items = pd.DataFrame(
        {
            "item_id": ["a", "b"],
            "modality": ["image", "text"],
            "text": [None, "short"],
            "label": [None, None],
            "width": pd.array([64, None], dtype="Int32"),
            "colour": ["red", None],
            "material": pd.Categorical(["wood", "steel"]),
            "story": ["x" * 257, None],
            "stars": [1, 2],
            "price": [1.0, None],
            "sold": [True, None],
            "new": [True, False],
        }
    )
    assert schema_for(items, SPACE).fields == {
        "modality": "keyword",
        "text": "text",
        "label": "keyword",
        "width": "integer",
        "colour": "keyword",
        "material": "keyword",
        "story": "text",
        "stars": "integer",
        "price": "float",
        "sold": "bool",
        "new": "bool",
    }


def test_a_schema_survives_json():
    schema = Schema(
        SPACE,
        {"label": "keyword", "text": "text"},
        "named",
        Hnsw(m=16, ef=99),
        Quantization("product", 32, oversampling=3),
        on_disk=True,
        cluster=Cluster(shards=3, replicas=2, write_consistency=2),
        named={"toy-image": SPACE, "other-text": OTHER},
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


def test_an_older_format_says_what_to_do():
    with pytest.raises(OldSchema, match="'demo' was made by an older mmlab: run 03_index again"):
        Schema.from_dict({"format": 1}, "demo")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fields": {"a": "number"}}, "field 'a' is one of .*found 'number'"),
        ({"fields": {'a"b': "text"}}, "a field is named by text without quotes"),
        ({"fields": {"item_id": "keyword"}}, "not called 'item_id'"),
        ({"fields": {3: "keyword"}}, "found 3"),
        ({"fields": {"_fingerprint": "keyword"}}, "not called '_fingerprint'"),
        ({"fields": {}, "layout": "spiral"}, "the layout is one of .*found 'spiral'"),
        ({"layout": "named"}, r"only the named layout names its vectors, found \[\]"),
        ({"named": {"a-image": SPACE}}, r"only the named layout names its vectors, found \['a-image'\]"),
    ],
)
def test_a_wrong_schema_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schema(SPACE, **arguments)


def test_payload_indexes_are_named_by_their_path():
    fields = {"size (cm)": "integer", "text": "text"}
    assert Schema(SPACE, fields).indexed() == {'"size (cm)"': "integer"}
    noted = Schema(SPACE, {"width": "integer", "label": "keyword"})
    assert (list(noted.indexed()), list(noted.filterable)) == (["label"], ["width", "label"])
    named = Schema(SPACE, fields, "named", named={"toy-image": SPACE}, modalities=("image",))
    assert named.indexed() == {'image."size (cm)"': "integer", "image.item_id": "keyword"}


@pytest.mark.parametrize("layout", ["unified", "named"])
def test_the_fields_are_described_with_how_they_are_filtered(layout):
    named = {"named": {"toy-image": SPACE}} if layout == "named" else {}
    schema = Schema(
        SPACE,
        {"label": "keyword", "width": "integer", "text": "text"},
        layout,
        modalities=("image",),
        **named,
    )
    assert describe_fields(schema).values.tolist() == [
        ["label", "keyword", "indexed"],
        ["width", "integer", "scanned"],
        ["text", "text", ""],
    ]
