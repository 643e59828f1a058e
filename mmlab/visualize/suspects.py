"""Lists of suspects for review: each with its images, its score, why it is suspected, and its ids."""

from html import escape

import pandas as pd

from mmlab.visualize.galleries import Html, gallery

STYLE = "font:13px sans-serif;margin:14px 0 4px"
SOFT = "color:#666;font-size:11px;overflow-wrap:anywhere"
LONGEST = 240  # characters of a text


def wrong_pairs_gallery(suspects: pd.DataFrame, items: pd.DataFrame, count: int) -> Html:
    """The first `count` of `suspected_wrong_pairs`: text, its own image, and the one that fits better."""
    known = items.set_index("item_id")
    parts = []
    for number, row in enumerate(suspects.head(count).to_dict("records"), 1):
        head = f"{number}. {str(known.at[row['text_id'], 'text'])[:LONGEST]}"
        parts.append(
            _heading(head, f"z = {row['score']:.1f}: {row['reason']}", row["text_id"], row["image_id"])
        )
        ids = [row["image_id"], row["other_id"]]
        words = [
            f"stands beside this, cosine {row['cosine']:.2f}",
            f"fits this, cosine {row['other_cosine']:.2f}",
        ]
        parts.append(str(gallery([known.at[name, "image"] for name in ids], words, [False, None])))
    return Html("".join(parts) or str(gallery([], [])))


def false_negatives_gallery(suspects: pd.DataFrame, items: pd.DataFrame, count: int) -> Html:
    """The first `count` of `suspected_false_negatives`: the pair of the query, and of the item ranked above it."""
    pairs = items.set_index("item_id")["pair_id"]
    images = items[items["modality"] == "image"].drop_duplicates("pair_id").set_index("pair_id")["image"]
    parts = []
    for number, row in enumerate(suspects.head(count).to_dict("records"), 1):
        head = f"{number}. {str(row['query_text'])[:LONGEST]}"
        parts.append(_heading(head, row["reason"], row["query_id"], row["item_id"]))
        shown = [images.get(pairs[row[name]]) for name in ("query_id", "item_id")]
        words = [f"right by its pair: {row['query_text']}", f"rank {row['rank']}: {row['item_text']}"]
        parts.append(str(gallery(shown, words, [True, None])))
    return Html("".join(parts) or str(gallery([], [])))


def _heading(words: str, reason: str, *ids: str) -> str:
    return (
        f'<p style="{STYLE}"><b><bdi>{escape(words)}</bdi></b> &mdash; {escape(reason)}'
        f'<br><span style="{SOFT}">{escape(" · ".join(ids))}</span></p>'
    )
