"""Schemas: derived from items, written as JSON, compared field by field."""

import json

import pandas as pd
import pytest

from mmlab.index import Hnsw, Schema, WrongSchema, schema_for
from mmlab.items import Space

SPACE = Space("mmlab/toy", "1", "projected", "", "none", 3)


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
    schema = Schema(SPACE, {"label": "keyword", "text": "text"}, hnsw=Hnsw(m=16, ef=99))
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict())), "demo") == schema


def test_filterable_leaves_out_text():
    assert Schema(SPACE, {"label": "keyword", "text": "text"}).filterable == {"label": "keyword"}


@pytest.mark.parametrize("stored", [None, [], {}, {"format": 2}, {"format": 1, "space": {}}, "x"])
def test_anything_else_is_no_schema(stored):
    with pytest.raises(WrongSchema, match="'demo' has no schema that this version of mmlab can read"):
        Schema.from_dict(stored, "demo")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fields": {"a": "number"}}, "field 'a' is one of .*found 'number'"),
        ({"fields": {'a"b': "text"}}, "a field is named by text without quotes"),
        ({"fields": {"item_id": "keyword"}}, "not 'item_id'"),
        ({"fields": {3: "keyword"}}, "found 3"),
        ({"fields": {}, "layout": "spiral"}, "the layout is one of .*found 'spiral'"),
    ],
)
def test_a_wrong_schema_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schema(SPACE, **arguments)


@pytest.mark.parametrize("settings", [{"m": 0}, {"ef_construct": 3}, {"ef": 0}, {"scan_kb": 9}, {"m": 1.5}])
def test_wrong_index_settings_are_refused(settings):
    with pytest.raises(ValueError, match=f"hnsw: {next(iter(settings))} is a whole number from"):
        Hnsw(**settings)
