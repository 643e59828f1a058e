"""Several runs side by side: can they be compared, in which parameters do they differ, what do they cost."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from mmlab.items import is_among
from mmlab.runs.record.manifest import read_manifest
from mmlab.runs.record.run_files import (
    STORE,
    VECTORS,
    disk_bytes,
    run_folder,
)
from mmlab.visualize import Html, query_gallery

# characters of an item or of the value of a parameter in a message or a table
MAX_SHOWN_CHARS = 60


def check_same_items(items: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the items of the first run if all runs are over the same items with the same splits.

    `items` holds the items of each run by its name. Raises ValueError for fewer than two runs, and where the items of a
    run or their splits differ from those of the first run; the message says how many, and names one.
    """
    if len(items) < 2:
        raise ValueError(f"expected two runs or more to compare, found {list(items)}")
    first, *others = items
    for run in others:
        _check_items(first, items[first], run, items[run])
        _check_splits(first, items[first], run, items[run])
    return items[first]


def check_same_split(splits: Mapping[str, str]) -> str:
    """Return the split that all runs judge; raise ValueError, naming two runs, where they judge different ones.

    >>> check_same_split({"demo": "test", "graph": "test"})
    'test'
    """
    first, *others = splits
    for run in others:
        if splits[run] != splits[first]:
            raise ValueError(
                f"{first} judges {splits[first]} and {run} judges {splits[run]}, against its own gallery each: their "
                f"figures answer different questions; run 04_retrieve and 05_evaluate of {run} with -p split="
                f"{splits[first]}"
            )
    return splits[first]


def differing_parameters(runs: Sequence[str]) -> pd.DataFrame:
    """Return the parameters that differ between runs: notebook, parameter, and a column of values for each run."""
    steps = {run: read_manifest(run)["steps"] for run in runs}
    names = dict.fromkeys(
        (step, name) for records in steps.values() for step in records for name in records[step]["parameters"]
    )
    rows = []
    for step, name in names:
        values = [
            records[step]["parameters"].get(name) if step in records else None for records in steps.values()
        ]
        if any(value != values[0] for value in values):
            rows.append([step, name, *(str(value)[:MAX_SHOWN_CHARS] for value in values)])
    return pd.DataFrame(rows, columns=["notebook", "parameter", *runs])


def run_costs(benchmarks: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return what each run costs, one row for each.

    `benchmarks` holds index.parquet of each run by its name. The columns are run; embed_s, index_s and retrieve_s, the
    seconds of 02, 03 and 04; p50_ms, the median latency of one query as 03 measured it with the `ef` of the run; and
    disk_mb, the size of its store and vectors.
    """
    return pd.DataFrame([_cost(run, benchmark) for run, benchmark in benchmarks.items()])


def changes_gallery(
    changed: pd.DataFrame,
    rankings: Mapping[str, pd.DataFrame],
    qrels: pd.DataFrame,
    items: pd.DataFrame,
    measure: str,
    k: int = 5,
) -> Html:
    """Show the first `k` hits of two runs for each row of `changed` (query_id, before, after).

    `rankings` holds the run before and the run after, by name; `measure` is the measure of the values before and
    after.
    """
    parts = []
    for row in changed.to_dict("records"):
        for (run, ranked), score in zip(rankings.items(), (row["before"], row["after"]), strict=True):
            found = ranked[ranked["query_id"] == row["query_id"]]
            note = f"{escape(run)}, {escape(measure)} {score:.3f}"
            parts.append(f'<p style="font:13px sans-serif;margin:14px 0 -8px;color:#5b6675">{note}</p>')
            parts.append(str(query_gallery([row["query_id"]], found, qrels, items, k)))
    return Html("".join(parts) or "<em>none</em>")


def _cost(run: str, benchmark: pd.DataFrame) -> dict[str, Any]:
    records = read_manifest(run)["steps"]
    names = {"embed_s": "02_embed", "index_s": "03_index", "retrieve_s": "04_retrieve"}
    seconds = {
        column: records[name]["seconds"] if name in records else None for column, name in names.items()
    }
    ef = records["03_index"]["parameters"].get("ef")
    own = benchmark[benchmark["search"].astype(str).str.contains(f"ef={ef}", regex=False)]
    latency = (own if len(own) else benchmark)["p50_ms"].iloc[0] if "p50_ms" in benchmark else float("nan")
    size = sum(disk_bytes(run_folder(run) / name) for name in (STORE, VECTORS))
    return {"run": run, **seconds, "p50_ms": latency, "disk_mb": size / 1e6}


def _check_items(first: str, mine: pd.DataFrame, run: str, theirs: pd.DataFrame) -> None:
    for name, table, other, other_table in ((first, mine, run, theirs), (run, theirs, first, mine)):
        only = table[~is_among(table["item_id"], other_table["item_id"])]
        if len(only):
            raise ValueError(
                f"{first} and {run} are over different items and cannot be compared: {len(only)} of {name} are not "
                f"in {other}, first {_describe(only.iloc[0])}; run both on the same dataset with the same 01_ingest"
            )


def _check_splits(first: str, mine: pd.DataFrame, run: str, theirs: pd.DataFrame) -> None:
    before, after = (
        table.set_index("item_id")["split"].astype("object").fillna("none") for table in (mine, theirs)
    )
    after = after.reindex(before.index)
    different = before[before != after].index
    if len(different):
        item = mine.set_index("item_id").loc[different[0]]
        raise ValueError(
            f"{first} and {run} have different splits and cannot be compared: {len(different)} items, first "
            f"{_describe(item)}, which is {before[different[0]]!r} in {first} and {after[different[0]]!r} in {run}"
        )


def _describe(item: pd.Series) -> str:
    words = item["text"] if item["modality"] == "text" else item["pair_id"]
    return f"the {item['modality']} {str(words)[:MAX_SHOWN_CHARS]!r}"
