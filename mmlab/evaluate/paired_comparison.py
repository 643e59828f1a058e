"""Systems compared query by query: differences with their interval, their p, and what could have been detected."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.partial import score_partial
from mmlab.evaluate.measures.qrels import merge_qrels
from mmlab.evaluate.measures.scoring import score_queries
from mmlab.evaluate.resampling import (
    Seed,
    detectable_difference,
    difference_intervals,
    holm,
    largest_loss,
    mean_intervals,
    mean_measures,
    non_inferiority_p,
    pair_numbers,
    permutation_p,
    smallest_difference,
    standard_error,
    standardised_differences,
)
from mmlab.items import is_among
from mmlab.items.tables import TooFew

STANDARDISED = ["standardised", "standardised_low", "standardised_high"]
COLUMNS = ["system", "baseline", "measure", "value", "low", "high", "difference", "difference_low"]
COLUMNS += ["difference_high", *STANDARDISED, "wins", "ties", "losses", "p", "p_holm", "smallest_difference"]
COLUMNS += ["queries", "pairs"]
POWER_PAIRS = (50, 100, 200, 500, 1000, 2000, 5000)
EFFECT_COLUMNS = ["measure", "without", "low", "high", "with", "with_low", "with_high"]
EFFECT_COLUMNS += ["queries_changed", "queries"]


def compare_systems(systems: Mapping[str, pd.DataFrame], items: pd.DataFrame, seed: Seed = 0) -> pd.DataFrame:
    """Compare every system with the first one (the baseline): one row per system and measure.

    `systems`: name -> per-query scores (`score_queries`) of the same queries and measures. Returns system, baseline,
    measure, value with its 95% interval (low, high), difference (system - baseline) with difference_low and
    difference_high, standardised (the difference over the standard deviation of the pairs' mean differences, Cohen's d
    of paired values; NaN where these are all equal) with standardised_low and standardised_high, wins, ties and losses
    (queries that the system answers better, as well, worse), p (permutation), p_holm (over all rows),
    smallest_difference (what these queries would have shown in 80% of all tests), queries, pairs. Intervals, p and
    errors count pairs, not captions. Without queries there are no rows. Raises ValueError where queries or measures
    differ, naming the first.

    >>> items = pd.DataFrame({"item_id": ["t1", "t2"], "pair_id": ["a", "b"]})
    >>> base = pd.DataFrame({"query_id": ["t1", "t2"], "RR": [0.5, 0.25]})
    >>> compare_systems({"base": base, "new": base.assign(RR=[1.0, 0.75])}, items)["difference"].tolist()
    [0.5]
    """
    if len(systems) < 2:
        raise ValueError(f"expected two systems or more, found {list(systems)}")
    rng = np.random.default_rng(seed)
    baseline, *others = systems
    if systems[baseline].empty:
        return pd.DataFrame(columns=COLUMNS)
    tables = [_compare(systems, baseline, name, items, rng) for name in others]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(p_holm=holm(table["p"].to_numpy()))[COLUMNS]


def shared_queries(systems: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the rows of the queries that all systems have: one whose weights were fitted on some judges the others.

    >>> scores = pd.DataFrame({"query_id": ["a", "b"], "RR": [1.0, 0.5]})
    >>> [len(one) for one in shared_queries({"one": scores, "other": scores.tail(1)}).values()]
    [1, 1]
    """
    shared = set.intersection(*(set(one["query_id"]) for one in systems.values()))
    kept = {name: one["query_id"].isin(shared) for name, one in systems.items()}
    return {name: one if kept[name].all() else one[kept[name]] for name, one in systems.items()}


