"""How the ranks of one query change: between two answers, and from step to step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd


def rank_changes(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return how each item of two answers to one query changed its rank, the furthest first.

    Columns: item_id; before, after: its ranks, and score_before, score_after: its scores, missing where it was not
    found; change: the ranks it gained, missing where it is in one answer only; passed: how many items stand above it
    before only, passed_by: after only. For an item of both, change = passed - passed_by.

    >>> before = pd.DataFrame({"item_id": ["a", "b", "c"], "rank": [1, 2, 3], "score": [0.9, 0.8, 0.7]})
    >>> changes = rank_changes(before, before.assign(item_id=["c", "a", "b"]))
    >>> changes[["item_id", "change", "passed"]].values.tolist()
    [['c', 2, 2], ['a', -1, 0], ['b', -1, 0]]
    """
    ids = pd.Index(before["item_id"]).union(after["item_id"], sort=False)
    ranks = [hits.set_index("item_id")["rank"].reindex(ids).astype("Int64") for hits in (before, after)]
    scores = [hits.set_index("item_id")["score"].reindex(ids) for hits in (before, after)]
    old, new = (rank.to_numpy(dtype=float, na_value=np.inf) for rank in ranks)
    was_above, is_above = old[None, :] < old[:, None], new[None, :] < new[:, None]
    found = pd.DataFrame(
        {
            "item_id": ids,
            "before": ranks[0].to_numpy(),
            "after": ranks[1].to_numpy(),
            "score_before": scores[0].to_numpy(dtype=float),
            "score_after": scores[1].to_numpy(dtype=float),
            "change": (ranks[0] - ranks[1]).to_numpy(),
            "passed": (was_above & ~is_above).sum(axis=1),
            "passed_by": (is_above & ~was_above).sum(axis=1),
        }
    )
    distance = np.abs(np.minimum(old, len(ids) + 1) - np.minimum(new, len(ids) + 1))
    return found.iloc[np.lexsort((np.minimum(old, new), -distance))].reset_index(drop=True)


def describe_change(change: Mapping[str, Any]) -> str:
    """Return why an item changed its rank, a row of `rank_changes`: its scores, what it passed, and what passed it."""
    if pd.isna(change["before"]):
        return f"found on the right only, score {change['score_after']:.3f}"
    if pd.isna(change["after"]):
        return f"found on the left only, score {change['score_before']:.3f}"
    scores = [f"{change[name]:.3f}" for name in ("score_before", "score_after")]
    parts = [f"score {' → '.join(scores)}" if scores[0] != scores[1] else f"score still {scores[0]}"]
    parts += [f"passed {change['passed']}"] if change["passed"] else []
    return ", ".join([*parts, f"passed by {change['passed_by']}"] if change["passed_by"] else parts)


def ranks_by_step(
    steps: Mapping[str, pd.DataFrame],
    query_id: str,
    item_ids: Sequence[str],
    names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return the rank of each item after every step, for one query: item, then a column per step.

    `steps`: name -> rankings, in their order. An item that a step has not among its ranked ones has no rank (<NA>).
    `names`: item_id -> what to call it. Raises ValueError where no step has ranked anything for the query.
    """
    known = {name: ranked[ranked["query_id"] == query_id] for name, ranked in steps.items()}
    if all(found.empty for found in known.values()):
        raise ValueError(
            f"no step has ranked anything for query {query_id}; known are the queries of the rankings"
        )
    table = pd.DataFrame({"item": [(names or {}).get(item, item) for item in item_ids]})
    for name, found in known.items():
        table[name] = found.set_index("item_id")["rank"].reindex(item_ids).astype("Int64").to_numpy()
    return table.astype(dict.fromkeys(known, "Int64"))


def ranks_of_query(
    query_id: str, steps: Mapping[str, pd.DataFrame], answer: pd.DataFrame, items: pd.DataFrame, n: int = 8
) -> pd.DataFrame:
    """Return `ranks_by_step` of one query's first `n` answers in a run's own steps; items are called by their pair."""
    first = answer.loc[answer["query_id"] == query_id, "item_id"].head(n)
    pairs = items.set_index("item_id")["pair_id"].to_dict()
    return ranks_by_step(steps, query_id, first.tolist(), pairs)
