"""Study: filters that suit a collection, and where the time of an answer goes."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mmlab.index.bench.search_benchmark import summarize_parts
from mmlab.retrieve.query.retriever import Retriever

NOT_FACETS = {"item_id", "modality", "pair_id", "text", "image", "content", "duplicate_of"}
LESS_TELLING = {"split", "origin"}  # of what an image shows
MAX_FACET_VALUES = 50
MIN_SAMPLES = 20  # openings, and warm queries at least
WARM_UP_QUERIES = 5  # that are not counted: the cold ones have already been through the model
PARTS = ("embed_ms", "search_ms", "payload_ms")


def facets(items: pd.DataFrame) -> dict[str, list]:
    """Return the columns whose images have 2 to 50 different values, each with its values, the most frequent first."""
    images = items[items["modality"] == "image"]
    found = {}
    for name in (column for column in items.columns if column not in NOT_FACETS):
        values = images[name].dropna().value_counts()
        if 2 <= len(values) <= MAX_FACET_VALUES:
            found[name] = values.index.tolist()
    return found


def filter_examples(items: pd.DataFrame, like: pd.Series | None = None) -> dict[str, dict[str, Any]]:
    """Return a filter of each kind that these images allow: name -> `where`; equal, any of, not, range.

    They suit the item `like` (a row of the items, or a hit), else the most frequent values: equal to its value of the
    first facet of words; of the second its value or the most frequent other, and not its value; a range of the first
    column of numbers from its own, or from the middle one, on.
    """
    known = [(name, _own_value_first(values, like, name)) for name, values in facets(items).items()]
    known.sort(key=lambda facet: (facet[0] in LESS_TELLING, not isinstance(facet[1][0], str)))
    examples: dict[str, dict[str, Any]] = {}
    if known:
        (field, values), (second, others) = known[0], known[min(1, len(known) - 1)]
        examples = {
            "equal": {field: values[0]},
            "any of": {second: others[:2]},
            "not": {second: {"not": others[:1]}},
        }
    images = items[items["modality"] == "image"]
    for name in images.select_dtypes("number").columns:
        values = sorted(images[name].dropna().unique())
        if len(values) > 1:
            own = values[len(values) // 2] if like is None or pd.isna(like.get(name)) else like[name]
            return examples | {"range": {name: {"gte": float(own)}}}
    return examples


def time_queries(
    retriever: Retriever,
    queries: Sequence[Any],
    to: str = "image",
    k: int = 10,
    samples: int = MIN_SAMPLES,
    **settings: Any,
) -> pd.DataFrame:
    """Time embed_ms, search_ms and payload_ms of one query at a time, p50 and p95, cold and warm.

    queries: texts, paths or images, asked in turn; `settings`: more of `Retriever.search`. "just opened": `samples`
    times the store is opened for one query, which is part of its search; "warm": the store stays open, and after a
    warm-up every query, or as many as `samples`, is timed. The model is loaded and warm in both. Returns the rows of
    `summarize_parts`: vectors, state, samples, of, a column per part, whole_ms.
    """
    asked = [queries[i % len(queries)] for i in range(max(samples, len(queries)))]

    def ask(query: Any) -> dict[str, float]:
        timings: Mapping[str, float] = retriever.search(query, to, k, **settings).timings
        return {part: timings[part] for part in PARTS}

    retriever.embed(asked[0])
    cold = []
    for query in asked[:samples]:
        with retriever.session():  # closing is not timed
            cold.append(ask(query))
    with retriever.session():
        for query in asked[:WARM_UP_QUERIES]:
            ask(query)
        warm = [ask(query) for query in asked]
    return summarize_parts(retriever.index, {"just opened": cold, "warm": warm})


def _own_value_first(values: list, like: pd.Series | None, name: str) -> list:
    return values if like is None else sorted(values, key=lambda value: value != like.get(name))
