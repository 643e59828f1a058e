"""Recall and latency of an index's searches, part by part; what a layout costs; vectors on disk against memory.

Recall is measured against exact search on the same vectors. Layouts and placements are compared by building the same
items again in temporary folders. Their payload is what an answer shows: a field to filter by has files of its own, and
making and opening those would take longer than all else.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Unpack

import numpy as np
import pandas as pd

from mmlab.index.build import build_index, open_store
from mmlab.index.index import Index
from mmlab.index.store.engine import SearchOptions
from mmlab.index.store.layouts import LAYOUTS
from mmlab.index.store.payload import Where
from mmlab.index.store.schema import Hnsw, Quantization
from mmlab.items import Vectors
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.tables import places_among

TIE = 1e-5  # cosines in float32 that differ by less are equal
WARM_UP_QUERIES = 20  # not counted: the first ones read files and fill caches
SAMPLES = 20  # openings, and warm queries at least


def search_settings(index: Index, k: int, ef: int) -> dict[str, SearchOptions]:
    """Return settings for `benchmark_search` by name: exact search, the index's own, then others.

    Others are quantized copies rescored and alone, and the graph by the vectors themselves with fewer and more
    candidates.
    """
    settings: dict[str, SearchOptions] = {"exact": {"exact": True}}
    quantization = next(iter(index.schemas.values())).quantization
    if quantization:
        prefix = f"{quantization.kind} ef={ef}"
        copies: dict[str, SearchOptions] = {
            f"{prefix}, rescored": {"ef": ef, "rescore": True},
            f"{prefix}, alone": {"ef": ef, "rescore": False, "oversampling": 1.0},
        }
        own_first = list(copies) if quantization.rescore else list(reversed(copies))
        settings |= {name: copies[name] for name in own_first}
    for candidates in dict.fromkeys((ef, k, 4 * ef)):
        settings[f"HNSW ef={candidates}"] = {"ef": candidates, "quantized": False}
    return settings


def benchmark_search(
    index: Index,
    queries: Vectors,
    target: str,
    k: int,
    settings: Mapping[str, SearchOptions],
    where: Where | None = None,
) -> pd.DataFrame:
    """Measure each setting of `Index.search`: search, recall, p50_ms, p95_ms, p99_ms of one query at a time.

    target: the modality that is searched for. settings: arguments of `Index.search` by name, see `search_settings`.
    recall: the mean share of the `k` items of exact search that were found, in [0, 1]. An item counts as found if it
    scores as high as the k-th exact one: among equal scores any will do.

    >>> from tempfile import TemporaryDirectory
    >>> from mmlab.index import build_index, open_store
    >>> from mmlab.items import Space
    >>> space, ids = Space("toy", "1", "", "", "none", 2), ["00000000-0000-0000-0000-00000000000a"]
    >>> items = pd.DataFrame({"item_id": ids, "modality": "image"})
    >>> with TemporaryDirectory() as folder:
    ...     index = build_index(open_store(folder), "toy", items, [Vectors(ids, [[1, 0]], space)], progress=False)
    ...     queries = Vectors(["query"], [[0.6, 0.8]], space)
    ...     benchmark_search(index, queries, "image", 1, {"exact": {"exact": True}})["recall"].tolist()
    [1.0]
    """
    measured = measure_searches(index, queries, target, k, settings, where)
    rows = [
        {"search": name, "recall": float(one.recalls.mean()), **percentiles(one.milliseconds)}
        for name, one in measured.items()
    ]
    return pd.DataFrame(rows)


class Measured(NamedTuple):
    """How one setting answered: the recall of each query, in [0, 1], and its milliseconds, both (Q,)."""

    recalls: np.ndarray
    milliseconds: np.ndarray


def measure_searches(
    index: Index,
    queries: Vectors,
    target: str,
    k: int,
    settings: Mapping[str, SearchOptions],
    where: Where | None = None,
) -> dict[str, Measured]:
    """Return the recall and the time of each query with each setting, by its name; see `benchmark_search`.

    Exact search is under the same filter. A query for which it finds less than `k`, since `where` lets fewer through,
    is held against what it finds; where that is nothing, the recall is NaN.
    """
    measured = {}
    with index.session():
        exact = index.search(queries, target, k, where, exact=True).table
        for name, options in settings.items():
            found, milliseconds = time_queries(index, queries, target, k, where, **options)
            recalls = query_recalls(with_cosines(index, queries, found), exact).reindex(queries.ids)
            measured[name] = Measured(recalls.to_numpy(), milliseconds)
    return measured


def with_cosines(index: Index, queries: Vectors, found: pd.DataFrame) -> pd.DataFrame:
    """Return the rankings with the cosines of the stored vectors as scores: quantized copies score otherwise."""
    ids = found["item_id"].unique()
    stored = index.vectors(ids, queries.space).array[places_among(found["item_id"], ids)]
    rows = queries.array[places_among(found["query_id"], queries.ids)]
    return found.assign(score=np.einsum("ij,ij->i", rows, stored))


def recall(found: pd.DataFrame, exact: pd.DataFrame) -> float:
    """Return the share of exact items that `found` has, or has one as good as; the mean over the exact queries."""
    return float(query_recalls(found, exact).mean())


def query_recalls(found: pd.DataFrame, exact: pd.DataFrame) -> pd.Series:
    """Return `recall` for each of the exact queries, by its id."""
    least = exact.groupby("query_id", sort=False)["score"].agg(["min", "size"])
    good = found["score"].to_numpy() >= found["query_id"].map(least["min"]).to_numpy() - TIE
    hits = found["query_id"][good].value_counts().reindex(least.index, fill_value=0)
    return hits.clip(upper=least["size"]) / least["size"]


def time_queries(
    index: Index,
    queries: AnyVectors,
    target: str,
    k: int,
    where: Where | None = None,
    **options: Unpack[SearchOptions],
) -> tuple[pd.DataFrame, np.ndarray]:
    """Search with one query at a time, after a warm-up; return the rankings and the milliseconds of each query."""
    single = [queries.take([one]) for one in queries.ids]
    found, milliseconds = [], []
    with index.session():
        for query in single[:WARM_UP_QUERIES]:
            index.search(query, target, k, where, **options)
        for query in single:
            started = time.perf_counter()
            found.append(index.search(query, target, k, where, **options).table)
            milliseconds.append(1000 * (time.perf_counter() - started))
    return pd.concat(found, ignore_index=True), np.array(milliseconds)


def percentiles(milliseconds: np.ndarray) -> dict[str, float]:
    """Return p50_ms, p95_ms and p99_ms."""
    p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
    return {"p50_ms": float(p50), "p95_ms": float(p95), "p99_ms": float(p99)}


def time_parts(index: Index, queries: Vectors, target: str, k: int, samples: int = SAMPLES) -> pd.DataFrame:
    """Time opening, search and payload of one query at a time, cold and warm; return the table of `summarize_parts`.

    Cold: the store is opened `samples` times for one query. Warm: it stays open, and after a warm-up every query, or
    as many as `samples`, is timed. A server is always open: there its schema is read. The system keeps files that it
    has read in memory, so on a machine that has just been started cold takes longer.
    """
    single = [queries.take([item]) for item in queries.ids]
    cold = []
    for i in range(samples):
        index.store.close()
        with index.session():
            cold.append(_time_query(index, single[i % len(single)], target, k))
    with index.session():
        for i in range(WARM_UP_QUERIES):
            _time_query(index, single[i % len(single)], target, k)
        repeats = range(max(samples, len(single)))
        warm = [_time_query(index, single[i % len(single)], target, k) for i in repeats]
    for times in warm:
        del times["opening_ms"]
    return summarize_parts(index, {"just opened": cold, "warm": warm})


def summarize_parts(index: Index, states: Mapping[str, Sequence[Mapping[str, float]]]) -> pd.DataFrame:
    """Return the p50 and p95 of each state's samples, in milliseconds by part: two rows per state.

    Columns: vectors ("in memory" or "on disk", where the index keeps them), state, samples, of ("p50" or "p95"), one
    per part, whole_ms. The median of the whole is not the sum of the parts' medians. A part that a state does not
    have is NaN.
    """
    place = "on disk" if next(iter(index.schemas.values())).on_disk else "in memory"
    tables = []
    for state, samples in states.items():
        times = pd.DataFrame(samples)
        quantiles = times.assign(whole_ms=times.sum(axis="columns")).quantile([0.5, 0.95])
        quantiles.insert(0, "of", ["p50", "p95"])
        tables.append(quantiles.assign(vectors=place, state=state, samples=len(times)))
    table = pd.concat(tables, ignore_index=True)
    first = ["vectors", "state", "samples", "of"]
    parts = [name for name in table.columns if name not in (*first, "whole_ms")]
    return table[[*first, *parts, "whole_ms"]]


def _time_query(index: Index, query: Vectors, target: str, k: int) -> dict[str, float]:
    """Return the milliseconds of each part, within a session that may be a new one."""
    times = [time.perf_counter()]
    index.store.schema(index.collection(query.space, target))  # opens a folder's collection
    times.append(time.perf_counter())
    found = index.search(query, target, k).table
    times.append(time.perf_counter())
    index.fetch(found["item_id"])
    times.append(time.perf_counter())
    parts = ("opening_ms", "search_ms", "payload_ms")
    return {part: 1000 * (end - start) for part, start, end in zip(parts, times[:-1], times[1:], strict=True)}


COLUMNS = ["item_id", "modality", "pair_id", "text", "image"]


@dataclass(frozen=True)
class Workload:
    """What an index is built from and asked, to measure it in several layouts or placements on this machine.

    Attributes:
        items, vectors: what `build_index` takes.
        queries: the vectors that ask, one at a time.
        target: the modality that is searched for, "image" or "text".
        k: how many nearest items are asked for.
        hnsw, quantization: the settings of the index, as `build_index` takes them.
    """

    items: pd.DataFrame
    vectors: Sequence[Vectors]
    queries: Vectors
    target: str
    k: int
    hnsw: Hnsw | None = None
    quantization: Quantization | str | None = "scalar"

    @contextmanager
    def built(self, layout: str = "unified", on_disk: bool = False) -> Iterator[tuple[Index, float]]:
        """Build the index in a temporary folder, and say how many seconds that took."""
        with TemporaryDirectory(prefix="mmlab-") as folder:
            store, started = open_store(Path(folder)), time.perf_counter()
            index = build_index(
                store, "benchmark", self.items[COLUMNS], self.vectors, layout, self.hnsw, self.quantization,
                on_disk=on_disk, progress=False,
            )  # fmt: skip
            yield index, time.perf_counter() - started


def compare_layouts(workload: Workload) -> pd.DataFrame:
    """Build the same vectors in every layout on this machine, and measure each.

    Returns layout, collections, points, build_s (collections, points and graphs), disk_mb, recall (against exact
    search, in [0, 1]) and p50_ms (of one query at a time). Takes seconds.

    Example: `compare_layouts(Workload(items, [vectors], queries, "image", k=10))`.
    """
    rows = []
    asked = workload.queries, workload.target, workload.k
    for layout in LAYOUTS:
        with workload.built(layout) as (index, build_s), index.session():
            collections = index.collections()
            measured = benchmark_search(index, *asked, {"own": {}}).iloc[0]
        rows.append(
            {
                "layout": layout,
                "collections": len(collections),
                "points": collections["points"].sum(),
                "build_s": build_s,
                "disk_mb": collections["disk_bytes"].sum() / 1e6,
                "recall": measured["recall"],
                "p50_ms": measured["p50_ms"],
            }
        )
    return pd.DataFrame(rows)


def compare_placements(workload: Workload, samples: int = SAMPLES) -> pd.DataFrame:
    """Time one query with the vectors in memory and on disk, just opened and warm, on this machine.

    samples: openings of the store that are timed. Returns the rows of `time_parts` for memory, then for disk. Takes
    seconds.

    Example: `compare_placements(Workload(items, [vectors], queries, "image", k=10))`.
    """
    tables = []
    for on_disk in (False, True):
        with workload.built(on_disk=on_disk) as (index, _):
            tables.append(time_parts(index, workload.queries, workload.target, workload.k, samples))
    return pd.concat(tables, ignore_index=True)
