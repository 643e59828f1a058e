"""A map as a scatter plot by jupyter-scatter: coloured by any column, with names of clusters and images on hover."""

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as widgets
import numpy as np
import pandas as pd

from mmlab.items import ImageError, Vectors, is_among
from mmlab.items.images import thumbnail
from mmlab.panels.controls import FONT
from mmlab.panels.panel_data import shorten
from mmlab.retrieve.query.known_queries import add_pair_columns
from mmlab.visualize.map_layout import NO_GROUP, name_clusters, name_groups, order_groups, query_on_map
from mmlab.visualize.style import COLOURS, OTHER_COLOUR, group_styles, load_matplotlib

MAP_HEIGHT = 460  # pixels
MARGIN = 0.05  # of the extent, beside the outermost points
IMAGE_SIDE = 130  # pixels, of the image under the pointer
MAX_TEXT_CHARS, MAX_NAME_CHARS = 160, 24
MAX_NAMES = 60  # on the map
MAX_IN_LEGEND = 12
NO_COLUMN = (
    "item_id",
    "pair_id",
    "text",
    "image",
    "content",
    "duplicate_of",
)  # another value in nearly every row
TELLING_WORDS, NO_NAMES = "telling words", "(no names)"
NO_IMAGE = (
    "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="  # one transparent pixel
)
GREYS, SHADES = 5, 250  # of a scale of numbers: where none is known, and where one is


@dataclass(frozen=True)
class SpaceMaps:
    """The maps of the items that a model embedded.

    Attributes:
        name: the model's.
        ids: item_ids in the order of the points.
        vectors: of the items, in the space in which a query is compared with them.
        lay_out: returns the points (N, 2) of a method, one of `methods`; it may take a minute the first time.
        methods: the names of the maps to choose from.
    """

    name: str
    ids: Sequence[str]
    vectors: Vectors
    lay_out: Callable[[str], np.ndarray]
    methods: Sequence[str] = ("UMAP", "t-SNE")


class Legend(NamedTuple):
    """What the colours of a map mean: a name and a colour each, with the number of points where they are groups."""

    names: Sequence[str]
    colours: Sequence[str]
    sizes: Sequence[int] = ()

    def to_html(self) -> str:
        """Return the first entries, escaped, and the number of the others."""
        counts = [f" {size:,}" for size in self.sizes] or [""] * len(self.names)
        entries = [
            f'<span style="white-space:nowrap"><span class="mmlab-map-mark" aria-hidden="true" '
            f'style="color:{colour}">&#9679;</span> <bdi>{escape(shorten(name, 30))}</bdi>{count}</span>'
            for name, colour, count in zip(self.names, self.colours, counts, strict=True)
        ]
        more = len(entries) - MAX_IN_LEGEND
        rest = [f"and {more:,} more"] if more > 0 else []
        return " &ensp; ".join([*entries[:MAX_IN_LEGEND], *rest])


def columns_to_colour_by(items: pd.DataFrame) -> list[str]:
    """Return the columns whose values can colour a map: those with two values or more, a missing one counted.

    >>> columns_to_colour_by(pd.DataFrame({"item_id": ["a", "b"], "label": ["mug", None], "split": "test"}))
    ['label']
    """
    return [name for name in items if name not in NO_COLUMN and items[name].nunique(dropna=False) > 1]


def columns_to_name_by(items: pd.DataFrame) -> list[str]:
    """Return the columns that name clusters: of text, with few values, but more than the kinds of items."""
    return [
        name
        for name in columns_to_colour_by(items)
        if not is_numeric(items[name]) and name != "modality" and items[name].nunique() <= MAX_NAMES
    ]


