"""The map panel: what the lasso chooses becomes a gallery, a table and a filter; a query is placed among the items.

`items_gallery` and `query_on_map` give the same by plain calls.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Protocol

import ipywidgets as widgets
import numpy as np
import pandas as pd

from mmlab.items import Space, Vectors
from mmlab.panels import controls
from mmlab.panels.controls import PanelBox, show_in, status_line
from mmlab.panels.hit_grid import HitGrid, hit_cards, item_details
from mmlab.panels.map_view import (
    IMAGE_SIDE,
    MAP_HEIGHT,
    NO_NAMES,
    TELLING_WORDS,
    MapView,
    SpaceMaps,
    columns_to_colour_by,
    columns_to_name_by,
    is_numeric,
)
from mmlab.panels.panel_data import shorten
from mmlab.retrieve.query.known_queries import add_pair_columns
from mmlab.visualize import Html, gallery
from mmlab.visualize.map_layout import NO_GROUP, name_groups, order_groups


class QueryModel(Protocol):
    """What the panel needs of a model of mmlab.embed."""

    space: Space

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Return a unit vector for each text."""


LoadModel = Callable[[Space], QueryModel]
HEIGHT_BESIDE = (
    260  # pixels, of two maps side by side: as wide as they are at least, so that no point is cut off
)
MAX_LISTED = 24  # items
MAX_CAPTION_CHARS = 50  # under a small image
MAX_QUERY_CHARS = 300  # that are shown
MAX_OFFERED = 100  # values of a column to choose points by
IMAGE_PIXELS = 80
ALONE = "(none)"
HINT = (
    "Press the lasso at the left of the map and draw around points, or choose a group, to list them here. The image "
    "of a point is shown when the pointer rests on it."
)
NOTHING_POINTED_AT = f'<div style="height:{IMAGE_SIDE}px"></div>'  # so that nothing jumps
# A map that is turned from light to dark keeps its hues.
STYLE = """<style>
[data-jp-theme-light="false"] .mmlab-map canvas, [data-jp-theme-light="false"] .mmlab-map-mark,
.vscode-dark .mmlab-map canvas, .vscode-dark .mmlab-map-mark { filter: invert(0.93) hue-rotate(180deg); }
:is([data-jp-theme-light="false"], .vscode-dark) .mmlab-map div:has(canvas),
:is([data-jp-theme-light="false"], .vscode-dark) .mmlab-map div:has(+ div canvas),
:is([data-jp-theme-light="false"], .vscode-dark) .mmlab-map div:has(+ div canvas) > div {
  background: transparent !important;
}
</style>"""


def map_panel(
    maps: Sequence[SpaceMaps],
    items: pd.DataFrame,
    load: LoadModel | None = None,
    colour: str = "modality",
    names: str = "label",
) -> "MapPanel":
    """Return a panel over maps: choose points with the lasso or by their group, type a query to see where it belongs.

    maps: of the run's spaces, the first is shown. items: with any further columns to colour by. load: gives the model
    of a space when the first query is typed (`load_for` of mmlab.embed); there is no query field without it. colour,
    names: the columns that colour the points and name the clusters at first.
    """
    return MapPanel(maps, items, load, colour, names)


