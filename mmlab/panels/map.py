"""The map of 06, live: a selection lists its items, a query shows where it lands.

The points are drawn by jupyter-scatter; everything else is the calls of `query_on_map` and a gallery.
"""

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.items import Space, Vectors
from mmlab.panels import controls
from mmlab.panels.answers import FONT, shorten
from mmlab.panels.errors import show_in
from mmlab.retrieve.query.known_queries import add_pair_columns
from mmlab.visualize import Html, gallery
from mmlab.visualize.map_layout import listed_items, map_points, query_on_map

if TYPE_CHECKING:
    import ipywidgets

LoadModel = Callable[[Space], Any]  # a model of mmlab.embed, which knows its space and embeds queries
HEIGHT = 420  # pixels
LISTED = 24  # items
WORDS = 50  # characters under a small image
NOTHING = "(none)"


def map_panel(
    maps: pd.DataFrame,
    vectors: Vectors,
    items: pd.DataFrame,
    load: LoadModel | None = None,
    colour: str = "modality",
) -> "ipywidgets.VBox":
    """A panel over a map: choose points with the lasso or by a label, type a query.

    maps: maps.parquet, or item_id, x, y; vectors: of these items, in one space. load: gives the model of a space when
    the first query is typed (`load_for` of mmlab.embed); no query field without it. colour: the items column that
    colours the points.
    """
    points = maps if {"x", "y"} <= set(maps.columns) else map_points(maps)
    return MapPanel(points, vectors, items, load, colour).box


class MapPanel:
    """The scatter plot, a list of groups for those without a mouse, the query, and what is chosen or found."""

    def __init__(
        self,
        points: pd.DataFrame,
        vectors: Vectors,
        items: pd.DataFrame,
        load: LoadModel | None,
        colour: str,
    ) -> None:
        import ipywidgets as widgets

        self.points, self.vectors, self.items, self.load = points, vectors, items, load
        self.model: Any = None
        self.quiet = False
        self.shown = points.merge(items, on="item_id", suffixes=("", "_item")).reset_index(drop=True)
        self.shown["label"] = self.shown["label"].fillna(NOTHING)
        self.scatter = draw(self.shown, colour)
        self.label = controls.choice([NOTHING, *sorted(set(self.shown["label"]) - {NOTHING})], "Label")
        self.text = controls.suggestions([], "Query", "where does it land? then Enter")
        self.listing = widgets.HTML(Html(_hint()).text)
        self.landed = widgets.HTML()
        asking = controls.row(self.text, self.label) if load else self.label
        self.box = widgets.VBox([asking, self.scatter.widget, self.landed, self.listing])
        self.box.add_class("mmlab-map")
        self.scatter.widget.observe(lambda _: self.list_chosen(), "selection")
        self.label.observe(lambda change: self.choose_label(change["new"]), "value")
        self.text.observe(lambda _: self.ask(), "value")

    def choose_label(self, label: str) -> None:
        """Choose all points of a label: what the lasso does, by keyboard."""
        if self.quiet:
            return
        here = self.shown.index[self.shown["label"] == label]
        self.scatter.selection([] if label == NOTHING else here)

    def list_chosen(self) -> None:
        """List what is chosen on the map; a label whose points are not what is chosen is none any more."""
        here = set(self.shown.index[self.shown["label"] == self.label.value])
        if self.label.value != NOTHING and here != {int(number) for number in self.scatter.selection()}:
            self.quiet, self.label.value = True, NOTHING
            self.quiet = False
        show_in(self.listing, self.listed)

    def listed(self) -> Html:
        """The chosen items as a gallery."""
        rows = [int(number) for number in self.scatter.selection()]
        return list_items(self.shown.loc[rows, "item_id"].tolist(), self.items)

    def ask(self) -> None:
        """Show where the query lands."""
        if self.text.value.strip():
            show_in(self.landed, self.land)

    def land(self) -> Html:
        """Mark the place of the query, and say what is nearest."""
        self.model = self.model or self.load(self.vectors.space)
        row = Vectors(["query"], self.model.embed_queries([self.text.value]), self.model.space)
        told, x, y = tell_landing(self.text.value, row, self.vectors, self.points, self.items)
        mark_place(self.scatter, x, y)
        return told


def draw(shown: pd.DataFrame, colour: str) -> Any:
    """The points as a jupyter-scatter plot: colours that differ in lightness, captions on hover."""
    import jscatter

    from mmlab.visualize.style import COLOURS

    data = shown.assign(words=shown["text"].fillna(shown["label"]).str.slice(0, 120))
    data[colour] = data[colour].fillna(NOTHING).astype("category")
    scatter = jscatter.Scatter(data=data, x="x", y="y", height=HEIGHT)
    names = list(data[colour].cat.categories)
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
    scatter.color(by=colour, map=dict(zip(names, colours, strict=True)), selected="#000000")
    scatter.size(default=6).axes(axes=False).legend(True)
    scatter.tooltip(enable=True, properties=["modality", "label", "words"])
    return scatter


def mark_place(scatter: Any, x: float, y: float) -> None:
    """A cross of two lines where the query lands."""
    import jscatter

    scatter.annotations([jscatter.VLine(x), jscatter.HLine(y)])


def tell_landing(
    query: str, row: Vectors, vectors: Vectors, points: pd.DataFrame, items: pd.DataFrame
) -> tuple[Html, float, float]:
    """Where a query of one row lands and what is nearest to it on the map, in words and images; the place (x, y)."""
    x, y, nearest = query_on_map(row, vectors, points)
    hits = add_pair_columns(nearest.merge(items, on="item_id", suffixes=("", "_item")), items)
    captions = [
        f"{n + 1}. {hit.score:.3f}  {shorten(hit.words, WORDS)}" for n, hit in enumerate(hits.itertuples())
    ]
    line = (
        f"<b><bdi>{escape(query[:300])}</bdi></b> lands at the cross: at the weighted mean of the places of its "
        f"{len(hits)} nearest items on the map."
    )
    told = f'<p role="status" style="{FONT}">{line}</p>{gallery(list(hits["pair_image"]), captions, side=80)}'
    return Html(told), x, y


def list_items(ids: list[str], items: pd.DataFrame) -> Html:
    """Items of the map as a gallery, under their number."""
    if not ids:
        return Html(_hint())
    hits = add_pair_columns(listed_items(ids, items, LISTED), items)
    captions = [f"{hit.modality}: {shorten(hit.words, WORDS)}" for hit in hits.itertuples()]
    more = f", the first {LISTED}" if len(ids) > LISTED else ""
    grid = gallery(list(hits["pair_image"]), captions, side=80)
    return Html(f'<p role="status" style="{FONT}"><b>{len(ids)} chosen</b>{more}</p>{grid}')


def _hint() -> str:
    how = "Press the lasso at its left and draw around points, or choose a label, to list them here."
    return f'<p style="{FONT}">{how}</p>'
