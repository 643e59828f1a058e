"""The map panel: a selection lists its items, and a query is placed among its nearest items.

jupyter-scatter draws the points. `items_gallery` and `query_on_map` give the rest by plain calls.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import ipywidgets as widgets
import numpy as np
import pandas as pd

from mmlab.items import Space, Vectors
from mmlab.panels import controls
from mmlab.panels.controls import show_in, status_line
from mmlab.panels.panel_data import shorten
from mmlab.retrieve.query.known_queries import add_pair_columns
from mmlab.visualize import Html, gallery
from mmlab.visualize.map_layout import listed_items, map_points, query_on_map
from mmlab.visualize.style import COLOURS

if TYPE_CHECKING:
    import jscatter


class QueryModel(Protocol):
    """What the panel needs of a model of mmlab.embed."""

    space: Space

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Return a unit vector for each text."""


LoadModel = Callable[[Space], QueryModel]
MAP_HEIGHT = 420  # pixels
MAX_LISTED = 24  # items
MAX_CAPTION_CHARS = 50  # under a small image
MAX_TOOLTIP_CHARS = 120
MAX_QUERY_CHARS = 300  # that are shown
IMAGE_PIXELS = 80
NO_LABEL = "(none)"
HINT = status_line(
    "Press the lasso at its left and draw around points, or choose a label, to list them here."
)


def map_panel(
    maps: pd.DataFrame,
    vectors: Vectors,
    items: pd.DataFrame,
    load: LoadModel | None = None,
    colour: str = "modality",
) -> widgets.VBox:
    """Return a panel over a map: choose points with the lasso or by a label, type a query to see where it belongs.

    maps: maps.parquet (its points by UMAP are shown), or item_id, x, y. vectors: those of these items, in one space.
    load: gives the model of a space when the first query is typed (`load_for` of mmlab.embed); there is no query field
    without it. colour: the items column that colours the points.
    """
    points = maps if {"x", "y"} <= set(maps.columns) else map_points(maps)
    return MapPanel(points, vectors, items, load, colour).box


class MapPanel:
    """The scatter plot, a list of labels for those without a mouse, the query, and what is chosen or found."""

    def __init__(
        self,
        points: pd.DataFrame,
        vectors: Vectors,
        items: pd.DataFrame,
        load: LoadModel | None = None,
        colour: str = "modality",
    ) -> None:
        self.points, self.vectors, self.items, self.load = points, vectors, items, load
        self.model: QueryModel | None = None
        self.shown = points.merge(items, on="item_id", suffixes=("", "_item")).reset_index(drop=True)
        self.shown["label"] = self.shown["label"].fillna(NO_LABEL)
        self.scatter = draw_points(self.shown, colour)
        labels = [NO_LABEL, *sorted(set(self.shown["label"]) - {NO_LABEL})]
        self.label = controls.choose_one(labels, "Label")
        self.text = controls.text_with_suggestions(
            [], "Query", "a text to place on the map, then Enter", "420px"
        )
        self.listing, self.nearest = widgets.HTML(HINT), widgets.HTML()
        top = controls.row(self.text, self.label) if load else self.label
        self.box = widgets.VBox([top, self.scatter.widget, self.nearest, self.listing])
        self.box.add_class("mmlab-map")
        self.scatter.widget.observe(lambda _: self.list_chosen(), "selection")
        self.listening = controls.Listening()
        self.listening.watch(self.label, self.choose_label)
        self.listening.watch(self.text, self.ask)

    def choose_label(self, label: str) -> None:
        """Choose all points of a label, as the lasso would."""
        here = self.shown.index[self.shown["label"] == label]
        self.scatter.selection([] if label == NO_LABEL else here)

    def list_chosen(self) -> None:
        """List what is chosen on the map, and drop the label where its points are not what is chosen."""
        here = set(self.shown.index[self.shown["label"] == self.label.value])
        if self.label.value != NO_LABEL and here != {int(number) for number in self.scatter.selection()}:
            with self.listening.silenced():
                self.label.value = NO_LABEL
        show_in(self.listing, self.chosen_items)

    def chosen_items(self) -> Html:
        """Return the chosen items as a gallery."""
        rows = [int(number) for number in self.scatter.selection()]
        return items_gallery(self.shown.loc[rows, "item_id"].tolist(), self.items)

    def ask(self, text: str) -> None:
        """Show where a query belongs on the map."""
        if text.strip():
            show_in(self.nearest, lambda: self.place_query(text))

    def place_query(self, text: str) -> Html:
        """Mark the place of a query with a cross, and return its nearest items."""
        vectors = self._embed(text)
        place = query_on_map(vectors, self.vectors, self.points)
        mark_place(self.scatter, place.x, place.y)
        return nearest_gallery(text, place.nearest, self.items)

    def _embed(self, text: str) -> Vectors:
        if self.model is None:
            if self.load is None:
                raise ValueError("a query needs a model: give `load`")
            self.model = self.load(self.vectors.space)
        return Vectors(np.array(["query"]), self.model.embed_queries([text]), self.model.space)


