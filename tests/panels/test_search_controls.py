import pandas as pd
import pytest

from mmlab.panels import PanelData
from mmlab.panels.search_controls import (
    CHOICE,
    RANGE,
    SEARCH,
    YES_NO,
    SearchControls,
    controls_from_filter,
    filter_controls,
    filter_fields,
    filter_from_controls,
)
from mmlab.retrieve import CALIBRATIONS, Query

TYPES = {"label": "keyword", "code": "keyword", "price": "float", "stock": "integer", "new": "bool"}
TYPES |= {"same": "integer", "modality": "keyword", "gone": "keyword"}


@pytest.fixture
def things():
    """60 items: three labels, a code each, prices and stocks, some new."""
    numbers = range(60)
    return pd.DataFrame(
        {
            "item_id": [f"i{number}" for number in numbers],
            "modality": ["image", "text"] * 30,
            "label": ["mug", "mug", "cup", "mug", "cup", None] * 10,
            "code": [f"c{number:02}" for number in numbers],
            "price": [1.5 + number for number in numbers],
            "stock": list(numbers),
            "new": pd.array([True, False, None] * 20, dtype="boolean"),
            "same": 7,
            "unknown to the schema": list(numbers),
        }
    )


def test_filters_are_built_from_the_schema_and_read_back(things):
    fields = filter_fields(things, TYPES)
    found = {name: one.kind for name, one in fields.items()}
    assert found == {"label": CHOICE, "code": SEARCH, "price": RANGE, "stock": RANGE, "new": YES_NO}
    assert fields["label"].known == ("mug", "cup")  # the most frequent first
    assert (fields["price"].known, fields["stock"].known) == ((1.5, 60.5), (0, 59))
    nothing = {"label": (), "code": "", "price": (1.5, 60.5), "stock": (0, 59), "new": "any"}
    assert {name: one.value for name, one in filter_controls(fields).items()} == nothing
    assert filter_from_controls(fields, nothing) == {}
    chosen = {"label": ("mug",), "code": "c07", "price": (1.5, 5.0), "stock": (3, 59), "new": "no"}
    where = filter_from_controls(fields, chosen)
    assert where == {
        "label": ["mug"],
        "code": "c07",
        "price": {"gte": 1.5, "lte": 5.0},
        "stock": {"gte": 3, "lte": 59},
        "new": False,
    }
    assert controls_from_filter(fields, where) == chosen
    assert controls_from_filter(fields, {}) == nothing


def test_the_values_of_a_search_are_suggested_and_others_can_be_typed(things):
    control = filter_controls(filter_fields(things, {"code": "keyword"}))["code"]
    assert len(control.options) == 60
    control.value = "another"
    assert control.value == "another"


@pytest.fixture
def settings(collection):
    systems = {"one": collection.retriever, "two": collection.retriever}
    return SearchControls(PanelData(systems, collection.items), 3)


def test_the_k_of_rrf_counts_only_where_rrf_is_chosen(settings):
    assert settings.rrf_k.value == 60
    settings.rrf_k.value = 10
    assert settings.rrf_k.disabled
    assert settings.values["rrf_k"] == 60
    settings.fusion.value = "rrf"
    assert not settings.rrf_k.disabled
    assert settings.values["rrf_k"] == 10


def test_settings_are_filled_in_without_a_call_and_changes_call(settings):
    calls = []
    settings.listen(lambda: calls.append(settings.values))
    query = Query(text="a mug", models=("one", "two"), fusion="rrf", rrf_k=5, k=7, where={"colour": ["red"]})
    settings.fill(query)
    assert calls == []
    assert {name: settings.values[name] for name in ("models", "fusion", "rrf_k", "k", "where")} == {
        "models": ("one", "two"), "fusion": "rrf", "rrf_k": 5, "k": 7, "where": {"colour": ["red"]}
    }  # fmt: skip
    settings.models.value = ("one",)
    assert len(calls) == 1  # though other fusions are offered


def test_calibrations_are_offered_for_the_system_that_they_were_fitted_on(collection):
    def fit():
        raise AssertionError("nothing is fitted before a calibration is chosen")

    systems = {"one": collection.retriever, "two": collection.retriever}
    fitted = {"one": fit, "two": {"temperature": {}}}
    settings = SearchControls(PanelData(systems, collection.items, fitted), 3)
    assert settings.calibration in settings.ranking
    assert settings.calibration.options == ("none", *CALIBRATIONS)
    settings.models.value = ("two",)
    assert settings.calibration.options == ("none", "temperature")
    settings.models.value = ("one", "two")
    assert settings.calibration.options == ("none",)