def changed_queries(first: pd.DataFrame, second: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the queries whose score changed, most first: query_id, before, after, change (after - before).

    `first`, `second`: per-query scores of the same queries and measures. Raises ValueError where these differ.

    >>> first = pd.DataFrame({"query_id": ["t1", "t2"], "RR": [0.5, 0.25]})
    >>> changed_queries(first, first.assign(RR=[0.5, 1.0]), "RR").to_numpy().tolist()
    [['t2', 0.25, 1.0, 0.75]]
    """
    before, after = _align({"first": first, "second": second}, "first", "second")
    changes = pd.DataFrame(
        {"query_id": before["query_id"], "before": before[measure], "after": after[measure]}
    )
    changes["change"] = changes["after"] - changes["before"]
    changes = changes[changes["change"] != 0]
    return changes.sort_values("change", key=lambda change: -change.abs(), kind="stable", ignore_index=True)


def non_inferiority(
    systems: Mapping[str, pd.DataFrame], items: pd.DataFrame, margin: float = 0.005
) -> pd.DataFrame:
    """Ask of every system whether it loses at most `margin` to the first one, the baseline: a row per measure.

    `systems`: as for `compare_systems`. Returns system, baseline, measure, difference, largest_loss (what the loss is
    at most, 95% sure), margin, p (one-sided, of a loss of `margin` or more, see `non_inferiority_p`), p_holm, pairs.
    A p below 0.05 says that the system is not worse by more than the margin, which a difference that is "no more than
    chance" does not say. Raises TooFew without queries, ValueError as `compare_systems` does and for a margin out of
    (0, 1].

    >>> items = pd.DataFrame({"item_id": [f"t{n}" for n in range(1000)], "pair_id": range(1000)})
    >>> base = pd.DataFrame({"query_id": items["item_id"], "RR": 1.0})
    >>> non_inferiority({"exact": base, "index": base}, items)["p"].round(4).tolist()
    [0.0067]
    """
    baseline, *others = systems
    if systems[baseline].empty:
        raise TooFew("no query was judged, so nothing is known of a loss")
    rows = []
    for name in others:
        measures, differences, pairs = _differences(systems, baseline, name, items)
        p = non_inferiority_p(differences, pairs, margin)
        columns = {
            "system": name,
            "baseline": baseline,
            "measure": measures,
            "difference": differences.mean(0),
            "largest_loss": largest_loss(differences, pairs),
        }
        rows.append(pd.DataFrame({**columns, "margin": margin, "p": p, "pairs": len(np.unique(pairs))}))
    table = pd.concat(rows, ignore_index=True)
    table.insert(table.columns.get_loc("pairs"), "p_holm", holm(table["p"].to_numpy()))
    return table


def power_curve(
    systems: Mapping[str, pd.DataFrame], items: pd.DataFrame, pairs: Sequence[int] = POWER_PAIRS
) -> pd.DataFrame:
    """Return how many pairs show which difference to the first system: system, measure, pairs, smallest_difference.

    The difference that 80% of all tests at 0.05 would detect, if more or fewer pairs differed as these do. The number
    of pairs at hand is among the rows, marked in the column `own`; those of few pairs have no value (NaN).
    """
    baseline, *others = systems
    rows = []
    for name in others:
        measures, differences, clusters = _differences(systems, baseline, name, items)
        own = len(np.unique(clusters))
        error = standard_error(differences, clusters) * np.sqrt(own)
        for count in sorted({*pairs, own}):
            found = detectable_difference(error / np.sqrt(count), count)
            rows += [
                (name, measure, count, value, count == own)
                for measure, value in zip(measures, found, strict=True)
            ]
    return pd.DataFrame(rows, columns=["system", "measure", "pairs", "smallest_difference", "own"])


def pairs_needed(curve: pd.DataFrame, difference: float) -> pd.DataFrame:
    """Return how many pairs would show a difference in 80% of all tests: system, measure, pairs.

    `curve`: as `power_curve` returns it, of 30 pairs or more: half the difference needs four times the pairs. Where no
    query differs there is nothing to count with, and pairs is 0.

    >>> point = pd.DataFrame({"system": "new", "measure": ["RR"], "pairs": [100], "smallest_difference": [0.04]})
    >>> pairs_needed(point, 0.02)["pairs"].tolist()
    [400]
    """
    last = curve.sort_values("pairs").groupby(["system", "measure"], sort=False).tail(1)
    needed = np.ceil((last["pairs"] * (last["smallest_difference"] / difference) ** 2).round(6))
    return last[["system", "measure"]].assign(pairs=needed.fillna(0).astype(int)).reset_index(drop=True)


def label_effect(
    rankings: pd.DataFrame,
    qrels: pd.DataFrame,
    labels: pd.DataFrame,
    measures: Sequence[str],
    items: pd.DataFrame,
) -> pd.DataFrame:
    """Compare every measure without and with the relevance judged by hand: one row per measure.

    `labels`: judgements of this direction (`labels_between`). The measures for partial judgements (`score_partial`)
    follow, of the queries that have a label. Returns measure, its mean on `qrels` (without, low, high) and with
    `labels` over them (with, with_low, with_high), intervals 95% by pair, queries_changed: how many queries have
    another score, and queries: how many are judged with the labels. A query that loses its last right answer or gets
    its first one does not count as changed. Without labels there are no rows.
    """
    if labels.empty:
        return pd.DataFrame(columns=EFFECT_COLUMNS)
    judged = (qrels, merge_qrels(qrels, labels))
    own = [table[is_among(table["query_id"], labels["query_id"])] for table in judged]
    usual = [score_queries(rankings, table, measures) for table in judged]
    partial = [score_partial(rankings, table) for table in own]
    return pd.concat([_effect(usual, items), _effect(partial, items)], ignore_index=True)


def _effect(scores: Sequence[pd.DataFrame], items: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `label_effect` of the measures in the per-query scores without and with labels."""
    without, with_labels = scores
    measures = without.columns.drop("query_id")
    shared = set(without["query_id"]) & set(with_labels["query_id"])
    before, after = (table[is_among(table["query_id"], shared)] for table in (without, with_labels))
    means = [
        mean_measures(table, items).set_index("measure").reindex(measures) for table in (without, with_labels)
    ]
    values = [mean[name].to_numpy(dtype=float) for mean in means for name in ("value", "low", "high")]
    changed = [len(changed_queries(before, after, measure)) for measure in measures]
    columns = (measures, *values, changed, [len(with_labels)] * len(measures))
    return pd.DataFrame(dict(zip(EFFECT_COLUMNS, columns, strict=True)))


def _compare(
    systems: Mapping[str, pd.DataFrame],
    baseline: str,
    name: str,
    items: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    _, after = _align(systems, baseline, name)
    measures, differences, pairs = _differences(systems, baseline, name, items)
    values = after[measures].to_numpy(dtype=float)
    low, high = mean_intervals(values, pairs).T
    difference_low, difference_high = difference_intervals(differences, pairs, seed=rng).T
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
            **dict(zip(STANDARDISED, standardised_differences(differences, pairs).T, strict=True)),
            **_wins_ties_losses(differences),
            "p": permutation_p(differences, pairs, seed=rng),
            "smallest_difference": smallest_difference(differences, pairs),
            "queries": len(values),
            "pairs": len(np.unique(pairs)),
        }
    )


