"""What the query panel shows, by a plain call: the hits of one question as a grid, marked where truth is known."""

import time
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.panels.images import image_card
from mmlab.retrieve import Query, Retriever, SearchResult, search
from mmlab.retrieve.query.known_queries import add_pair_columns, find_right_answers
from mmlab.retrieve.query.rerank import Match
from mmlab.retrieve.query.search import CalibrationsBySystem
from mmlab.retrieve.query.systems import Systems
from mmlab.visualize import Html, gallery

if TYPE_CHECKING:
    from PIL import Image

SHORT, LONG = 60, 160  # characters of the words under an image that was found, and of a text that was
FONT = "font:13px sans-serif;overflow-wrap:anywhere"


def answer(
    retriever: Retriever,
    query: "str | Path | Image.Image",
    to: str = "image",
    k: int = 8,
    where: dict[str, Any] | None = None,
    right: Sequence[str] | None = None,
    exact: bool = False,
) -> Html:
    """The hits of one query as a gallery, under the query and the time it took.

    `right` holds the item_ids that answer it, where they are known: hits are then marked right or wrong.
    """
    told = {"text": query} if isinstance(query, str) else {"image": query}
    question = Query(**told, to=to, k=k, where=where or {}, exact=exact)
    return show_hits(question, search(retriever, question), right=right)


def answer_question(
    systems: Systems,
    question: Query,
    items: pd.DataFrame,
    calibrations: CalibrationsBySystem | None = None,
    match: Match | None = None,
) -> tuple[Html, pd.DataFrame]:
    """A question's hits as the panel shows them, and as a table; what is right is looked up in `items`."""
    held = int((items["modality"] == question.to).sum())
    result = search(systems, question.limited_to(held), calibrations, match)
    hits = add_pair_columns(result.table, items)
    shown = show_hits(question, replace(result, table=hits), find_right_answers(items, question))
    return shown, hits


def show_hits(question: Query, result: SearchResult, right: Sequence[str] | None = None) -> Html:
    """The hits of `search` as a grid of images: rank, score, probability and words, right and wrong told apart."""
    started, hits = time.perf_counter(), result.table
    marks = None if right is None else [item in set(right) for item in hits["item_id"]]
    images = hits["pair_image"] if "pair_image" in hits else hits["image"]
    grid = gallery(list(images), [tell_hit(hit) for hit in hits.to_dict("records")], marks)
    drawn = 1000 * (time.perf_counter() - started)
    asked = "".join(str(image_card(part)) for part in question.contents if not isinstance(part, str))
    embedding = result.timings["embed_ms"]
    searching = sum(result.timings.values()) - embedding
    times = f"{embedding:.0f} ms to embed, {searching:.0f} ms to search, {drawn:.0f} ms to draw"
    line = f"<b><bdi>{escape(question.describe())}</bdi></b>: {len(hits)} hits{_place(marks)}; {times}"
    return Html(f'<p role="status" style="{FONT}">{line}</p>{asked}{grid}')


def tell_hit(hit: dict[str, Any]) -> str:
    """A hit in one line: rank, score, probability where there is one, words."""
    chance = f"  p {hit['probability']:.2f}" if "probability" in hit else ""
    words = next(
        value for value in (hit.get("words"), hit["text"], hit["label"], hit["pair_id"]) if pd.notna(value)
    )
    shown = shorten(words, LONG if hit["modality"] == "text" else SHORT)
    return f"{hit['rank']}. {hit['score']:.3f}{chance}  {shown}"


def shorten(words: str, longest: int) -> str:
    """The words, cut to `longest` characters with an ellipsis where there are more."""
    return words if len(words) <= longest else words[: longest - 1] + "…"


def _place(marks: list[bool] | None) -> str:
    if marks is None:
        return ""
    return f", a right one at rank {marks.index(True) + 1}" if True in marks else ", none of them right"
