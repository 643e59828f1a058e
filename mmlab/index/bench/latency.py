"""What an answer takes, part by part: cold, from a store that has just been opened, and warm.

The system keeps files that it has read in memory, so on a machine that has just been started cold takes longer.
"""

import time
from collections.abc import Mapping, Sequence

import pandas as pd

from mmlab.index.bench.search_benchmark import WARM_UP
from mmlab.index.index import Index
from mmlab.items import Vectors

SAMPLES = 20  # openings, and warm queries at least


def time_parts(index: Index, queries: Vectors, to: str, k: int, samples: int = SAMPLES) -> pd.DataFrame:
    """Opening, search and payload of one query at a time, cold and warm, as `summarize_parts` tells them.

    `samples` times the store is opened for one query; then it stays open, and after a warm-up every query, or as
    many as `samples`, is timed. A server is always open: there its schema is asked for.
    """
    single = [queries.take([item]) for item in queries.ids]
    cold = []
    for i in range(samples):
        with index.session():
            cold.append(_ask(index, single[i % len(single)], to, k))
    with index.session():
        for i in range(WARM_UP):
            _ask(index, single[i % len(single)], to, k)
        warm = [_ask(index, single[i % len(single)], to, k) for i in range(max(samples, len(single)))]
    parts = [part for part in warm[0] if part != "opening_ms"]
    return summarize_parts(index, {"just opened": cold, "warm": [{p: one[p] for p in parts} for one in warm]})


def summarize_parts(index: Index, states: Mapping[str, Sequence[Mapping[str, float]]]) -> pd.DataFrame:
    """The samples of each state, in milliseconds by part, -> vectors, state, samples, of, a column per part, whole_ms.

    `vectors` says where the index keeps them, "in memory" or "on disk"; `of` is "p50" and "p95", a row each. The
    median of the whole is not the sum of the parts' medians. A part that a state has not is NaN.
    """
    place = "on disk" if next(iter(index.schemas.values())).on_disk else "in memory"
    tables = []
    for state, samples in states.items():
        times = pd.DataFrame(samples)
        told = times.assign(whole_ms=times.sum(axis="columns")).quantile([0.5, 0.95])
        told.insert(0, "of", ["p50", "p95"])
        tables.append(told.assign(vectors=place, state=state, samples=len(times)))
    whole = pd.concat(tables, ignore_index=True)
    first = ["vectors", "state", "samples", "of"]
    parts = [name for name in whole.columns if name not in (*first, "whole_ms")]
    return whole[[*first, *parts, "whole_ms"]]


def _ask(index: Index, query: Vectors, to: str, k: int) -> dict[str, float]:
    """The milliseconds of each part, within a session that may be a new one."""
    times = [time.perf_counter()]
    index.store.schema(index.collection(query.space, to))  # opens a folder's collection
    times.append(time.perf_counter())
    found = index.search(query, to, k)
    times.append(time.perf_counter())
    index.fetch(found["item_id"])
    times.append(time.perf_counter())
    parts = ("opening_ms", "search_ms", "payload_ms")
    return {part: 1000 * (end - start) for part, start, end in zip(parts, times[:-1], times[1:], strict=True)}
