import numpy as np
import pandas as pd
import pytest

from mmlab.panels import items_gallery
from mmlab.panels.map_panel import MapPanel
from mmlab.panels.map_view import NO_IMAGE, MapView, SpaceMaps, colours_of, columns_to_colour_by, shown_image
from mmlab.visualize import map_panels

POINTS = np.random.default_rng(0).random((40, 2)).astype("float32")


@pytest.fixture
def items(collection):
    return collection.items.assign(price=np.arange(len(collection.items), dtype=float))


@pytest.fixture
def maps(collection, items):
    """The same 40 items by two models: their maps by t-SNE are those by UMAP turned round."""
    ids = items["item_id"].iloc[:40].tolist()
    layouts = {"UMAP": POINTS, "t-SNE": POINTS[::-1]}
    return [SpaceMaps(name, ids, collection.vectors, layouts.__getitem__) for name in ("clip", "siglip")]


@pytest.fixture
def panel(maps, items, collection):
    return MapPanel(maps[:1], items, lambda space: collection.retriever.model)


@pytest.fixture
def pair(maps, items, collection):
    """Two models side by side."""
    panel = MapPanel(maps, items, lambda space: collection.retriever.model)
    panel.beside.value = "siglip"
    return panel


def draw_lasso(view, rows):
    view.widget.selection = np.array(rows, dtype="uint32")


def test_a_selection_is_listed_and_handed_to_python(panel, items):
    draw_lasso(panel.views[0], [0, 3])
    chosen = items.iloc[[0, 3]]
    assert panel.selection["item_id"].tolist() == chosen["item_id"].tolist()
    assert panel.where == {"pair_id": chosen["pair_id"].unique().tolist()}
    assert [card["item_id"] for card in panel.grid.cards] == chosen["item_id"].tolist()
    assert panel.grid.status.startswith("2 chosen: `panel.selection` is their table")
    draw_lasso(panel.views[0], [])
    assert panel.where == {}
    assert panel.grid.cards == []


def test_a_group_of_the_column_that_colours_is_chosen_without_a_mouse(panel, items):
    panel.colour.value = "label"
    label = items["label"].iloc[0]
    panel.group.value = label
    assert set(panel.selection["label"]) == {label}
    assert len(panel.selection) == (items["label"].iloc[:40] == label).sum()


def test_a_group_is_dropped_where_the_lasso_chooses_something_else(panel):
    panel.group.value = "image"
    draw_lasso(panel.views[0], [0, 1])
    assert panel.group.value == "(none)"
    assert len(panel.selection) == 2


def test_a_query_shows_where_it_lands(panel):
    panel.text.value = "a red mug <b>"
    assert panel.grid.status.startswith("“a red mug <b>” lands at the cross")
    assert "a red mug &lt;b&gt;” lands at the cross" in panel._static
    assert len(panel.grid.cards) == 5
    assert len(panel.views[0].widget.annotations) == 2


def test_a_query_without_words_asks_nothing_and_an_error_is_in_sight(maps, items):
    def load(space):
        raise ValueError("no such model")

    panel = MapPanel(maps[:1], items, load)
    panel.text.value = " "
    assert panel.grid.error == ""
    panel.text.value = "a mug"
    assert panel.grid.error == "ValueError: no such model"
    assert not panel.grid.busy


def test_points_keep_off_the_edge(panel):
    extent = np.abs(panel.views[0].widget.points[:, :2]).max(axis=0)
    assert extent.max() == pytest.approx(1 / 1.1, abs=1e-3)  # a margin of 5 % of the extent on both sides


def test_the_other_map_moves_the_points_and_wipes_the_cross_off(panel):
    panel.text.value = "a red mug"
    panel.method.value = "t-SNE"
    assert panel.views[0].table[["x", "y"]].to_numpy() == pytest.approx(POINTS[::-1])
    assert not panel.views[0].widget.annotations


def test_the_image_under_the_pointer_is_shown_with_its_words(panel, items):
    view = panel.views[0]
    view.widget.hovering = 1
    assert items["modality"].iloc[1] == "text"  # which is shown with the image of its pair
    assert 'src="data:image/jpeg;base64,' in panel.pointed.value
    assert items["text"].iloc[1][:20] in panel.pointed.value
    view.widget.hovering = None
    assert "<img" not in panel.pointed.value


