"""Payload fields: their kinds by the columns of a table, and the values that are refused."""

import numpy as np
import pandas as pd
import pytest

from mmlab.index.store.payload import (
    FINGERPRINT,
    Condition,
    clean_value,
    json_path,
    payload_fields,
    payload_rows,
    payload_table,
    read_filter,
)
from mmlab.items import ITEM_COLUMNS


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


FIELDS = {"colour": "keyword", "price": "float", "size (cm)": "integer", "new": "bool"}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"colour": "red"}, [Condition("colour", "keyword", ("red",))]),
        ({"colour": ["red", "blue"]}, [Condition("colour", "keyword", ("red", "blue"))]),
        ({"size (cm)": 4.0}, [Condition('"size (cm)"', "integer", (4,))]),
        ({"new": np.bool_(False)}, [Condition("new", "bool", (False,))]),
        ({"price": {"gt": 1, "lte": 2.5}}, [Condition("price", "float", bounds=(("gt", 1.0), ("lte", 2.5)))]),
        ({"colour": {"not": "red"}}, [Condition("colour", "keyword", ("red",), negated=True)]),
        (
            {"size (cm)": {"gte": 3, "lt": 9, "not": [4, 5]}, "new": True},
            [
                Condition('"size (cm)"', "integer", bounds=(("gte", 3.0), ("lt", 9.0))),
                Condition('"size (cm)"', "integer", (4, 5), negated=True),
                Condition("new", "bool", (True,)),
            ],
        ),
        (None, []),
        ({}, []),
    ],
)
def test_a_filter_is_read_as_its_conditions(where, expected):
    assert read_filter(where, FIELDS) == tuple(expected)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "colour=red",
            r"where: expected a dict such as {'colour': 'red'}, found 'colour=red'; the fields are",
        ),
        (["red"], r"where: expected a dict such as {'label': 'mug'}, found \['red'\]"),
        ({"color": "red"}, r"no filterable field 'color' \(did you mean 'colour'\?\); there are"),
        ({"shape": 1}, r"no filterable field 'shape'; there are \['colour', 'price', 'size \(cm\)', 'new'\]"),
        ({"colour": []}, "'colour': the list of allowed values is empty"),
        ({"colour": [3]}, "'colour' holds keyword, found 3"),
        ({"colour": {"like": "r"}}, r"'colour' takes \['gt', 'gte', 'lt', 'lte', 'not'\], found 'like'"),
        ({"colour": {}}, "'colour' takes .*, found '{}'"),
        ({"colour": {"gt": 1}}, "a range needs a field of numbers, 'colour' holds keyword"),
        ({"new": {"lt": 1}}, "a range needs a field of numbers, 'new' holds bool"),
        ({"price": {"lt": True}}, "'price': the bounds of a range are finite numbers, found True"),
        ({"price": {"lt": np.inf}}, "finite numbers, found inf"),
        ({"price": {"lt": "9"}}, "finite numbers, found '9'"),
        ({"size (cm)": 1.5}, r"'size \(cm\)': expected integer, found 1.5"),
        ({"size (cm)": np.inf}, r"where: 'size \(cm\)'"),
        ({"new": 1}, "'new': expected bool, found 1"),
        ({"price": True}, "'price': expected float, found True"),
    ],
)
def test_a_filter_that_does_not_fit_the_fields_is_refused(where, message):
    with pytest.raises(ValueError, match=message):
        read_filter(where, FIELDS)


def test_a_field_of_a_part_is_found_by_its_path():
    (condition,) = read_filter({"price": 2}, FIELDS, "image")
    assert (condition.path, condition.values) == ("image.price", (2.0,))
    assert json_path("a b") == '"a b"'
    assert json_path("a b", "text") == 'text."a b"'
    assert json_path("A_z-9") == "A_z-9"


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (7, "keyword", "7"), (7, "text", "7"), (np.bool_(True), "bool", True), (np.int64(3), "integer", 3),
        (4.0, "integer", 4), (-2, "float", -2.0), (np.float32(0.5), "float", 0.5),
    ],
)  # fmt: skip
def test_values_become_pythons_own(value, kind, expected):
    found = clean_value(value, kind)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, "integer"), (np.bool_(True), "float"), (1, "bool"), (2.5, "integer"), ("3", "integer")],
)
def test_values_of_another_kind_are_refused(value, kind):
    with pytest.raises(ValueError, match=f"expected {kind}, found"):
        clean_value(value, kind)


def test_a_text_of_256_letters_is_a_keyword_and_one_more_makes_it_text():
    items = pd.DataFrame({"item_id": ["a", "b"], "short": ["x", "y" * 256], "long": [None, "y" * 257]})
    items["mixed"] = [True, "yes"]
    assert payload_fields(items) == {"short": "keyword", "long": "text", "mixed": "keyword"}


def test_payloads_become_a_table_with_the_dtypes_of_their_kinds():
    rows = [{"colour": "red", "price": 1.5, "size (cm)": 3, "new": True}, {}]
    table = payload_table(["a", "b"], rows, FIELDS)
    assert table.columns.tolist() == ["item_id", *FIELDS]
    assert table.dtypes.astype(str).tolist() == ["str", "str", "float64", "Int64", "boolean"]
    assert table.iloc[0].tolist() == ["a", "red", 1.5, 3, True]
    assert table.iloc[1, 1:].isna().all()


def test_a_column_of_plain_numbers_or_texts_is_taken_as_it_is():
    table = pd.DataFrame(
        {"price": [0.5, 2], "size (cm)": [3, 4], "colour": ["red", "blue"], "new": [True, False]}
    )
    assert payload_rows(table, FIELDS) == [
        {"price": 0.5, "size (cm)": 3, "colour": "red", "new": True},
        {"price": 2.0, "size (cm)": 4, "colour": "blue", "new": False},
    ]
    assert payload_rows(table.astype({"price": "float32"}), FIELDS)[1]["price"] == 2.0
    with pytest.raises(ValueError, match="column 'price': expected float, found -inf"):
        payload_rows(table.assign(price=[0.5, -np.inf]), FIELDS)
    with pytest.raises(ValueError, match=r"column 'size \(cm\)': "):
        payload_rows(table.assign(**{"size (cm)": [1.0, np.inf]}), FIELDS)


def test_points_that_were_stored_are_known_by_their_fingerprint():
    assert FINGERPRINT == "_fingerprint"  # as stores and servers have it


def test_mmlabs_own_columns_have_their_kind_whatever_they_hold():
    kinds = {"text": "text", "image": "text", "content": "text", "width": "integer", "height": "integer"}
    kinds |= dict.fromkeys(
        ("modality", "pair_id", "label", "split", "origin", "flags", "duplicate_of"), "keyword"
    )
    assert set(kinds) == set(ITEM_COLUMNS) - {"item_id"}
    for value in (None, "x" * 300, 1.5, True):
        assert payload_fields(pd.DataFrame({name: [value] for name in ("item_id", *kinds)})) == kinds