class MapPanel(PanelBox):
    """Maps of the items, those of two models side by side if wanted, and what is chosen or found on them.

    Attributes:
        selection: the chosen items, rows of the items table.
        where: a filter for their pairs, for `Run.search`; empty where nothing is chosen.
        views: the maps that are shown; their `scatter` is jupyter-scatter's own.
    """

    def __init__(
        self,
        maps: Sequence[SpaceMaps],
        items: pd.DataFrame,
        load: LoadModel | None = None,
        colour: str = "modality",
        names: str = "label",
    ) -> None:
        self.items, self.load = items, load
        self.maps = {one.name: one for one in maps}
        self.models: dict[str, QueryModel] = {}
        self.chosen: list[str] = []
        self.listening = controls.Listening()
        self._make_controls(maps, colour, names)
        self.legend, self.pointed = widgets.HTML(), widgets.HTML(NOTHING_POINTED_AT)
        self.plots = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap", grid_gap="0 10px"))
        self.grid = HitGrid((), lambda item_id: item_details(items, item_id), size=110, empty=HINT)
        self.grid.layout = widgets.Layout(max_height=f"{MAP_HEIGHT + 60}px", overflow="auto")
        left = widgets.VBox([self.legend, self.plots, self.pointed], layout=_flexible(2, 420))
        right = widgets.VBox([self.grid], layout=_flexible(1, 300))
        super().__init__([*self._control_rows(), controls.row(left, right)], "map")
        self.views: list[MapView] = []
        self._show_maps(ALONE)
        self._listen()

    def _make_controls(self, maps: Sequence[SpaceMaps], colour: str, names: str) -> None:
        shown = self.items.set_index("item_id").loc[list(maps[0].ids)].reset_index()
        colours = columns_to_colour_by(shown) or ["modality"]
        naming = columns_to_name_by(shown)
        words = [TELLING_WORDS] if shown["text"].notna().any() else []
        self.method = controls.toggle_buttons(list(maps[0].methods), "Map")
        self.colour = controls.choose_one(colours, "Colour", "240px")
        self.colour.value = colour if colour in colours else colours[0]
        self.naming = controls.choose_one([*naming, *words, NO_NAMES], "Names", "240px")
        if names in naming:
            self.naming.value = names
        self.group = controls.choose_one([NO_GROUP], "Choose", "240px")
        self.beside = controls.choose_one([ALONE, *list(self.maps)[1:]], "Beside", "240px")
        self.text = controls.text_with_suggestions(
            [], "Query", "a text to place on the map, then Enter", "420px"
        )

    def _control_rows(self) -> list[widgets.Widget]:
        query = [self.text] if self.load else []
        beside = [self.beside] if len(self.maps) > 1 else []
        first = controls.row(*query, self.method, *beside)
        return [widgets.HTML(STYLE), first, controls.row(self.colour, self.naming, self.group)]

    def _listen(self) -> None:
        for control, changed in {
            self.method: lambda _: self.draw(),
            self.colour: lambda _: self.draw(),
            self.naming: lambda _: self.draw(),
            self.beside: self._show_maps,
            self.group: self.choose_group,
            self.text: self.ask,
        }.items():
            self.listening.watch(control, changed)

    def _show_maps(self, beside: str) -> None:
        """Show the first map, and beside it that of another model."""
        wanted = [next(iter(self.maps)), *([beside] if beside != ALONE else [])]
        known = {view.maps.name: view for view in self.views}
        self.views = [known.get(name) or self._new_view(name) for name in wanted]
        self.draw()
        self._share_selection(self.chosen)
        for view in self.views:
            view.scatter.height(MAP_HEIGHT if beside == ALONE else HEIGHT_BESIDE)
            if view.maps.name not in known:
                self._watch(view)
        self.plots.children = [
            widgets.VBox(
                [_title(view.maps.name, len(view.rows)), view.widget], layout=_flexible(1, HEIGHT_BESIDE + 20)
            )
            for view in self.views
        ]

    def _new_view(self, name: str) -> MapView:
        return MapView(self.maps[name], self.items, self.method.value)

    def _watch(self, view: MapView) -> None:
        view.widget.observe(lambda _: self._chosen_on(view), "selection")
        view.widget.observe(lambda _: self._pointed_on(view), "hovering")

    def draw(self) -> None:
        """Draw all maps as the controls have it."""
        show_in(self.legend, self._drawn)

    def _drawn(self) -> str:
        for view in reversed(self.views):
            legend = view.draw(self.method.value, self.colour.value, self.naming.value)
        values = self.views[0].rows[self.colour.value]
        groups = [] if is_numeric(values) else order_groups(name_groups(self.items, values.name), MAX_OFFERED)
        with self.listening.silenced():
            self.group.options = [NO_GROUP, *(name for name in groups if name != NO_GROUP)]
            self.group.value = NO_GROUP
        return status_line(legend.to_html())

    def choose_group(self, name: str) -> None:
        """Choose all points of a group, as the lasso would."""
        groups = name_groups(self.items, self.colour.value)
        self._choose([] if name == NO_GROUP else self.items.loc[groups == name, "item_id"].tolist())

    def _chosen_on(self, view: MapView) -> None:
        """Take over what the lasso chose on one map, and drop the group, which it no longer is."""
        if self.listening.active:
            with self.listening.silenced():
                self.group.value = NO_GROUP
            self._choose(view.chosen)

    def _choose(self, ids: list[str]) -> None:
        self._share_selection(ids)
        chosen = self.items.set_index("item_id").loc[self.chosen].reset_index()
        self._list(describe_chosen(len(chosen)), add_pair_columns(chosen, self.items))

    def _list(self, line: str, hits: pd.DataFrame) -> None:
        """Show items beside the map, and in a saved notebook in its place."""
        self.grid.show(hit_cards(hits))
        self.grid.status = line if len(hits) else ""
        self.show_static(listing(line, hits))

    def _share_selection(self, ids: list[str]) -> None:
        with self.listening.silenced():
            for view in self.views:
                view.choose(ids)
        on_maps = {item for view in self.views for item in view.maps.ids}
        self.chosen = [item for item in ids if item in on_maps]

    def _pointed_on(self, view: MapView) -> None:
        """Mark the item under the pointer on the other map too, and write its words below."""
        if self.listening.active:
            self.pointed.value = view.describe_pointed() or NOTHING_POINTED_AT
            with self.listening.silenced():
                for other in self.views:
                    if other is not view:
                        other.point_at(view.pointed_at)

    @property
    def selection(self) -> pd.DataFrame:
        """The chosen items, rows of the items table in its order."""
        return self.items[self.items["item_id"].isin(self.chosen)].reset_index(drop=True)

    @property
    def where(self) -> dict[str, Any]:
        """A filter that lets the pairs of the chosen items through; empty where nothing is chosen."""
        pairs = self.selection["pair_id"].unique().tolist()
        return {"pair_id": pairs} if pairs else {}

    def ask(self, text: str) -> None:
        """Show where a query belongs on the maps: the cross on each, and its nearest items on the first."""
        if not text.strip():
            return
        self.grid.busy, self.grid.error = True, ""
        try:
            nearest, *_ = [view.place(self._embed(text, view.maps.vectors.space)) for view in self.views]
        except Exception as error:  # whatever it is, the person at the panel has to see it
            self.grid.busy, self.grid.error = False, f"{type(error).__name__}: {error}"
            return
        hits = nearest.merge(self.items, on="item_id", suffixes=("_map", "")).assign(
            rank=range(1, len(nearest) + 1)
        )
        line = (
            f"“{shorten(text, MAX_QUERY_CHARS)}” lands at the cross: at the weighted mean of the places of its "
            f"{len(hits)} nearest items on the map"
        )
        self._list(line, add_pair_columns(hits, self.items))

    def _embed(self, text: str, space: Space) -> Vectors:
        if space.key not in self.models:
            if self.load is None:
                raise ValueError("a query needs a model: give `load`")
            self.models[space.key] = self.load(space)
        model = self.models[space.key]
        return Vectors(np.array(["query"]), model.embed_queries([text]), model.space)


