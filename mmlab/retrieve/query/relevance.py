"""Which hits are right, where that is known: the query is a text or an image of the collection."""

from pathlib import Path

import pandas as pd

from mmlab.items import is_among
from mmlab.retrieve.query.spec import Question


def right_answers(items: pd.DataFrame, question: Question) -> list[str] | None:
    """The item_ids of the modality asked for that belong to the query's pair; None where it is nobody's.

    An image of the collection counts, else a text that some item has word by word; with both, the image's.
    """
    known = _asked(items, question)
    if known.empty:
        return None
    answers = items[(items["modality"] == question.to) & is_among(items["pair_id"], known["pair_id"])]
    return answers["item_id"].tolist()


def query_item(items: pd.DataFrame, question: Question) -> str | None:
    """The item_id of the text or image of the collection that asks, None where it is none of them."""
    known = _asked(items, question)
    return None if known.empty else known["item_id"].iloc[0]


def with_pairs(hits: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """The hits with `pair_image`, the path of the pair's image, and `words`, the pair's first text or its label."""
    images = items[items["modality"] == "image"].drop_duplicates("pair_id").set_index("pair_id")["image"]
    texts = items[items["modality"] == "text"].drop_duplicates("pair_id").set_index("pair_id")["text"]
    words = hits["text"].fillna(hits["pair_id"].map(texts)).fillna(hits["label"]).fillna(hits["pair_id"])
    found = hits.assign(pair_image=hits["image"].fillna(hits["pair_id"].map(images)), words=words)
    found.attrs = dict(hits.attrs)
    return found


def _asked(items: pd.DataFrame, question: Question) -> pd.DataFrame:
    if isinstance(question.image, Path):
        return items[items["image"] == str(question.image)]
    if question.image is not None:
        return items.head(0)
    return items[items["text"] == question.text]
