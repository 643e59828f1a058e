"""Other runs' files as 08_compare reads them: whether runs can be compared, in what they differ, what they cost."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mmlab.items import RANKING_COLUMNS, check_columns, is_among, read_items, read_table
from mmlab.runs.clean import disk_bytes
from mmlab.runs.manifest import read_manifest, run_folder
from mmlab.runs.step import Step

SHOWN = 60  # characters of an item or of a parameter's value that a message or a table has room for


def read_same_items(step: Step, runs: Sequence[str]) -> pd.DataFrame:
    """The items of all runs, read from the first.

    Raises ValueError for fewer than two runs, and where the items or their splits differ from the first one's,
    saying how many and naming one.
    """
    if len(dict.fromkeys(runs)) < 2:
        raise ValueError(f"expected two runs or more to compare, found {list(runs)}")
    first, *others = runs
    items = read_items(step.read_from(first, "items.parquet"))
    for run in others:
        theirs = read_items(step.read_from(run, "items.parquet"))
        _check_items(first, items, run, theirs)
        _check_splits(first, items, run, theirs)
    return items


def read_scores(
    step: Step, runs: Sequence[str], direction: str, measures: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Each run's per-query scores of the measures; `direction` as "text-to-image". ValueError for a missing measure."""
    file, found = f"per_query/{_file(direction)}", {}
    for run in runs:
        table = read_table(step.read_from(run, file))
        check_columns(table, ["query_id", *measures], f"run {run}, {file}")
        found[run] = table[["query_id", *measures]]
    return found


def read_rankings(step: Step, runs: Sequence[str], direction: str) -> dict[str, pd.DataFrame]:
    """Each run's rankings of the direction, as 05 judged them."""
    file = f"rankings/{_file(direction)}"
    return {run: read_table(step.read_from(run, file), RANKING_COLUMNS) for run in runs}


def differing_parameters(runs: Sequence[str]) -> pd.DataFrame:
    """The parameters that are not the same in all runs: notebook, parameter, and a column of values per run."""
    steps = {run: read_manifest(run)["steps"] for run in runs}
    names = dict.fromkeys(
        (step, name) for records in steps.values() for step in records for name in records[step]["parameters"]
    )
    rows = []
    for step, name in names:
        values = [records.get(step, {}).get("parameters", {}).get(name) for records in steps.values()]
        if any(value != values[0] for value in values):
            rows.append([step, name, *(str(value)[:SHOWN] for value in values)])
    return pd.DataFrame(rows, columns=["notebook", "parameter", *runs])


def costs(step: Step, runs: Sequence[str]) -> pd.DataFrame:
    """What each run costs, a row each: run, embed_s, index_s, retrieve_s (seconds of 02, 03, 04), p50_ms, disk_mb.

    p50_ms: the median latency of one query as 03 measured it, with the run's `ef`; disk_mb: its store and vectors.
    """
    return pd.DataFrame([_cost(step, run) for run in runs])


def _cost(step: Step, run: str) -> dict[str, Any]:
    records = read_manifest(run)["steps"]
    seconds = [records.get(name, {}).get("seconds") for name in ("02_embed", "03_index", "04_retrieve")]
    judged = read_table(step.read_from(run, "index.parquet"))
    ef = records["03_index"]["parameters"].get("ef")
    mine = judged[judged["search"].astype(str).str.contains(f"ef={ef}", regex=False)]
    latency = (mine if len(mine) else judged)["p50_ms"].iloc[0] if "p50_ms" in judged else float("nan")
    size = sum(disk_bytes(run_folder(run) / name) for name in ("store", "vectors"))
    names = ("run", "embed_s", "index_s", "retrieve_s", "p50_ms", "disk_mb")
    return dict(zip(names, (run, *seconds, latency, size / 1e6), strict=True))


def _check_items(first: str, mine: pd.DataFrame, run: str, theirs: pd.DataFrame) -> None:
    for name, table, other, others in ((first, mine, run, theirs), (run, theirs, first, mine)):
        only = table[~is_among(table["item_id"], others["item_id"])]
        if len(only):
            raise ValueError(
                f"{first} and {run} are over different items and cannot be compared: {len(only)} of {name} are not "
                f"in {other}, first {_name(only.iloc[0])}; run both on the same dataset with the same 01_ingest"
            )


def _check_splits(first: str, mine: pd.DataFrame, run: str, theirs: pd.DataFrame) -> None:
    splits = [table.set_index("item_id")["split"].astype("object").fillna("none") for table in (mine, theirs)]
    before, after = splits[0], splits[1].reindex(splits[0].index)
    moved = before[before != after].index
    if len(moved):
        item = mine.set_index("item_id").loc[moved[0]]
        raise ValueError(
            f"{first} and {run} have different splits and cannot be compared: {len(moved)} items, first "
            f"{_name(item)}, which is {before[moved[0]]!r} in {first} and {after[moved[0]]!r} in {run}"
        )


def _name(item: pd.Series) -> str:
    words = item["text"] if item["modality"] == "text" else item["pair_id"]
    return f"the {item['modality']} {str(words)[:SHOWN]!r}"


def _file(direction: str) -> str:
    return f"{direction}.parquet"
