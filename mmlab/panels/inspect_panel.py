"""Panels in which a person judges hits: those of missed queries, and those that nobody has judged, pooled over systems.

`misses_gallery` shows missed queries by a plain call.
"""

import getpass
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any, NamedTuple

import ipywidgets as widgets
import pandas as pd

from mmlab.evaluate import read_labels
from mmlab.evaluate.losses import ALL_MISSES, MissedQueries
from mmlab.evaluate.measures.partial import Pool, summarize_agreement
from mmlab.items import is_among
from mmlab.items.tables import TooFew
from mmlab.panels import controls
from mmlab.panels.controls import PanelBox, status_line
from mmlab.panels.hit_grid import LABEL, HitGrid, hit_cards, item_details
from mmlab.retrieve.query.known_queries import add_pair_columns
from mmlab.visualize import Html, gallery, query_gallery

RELEVANT, NOT_RELEVANT = 1, 0
SAVED = (
    "Each judgement is saved at once, as a line of <code>{}</code>; undo adds a line that takes it back. 05_evaluate "
    "counts them beside its own measures."
)


def inspect_panel(
    missed: Mapping[str, MissedQueries], items: pd.DataFrame, k: int = 5, by: str | None = None
) -> PanelBox:
    """Return a panel that shows one missed query at a time with its first `k` hits, to be judged by mouse or by keys.

    y and n judge the hit that has the focus, 1 to 9 the hit in that place, u takes the last judgement back. Once a hit
    is relevant, or all are judged, the next miss follows. missed: by direction ("text-to-image"), the one that is shown
    first at the front. items: all items of their rankings. by: who judges, the login name unless given; it can be
    changed in the panel.
    """
    return InspectPanel(missed, items, k, login_name() if by is None else by)


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


class Judgement(NamedTuple):
    """What was judged, and what of it stood before."""

    direction: str
    query_id: str
    item_id: str
    before: int | None


class JudgedGrid(HitGrid):
    """A grid whose undo is that of the panel, which goes back to the misses before as well."""

    def __init__(self, back: Callable[[], Any], **settings: Any) -> None:
        self.back = back
        super().__init__(**settings)

    def undo(self) -> None:
        """Take back the last judgement of the panel."""
        self.back()


class WalkPanel(PanelBox):
    """A panel that walks through queries, whose hits are judged in a grid: what all such panels share.

    A subclass makes the controls, and says what the hits of a query are, which cards they become, and what is shown of
    the query.
    """

    place: widgets.IntSlider
    query_ids: list[str]
    done: list[Any]
    grid: HitGrid

    @property
    def query_id(self) -> str:
        """The query whose hits are shown."""
        return self.query_ids[self.place.value - 1]

    @property
    def hits(self) -> pd.DataFrame:
        """The hits of the query with their images, words, and judgements in the column judged."""
        raise NotImplementedError

    def _cards(self, hits: pd.DataFrame) -> list[dict[str, Any]]:
        """Return a card for each hit."""
        raise NotImplementedError

    def _describe(self) -> None:
        """Show the query, and what is left."""
        raise NotImplementedError

    def step(self, by: int) -> None:
        """Go on or back by so many queries."""
        self.place.value += by

    def show(self) -> None:
        """Show the query at this place; what goes wrong is shown in the grid."""
        self.grid.status = ""
        try:
            self._draw()
        except Exception as error:  # whatever it is, the person at the panel has to see it
            self.grid.error = f"{type(error).__name__}: {error}"

    def _draw(self) -> None:
        hits = self.hits if self.query_ids else pd.DataFrame(columns=["item_id", "judged"])
        self.grid.show(self._cards(hits) if len(hits) else [], _labels(hits))
        self.grid.undoable, self.grid.scores = bool(self.done), []  # too few for a threshold
        self._describe()

    def write_down(self, write: Callable[[], str]) -> str:
        """Return what `write` says of a judgement; where it fails the grid shows what stands in the file."""
        try:
            return write()
        except Exception:  # whatever it is: the grid shows the error
            self.grid.labels = _labels(self.hits)
            raise


