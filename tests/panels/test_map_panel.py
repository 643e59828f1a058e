import numpy as np
import pandas as pd
import pytest

from mmlab.panels import items_gallery
from mmlab.panels.map_panel import MapPanel


@pytest.fixture
def panel(collection):
    rng = np.random.default_rng(0)
    ids = collection.items["item_id"].iloc[:40]
    points = pd.DataFrame({"item_id": ids, "x": rng.random(40), "y": rng.random(40)})
    model = collection.retriever.model
    return MapPanel(points, collection.vectors, collection.items, lambda space: model, "modality")


def test_a_selection_lists_its_items(panel, collection):
    panel.scatter.widget.selection = np.array([0, 3], dtype="uint32")
    ids = panel.shown["item_id"].iloc[[0, 3]].tolist()
    assert panel.listing.value == str(items_gallery(ids, collection.items))
    assert "<b>2 chosen</b>" in panel.listing.value


def test_a_label_is_chosen_without_a_mouse(panel):
    label = panel.shown["label"].iloc[0]
    panel.label.value = label
    count = (panel.shown["label"] == label).sum()
    assert f"<b>{count} chosen</b>" in panel.listing.value


def test_a_label_is_dropped_where_the_lasso_chooses_something_else(panel):
    label = panel.shown["label"].iloc[0]
    panel.label.value = label
    others = panel.shown.index[panel.shown["label"] != label][:2]
    panel.scatter.widget.selection = others.to_numpy(dtype="uint32")
    assert panel.label.value == "(none)"
    assert "<b>2 chosen</b>" in panel.listing.value


def test_a_query_shows_where_it_lands(panel):
    panel.text.value = "a red mug <b>"
    assert "a red mug &lt;b&gt;</bdi></b> lands at the cross" in panel.nearest.value
    assert len(panel.scatter.widget.annotations) == 2


def test_a_long_selection_is_cut_and_none_says_how(panel, collection):
    html = str(items_gallery(panel.shown["item_id"].tolist(), collection.items))
    assert "<b>40 chosen</b>, the first 24" in html
    assert html.count("<figure") == 24
    assert "Press the lasso" in str(items_gallery([], collection.items))
