"""Two answers to one query: what moved, by how many ranks, and what passed it."""

from typing import Any

import numpy as np
import pandas as pd


def moves(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """How each item of two answers moved, the furthest first.

    item_id; before, after: its ranks, and score_before, score_after its scores, missing where it was not found;
    change: the ranks it gained, missing where it is in one answer only; passed: how many items stand above it before
    only, passed_by: after only. For an item of both, change = passed - passed_by.
    """
    ids = pd.Index(before["item_id"]).union(after["item_id"], sort=False)
    ranks = [hits.set_index("item_id")["rank"].reindex(ids).astype("Int64") for hits in (before, after)]
    scores = [hits.set_index("item_id")["score"].reindex(ids) for hits in (before, after)]
    old, new = (rank.to_numpy(dtype=float, na_value=np.inf) for rank in ranks)
    was, is_now = old[None, :] < old[:, None], new[None, :] < new[:, None]
    found = pd.DataFrame(
        {
            "item_id": ids,
            "before": ranks[0].to_numpy(),
            "after": ranks[1].to_numpy(),
            "score_before": scores[0].to_numpy(dtype=float),
            "score_after": scores[1].to_numpy(dtype=float),
            "change": (ranks[0] - ranks[1]).to_numpy(),
            "passed": (was & ~is_now).sum(axis=1),
            "passed_by": (is_now & ~was).sum(axis=1),
        }
    )
    distance = np.abs(np.minimum(old, len(ids) + 1) - np.minimum(new, len(ids) + 1))
    return found.iloc[np.lexsort((np.minimum(old, new), -distance))].reset_index(drop=True)


def why(move: dict[str, Any]) -> str:
    """Why an item stands elsewhere: how its score changed, what it passed, and what passed it."""
    if pd.isna(move["before"]):
        return f"found on the right only, score {move['score_after']:.3f}"
    if pd.isna(move["after"]):
        return f"found on the left only, score {move['score_before']:.3f}"
    scores = [f"{move[name]:.3f}" for name in ("score_before", "score_after")]
    told = [f"score {' → '.join(scores)}" if scores[0] != scores[1] else f"score still {scores[0]}"]
    told += [f"passed {move['passed']}"] if move["passed"] else []
    return ", ".join([*told, f"passed by {move['passed_by']}"] if move["passed_by"] else told)
