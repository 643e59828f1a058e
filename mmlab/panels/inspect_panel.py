"""The inspect panel walks through missed queries, and a person judges their hits. `misses_gallery` shows the same."""

import getpass
from collections.abc import Mapping
from html import escape

import ipywidgets as widgets
import pandas as pd

from mmlab.evaluate.losses import ALL_MISSES, RELEVANCE_WORDS, MissedQueries
from mmlab.panels import controls
from mmlab.panels.controls import show_in, status_line
from mmlab.retrieve.query.known_queries import add_pair_columns
from mmlab.visualize import Html, gallery, query_gallery

RELEVANT, NOT_RELEVANT = 1, 0
CARD_PIXELS = 130


def inspect_panel(
    missed: Mapping[str, MissedQueries], items: pd.DataFrame, k: int = 5, by: str | None = None
) -> widgets.VBox:
    """Return a panel that shows one missed query at a time with its first `k` hits, and two buttons over each hit.

    missed: by direction ("text-to-image"), the one that is shown first at the front. items: all items of their
    rankings. by: who judges, the login name unless given; it can be changed in the panel.
    """
    return InspectPanel(missed, items, k, login_name() if by is None else by).box


def login_name() -> str:
    """Return the name of who is logged in, "" where the system does not know it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, no environment, no password database
        return ""


def misses_gallery(
    missed: MissedQueries, items: pd.DataFrame, kind: str = ALL_MISSES, count: int = 3
) -> Html:
    """Show the first `count` missed queries of a kind with their right answer and their hits.

    kind: ALL_MISSES, or the modality that failed: text, image, both, neither, unknown.

    >>> from pathlib import Path
    >>> none = pd.DataFrame({"query_id": ["a"], "failed": [None]})
    >>> str(misses_gallery(MissedQueries(none, none, none, Path("labels.jsonl")), none))
    '<p>No query failed (all misses).</p>'
    """
    chosen = missed.query_ids(kind)
    if not chosen:
        return Html(f"<p>No query failed ({escape(kind)}).</p>")
    return query_gallery(chosen[:count], missed.rankings, missed.qrels, items)


class InspectPanel:
    """Direction and kind of failure, the place among them, the query, and a card with two buttons for each hit."""

    def __init__(self, missed: Mapping[str, MissedQueries], items: pd.DataFrame, k: int, by: str) -> None:
        self.by_direction, self.items, self.k = missed, items, k
        self.query_ids: list[str] = []
        self.direction = controls.choose_one(list(missed), "Direction")
        self.kind = controls.choose_one([("", "")], "Failed")
        self.by = controls.text_line(by, "Judged by", "your name, which is kept with each judgement")
        self.place = controls.slider(1, 1, 1, "Miss number")
        self.before = controls.button("previous", "the miss before this one", lambda: self.step(-1))
        self.after = controls.button("next", "the miss after this one", lambda: self.step(1))
        self.heading, self.status = widgets.HTML(), widgets.HTML()
        self.cards = [HitCard(self, number) for number in range(k)]
        which = controls.row(self.direction, self.kind, self.by)
        walk = controls.row(self.place, self.before, self.after)
        grid = controls.row(*(card.box for card in self.cards))
        self.box = widgets.VBox([which, walk, self.heading, grid, self.status])
        self.box.add_class("mmlab-inspect")
        self.listening = controls.Listening()
        self.listening.watch(self.direction, lambda _: self.choose_direction())
        self.listening.watch(self.kind, lambda _: self.choose_kind())
        self.listening.watch(self.place, lambda _: self.show())
        self.choose_direction()

    @property
    def missed(self) -> MissedQueries:
        """The missed queries of the chosen direction."""
        return self.by_direction[self.direction.value]

    @property
    def query_id(self) -> str:
        """The missed query that is shown."""
        return self.query_ids[self.place.value - 1]

    def choose_direction(self) -> None:
        """Walk through the missed queries of another direction."""
        with self.listening.silenced():
            self.kind.options = self.missed.kinds()
        self.choose_kind()

    def choose_kind(self) -> None:
        """Walk through another kind of failure, from its first."""
        self.query_ids = self.missed.query_ids(self.kind.value)
        with self.listening.silenced():
            self.place.value, self.place.max = 1, max(len(self.query_ids), 1)
        self.show()

    def step(self, by: int) -> None:
        """Go on or back by one."""
        self.place.value += by

    def show(self) -> None:
        """Show the missed query at this place."""
        self.status.value = ""
        show_in(self.heading, self.describe_miss)

    def describe_miss(self) -> Html:
        """Fill the cards, and return the query and its right answer."""
        hits = self.hits() if self.query_ids else pd.DataFrame()
        for number, card in enumerate(self.cards):
            card.fill(hits.iloc[number] if number < len(hits) else None)
        return self.describe_query() if self.query_ids else Html("<p>No query failed.</p>")

    def describe_query(self) -> Html:
        """Return the query and the rank of its first right answer, those judged right by hand among them."""
        right = self.missed.right_answers(self.query_id)
        return query_gallery([self.query_id], self.missed.rankings, right, self.items, 0)

    def hits(self) -> pd.DataFrame:
        """Return the first hits of the query with their images, words and judgements."""
        hits = self.missed.hits(self.query_id, self.k)
        return add_pair_columns(hits.merge(self.items, on="item_id"), self.items)

    def add_judgement(self, number: int, relevance: int) -> None:
        """Write down the judgement of one hit, and show that it is written."""
        card = self.cards[number]
        if show_in(self.status, lambda: self._write(card.item_id, relevance)):
            card.fill(self.hits().iloc[number])
            self.heading.value = str(self.describe_query())

    def _write(self, item_id: str, relevance: int) -> str:
        return status_line(self.missed.add_judgement(self.query_id, item_id, relevance, self.by.value))


class HitCard:
    """One hit: the buttons that judge it, which stay in their place, over its image and words."""

    def __init__(self, panel: InspectPanel, number: int) -> None:
        self.item_id = ""
        self.image = widgets.HTML()
        self.yes = controls.button("relevant", "", lambda: panel.add_judgement(number, RELEVANT), "88px")
        self.no = controls.button("not", "", lambda: panel.add_judgement(number, NOT_RELEVANT), "48px")
        self.box = widgets.VBox([controls.row(self.yes, self.no), self.image])

    def fill(self, hit: "pd.Series | None") -> None:
        """Show a hit, or nothing where there is none."""
        self.box.layout.display = "none" if hit is None else "flex"
        if hit is None:
            return
        self.item_id = hit["item_id"]
        judged = "" if pd.isna(hit["judged"]) else f" ({RELEVANCE_WORDS[min(int(hit['judged']), 1)]})"
        caption = f"{hit['rank']}. {hit['score']:.3f}{judged}  {hit['words']}"
        marks = [bool(hit["relevant"])]
        self.image.value = str(gallery([hit["pair_image"]], [caption], marks, side=CARD_PIXELS))
        self.yes.tooltip = f"hit {hit['rank']} answers the query"
        self.no.tooltip = f"hit {hit['rank']} does not answer the query"
