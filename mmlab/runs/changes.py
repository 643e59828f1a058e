"""Queries whose answers changed from one run to another, with both answers as images."""

from collections.abc import Mapping
from html import escape

import pandas as pd

from mmlab.visualize import Html, query_gallery


def changes_gallery(
    changed: pd.DataFrame,
    rankings: Mapping[str, pd.DataFrame],
    qrels: pd.DataFrame,
    items: pd.DataFrame,
    measure: str,
    k: int = 5,
) -> Html:
    """For each row of `changed` (query_id, before, after) what both runs of `rankings` answered, the first k hits.

    `rankings`: the run before and the run after, by name; `measure`: what before and after are values of.
    """
    parts = []
    for row in changed.itertuples():
        for (run, ranked), score in zip(rankings.items(), (row.before, row.after), strict=True):
            found = ranked[ranked["query_id"] == row.query_id]
            note = f"{escape(run)}, {escape(measure)} {score:.3f}"
            parts.append(f'<p style="font:13px sans-serif;margin:14px 0 -8px;color:#5b6675">{note}</p>')
            parts.append(str(query_gallery([row.query_id], found, qrels, items, k)))
    return Html("".join(parts) or "<em>none</em>")
