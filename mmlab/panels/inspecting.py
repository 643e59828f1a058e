"""Walk through the failures of 05 and judge hits by hand. What it shows and writes are the calls of `failures`."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.panels import controls
from mmlab.panels.errors import show_in
from mmlab.panels.failures import JUDGED, failure_kinds, failures, judge_hit, judged_hits
from mmlab.panels.truth import with_pairs
from mmlab.visualize import Html, answers_gallery, gallery

if TYPE_CHECKING:
    import ipywidgets

RELEVANT, NOT_RELEVANT = 1, 0


def inspect_panel(
    explained: pd.DataFrame,
    rankings: pd.DataFrame,
    qrels: pd.DataFrame,
    items: pd.DataFrame,
    labels: str | Path,
    k: int = 5,
    by: str = "",
) -> "ipywidgets.VBox":
    """A panel that shows one missed query at a time with its first `k` hits, and two buttons under each hit.

    explained: query_id and failed (`explain_queries`), rankings and qrels of the same direction. labels: the file
    that judgements are appended to; by: who judges.
    """
    return InspectPanel(explained, rankings, qrels, items, Path(labels), k, by).box


class InspectPanel:
    """The kind of failure, the place among them, the query, and a card with two buttons for each hit."""

    def __init__(
        self,
        explained: pd.DataFrame,
        rankings: pd.DataFrame,
        qrels: pd.DataFrame,
        items: pd.DataFrame,
        labels: Path,
        k: int,
        by: str,
    ) -> None:
        import ipywidgets as widgets

        self.explained, self.rankings, self.qrels, self.items = explained, rankings, qrels, items
        self.labels, self.k, self.by = labels, k, by
        self.misses = failures(explained)
        self.kind = controls.choice(failure_kinds(explained), "Failed")
        self.place = controls.number(1, 1, max(len(self.misses), 1), "Miss number")
        self.before = controls.button("previous", "the miss before this one", lambda: self.step(-1))
        self.after = controls.button("next", "the miss after this one", lambda: self.step(1))
        self.heading, self.said = widgets.HTML(), widgets.HTML()
        self.cards = [HitCard(self, number) for number in range(k)]
        walk = controls.row(self.kind, self.before, self.place, self.after)
        grid = controls.row(*(card.box for card in self.cards))
        self.box = widgets.VBox([walk, self.heading, grid, self.said])
        self.box.add_class("mmlab-inspect")
        self.kind.observe(lambda _: self.choose(), "value")
        self.place.observe(lambda _: self.show(), "value")
        self.show()

    def choose(self) -> None:
        """Walk through another kind of failure, from its first."""
        self.misses = failures(self.explained, self.kind.value)
        self.place.value, self.place.max = 1, max(len(self.misses), 1)
        self.show()

    def step(self, by: int) -> None:
        """Go on or back by one."""
        self.place.value += by

    def show(self) -> None:
        """Show the miss at this place."""
        self.said.value = ""
        show_in(self.heading, self.tell_query)

    def tell_query(self) -> Html:
        """The query and its right answer; the cards are filled on the way."""
        hits = self.hits() if self.misses else pd.DataFrame()
        for number, card in enumerate(self.cards):
            card.fill(hits.iloc[number] if number < len(hits) else None)
        if not self.misses:
            return Html("<p>No query failed.</p>")
        return answers_gallery([self.query], self.rankings, self.qrels, self.items, k=0)

    @property
    def query(self) -> str:
        """The query_id of the miss that is shown."""
        return self.misses[self.place.value - 1]

    def hits(self) -> pd.DataFrame:
        """Its first hits with their pictures, words and judgements."""
        hits = judged_hits(self.query, self.rankings, self.qrels, self.labels, self.k)
        return with_pairs(hits.merge(self.items, on="item_id"), self.items)

    def judge(self, number: int, relevance: int) -> None:
        """Write down the judgement of one hit, and show that it is written."""
        card = self.cards[number]
        if show_in(self.said, lambda: self.write(card.item_id, relevance)):
            card.fill(self.hits().iloc[number])

    def write(self, item_id: str, relevance: int) -> Html:
        """Append the judgement to the labels."""
        told = judge_hit(self.labels, self.query, item_id, relevance, self.by)
        return Html(f'<p role="status">{told}</p>')


class HitCard:
    """One hit: its picture and words, and the buttons that judge it."""

    def __init__(self, panel: InspectPanel, number: int) -> None:
        import ipywidgets as widgets

        self.item_id = ""
        self.picture = widgets.HTML()
        self.yes = controls.button("relevant", "", lambda: panel.judge(number, RELEVANT), "88px")
        self.no = controls.button("not", "", lambda: panel.judge(number, NOT_RELEVANT), "48px")
        self.box = widgets.VBox([self.picture, controls.row(self.yes, self.no)])

    def fill(self, hit: "pd.Series | None") -> None:
        """Show a hit, or nothing where there is none."""
        self.box.layout.display = "none" if hit is None else "flex"
        if hit is None:
            return
        self.item_id = hit["item_id"]
        judged = "" if pd.isna(hit["judged"]) else f" ({JUDGED[min(int(hit['judged']), 1)]})"
        caption = f"{hit['rank']}. {hit['score']:.3f}{judged}  {hit['words']}"
        self.picture.value = str(gallery([hit["picture"]], [caption], [bool(hit["relevant"])], side=130))
        for button, says in ((self.yes, "answers the query"), (self.no, "does not answer the query")):
            button.tooltip = f"hit {hit['rank']} {says}"
