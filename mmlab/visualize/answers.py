"""Queries with what was found for them, right and wrong told apart: the quickest check of a system."""

from collections.abc import Sequence
from html import escape

import pandas as pd

from mmlab.visualize.galleries import Html, gallery

TEXT_LENGTH = 240


def answers_gallery(
    query_ids: Sequence[str], rankings: pd.DataFrame, qrels: pd.DataFrame, items: pd.DataFrame, k: int = 5
) -> Html:
    """For each query: the query, its right answer and rank, and the first `k` of its ranking, marked."""
    known = items.set_index("item_id")
    parts = []
    for query_id in query_ids:
        right = qrels.loc[qrels["query_id"] == query_id, "item_id"].tolist()
        found = rankings[rankings["query_id"] == query_id].sort_values("rank")
        parts.append(_heading(known.loc[query_id], found, right))
        parts.append(_row(known, right, found.head(k)))
    return Html("".join(parts))


def _heading(query: pd.Series, found: pd.DataFrame, right: list[str]) -> str:
    ranks = found.loc[found["item_id"].isin(right), "rank"]
    place = f"first right answer at rank {ranks.min()}" if len(ranks) else f"not among the first {len(found)}"
    words = query["text"] if query["modality"] == "text" else query["pair_id"]
    return (
        f'<p style="font:13px sans-serif;margin:14px 0 4px"><b><bdi>{escape(str(words)[:TEXT_LENGTH])}</bdi></b>'
        f" &mdash; {place}</p>"
    )


def _row(known: pd.DataFrame, right: list[str], found: pd.DataFrame) -> str:
    """The right answer first (for an image query: the image), then what was found."""
    truth = known.loc[right[0]]
    image = truth["image"] if truth["modality"] == "image" else _image_of(known, truth["pair_id"])
    words = truth["text"] if truth["modality"] == "text" else _name(truth, known)
    hits = known.loc[found["item_id"]]
    captions = [
        f"{rank}. {score:.3f}  {hit['text'] if hit['modality'] == 'text' else _name(hit, known)}"
        for rank, score, (_, hit) in zip(found["rank"], found["score"], hits.iterrows(), strict=True)
    ]
    marks = [item_id in right for item_id in found["item_id"]]
    cards = gallery([image, *hits["image"]], [f"right: {words}", *captions], [None, *marks], side=96)
    return str(cards)


def _image_of(known: pd.DataFrame, pair_id: str) -> str | None:
    images = known.loc[(known["pair_id"] == pair_id) & (known["modality"] == "image"), "image"]
    return images.iloc[0] if len(images) else None


def _name(item: pd.Series, known: pd.DataFrame) -> str:
    """What to call an image: its label, else a caption of its pair, else its path in the dataset."""
    if pd.notna(item["label"]):
        return item["label"]
    captions = known.loc[(known["pair_id"] == item["pair_id"]) & (known["modality"] == "text"), "text"]
    return captions.iloc[0] if len(captions) else item["pair_id"]