def _differences(
    systems: Mapping[str, pd.DataFrame], baseline: str, name: str, items: pd.DataFrame
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the measures, the differences (Q, M) of a system to the baseline, and each query's pair."""
    before, after = _align(systems, baseline, name)
    measures = [column for column in before.columns if column != "query_id"]
    differences = after[measures].to_numpy(dtype=float) - before[measures].to_numpy(dtype=float)
    return measures, differences, pair_numbers(before["query_id"], items)


def _wins_ties_losses(differences: np.ndarray) -> dict[str, np.ndarray]:
    signs = np.sign(differences.round(9))
    return {name: (signs == sign).sum(axis=0) for name, sign in (("wins", 1), ("ties", 0), ("losses", -1))}


def _align(
    systems: Mapping[str, pd.DataFrame], baseline: str, name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both tables with the same rows and columns, in the order of the baseline."""
    before, after = systems[baseline].reset_index(drop=True), systems[name]
    for kind, expected, found in (
        ("measures", set(before.columns), set(after.columns)),
        ("queries", set(before["query_id"]), set(after["query_id"])),
    ):
        if expected != found:
            only = sorted(expected ^ found)
            raise ValueError(
                f"expected the same queries and measures, but {len(only)} {kind} are in only one of {baseline!r} "
                f"and {name!r}, first {only[0]!r}; evaluate both on the same items, split and measures"
            )
    return before, after.set_index("query_id").loc[before["query_id"]].reset_index()[before.columns]