def draw_points(shown: pd.DataFrame, colour: str) -> "jscatter.Scatter":
    """Draw the points by jupyter-scatter, in colours that differ in lightness and with captions on hover."""
    words = shown["text"].fillna(shown["label"]).str.slice(0, MAX_TOOLTIP_CHARS)
    data = shown.assign(words=words)
    data[colour] = data[colour].fillna(NO_LABEL).astype("category")
    scatter = _jscatter().Scatter(data=data, x="x", y="y", height=MAP_HEIGHT)
    names = list(data[colour].cat.categories)
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    scatter.color(by=colour, map=colours, selected="#000000")
    scatter.size(default=6).axes(axes=False).legend(True)
    scatter.tooltip(enable=True, properties=["modality", "label", "words"])
    return scatter


def mark_place(scatter: "jscatter.Scatter", x: float, y: float) -> None:
    """Mark a place on the map with a cross of two lines."""
    library = _jscatter()
    scatter.annotations([library.VLine(x), library.HLine(y)])


def _jscatter() -> Any:
    """Return jupyter-scatter, which is loaded with the first map: it takes seconds."""
    import jscatter

    return jscatter


def nearest_gallery(query: str, nearest: pd.DataFrame, items: pd.DataFrame) -> Html:
    """Return the items of the map that are nearest to a query as a gallery; `nearest`: see `query_on_map`."""
    hits = add_pair_columns(nearest.merge(items, on="item_id", suffixes=("", "_item")), items)
    captions = [
        f"{rank}. {hit.score:.3f}  {shorten(hit.words, MAX_CAPTION_CHARS)}"
        for rank, hit in enumerate(hits.itertuples(), 1)
    ]
    line = (
        f"<b><bdi>{escape(query[:MAX_QUERY_CHARS])}</bdi></b> lands at the cross: at the weighted mean of the places "
        f"of its {len(hits)} nearest items on the map."
    )
    return Html(f"{status_line(line)}{gallery(list(hits['pair_image']), captions, side=IMAGE_PIXELS)}")


def items_gallery(ids: Sequence[str], items: pd.DataFrame) -> Html:
    """Return items of the map as a gallery under their number; a hint where there are none.

    >>> items = pd.DataFrame({"item_id": ["a"], "modality": "text", "pair_id": "p", "text": "a mug", "label": "mug"})
    >>> "text: a mug" in str(items_gallery(["a"], items.assign(image=None)))
    True
    """
    if not ids:
        return Html(HINT)
    hits = add_pair_columns(listed_items(list(ids), items, MAX_LISTED), items)
    captions = [f"{hit.modality}: {shorten(hit.words, MAX_CAPTION_CHARS)}" for hit in hits.itertuples()]
    more = f", the first {MAX_LISTED}" if len(ids) > MAX_LISTED else ""
    grid = gallery(list(hits["pair_image"]), captions, side=IMAGE_PIXELS)
    return Html(f"{status_line(f'<b>{len(ids)} chosen</b>{more}')}{grid}")
