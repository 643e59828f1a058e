"""The browse panel shows a collection without a question: filters with counts, any order, the worst suspects first."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets as widgets
import pandas as pd

from mmlab.items import MODALITIES, is_among
from mmlab.panels import controls
from mmlab.panels.controls import Listening, PanelBox, status_line
from mmlab.panels.hit_grid import SELECT, HitGrid, hit_cards, item_details
from mmlab.panels.search_controls import FilterControls, passing
from mmlab.retrieve.query.known_queries import add_pair_columns
from mmlab.visualize import gallery

WORST_FIRST, AS_READ = "worst suspects first", "as in the dataset"
UNSORTED = ("item_id", "content", "image", "pair_image", "words", "place", "modality")
PAGE = 48
STATIC_CARDS = 12  # that a saved notebook shows
CHOSEN = (
    "{} selected: <code>panel.selected</code> is their table, <code>panel.where</code> a filter for "
    "<code>run.search</code>."
)


def browse_panel(
    items: pd.DataFrame, types: Mapping[str, str], findings: pd.DataFrame | None = None
) -> "BrowsePanel":
    """Return a panel that shows items page by page, filtered and in any order.

    types: keyword, integer, float or bool by field that items are filtered by. findings: item_id, finding, and place
    (0 for the worst), which come first; none are known unless given.

    >>> items = pd.DataFrame({"item_id": [*"ab"], "modality": "image", "pair_id": [*"ab"], "text": None, "image": None})
    >>> found = pd.DataFrame({"item_id": ["b"], "finding": ["dark"], "place": [0]})
    >>> browse_panel(items.assign(label=["mug", "cup"]), {"label": "keyword"}, found).found["item_id"].tolist()
    ['b', 'a']
    """
    return BrowsePanel(items, types, findings)


class BrowsePanel(PanelBox):
    """Modality, words, order and filters above a page of items.

    Attributes:
        found: all items that pass, in their order, as a DataFrame. selected: those that are selected, also on other
            pages. where: a filter that lets the pairs of the selected items through; empty where none is.
    """

    def __init__(
        self,
        items: pd.DataFrame,
        types: Mapping[str, str],
        findings: pd.DataFrame | None = None,
        page: int = PAGE,
    ) -> None:
        self.items, self.page_size = _with_findings(items, findings), page
        self.found, self.chosen = self.items.head(0), list[str]()
        self._make_controls({"finding": "keyword", **types})
        self.grid = HitGrid([SELECT], partial(item_details, items), page, empty="No item passes the filters.")
        self.note = widgets.HTML()
        super().__init__(self._rows(), "browse")
        self._listen()
        self.show()

    def _make_controls(self, types: Mapping[str, str]) -> None:
        held = [name for name in reversed(MODALITIES) if (self.items["modality"] == name).any()]
        self.to = controls.toggle_buttons(held or ["image"], "Show")
        self.words = controls.text_line("", "Words", "in the text, then Enter")
        sortable = [name for name in self.items.columns if name not in UNSORTED]
        self.order = controls.choose_one([WORST_FIRST, AS_READ, *sortable], "Sort by")
        if self.items["finding"].isna().all():
            self.order.value = AS_READ
        self.falling = controls.checkbox(False, "descending")
        self.falling.indent, self.falling.layout.width = False, "auto"
        self.filters = FilterControls(self.items, types)
        self.place = controls.slider(1, 1, 1, "Page")
        self.before = controls.button("previous", "the page before this one", lambda: self.turn(-1))
        self.after = controls.button("next", "the page after this one", lambda: self.turn(1))
        self.every = controls.button("select all", "select all that are found", self.select_all, "auto")
        self.none = controls.button("select none", "take the selection back", lambda: self.select([]), "auto")

    def _rows(self) -> list[widgets.Widget]:
        facets = widgets.VBox(list(self.filters.filters.values()))
        facets.add_class("mmlab-facets")
        facets.layout = widgets.Layout(flex="0 1 240px", align_self="flex-start")
        main = widgets.VBox([self.filters.set_filters, self.grid, self.note])
        main.layout = widgets.Layout(flex="1 1 420px", min_width="0", align_self="flex-start")
        shown = controls.row(self.to, self.order, self.falling, self.words)
        turn = widgets.HBox([self.before, self.after])
        pages = controls.row(self.place, turn, widgets.HBox([self.every, self.none]))
        return [shown, pages, controls.row(*([facets] if facets.children else []), main)]

    def _listen(self) -> None:
        self.listening = Listening()
        for control in (self.to, self.words, self.order, self.falling):
            self.listening.watch(control, lambda _: self.show())
        self.listening.watch(self.place, lambda _: self.show_page())
        self.filters.listen(self.show)
        self.grid.observe(lambda change: self._choose(change["new"]), "selected")

    @property
    def selected(self) -> pd.DataFrame:
        """The items that are selected, also on other pages."""
        own = self.items[is_among(self.items["item_id"], self.chosen)]
        return own.drop(columns=["pair_image", "words", "place"])

    @property
    def where(self) -> dict[str, Any]:
        """A filter that lets the pairs of the selected items through; empty where none is selected."""
        pairs = self.selected["pair_id"].drop_duplicates().tolist()
        return {"pair_id": pairs} if pairs else {}

    def show(self) -> None:
        """Show the first page of what the controls say."""
        self.filters.count(self.to.value)
        self.found = self._sorted(self._passing())
        with self.listening.silenced():
            self.place.value, self.place.max = 1, max(-(-len(self.found) // self.page_size), 1)
        self.show_page()

    def show_page(self) -> None:
        """Show the page that the slider says."""
        rows = self.found.iloc[(self.place.value - 1) * self.page_size :].head(self.page_size)
        notes = rows["finding"].astype(object).where(rows["finding"].notna(), None)
        cards = [{**card, "note": note} for card, note in zip(hit_cards(rows), notes, strict=True)]
        with self.listening.silenced():
            self.grid.show(cards)
            self.grid.selected = [item for item in rows["item_id"] if item in set(self.chosen)]
        marked = int(self.found["finding"].notna().sum())
        self.grid.status = (
            f"{len(self.found):,} {self.to.value}s, {marked:,} with a finding; page {self.place.value} of "
            f"{self.place.max}"
        )
        first = rows.head(STATIC_CARDS)
        self.show_static(gallery(list(first["pair_image"]), [_caption(row) for row in first.itertuples()]))

    def turn(self, by: int) -> None:
        """Turn some pages on, or back."""
        self.place.value += by

    def select_all(self) -> None:
        """Select all items that are found, on all pages."""
        self.select([*self.chosen, *self.found["item_id"]])

    def select(self, ids: Sequence[str]) -> None:
        """Select these items and no others."""
        self.chosen = list(dict.fromkeys(ids))
        with self.listening.silenced():
            self.grid.selected = [card["item_id"] for card in self.grid.cards if card["item_id"] in set(ids)]
        self._count_chosen()

    def _choose(self, shown: Sequence[str]) -> None:
        """Take the selection of the page that is shown in place of what was selected on it."""
        if self.listening.active:
            here = {card["item_id"] for card in self.grid.cards}
            self.chosen = [item for item in self.chosen if item not in here] + list(shown)
            self._count_chosen()

    def _count_chosen(self) -> None:
        count = len(self.chosen)
        self.note.value = status_line(CHOSEN.format(f"{count:,}")) if count else ""

    def _passing(self) -> pd.DataFrame:
        held = self.items[self.items["modality"] == self.to.value]
        words = self.words.value.strip()
        if words:
            held = held[held["words"].astype(str).str.contains(words, case=False, regex=False)]
        return held[passing(held, self.filters.where)]

    def _sorted(self, items: pd.DataFrame) -> pd.DataFrame:
        column = {WORST_FIRST: "place", AS_READ: None}.get(self.order.value, self.order.value)
        if column is None:
            return items[::-1] if self.falling.value else items
        return items.sort_values(column, ascending=not self.falling.value, kind="stable", na_position="last")


def _with_findings(items: pd.DataFrame, findings: pd.DataFrame | None) -> pd.DataFrame:
    """Return the items with finding and place (missing where nothing was found), pair_image and words."""
    none = pd.DataFrame({"item_id": [], "finding": [], "place": []}).astype(
        {"item_id": "str", "finding": "str"}
    )
    own = items.drop(columns=["finding", "place"], errors="ignore").reset_index(drop=True)
    known = own.merge(none if findings is None else findings, on="item_id", how="left")
    return add_pair_columns(known, known)


def _caption(row: Any) -> str:
    return row.words if pd.isna(row.finding) else f"{row.finding}: {row.words}"