class InspectPanel(WalkPanel):
    """Direction and kind of failure, the place among the misses, the query, and the grid in which hits are judged.

    Attributes:
        query_id: the missed query that is shown. hits: its first hits, as a DataFrame. labels: all judgements that
            stand: query_id, item_id, relevance, judged, by.
    """

    def __init__(self, missed: Mapping[str, MissedQueries], items: pd.DataFrame, k: int, by: str) -> None:
        self.by_direction, self.items, self.k = missed, items, k
        self.query_ids: list[str] = []
        self.done: list[Judgement] = []
        self.direction = controls.choose_one(list(missed), "Direction")
        self.kind = controls.choose_one([("", "")], "Failed")
        self.by = controls.text_line(by, "Judged by", "your name, which is kept with each judgement")
        self.place = controls.slider(1, 1, 1, "Miss number")
        self.before = controls.button("previous", "the miss before this one", lambda: self.step(-1))
        self.after = controls.button("next", "the miss after this one", lambda: self.step(1))
        self.goes_on = controls.checkbox(True, "go on once it is judged")
        self.goes_on.indent, self.goes_on.layout.width = False, "auto"
        self.query = widgets.HTML()
        self.query.add_class("mmlab-asked")
        details = partial(item_details, items)
        self.grid = JudgedGrid(self.undo, actions=[LABEL], details=details, page=k, empty="No query failed.")
        self.grid.on_label(self.add_label)
        self.saved = widgets.HTML()
        which = controls.row(self.direction, self.kind, self.by)
        walk = controls.row(self.place, widgets.HBox([self.before, self.after]), self.goes_on)
        super().__init__([which, walk, self.query, self.grid, self.saved], "inspect")
        self._listen()
        self.choose_direction()

    def _listen(self) -> None:
        self.listening = controls.Listening()
        self.listening.watch(self.direction, lambda _: self.choose_direction())
        self.listening.watch(self.kind, lambda _: self.choose_kind())
        self.listening.watch(self.place, lambda _: self.show())

    @property
    def missed(self) -> MissedQueries:
        """The missed queries of the chosen direction."""
        return self.by_direction[self.direction.value]

    def choose_direction(self) -> None:
        """Walk through the missed queries of another direction."""
        with self.listening.silenced():
            self.kind.options = self.missed.kinds()
        self.saved.value = status_line(SAVED.format(escape(str(self.missed.labels))))
        self.choose_kind()

    def choose_kind(self) -> None:
        """Walk through another kind of failure, from its first."""
        self.query_ids = self.missed.query_ids(self.kind.value)
        with self.listening.silenced():
            self.place.value, self.place.max = 1, max(len(self.query_ids), 1)
        self.show()

    def _cards(self, hits: pd.DataFrame) -> list[dict[str, Any]]:
        """Return a card for each hit; those of the query's own pair are marked, the others are to be judged."""
        own = self.missed.qrels[self.missed.qrels["query_id"] == self.query_id]["item_id"]
        return [{**card, "right": card["right"] or None} for card in hit_cards(_unlabelled(hits), own)]

    def _describe(self) -> None:
        """Show the query, its right answers and their rank, those judged right by hand among them."""
        if not self.query_ids:
            self.query.value = ""
            return
        right = self.missed.right_answers(self.query_id)
        judged = is_among(self.query_ids, self.labels["query_id"]).sum()
        count = f"Miss {self.place.value} of {len(self.query_ids)}; {judged} of them judged"
        shown = query_gallery([self.query_id], self.missed.rankings, right, self.items, 0)
        self.query.value = f"{status_line(count)}{shown}"
        self.show_static(query_gallery([self.query_id], self.missed.rankings, right, self.items, self.k))

    @property
    def labels(self) -> pd.DataFrame:
        """All judgements that stand: query_id, item_id, relevance, judged (the time), by."""
        return read_labels(self.missed.labels)

    @property
    def hits(self) -> pd.DataFrame:
        """The first hits of the query with their images, words and judgements."""
        hits = self.missed.hits(self.query_id, self.k)
        return add_pair_columns(hits.merge(self.items, on="item_id"), self.items)

    def add_label(self, item_id: str, relevance: int | None) -> None:
        """Write down the judgement of a hit, say so, and go on once the miss is judged."""
        before = self.hits.set_index("item_id")["judged"][item_id]
        known = None if pd.isna(before) else int(before)
        given = self.query_id, item_id, relevance, self.by.value
        sentence = self.write_down(lambda: self.missed.add_judgement(*given))
        self.done.append(Judgement(self.direction.value, self.query_id, item_id, known))
        self.grid.undoable = True
        if relevance is None or not self.goes_on.value or not self._is_judged() or not self._go_on():
            self._describe()
        self.grid.status = sentence[0].upper() + sentence[1:]

    def _is_judged(self) -> bool:
        labels = self.grid.labels
        return RELEVANT in labels.values() or len(labels) == len(self.grid.cards)

    def _go_on(self) -> bool:
        """Show the next miss that nobody judged; return whether there is one."""
        known = is_among(self.query_ids, self.labels["query_id"])
        rest = [place for place, judged in enumerate(known, 1) if not judged and place > self.place.value]
        if rest:
            self.place.value = rest[0]
        return bool(rest)

    def undo(self) -> None:
        """Take back the last judgement, and show the miss that it is of."""
        if not self.done:
            return
        last = self.done.pop()
        missed = self.by_direction[last.direction]
        sentence = missed.add_judgement(last.query_id, last.item_id, last.before, self.by.value)
        self._go_to(last)
        self.show()
        self.grid.status = f"Undone: {sentence}"

    def _go_to(self, last: Judgement) -> None:
        with self.listening.silenced():
            if last.direction != self.direction.value:
                self.direction.value = last.direction
                self.kind.options = self.missed.kinds()
            if last.query_id not in self.missed.query_ids(self.kind.value):
                self.kind.value = ALL_MISSES
            self.query_ids = self.missed.query_ids(self.kind.value)
            self.place.max = max(len(self.query_ids), 1)
            self.place.value = self.query_ids.index(last.query_id) + 1


