"""What differs between the numbers of two runs: items, vectors, rankings, measures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.items import RANKING_COLUMNS, Vectors, read_items, read_table
from mmlab.runs.report.measures import read_metrics

Difference = tuple[str, str, object, object]  # file, what, before, after


def find_differences(first: Path, second: Path, tolerance: float) -> pd.DataFrame:
    """file, what, before, after: a row for each thing that is not the same in both run folders, within `tolerance`.

    A file that only one of them has is a difference; rankings are compared by their scores, rank by rank, so that
    two items of the same score may change places.
    """
    rows: list[Difference] = []
    for pattern, compare in (
        ("items.parquet", _items),
        ("vectors/*.npz", _vectors),
        ("rankings/*.parquet", _rankings),
        ("metrics.json", _measures),
    ):
        names = sorted(
            {str(p.relative_to(folder)) for folder in (first, second) for p in folder.glob(pattern)}
        )
        for name in names:
            there = [(folder / name).is_file() for folder in (first, second)]
            if all(there):
                rows += [(name, *row) for row in compare(first / name, second / name, tolerance)]
            else:
                rows.append((name, "file", *("there" if found else "missing" for found in there)))
    return pd.DataFrame(rows, columns=["file", "what", "before", "after"])


def _items(first: Path, second: Path, tolerance: float) -> Iterator[tuple[str, object, object]]:
    before, after = (read_items(path).set_index("item_id") for path in (first, second))
    ids, others = set(before.index), set(after.index)
    if ids != others:
        yield "items that the other lacks", len(ids - others), len(others - ids)
        return
    after = after.loc[before.index]
    for name in before.columns.intersection(after.columns).drop("image"):  # an image may lie elsewhere
        mine, theirs = before[name], after[name]
        there = mine.notna() & theirs.notna()
        other = (mine.notna() != theirs.notna()).sum() + (mine[there] != theirs[there]).sum()
        if other:
            yield f"items with another {name}", 0, int(other)


def _vectors(first: Path, second: Path, tolerance: float) -> Iterator[tuple[str, object, object]]:
    before, after = Vectors.load(first), Vectors.load(second)
    if set(before.ids) != set(after.ids):
        yield "vectors", len(before), len(after)
        return
    furthest = np.abs(before.array - after.take(before.ids).array).max(initial=0)
    if furthest > tolerance:
        yield "largest difference of a component", 0.0, float(furthest)


def _rankings(first: Path, second: Path, tolerance: float) -> Iterator[tuple[str, object, object]]:
    tables = [read_table(path, RANKING_COLUMNS)[["query_id", "rank", "score"]] for path in (first, second)]
    both = tables[0].merge(tables[1], on=["query_id", "rank"], how="outer", suffixes=("", "_after"))
    other = ~((both["score"] - both["score_after"]).abs() <= tolerance)  # also where one is missing
    if other.any():
        yield "queries with other scores", 0, both.loc[other, "query_id"].nunique()


def _measures(first: Path, second: Path, tolerance: float) -> Iterator[tuple[str, object, object]]:
    before, after = (
        {(entry["direction"], entry["measure"]): entry["value"] for entry in read_metrics(path)["measures"]}
        for path in (first, second)
    )
    for name in dict.fromkeys([*before, *after]):
        values = before.get(name), after.get(name)
        if values[0] != values[1] and not (None not in values and abs(values[0] - values[1]) <= tolerance):
            yield " ".join(name), *values
