import pandas as pd
import pytest

from mmlab.panels import PanelData
from mmlab.panels.search_controls import (
    CHOICE,
    RANGE,
    YES_NO,
    SearchControls,
    controls_from_filter,
    count_values,
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
    assert found == {"label": CHOICE, "code": CHOICE, "price": RANGE, "stock": RANGE, "new": YES_NO}
    assert fields["label"].known == ("mug", "cup")  # the most frequent first
    assert (fields["price"].known, fields["stock"].known) == ((1.5, 60.5), (0, 59))
    nothing = {"label": [], "code": [], "price": (1.5, 60.5), "stock": (0, 59), "new": "any"}
    assert {name: one.value for name, one in filter_controls(fields).items()} == nothing
    assert filter_from_controls(fields, nothing) == {}
    chosen = {"label": ["mug"], "code": ["c07"], "price": (1.5, 5.0), "stock": (3, 59), "new": "no"}
    where = filter_from_controls(fields, chosen)
    assert where == {
        "label": ["mug"],
        "code": ["c07"],
        "price": {"gte": 1.5, "lte": 5.0},
        "stock": {"gte": 3, "lte": 59},
        "new": False,
    }
    assert controls_from_filter(fields, where) == chosen
    assert controls_from_filter(fields, {}) == nothing


def test_values_are_counted_among_the_items_that_pass_the_other_filters(things):
    """Images stand at even places: of six in a row a mug, a cup and a cup; new are those at 0, 3, 6, ..."""
    fields = filter_fields(things, TYPES)
    assert count_values(things, fields, {}, "image")["label"] == [["mug", 10], ["cup", 20]]
    where = {"new": True, "label": ["mug"]}
    counted = count_values(things, fields, where, "image")
    assert counted["label"] == [["mug", 10], ["cup", 0]]  # the filter of the field itself does not count
    assert sum(count for _, count in counted["code"]) == 10
    below = count_values(things, fields, {"price": {"gte": 1.5, "lte": 7.5}}, "image")["label"]
    assert below == [["mug", 2], ["cup", 2]]  # places 0, 2, 4, 6


def test_filters_that_are_set_are_shown_and_cleared_by_one_button(collection):
    settings, calls = SearchControls(PanelData(collection.retriever, collection.items), 3), []
    settings.listen(lambda: calls.append(settings.where))
    assert settings.set_filters.layout.display == "none"
    settings.filters["colour"].value = ["red"]
    settings.count("image")
    assert settings.active.value == "<b>Only colour = red</b>"
    assert settings.set_filters.layout.display == "flex"
    settings.clear.click()
    assert calls == [{"colour": ["red"]}, {}]
    settings.count("image")
    assert settings.set_filters.layout.display == "none"
    options = dict(map(tuple, settings.filters["colour"].options))
    images = collection.items[collection.items["modality"] == "image"]
    assert options == images["colour"].value_counts().to_dict()


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