def _labels(hits: pd.DataFrame) -> dict[str, int]:
    """Return the judgements of hits by item_id."""
    judged = hits.dropna(subset="judged")
    return {item: min(int(one), 1) for item, one in zip(judged["item_id"], judged["judged"], strict=True)}


def _unlabelled(hits: pd.DataFrame) -> pd.DataFrame:
    """Return hits without what was judged of them, and texts without the image of their pair."""
    texts = hits["modality"] == "text"
    return hits.drop(columns="judged").assign(pair_image=hits["pair_image"].mask(texts, None))


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


class PoolPanel(WalkPanel):
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
        self.place = controls.slider(1, 1, 1, "Query")
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

    @property
    def hits(self) -> pd.DataFrame:
        """The pooled hits of the query with their images, words and this person's judgements."""
        hits = self.pool.of_query(self.query_id, self.by.value)
        return add_pair_columns(hits.merge(self.items, on="item_id"), self.items)

    def _cards(self, hits: pd.DataFrame) -> list[dict[str, Any]]:
        """Return a card for each hit that says nothing of who found it, at which rank, or what others judged."""
        return hit_cards(_unlabelled(hits))

    def _describe(self) -> None:
        """Show the query, how much is left, and how far people agree."""
        left = self.pool.left(self.by.value)
        count = f"{len(left):,} hits of {left['query_id'].nunique():,} queries left to judge"
        self.query.value = status_line(count)
        if self.query_ids:
            place = f"Query {self.place.value} of {len(self.query_ids)}; {count}"
            self.query.value = f"{status_line(place)}{self._asked()}"
        try:
            self.agreed.value = status_line(escape(summarize_agreement(self.agreement)))
        except TooFew:
            self.agreed.value = ""
        self.show_static(Html(f"{self.query.value}{self.agreed.value}"))

    def _asked(self) -> str:
        """Return the words and the image that the query asks by."""
        query = self.items[self.items["item_id"] == self.query_id].iloc[0]
        words = "" if pd.isna(query["text"]) else f"<p><b><bdi>{escape(query['text'])}</bdi></b></p>"
        image = "" if pd.isna(query["image"]) else str(gallery([query["image"]], ["the query"]))
        return words + image

    def add_label(self, item_id: str, relevance: int | None) -> None:
        """Write down the judgement of a hit, and go on once all hits of the query are judged."""
        hits = self.pool.of_query(self.query_id, self.by.value).set_index("item_id")["judged"]
        before = None if pd.isna(hits[item_id]) else int(hits[item_id])
        given = self.query_id, item_id, relevance, self.by.value
        sentence = self.write_down(lambda: self.pool.add(*given))
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
