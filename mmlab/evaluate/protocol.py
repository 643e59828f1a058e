"""The protocol card: under which rules a run's figures were measured, so that they can be held against others."""

import hashlib
from collections.abc import Mapping

import pandas as pd

from mmlab.evaluate.statistics.resampling import RESAMPLES
from mmlab.items import Vectors, is_among

TIE_RULE = "equal scores count against the system"
INTERVAL = f"95 %, {RESAMPLES:,} bootstrap samples of pairs"


def protocol_card(
    sides: Mapping[str, Vectors],
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    rankings: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """One row per direction ("text-to-image", "image-to-text": the keys of `qrels` and `rankings`).

    Columns: direction, queries (those with a right answer), not judged (those without), gallery (items that can be
    found), captions per image (mean over the images that have one), right answers per query, ranks kept, tie rule,
    interval, model and prompt of the queries' vectors, splits, split hash (`split_hash` of all items judged).
    `sides`: "text" and "image" -> their vectors, as `vectors_by_modality` returns them.
    """
    judged = items[is_among(items["item_id"], [*sides["text"].ids, *sides["image"].ids])]
    captions = qrels["image-to-text"].groupby("query_id").size()
    of_all = {
        "splits": ", ".join(sorted(judged["split"].dropna().astype(str).unique())) or "none",
        "split hash": split_hash(judged),
    }
    rows = []
    for name, right in qrels.items():
        asked, found = (sides[side] for side in name.split("-to-"))
        queries = right["query_id"].nunique()
        counts = {
            "direction": name,
            "queries": queries,
            "not judged": len(asked) - queries,
            "gallery": len(found),
            "captions per image": float(captions.mean()),
            "right answers per query": len(right) / max(queries, 1),
            "ranks kept": int(rankings[name]["rank"].max()),
        }
        rules = {"tie rule": TIE_RULE, "interval": INTERVAL}
        space = {"model": asked.space.model, "prompt": asked.space.prompt or "none"}
        rows.append({**counts, **rules, **space, **of_all})
    return pd.DataFrame(rows)


def show_card(protocol: pd.DataFrame) -> pd.DataFrame:
    """The card turned for reading: a row per rule, a column per direction, all as text."""
    turned = protocol.set_index("direction").map(_plain).T
    return turned.rename_axis(index="rule", columns=None).reset_index()


def split_hash(items: pd.DataFrame) -> str:
    """12 hex digits that tell which items were judged: the same for the same items in any order."""
    ids = "\n".join(sorted(items["item_id"]))
    return hashlib.sha256(ids.encode()).hexdigest()[:12]


def _plain(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if value == int(value) and not isinstance(value, float) else f"{value:,.2f}"
