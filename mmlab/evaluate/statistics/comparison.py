"""Systems compared query by query: differences with their interval, their p, and what could have been seen."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmlab.evaluate.statistics.means import pairs_of
from mmlab.evaluate.statistics.resampling import bootstrap_intervals, holm, permutation_p, smallest_difference

COLUMNS = ["system", "baseline", "measure", "value", "low", "high", "difference", "difference_low"]
COLUMNS += ["difference_high", "p", "p_holm", "smallest_difference", "queries", "pairs"]


def compare_systems(
    systems: Mapping[str, pd.DataFrame], items: pd.DataFrame, seed: int | np.random.Generator = 0
) -> pd.DataFrame:
    """Every system after the first (the baseline) against it, one row per system and measure.

    `systems`: name -> per-query scores (`score_queries`) of the same queries and measures. Returns system,
    baseline, measure, value with its 95 % interval (low, high), difference (system - baseline) with
    difference_low and difference_high, p (permutation), p_holm (over all rows), smallest_difference (what these
    queries would have shown in 80 % of all tests), queries, pairs. Intervals, p and errors count pairs, not
    captions. Raises ValueError where queries or measures differ, naming the first.
    """
    if len(systems) < 2:
        raise ValueError(f"expected two systems or more, found {list(systems)}")
    rng = np.random.default_rng(seed)
    baseline, *others = systems
    tables = [_compare(systems, baseline, name, items, rng) for name in others]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(p_holm=holm(table["p"]))[COLUMNS]


def changed_queries(first: pd.DataFrame, second: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The queries whose score changed, most first: query_id, before, after, change (after - before)."""
    before, after = _align({"first": first, "second": second}, "first", "second")
    changes = pd.DataFrame(
        {"query_id": before["query_id"], "before": before[measure], "after": after[measure]}
    )
    changes["change"] = changes["after"] - changes["before"]
    order = (-changes["change"].abs()).argsort(kind="stable")
    return changes.iloc[order][changes["change"].iloc[order] != 0].reset_index(drop=True)


def _compare(
    systems: Mapping[str, pd.DataFrame],
    baseline: str,
    name: str,
    items: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    before, after = _align(systems, baseline, name)
    measures = [column for column in before.columns if column != "query_id"]
    pairs = pairs_of(before["query_id"], items)
    values = after[measures].to_numpy(dtype=float)
    differences = values - before[measures].to_numpy(dtype=float)
    both = bootstrap_intervals(np.hstack([values, differences]), pairs, seed=rng)
    (low, high), (difference_low, difference_high) = both[: len(measures)].T, both[len(measures) :].T
    return pd.DataFrame(
        {
            "system": name,
            "baseline": baseline,
            "measure": measures,
            "value": values.mean(axis=0),
            "low": low,
            "high": high,
            "difference": differences.mean(axis=0),
            "difference_low": difference_low,
            "difference_high": difference_high,
            "p": permutation_p(differences, pairs, seed=rng),
            "smallest_difference": smallest_difference(differences, pairs),
            "queries": len(values),
            "pairs": len(np.unique(pairs)),
        }
    )


def _align(
    systems: Mapping[str, pd.DataFrame], baseline: str, name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables with the same rows and columns, in the order of the baseline."""
    before, after = systems[baseline].reset_index(drop=True), systems[name]
    for what, mine, theirs in (
        ("measures", set(before.columns), set(after.columns)),
        ("queries", set(before["query_id"]), set(after["query_id"])),
    ):
        if mine != theirs:
            only = sorted(mine ^ theirs)
            raise ValueError(
                f"{baseline!r} and {name!r} were not asked the same: {len(only)} {what} have only one of them, "
                f"first {only[0]!r}; evaluate both on the same items, split and measures"
            )
    return before, after.set_index("query_id").loc[before["query_id"]].reset_index()[before.columns]