def _flexible(share: int, width: int) -> widgets.Layout:
    """Return the layout of a part that takes its share of a row, and a row of its own where there is no room."""
    return widgets.Layout(flex=f"{share} 1 {width}px", min_width="0", max_width="100%")


def _title(name: str, points: int) -> widgets.HTML:
    return widgets.HTML(
        f'<div style="{controls.FONT}"><b><bdi>{escape(name)}</bdi></b>: {points:,} items</div>'
    )


def describe_chosen(count: int) -> str:
    """Return how many items are chosen, and where Python finds them."""
    return f"{count:,} chosen: `panel.selection` is their table, `panel.where` a filter for `run.search`"


def listing(line: str, hits: pd.DataFrame) -> Html:
    """Return items as a gallery under a line, the first of many; the hint where there are none.

    hits: item_id, modality, words, pair_image, as `add_pair_columns` returns them.
    """
    if hits.empty:
        return Html(status_line(HINT))
    first = hits.head(MAX_LISTED)
    captions = [f"{hit.modality}: {shorten(hit.words, MAX_CAPTION_CHARS)}" for hit in first.itertuples()]
    more = f" (the first {MAX_LISTED})" if len(hits) > MAX_LISTED else ""
    grid = gallery(list(first["pair_image"]), captions, side=IMAGE_PIXELS)
    return Html(f"{status_line(escape(line + more))}{grid}")


def items_gallery(ids: Sequence[str], items: pd.DataFrame) -> Html:
    """Return items of the map as a gallery under their number; a hint where there are none.

    >>> items = pd.DataFrame({"item_id": ["a"], "modality": "text", "pair_id": "p", "text": "a mug", "label": "mug"})
    >>> "text: a mug" in str(items_gallery(["a"], items.assign(image=None)))
    True
    """
    chosen = items.set_index("item_id").loc[list(ids)].reset_index()
    return listing(f"{len(ids):,} chosen", add_pair_columns(chosen, items))
