"""What a panel searches, and the hits of one query as HTML, marked where the right answers are known."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from mmlab.items import is_among
from mmlab.panels.controls import status_line, warning_line
from mmlab.retrieve import CALIBRATIONS, Query, SearchResult
from mmlab.retrieve.query.known_queries import (
    RightAnswers,
    SavedQuestions,
    add_pair_columns,
    find_right_answers,
    search_known,
)
from mmlab.retrieve.query.rerank import Match
from mmlab.retrieve.query.search import Calibrations
from mmlab.retrieve.query.spec import NONE
from mmlab.retrieve.query.systems import Searcher, System, Systems, retrievers_of, systems_of
from mmlab.visualize import Html, gallery

if TYPE_CHECKING:
    from PIL import Image

MAX_CAPTION_CHARS = 60  # under an image that was found
MAX_TEXT_CHARS = 160  # of a text that was found
QUERY_IMAGE_PIXELS = 130


@dataclass(frozen=True, repr=False)
class PanelData:
    """What the query panel and the compare panel search.

    Attributes:
        searched: a retriever, or several systems by name (`open_systems`, `saved_rankings_by_run`), see `systems_of`.
        items: the items that can be found, for images, the values of filters and the right answers.
        calibrations: by the name of the system whose scores they were fitted on (see `try_calibrations`), or a function
            that fits them, which is called when a person first chooses a calibration.
        match: ranks the first hits again (`rerank`, `crop_matcher`); None where no model can.
        exact: whether a panel begins with exact search, as the run was ranked.
        questions: where questions are saved by name; None where they cannot be.
        fetch: returns the bytes of an image at an address on the web; None where none is fetched.
    """

    searched: Searcher | Mapping[str, Searcher | System]
    items: pd.DataFrame
    calibrations: Mapping[str, Calibrations | Callable[[], Calibrations]] = field(default_factory=dict)
    match: Match | None = None
    exact: bool = Query.exact
    questions: SavedQuestions | None = None
    fetch: Callable[[str], bytes] | None = None

    @cached_property
    def systems(self) -> Systems:
        """The systems that answer, by name."""
        return systems_of(self.searched)

    @property
    def live(self) -> bool:
        """Whether something new can be asked; else all answers are rankings that a run saved."""
        return bool(retrievers_of(self.systems))

    def calibration_kinds(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the kinds of calibration to choose from while these systems answer: none for several of them."""
        if len(names) != 1:
            return ()
        known = self.calibrations.get(names[0], {})
        return tuple(CALIBRATIONS if callable(known) else known)

    def search(self, query: Query) -> SearchResult:
        """Answer a query by `search_known`, with the image and the words of each hit's pair.

        A query for more items than there are finds them all. Raises ValueError as `search` does.
        """
        result = search_known(self.systems, self.items, query, self._fitted_for(query), self.match)
        return replace(result, table=add_pair_columns(result.table, self.items))

    def _fitted_for(self, query: Query) -> dict[str, Calibrations]:
        """Return the calibrations of the system that answers, fitted now where they are needed first."""
        name = next(iter(query.models or self.systems))
        if query.calibration == NONE or name not in self.calibrations:
            return {}
        known = self.calibrations[name]
        return {name: known() if callable(known) else known}


class Answer(NamedTuple):
    """The hits of a query, as they are shown and as a table."""

    shown: Html
    hits: pd.DataFrame


def answer_query(data: PanelData, query: Query) -> Answer:
    """Answer a query as the query panel does.

    Return the hits as HTML, marked right or wrong where the query belongs to the collection, and as a table: rank,
    score, the items' columns, `pair_image` and `words`, and `probability` where they are calibrated. Raises ValueError
    for a query that the systems cannot answer, saying what to choose.

    >>> from mmlab.retrieve.query.known_queries import SavedRankings
    >>> items = pd.DataFrame({"item_id": ["q", "a"], "modality": ["text", "image"], "pair_id": "p"})
    >>> items = items.assign(text=["a mug", None], image=None, label="mug")
    >>> rankings = pd.DataFrame({"query_id": ["q"], "item_id": ["a"], "rank": [1], "score": [0.9]})
    >>> data = PanelData(SavedRankings({"text-to-image": rankings}, items), items)
    >>> answer_query(data, Query(text="a mug")).hits[["rank", "item_id", "words"]].to_numpy().tolist()
    [[1, 'a', 'a mug']]
    """
    result = data.search(query)
    return Answer(show_hits(query, result, find_right_answers(data.items, query)), result.table)


def show_hits(query: Query, result: SearchResult, right: RightAnswers | None = None) -> Html:
    """Return the hits of `PanelData.search` as a grid of images under the query and the time it took.

    right: what answers the query, to mark hits as right or wrong.
    """
    hits = result.table
    marks = None if right is None else [item in right.item_ids for item in hits["item_id"]]
    captions = [describe_hit(hit) for hit in hits.to_dict("records")]
    grid = gallery(list(hits["pair_image"]), captions, marks)
    asked = "".join(str(image_card(part)) for part in query.contents if not isinstance(part, str))
    question, facts = describe_answer(query, result, right)
    line = f"<b><bdi>{escape(question)}</bdi></b>: {escape(facts)}"
    return Html(f"{status_line(line)}{warning_line(result.warning)}{asked}{grid}")


def describe_answer(query: Query, result: SearchResult, right: RightAnswers | None) -> tuple[str, str]:
    """Return what was asked, and in words how many hits there are, which is right, and what the search took."""
    ranks = (
        [] if right is None else result.table.loc[is_among(result.table["item_id"], right.item_ids), "rank"]
    )
    found = f"{len(result.table)} hits"
    if right is not None:
        found += f", a right one at rank {min(ranks)}" if len(ranks) else ", none of them right"
        found += f" (right: {right.meaning})"
    spent = result.timings
    embedding, searching = spent["embed_ms"], sum(spent.values()) - spent["embed_ms"]
    if not spent["embed_ms"] + spent["search_ms"]:
        return query.describe(), f"{found}; from saved rankings"
    return (
        query.describe(),
        f"{found}; {result.method}, {embedding:.0f} ms to embed, {searching:.0f} ms to search",
    )


def describe_hit(hit: Mapping[str, Any]) -> str:
    """Return a hit in one line: rank, score, probability where there is one, words."""
    probability = f"  p {hit['probability']:.2f}" if "probability" in hit else ""
    max_chars = MAX_TEXT_CHARS if hit["modality"] == "text" else MAX_CAPTION_CHARS
    return f"{hit['rank']}. {hit['score']:.3f}{probability}  {shorten(str(hit['words']), max_chars)}"


def shorten(text: str, max_chars: int) -> str:
    """Return a text cut to `max_chars` characters, the last of them an ellipsis where there were more.

    >>> shorten("a red mug", 6)
    'a red…'
    """
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def image_card(image: "Path | Image.Image") -> Html:
    """Return the image that asks, small."""
    if isinstance(image, Path):
        return gallery([image], ["the query"], side=QUERY_IMAGE_PIXELS)
    small, buffer = image.copy(), io.BytesIO()
    small.thumbnail((2 * QUERY_IMAGE_PIXELS, 2 * QUERY_IMAGE_PIXELS))
    small.save(buffer, "JPEG", quality=85)
    content = base64.b64encode(buffer.getvalue()).decode()
    size = f"max-width:{QUERY_IMAGE_PIXELS}px;max-height:{QUERY_IMAGE_PIXELS}px"
    style = f"{size};border:2px solid #bbb;border-radius:6px;padding:4px"
    return Html(f'<p><img alt="the query" style="{style}" src="data:image/jpeg;base64,{content}"></p>')