def is_numeric(values: pd.Series) -> bool:
    """Return whether a column is coloured by a scale of numbers, and not by groups."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


class MapView:
    """One scatter plot of the items of a space."""

    def __init__(self, maps: SpaceMaps, items: pd.DataFrame, method: str) -> None:
        self.maps, self.items = maps, items
        self.drawn = {"method": method}
        self.legend = Legend((), ())
        rows = items.set_index("item_id", drop=False).loc[list(maps.ids)].reset_index(drop=True)
        self.rows = add_pair_columns(rows, items)
        first = items.dropna(subset=["text"]).drop_duplicates("pair_id").set_index("pair_id")["text"]
        self.texts = rows["text"].astype("str").fillna(rows["pair_id"].map(first).astype("str"))
        points = maps.lay_out(method)
        self.table = pd.DataFrame({"x": points[:, 0], "y": points[:, 1]}).assign(
            modality=self.rows["modality"].astype(object),
            label=name_groups(self.rows, "label").astype(object),
            text=self.rows["words"].astype(str).str.slice(0, MAX_TEXT_CHARS).astype(object),
        )
        self.scatter = load_jscatter().Scatter("x", "y", self.table, height=MAP_HEIGHT, **self._scales())
        self.scatter.size(default=5).axes(axes=False).legend(False).color(selected="#000000")
        self.scatter.opacity(unselected=0.3)

    @cached_property
    def widget(self) -> widgets.DOMWidget:
        """The widget, made when the first drawing is done: it is sent as a whole then, not piece by piece."""
        return self.scatter.widget

    def _scales(self) -> dict[str, tuple[float, float]]:
        """Return the ends of both axes, the same length, a margin beyond the outermost points."""
        low, high = self.table[["x", "y"]].min(), self.table[["x", "y"]].max()
        half = max(float((high - low).max()), 1e-9) * (0.5 + MARGIN)
        return {
            f"{axis}_scale": (middle - half, middle + half) for axis, middle in ((low + high) / 2).items()
        }

    def draw(self, method: str, colour: str, names: str) -> Legend:
        """Draw what has changed: the map by a method, its colours by a column, the names of its clusters."""
        wanted = {"method": method, "colour": colour, "names": names}
        changed = {part for part, value in wanted.items() if self.drawn.get(part) != value}
        if "method" in changed:
            self.lay_out(method)
        if changed & {"method", "names"}:
            self.name_by(names)
        if "colour" in changed:
            self.legend = self.colour_by(colour)
        self.drawn = wanted
        return self.legend

    def lay_out(self, method: str) -> None:
        """Move the points to their places on another map."""
        self.table[["x", "y"]] = self.maps.lay_out(method)
        self.scatter.xy("x", "y", **self._scales())
        self.scatter.annotations(None)

    def colour_by(self, column: str) -> Legend:
        """Colour the points by a column: groups in colours that differ, numbers on a scale from dark to light."""
        values = self.rows[column]
        if is_numeric(values) and values.notna().any():
            return self._colour_by_number(values.astype(float))
        groups, all_groups = (name_groups(table, column) for table in (self.rows, self.items))
        names = order_groups(all_groups, all_groups.nunique())  # so that all maps have the same colours
        colours = dict(zip(names, colours_of(names), strict=True))
        self.table["colour"] = pd.Categorical(groups.astype(object), categories=names)
        self.scatter.color(by="colour", map=colours, norm=None, order=None)
        sizes = {name: size for name, size in groups.value_counts().reindex(names).items() if size > 0}
        return Legend(list(sizes), [colours[name] for name in sizes], [int(size) for size in sizes.values()])

    def _colour_by_number(self, values: pd.Series) -> Legend:
        low, high = values.min(), values.max()
        missing = -GREYS / SHADES
        self.table["colour"] = ((values - low) / max(high - low, 1e-9)).fillna(missing)
        library = load_matplotlib()
        shades = [
            library.colors.to_hex(shade) for shade in library.colormaps["viridis"](np.linspace(0, 1, SHADES))
        ]
        self.scatter.color(by="colour", map=[OTHER_COLOUR] * GREYS + shades, norm=(missing, 1.0), order=None)
        digits = max(0, 1 - math.floor(math.log10(max(high - low, 1e-9))))
        ends = [f"{value:,.{digits}f}" for value in (low, (low + high) / 2, high)]
        return Legend(ends, [shades[0], shades[SHADES // 2], shades[-1]])

    def name_by(self, column: str) -> None:
        """Write on the map: the values of a column, or what the texts of each cluster have more of than all others."""
        if column == TELLING_WORDS:
            names = name_clusters(self.table[["x", "y"]].to_numpy(), self.texts)
        elif column == NO_NAMES:
            names = pd.Series(" ", self.rows.index)  # names are wiped off by others only: blank ones
        else:
            names = name_groups(self.rows, column)
        self.table["name"] = names.str.slice(0, MAX_NAME_CHARS).astype(object)
        unnamed = [f"name:{NO_GROUP}"] if (names == NO_GROUP).any() else []
        self.scatter.label(by=None)  # else the names of before are taken for these
        self.scatter.label(by="name", font=load_jscatter().arial.bold, size=13, exclude=unnamed)

    def choose(self, ids: Sequence[str]) -> None:
        """Choose the points of these items, as the lasso would."""
        self.scatter.selection(np.flatnonzero(is_among(self.rows["item_id"], list(ids))))

    @property
    def chosen(self) -> list[str]:
        """The item_ids of the points that are chosen."""
        return self.rows.loc[self.scatter.selection().astype(int), "item_id"].tolist()

    def point_at(self, item_id: str | None) -> None:
        """Mark the point of an item as the pointer would; none where the item is not on this map."""
        here = np.flatnonzero(self.rows["item_id"] == item_id)
        self.widget.hovering = int(here[0]) if len(here) else None

    @property
    def pointed_at(self) -> str | None:
        """The item_id of the point under the pointer."""
        row = self.widget.hovering
        return None if row is None or row < 0 else str(self.rows.at[row, "item_id"])

    def describe_pointed(self) -> str:
        """Return the image and the words of the item under the pointer as HTML; nothing where there is none."""
        row = self.widget.hovering
        if row is None or row < 0:
            return ""
        item = self.table.loc[row]
        kind = escape(f"{item['modality']}, {item['label']}")
        source, reason = shown_image(self.rows.at[row, "pair_image"])
        image = f'<img alt="" src="{source}" style="height:{IMAGE_SIDE}px;border-radius:6px">'
        missing = f" (image not shown: {escape(reason)})" if reason else ""
        words = f'<span style="{FONT}">{kind}: <bdi>{escape(item["text"])}</bdi>{missing}</span>'
        return f'<div style="display:flex;gap:10px;align-items:center">{image}{words}</div>'

    def place(self, query: Vectors) -> pd.DataFrame:
        """Mark the place of a query by a cross, and return its nearest items; see `query_on_map`."""
        points = self.table[["x", "y"]].assign(item_id=self.rows["item_id"])
        place = query_on_map(query, self.maps.vectors, points)
        library = load_jscatter()
        self.scatter.annotations([library.VLine(place.x), library.HLine(place.y)])
        return place.nearest


def colours_of(groups: Sequence[str]) -> list[str]:
    """Return a colour for each group: those of all figures where these suffice, else as many others as there are.

    >>> colours_of(["image", "text"])
    ['#E69F00', '#0072B2']
    """
    if len(groups) <= len(COLOURS):
        return [COLOURS[number] for number in group_styles(groups)]
    to_hex = load_matplotlib().colors.to_hex
    many = [to_hex(colour) for colour in load_jscatter().glasbey_dark]
    return (many + [OTHER_COLOUR] * len(groups))[: len(groups)]


@lru_cache(maxsize=2000)  # some 10 KB each
def shown_image(path: str | None) -> tuple[str, str]:
    """Return a small version of an image as a data URL; a transparent one and the reason where it cannot be opened."""
    if path is None or pd.isna(path):
        return NO_IMAGE, ""
    try:
        content = thumbnail(Path(path), 2 * IMAGE_SIDE)
    except ImageError as error:
        return NO_IMAGE, str(error)
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}", ""


def load_jscatter() -> Any:
    """Return jupyter-scatter, which is loaded with the first map: it takes seconds."""
    import jscatter

    return jscatter
