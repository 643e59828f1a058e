"""Walk through the failures of 05 and judge hits by hand. What it shows and writes are the calls of `failures`."""

import getpass
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.panels import controls
from mmlab.panels.errors import show_in
from mmlab.panels.failures import (
    JUDGED,
    failure_kinds,
    failures,
    judge_hit,
    judged_hits,
    judged_qrels,
)
from mmlab.retrieve.query.known_queries import add_pair_columns
from mmlab.visualize import Html, gallery, query_gallery

if TYPE_CHECKING:
    import ipywidgets

RELEVANT, NOT_RELEVANT = 1, 0


def inspect_panel(
    explained: Mapping[str, pd.DataFrame],
    rankings: Mapping[str, pd.DataFrame],
    qrels: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    labels: str | Path,
    k: int = 5,
    by: str | None = None,
) -> "ipywidgets.VBox":
    """A panel that shows one missed query at a time with its first `k` hits, and two buttons under each hit.

    explained (query_id and failed, see `explain_queries`), rankings and qrels: by direction, "text-to-image", the first
    of which is shown first. labels: the file that judgements are appended to; by: who judges, the login name unless
    given, and can be changed in the panel.
    """
    by = login_name() if by is None else by
    return InspectPanel(explained, rankings, qrels, items, Path(labels), k, by).box


def login_name() -> str:
    """Who is logged in, "" where the system does not know."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, no environment, no password database
        return ""


class InspectPanel:
    """Direction and kind of failure, the place among them, the query, and a card with two buttons for each hit."""

    def __init__(
        self,
        explained: Mapping[str, pd.DataFrame],
        rankings: Mapping[str, pd.DataFrame],
        qrels: Mapping[str, pd.DataFrame],
        items: pd.DataFrame,
        labels: Path,
        k: int,
        by: str,
    ) -> None:
        import ipywidgets as widgets

        self.explained, self.rankings, self.qrels, self.items = explained, rankings, qrels, items
        self.labels, self.k, self.quiet = labels, k, False
        self.misses: list[str] = []
        self.direction = controls.choice(list(explained), "Direction")
        self.kind = controls.choice([("", "")], "Failed")
        self.by = controls.line(by, "Judged by", "your name, which is kept with each judgement")
        self.place = controls.number(1, 1, 1, "Miss number")
        self.before = controls.button("previous", "the miss before this one", lambda: self.step(-1))
        self.after = controls.button("next", "the miss after this one", lambda: self.step(1))
        self.heading, self.said = widgets.HTML(), widgets.HTML()
        self.cards = [HitCard(self, number) for number in range(k)]
        which = controls.row(self.direction, self.kind, self.by)
        walk = controls.row(self.place, self.before, self.after)
        grid = controls.row(*(card.box for card in self.cards))
        self.box = widgets.VBox([which, walk, self.heading, grid, self.said])
        self.box.add_class("mmlab-inspect")
        self.direction.observe(lambda _: self.turn(), "value")
        self.kind.observe(lambda _: self.choose(), "value")
        self.place.observe(lambda _: self.show(), "value")
        self.turn()

    def turn(self) -> None:
        """Walk through the failures of another direction."""
        self.quiet = True
        self.kind.options = failure_kinds(self.explained[self.direction.value])
        self.quiet = False
        self.choose()

    def choose(self) -> None:
        """Walk through another kind of failure, from its first."""
        if self.quiet:
            return
        self.misses = failures(self.explained[self.direction.value], self.kind.value)
        self.quiet = True
        self.place.value, self.place.max = 1, max(len(self.misses), 1)
        self.quiet = False
        self.show()

    def step(self, by: int) -> None:
        """Go on or back by one."""
        self.place.value += by

    def show(self) -> None:
        """Show the miss at this place."""
        if not self.quiet:
            self.said.value = ""
            show_in(self.heading, self.tell_miss)

    def tell_miss(self) -> Html:
        """The query and its right answer; the cards are filled on the way."""
        hits = self.hits() if self.misses else pd.DataFrame()
        for number, card in enumerate(self.cards):
            card.fill(hits.iloc[number] if number < len(hits) else None)
        return self.tell_query() if self.misses else Html("<p>No query failed.</p>")

    def tell_query(self) -> Html:
        """The query and the rank of its first right answer, those judged right by hand among them."""
        ranked, known = (tables[self.direction.value] for tables in (self.rankings, self.qrels))
        return query_gallery(
            [self.query], ranked, judged_qrels(self.query, known, self.labels), self.items, 0
        )

    @property
    def query(self) -> str:
        """The query_id of the miss that is shown."""
        return self.misses[self.place.value - 1]

    def hits(self) -> pd.DataFrame:
        """Its first hits with their images, words and judgements."""
        ranked, known = (tables[self.direction.value] for tables in (self.rankings, self.qrels))
        hits = judged_hits(self.query, ranked, known, self.labels, self.k)
        return add_pair_columns(hits.merge(self.items, on="item_id"), self.items)

    def judge(self, number: int, relevance: int) -> None:
        """Write down the judgement of one hit, and show that it is written."""
        card = self.cards[number]
        if show_in(self.said, lambda: self.write(card.item_id, relevance)):
            card.fill(self.hits().iloc[number])
            self.heading.value = str(self.tell_query())

    def write(self, item_id: str, relevance: int) -> Html:
        """Append the judgement to the labels."""
        told = judge_hit(self.labels, self.query, item_id, relevance, self.by.value)
        return Html(f'<p role="status">{told}</p>')


class HitCard:
    """One hit: the buttons that judge it, which stay in their place, over its image and words."""

    def __init__(self, panel: InspectPanel, number: int) -> None:
        import ipywidgets as widgets

        self.item_id = ""
        self.image = widgets.HTML()
        self.yes = controls.button("relevant", "", lambda: panel.judge(number, RELEVANT), "88px")
        self.no = controls.button("not", "", lambda: panel.judge(number, NOT_RELEVANT), "48px")
        self.box = widgets.VBox([controls.row(self.yes, self.no), self.image])

    def fill(self, hit: "pd.Series | None") -> None:
        """Show a hit, or nothing where there is none."""
        self.box.layout.display = "none" if hit is None else "flex"
        if hit is None:
            return
        self.item_id = hit["item_id"]
        judged = "" if pd.isna(hit["judged"]) else f" ({JUDGED[min(int(hit['judged']), 1)]})"
        caption = f"{hit['rank']}. {hit['score']:.3f}{judged}  {hit['words']}"
        self.image.value = str(gallery([hit["pair_image"]], [caption], [bool(hit["relevant"])], side=130))
        for button, says in ((self.yes, "answers the query"), (self.no, "does not answer the query")):
            button.tooltip = f"hit {hit['rank']} {says}"