@pytest.mark.parametrize(("path", "reason"), [(None, ""), ("/nowhere/a.jpg", "missing file")])
def test_an_item_without_an_image_shows_an_empty_one(path, reason):
    assert shown_image(path) == (NO_IMAGE, reason)


def test_why_an_image_is_not_shown_is_said(panel, items):
    view = panel.views[0]
    view.rows["pair_image"] = view.rows["pair_image"].where(view.rows.index != 1, "/nowhere/a.jpg")
    view.widget.hovering = 1
    assert "(image not shown: missing file)" in panel.pointed.value


def test_text_and_image_have_the_colours_that_they_have_in_figures(panel):
    groups = pd.Series(["text", "image", "image"])
    drawn = map_panels(np.eye(3)[:, :2], {"modality": groups}, "UMAP", links=False).axes[0].collections
    shown = {one.get_label(): tuple(one.get_facecolor()[0][:3]) for one in drawn}
    kinds = panel.views[0].table["colour"].cat.categories
    assert {name: pytest.approx(shown[name]) for name in kinds} == {
        name: tuple(colour[:3]) for name, colour in zip(kinds, panel.views[0].widget.color, strict=True)
    }
    assert colours_of(["image"]) == colours_of(["text", "image"])[1:]


def test_numbers_are_coloured_on_a_scale_and_missing_ones_grey(maps, items):
    some = items.assign(price=items["price"].where(items.index != 0))
    view = MapView(maps[0], some, "UMAP")
    legend = view.colour_by("price")
    assert legend.names == ["1", "20", "39"]
    assert view.table["colour"].iloc[:2].tolist() == [-5 / 250, 0.0]
    assert view.table["colour"].max() == 1.0
    assert view.scatter.color()["map"][0][:3] == pytest.approx([0x8A / 255] * 3)
    view.rows["price"] = np.linspace(0.00004, 1, 40)
    assert view.colour_by("price").names == ["0.00", "0.50", "1.00"]


def test_more_groups_than_colours_of_figures_all_differ(maps, items):
    many = items.assign(shelf=[f"<b>{row % 20}" for row in range(len(items))])
    view = MapView(maps[0], many, "UMAP")
    legend = view.colour_by("shelf")
    assert len(set(legend.colours)) == 20
    assert "<bdi>&lt;b&gt;0</bdi> 2" in legend.to_html()
    assert "and 8 more" in legend.to_html()


def test_every_column_but_ids_and_texts_can_colour(items):
    columns = columns_to_colour_by(items)
    assert {"modality", "label", "split", "price", "width"} <= set(columns)
    assert not {"item_id", "pair_id", "text", "image", "content"} & set(columns)


def test_names_stand_at_the_clusters(panel, items):
    labels = set(items["label"].iloc[:40].dropna())
    assert set(panel.views[0].widget.labels["label"]) <= labels
    panel.naming.value = "telling words"
    words = set(" ".join(panel.views[0].widget.labels["label"]).split())
    captions = " ".join(items["text"].dropna()).casefold()
    assert words
    assert all(word.rstrip("…") in captions for word in words)
    panel.naming.value = "(no names)"
    assert panel.views[0].widget.labels["label"].str.strip().tolist() == [""]


def test_two_models_are_linked(pair):
    left, right = pair.views
    draw_lasso(left, [2, 5])
    assert right.chosen == left.chosen == pair.chosen
    draw_lasso(right, [7])
    assert left.widget.selection.tolist() == [7]
    right.widget.hovering = 4
    assert left.pointed_at == right.pointed_at
    assert {view.widget.height for view in pair.views} == {260}
    pair.beside.value = "(none)"
    assert pair.views[0].widget.height == 460
    assert len(pair.plots.children) == len(pair.views) == 1


def test_a_second_model_shows_what_is_chosen_and_how_it_is_drawn(maps, items):
    panel = MapPanel(maps, items)
    panel.colour.value = "label"
    draw_lasso(panel.views[0], [1])
    panel.beside.value = "siglip"
    assert panel.views[1].widget.selection.tolist() == [1]
    assert panel.views[1].widget.color == panel.views[0].widget.color
    assert panel.text not in panel.children[1].children  # no model is given


def test_a_long_selection_is_cut_in_a_saved_notebook_and_none_says_how(panel, items):
    html = str(items_gallery(items["item_id"].iloc[:40].tolist(), items))
    assert "40 chosen (the first 24)" in html
    assert html.count("<figure") == 24
    assert "Press the lasso" in str(items_gallery([], items))
