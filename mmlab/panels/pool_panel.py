"""The judging panel walks through pooled hits that nobody has judged, query by query, by mouse or by keys alone."""

from functools import partial
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd

from mmlab.evaluate.pool import Pool, summarize_agreement
from mmlab.items.tables import TooFew
from mmlab.panels import controls
from mmlab.panels.controls import PanelBox, status_line
from mmlab.panels.hit_grid import LABEL, HitGrid, hit_cards, item_details
from mmlab.panels.inspect_panel import JudgedGrid, login_name
from mmlab.retrieve.query.known_queries import add_pair_columns
from mmlab.visualize import Html, query_gallery

KEPT = (
    "Each judgement is saved at once, as a line of <code>{}</code>, with the name of who judged; undo takes back your "
    "own alone. The hits come from all systems and are in no order of theirs."
)
ALL_JUDGED = "There is no hit left that you have not judged."


def pool_panel(pool: Pool, items: pd.DataFrame, by: str | None = None) -> PanelBox:
    """Return a panel that shows the hits of one query at a time, without rank, score and system.

    y and n judge the hit that has the focus, 1 to 9 the hit in that place, u takes the last judgement back. Once all
    hits of a query are judged, the next query follows. items: the queries and what stands for each unit. by: who
    judges, the login name unless given; another name walks through the hits that this person has not judged, so that
    two people can judge the same ones.
    """
    return PoolPanel(pool, items, login_name() if by is None else by)


class PoolPanel(PanelBox):
    """Who judges, the place among the queries, the query, and the grid in which its hits are judged.

    Attributes:
        query_ids: the queries with hits that this person had not judged when they began. query_id: the one shown.
        agreement: how far each two people agree, see `cohens_kappa`.
    """

    def __init__(self, pool: Pool, items: pd.DataFrame, by: str) -> None:
        self.pool, self.items = pool, items
        self.query_ids: list[str] = []
        self.done: list[tuple[str, str, int | None]] = []
        self.by = controls.text_line(by, "Judged by", "your name, which is kept with each judgement")
        self.place = controls.slider(1, 1, 1, "Query number")
        self.before = controls.button("previous", "the query before this one", lambda: self.step(-1))
        self.after = controls.button("next", "the query after this one", lambda: self.step(1))
        self.query = widgets.HTML()
        self.query.add_class("mmlab-asked")
        details = partial(item_details, items)
        self.grid: HitGrid = JudgedGrid(self.undo, actions=[LABEL], details=details, empty=ALL_JUDGED)
        self.grid.on_label(self.add_label)
        self.agreed = widgets.HTML()
        self.saved = widgets.HTML(status_line(KEPT.format(escape(str(pool.labels)))))
        walk = controls.row(self.by, self.place, widgets.HBox([self.before, self.after]))
        super().__init__([walk, self.query, self.grid, self.agreed, self.saved], "judge")
        self.listening = controls.Listening()
        self.listening.watch(self.by, lambda _: self.begin())
        self.listening.watch(self.place, lambda _: self.show())
        self.begin()

    @property
    def query_id(self) -> str:
        """The query whose hits are shown."""
        return self.query_ids[self.place.value - 1]

    @property
    def agreement(self) -> pd.DataFrame:
        """How far each two people agree: first, second, answers, agreed, kappa, low, high."""
        return self.pool.agreement()

    def begin(self) -> None:
        """Walk through the hits that this person has not judged, from the first query."""
        self.query_ids = self.pool.left(self.by.value)["query_id"].drop_duplicates().tolist()
        self.done = []
        with self.listening.silenced():
            self.place.value, self.place.max = 1, max(len(self.query_ids), 1)
        self.show()

    def step(self, by: int) -> None:
        """Go on or back by one query."""
        self.place.value += by

    def show(self) -> None:
        """Show the hits of the query at this place; what goes wrong is shown in the grid."""
        self.grid.status = ""
        try:
            self._draw()
        except Exception as error:  # whatever it is, the person at the panel has to see it
            self.grid.error = f"{type(error).__name__}: {error}"

    def _draw(self) -> None:
        hits = self._hits() if self.query_ids else pd.DataFrame(columns=["item_id", "judged"])
        judged = hits.dropna(subset="judged")
        labels = {
            item: min(int(one), 1) for item, one in zip(judged["item_id"], judged["judged"], strict=True)
        }
        self.grid.show(_blind_cards(hits) if len(hits) else [], labels)
        self.grid.undoable, self.grid.scores = bool(self.done), []
        self._describe()

    def _hits(self) -> pd.DataFrame:
        """Return the pooled hits of the query with their images, words and this person's judgements."""
        hits = self.pool.of_query(self.query_id, self.by.value)
        return add_pair_columns(hits.merge(self.items, on="item_id"), self.items)

    def _describe(self) -> None:
        """Show the query, how much is left, and how far people agree."""
        left = self.pool.left(self.by.value)
        count = f"{len(left):,} hits of {left['query_id'].nunique():,} queries left to judge"
        self.query.value = status_line(count)
        if self.query_ids:
            none = pd.DataFrame(columns=["query_id", "item_id", "rank", "score"])
            asked = query_gallery([self.query_id], none, none, self.items, 0)
            place = f"Query {self.place.value} of {len(self.query_ids)}; {count}"
            self.query.value = f"{status_line(place)}{asked}"
        try:
            self.agreed.value = status_line(escape(summarize_agreement(self.agreement)))
        except TooFew:
            self.agreed.value = ""
        self.show_static(Html(f"{self.query.value}{self.agreed.value}"))

    def add_label(self, item_id: str, relevance: int | None) -> None:
        """Write down the judgement of a hit, and go on once all hits of the query are judged."""
        hits = self.pool.of_query(self.query_id, self.by.value).set_index("item_id")["judged"]
        before = None if pd.isna(hits[item_id]) else int(hits[item_id])
        sentence = self.pool.add(self.query_id, item_id, relevance, self.by.value)
        self.done.append((self.query_id, item_id, before))
        self.grid.undoable = True
        last = self.place.value == len(self.query_ids)
        if relevance is not None and len(self.grid.labels) == len(self.grid.cards) and not last:
            self.step(1)
        else:
            self._describe()
        self.grid.status = sentence[0].upper() + sentence[1:]

    def undo(self) -> None:
        """Take back this person's last judgement, and show its query."""
        if not self.done:
            return
        query_id, item_id, before = self.done.pop()
        sentence = self.pool.add(query_id, item_id, before, self.by.value)
        with self.listening.silenced():
            self.place.value = self.query_ids.index(query_id) + 1
        self.show()
        self.grid.status = f"Undone: {sentence}"


def _blind_cards(hits: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a card for each hit that says nothing of who found it, at which rank, or what others judged."""
    texts = hits["modality"] == "text"
    table = hits.drop(columns="judged").assign(pair_image=hits["pair_image"].mask(texts, None))
    return hit_cards(table)
