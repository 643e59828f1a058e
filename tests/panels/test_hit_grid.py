import io
import json
import re

import pandas as pd
import pytest
from PIL import Image

from mmlab.panels.hit_grid import HERE, THUMBNAIL_PIXELS, HitGrid, hit_cards, item_details
from mmlab.retrieve.query.known_queries import add_pair_columns

CARDS = [
    {"item_id": name, "modality": "text", "words": name, "score": score}
    for name, score in (("a", 0.9), ("b", 0.5), ("c", 0.1))
]


@pytest.fixture
def grid():
    made = HitGrid(page=2)
    made.show(CARDS)
    return made


def names(grid):
    return [card["item_id"] for card in grid.shown]


def test_a_page_is_shown_then_more_and_only_above_the_threshold(grid):
    assert (names(grid), grid.total, grid.scores) == (["a", "b"], 3, [0.1, 0.9])
    grid._receive(grid, {"do": "show_more"}, [])
    assert names(grid) == ["a", "b", "c"]
    grid.threshold = 0.5
    assert (names(grid), grid.total) == (["a", "b"], 2)
    grid.show(CARDS[:1])
    assert (names(grid), grid.total, grid.scores, grid.threshold) == (["a"], 1, [], None)


def test_labels_come_by_keys_and_are_taken_back_one_by_one(grid):
    said = []
    grid.on_label(lambda *label: said.append(label))
    for key, item in (("y", "a"), ("n", "b"), ("2", "a"), ("2", "a"), ("9", "a"), ("n", "b")):
        grid._receive(grid, {"do": "key", "key": key, "id": item}, [])
    assert said == [("a", 1), ("b", 0), ("b", 1), ("b", None), ("b", 0)]
    assert (grid.labels, grid.undoable) == ({"a": 1, "b": 0}, True)
    for _ in range(6):
        grid._receive(grid, {"do": "key", "key": "u", "id": "a"}, [])
    assert (grid.labels, grid.undoable, grid.error) == ({}, False, "")
    assert said[5:] == [("b", None), ("b", 1), ("b", 0), ("b", None), ("a", None)]


def test_buttons_call_back_and_what_goes_wrong_is_shown(grid):
    acted = []
    grid.on_action(lambda *action: acted.append(action))
    grid._receive(grid, {"do": "act", "action": "less", "id": "b"}, [])
    assert acted == [("less", "b")]
    grid._receive(grid, {"do": "label", "id": "nobody", "relevance": 1}, [])
    assert (
        grid.error
        == "LookupError: nobody is no longer shown: the hits changed before the label came. Label it again."
    )
    grid._receive(grid, {"do": "undo"}, [])
    assert grid.error == ""


def test_new_cards_begin_without_selection_and_with_their_own_labels(grid):
    grid.selected = ["a"]
    grid.label("a", 1)
    grid.show(CARDS, {"b": 0})
    assert (grid.selected, grid.labels, grid.undoable) == ([], {"b": 0}, False)


def test_hits_become_cards_with_thumbnails_and_details(collection, tmp_path):
    items = collection.items
    image = items[items["modality"] == "image"].iloc[0]
    hits = add_pair_columns(items[items["pair_id"] == image["pair_id"]].assign(rank=1, score=0.5), items)
    cards = hit_cards(hits, right=[image["item_id"]])
    assert [card["right"] for card in cards] == [item == image["item_id"] for item in hits["item_id"]]
    grid = HitGrid(details=lambda item_id: item_details(items, item_id))
    grid.show(
        [*cards, {"item_id": "x", "modality": "image", "words": "", "image": str(tmp_path / "gone.jpg")}]
    )
    for card in grid.shown[:-1]:
        assert max(Image.open(io.BytesIO(card["thumbnail"])).size) <= THUMBNAIL_PIXELS
    assert grid.shown[-1]["problem"] == "missing file"
    json.dumps([{name: value for name, value in card.items() if name != "thumbnail"} for card in grid.shown])
    found = item_details(items, image["item_id"])
    assert Image.open(io.BytesIO(found["image"])).size == Image.open(image["image"]).size
    assert found["texts"] == items.loc[(items["pair_id"] == image["pair_id"]), "text"].dropna().tolist()
    assert ["label", image["label"]] in found["columns"]
    assert found["path"] == image["image"]


def test_details_hold_plain_values_and_name_what_cannot_be_opened(tmp_path):
    items = pd.DataFrame({"item_id": ["a"], "modality": "image", "pair_id": "p", "text": [None]})
    items = items.assign(
        image=str(tmp_path / "gone.jpg"), price=[1 / 3], tags=[["x", "y"]], day=[pd.Timestamp(0)]
    )
    found = item_details(items, "a")
    assert found["problem"] == "missing file"
    assert ["price", "0.333333"] in found["columns"]
    assert ["tags", "['x', 'y']"] in found["columns"]
    assert found["texts"] == []
    with pytest.raises(KeyError, match="nobody"):
        item_details(items, "nobody")


def test_no_script_of_a_panel_writes_html():
    """Captions, names and paths reach the page as text."""
    scripts = sorted(HERE.glob("*.js"))
    assert len(scripts) >= 4
    for script in scripts:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text()
        )
