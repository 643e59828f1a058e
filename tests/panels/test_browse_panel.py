import pandas as pd
import pytest

from mmlab.items import ITEM_COLUMNS
from mmlab.panels import browse_panel
from mmlab.panels.browse_panel import BrowsePanel

TYPES = {"label": "keyword", "size": "integer"}


@pytest.fixture(scope="module")
def items():
    """Five images with a text each, of two labels and of growing size; no file is there."""
    names = [f"{number}.jpg" for number in range(5)]
    images = pd.DataFrame({"item_id": [f"i{n}" for n in range(5)], "modality": "image", "pair_id": names})
    texts = images.assign(item_id=[f"t{n}" for n in range(5)], modality="text")
    texts["text"] = ["a red mug", "a blue mug", "a red cup", "a green cup", "a cup (red)"]
    both = pd.concat([images.assign(image="/none/" + images["pair_id"]), texts], ignore_index=True)
    both = both.assign(label=["mug", "mug", "cup", "cup", "cup"] * 2, size=[10, 50, 20, 40, 30] * 2)
    return both.reindex(columns=[*ITEM_COLUMNS, "size"])


@pytest.fixture
def panel(items):
    findings = pd.DataFrame({"item_id": ["i3", "i1", "t1"], "finding": ["dark", "wrong", "wrong"]})
    return BrowsePanel(items, TYPES, findings.assign(place=[0, 1, 1]), page=2)


def shown(panel):
    return [card["item_id"] for card in panel.grid.cards]


def found(panel):
    return panel.found["item_id"].tolist()


def test_the_worst_suspects_come_first_with_what_was_found(panel):
    assert found(panel) == ["i3", "i1", "i0", "i2", "i4"]
    assert [card["note"] for card in panel.grid.cards] == ["dark", "wrong"]
    assert [card["words"] for card in panel.grid.cards] == ["a green cup", "a blue mug"]
    assert panel.grid.status == "5 images, 2 with a finding; page 1 of 3"


def test_pages_are_turned_and_the_last_one_stays(panel):
    panel.after.click()
    assert shown(panel) == ["i0", "i2"]
    panel.place.value = 3
    assert shown(panel) == ["i4"]
    panel.after.click()
    assert panel.grid.status.endswith("page 3 of 3")
    panel.falling.value = True
    assert panel.place.value == 1  # another order begins at its first page


def test_any_column_is_an_order(panel):
    panel.order.value = "size"
    assert found(panel) == ["i0", "i2", "i4", "i3", "i1"]
    panel.falling.value = True
    assert found(panel) == ["i1", "i3", "i4", "i2", "i0"]
    panel.order.value = "as in the dataset"
    assert found(panel) == ["i4", "i3", "i2", "i1", "i0"]


def test_filters_have_counts_and_are_cleared(panel):
    filters = panel.filters.filters
    assert filters["label"].options == [["cup", 3], ["mug", 2]]
    assert filters["finding"].options == [["wrong", 1], ["dark", 1]]
    filters["label"].value = ["mug"]
    assert found(panel) == ["i1", "i0"]
    assert filters["finding"].options == [["wrong", 1], ["dark", 0]]
    filters["size"].value = (10, 20)
    assert found(panel) == ["i0"]
    panel.filters.clear.click()
    assert len(found(panel)) == 5


def test_words_are_searched_as_they_are_written(panel):
    panel.words.value = "(RED"
    assert found(panel) == ["i4"]
    panel.words.value = "nothing like it"
    assert (shown(panel), panel.grid.empty) == ([], "No item passes the filters.")


def test_texts_are_shown_as_texts(panel):
    panel.to.value = "text"
    assert found(panel) == ["t1", "t0", "t2", "t3", "t4"]
    assert {card["modality"] for card in panel.grid.cards} == {"text"}


def test_a_selection_lasts_over_pages_and_comes_back_as_table_and_filter(panel):
    assert (panel.where, panel.note.value) == ({}, "")
    panel.grid.selected = ["i1"]
    panel.after.click()
    assert panel.grid.selected == []
    panel.grid.selected = ["i2"]
    panel.before.click()
    assert panel.grid.selected == ["i1"]
    assert panel.selected["item_id"].tolist() == ["i1", "i2"]
    assert panel.where == {"pair_id": ["1.jpg", "2.jpg"]}
    assert "2 selected: <code>panel.selected</code>" in panel.note.value
    panel.grid.selected = []
    assert panel.where == {"pair_id": ["2.jpg"]}


def test_all_that_is_found_is_selected_and_none(panel):
    panel.filters.filters["label"].value = ["cup"]
    panel.every.click()
    assert sorted(panel.selected["item_id"]) == ["i2", "i3", "i4"]
    panel.none.click()
    assert (panel.selected.empty, panel.grid.selected) == (True, [])


def test_a_saved_notebook_shows_the_first_page(panel):
    assert "dark: a green cup" in panel._static


def test_without_findings_items_stand_as_in_the_dataset(items):
    panel = browse_panel(items, TYPES)
    assert panel.order.value == "as in the dataset"
    assert found(panel) == ["i0", "i1", "i2", "i3", "i4"]
    assert set(panel.filters.filters) == {"label", "size"}


def test_nothing_is_shown_of_no_items(items):
    panel = browse_panel(items.head(0), TYPES)
    assert (shown(panel), panel.selected.empty) == ([], True)


def test_the_details_of_an_item_are_those_of_the_dataset(panel):
    assert panel.grid.details("i0")["texts"] == ["a red mug"]
