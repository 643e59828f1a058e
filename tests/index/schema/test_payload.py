"""Payload fields: their kinds by the columns of a table, and the values that are refused."""

import numpy as np
import pandas as pd
import pytest

from mmlab.index.schema.payload import payload_fields, payload_rows


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
    assert payload_fields(items) == {
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


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"label": ["cup"]}, r"columns \['price'\] are missing"),
        (
            {"label": ["cup"], "price": [1.0], "colour": ["red"]},
            r"columns \['colour'\] are not in the schema",
        ),
        ({"label": ["cup"], "price": [np.inf]}, "column 'price': expected float, found inf"),
        ({"label": ["cup"], "price": ["cheap"]}, "column 'price': expected float, found 'cheap'"),
    ],
)
def test_a_table_that_does_not_fit_the_fields_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        payload_rows(pd.DataFrame(table), {"label": "keyword", "price": "float"})


def test_rows_hold_plain_values_and_no_gaps():
    table = pd.DataFrame(
        {
            "item_id": ["a", "b"],
            "label": ["cup", None],
            "width": pd.array([64, None], dtype="Int32"),
            "stars": [4.0, 5.0],
            "new": [np.bool_(True), None],
        }
    )
    rows = payload_rows(table, {"label": "keyword", "width": "integer", "stars": "integer", "new": "bool"})
    assert rows == [{"label": "cup", "width": 64, "stars": 4, "new": True}, {"stars": 5}]
    assert {name: type(value) for name, value in rows[0].items()} == {
        "label": str, "width": int, "stars": int, "new": bool,
    }  # fmt: skip
