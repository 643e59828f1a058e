"""Study: filters that suit a collection, what an index finds under them, and where the time of an answer goes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.evaluate.resampling import mean_intervals
from mmlab.evaluate.summaries import escape_markdown
from mmlab.index import Index
from mmlab.index.bench.search_benchmark import (
    measure_searches,
    percentiles,
    search_settings,
    summarize_parts,
)
from mmlab.index.store.payload import BOOL, FLOAT, INTEGER, NOT_INDEXED, Where
from mmlab.items import Vectors
from mmlab.retrieve.query.retriever import Retriever
from mmlab.retrieve.query.spec import describe_filter

NOT_FACETS = {"item_id", "modality", "pair_id", "text", "image", "content", "duplicate_of"}
LESS_TELLING = {"split", "origin"}  # of what an image shows
MAX_FACET_VALUES = 50
MIN_SAMPLES = 20  # openings, and warm queries at least
MOST_OPENING_MS = 10_000  # of all openings together
WARM_UP_QUERIES = 5  # that are not counted: the cold ones have already been through the model
WANTED_SHARES = (0.5, 0.1, 0.01)  # of the items, that a common, a middling and a rare value have
TAKEN_FIELD, TOO_FEW = math.log(2), math.log(10)  # how far off a share may be rather than this
NO_FILTER = "none"
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


def boost_example(items: pd.DataFrame, hits: pd.DataFrame) -> dict[str, float]:
    """Return a boost for these hits by the first field in which their numbers differ; the dataset's own come first.

    A standard deviation of the field weighs as much as one of the hits' scores. Empty where no such field is there.

    >>> hits = pd.DataFrame({"score": [0.5, 0.3], "price": [10, 20], "width": [64, 64]})
    >>> boost_example(hits.drop(columns="score"), hits)
    {'price': 0.02}
    """
    names = [
        name for name in items.select_dtypes("number").columns if name in hits and name not in NOT_FACETS
    ]
    for name in sorted(names, key=lambda name: name in NOT_INDEXED):
        spread = float(hits[name].astype(float).std())
        if spread > 0:
            return {name: float(f"{hits['score'].std() / spread:.2g}")}
    return {}


class FieldFilter(NamedTuple):
    """A filter on one field, and the share of the items that it lets through, in (0, 1)."""

    field: str
    where: dict[str, Any]
    share: float


def choose_filters(items: pd.DataFrame, kinds: Mapping[str, str], least: int = 1) -> list[FieldFilter]:
    """Return filters that let through about a half, a tenth and a hundredth of these items, as far as their values do.

    `kinds`: keyword, integer, float or bool by field, see `Schema.indexed`; ids are left out. Words are asked for one
    by one, numbers up to a quantile. A field that was not taken yet, and a filter that lets at least `least` items
    through, are preferred. The filter that lets most through comes first; none lets all through.

    >>> items = pd.DataFrame({"split": ["train"] * 60 + ["test"] * 30 + ["dev"] * 10})
    >>> [(one.where, one.share) for one in choose_filters(items, {"split": "keyword"})]
    [({'split': 'train'}, 0.6), ({'split': 'test'}, 0.3), ({'split': 'dev'}, 0.1)]
    """
    left = [one for name, kind in kinds.items() for one in _field_filters(items, name, kind)]
    chosen: list[FieldFilter] = []
    for wanted in WANTED_SHARES:
        taken, few = {one.field for one in chosen}, (least - 0.5) / max(len(items), 1)
        distances = [
            abs(math.log(one.share / wanted))
            + TAKEN_FIELD * (one.field in taken)
            + TOO_FEW * (one.share < few)
            for one in left
        ]
        chosen += [left.pop(distances.index(min(distances)))] if left else []
    return sorted(chosen, key=lambda one: -one.share)


def _field_filters(items: pd.DataFrame, name: str, kind: str) -> list[FieldFilter]:
    """Return the filters on a field; of values that as many items have, no more than can be chosen."""
    values = items[name].dropna() if name in items and name not in NOT_FACETS else pd.Series(dtype=object)
    if kind in (INTEGER, FLOAT):
        numbers = values.to_numpy(dtype=float)
        limits = np.unique(np.quantile(numbers, WANTED_SHARES, method="lower")) if len(numbers) else ()
        plain = int if kind == INTEGER else float
        found: list[tuple[Any, int]] = [
            ({"lte": plain(limit)}, int((numbers <= limit).sum())) for limit in limits
        ]
    else:
        counts = values.map(bool if kind == BOOL else str).value_counts()
        is_id = counts.empty or counts.iloc[0] == 1
        found = [] if is_id else list(counts.groupby(counts).head(len(WANTED_SHARES)).items())
    return [
        FieldFilter(name, {name: value}, count / len(items)) for value, count in found if count < len(items)
    ]


def try_filters(
    index: Index,
    asking: Mapping[str, Vectors],
    items: pd.DataFrame,
    k: int,
    ef: int,
    filters: Sequence[Where] = (),
) -> pd.DataFrame:
    """Hold the index's own search against exact search under the same filter, in each direction.

    A filter that leaves little is answered by a scan, which loses nothing; one that leaves much by a walk through the
    graph past items that may not be found.

    asking: the vectors that ask, by direction; items: what the index was built from. filters: asked for beside none;
    unless given, those of `choose_filters` on the fields with a payload index, for each direction.

    Returns a row for each direction and filter that lets items through, "none" first: direction, filter, passing (their
    share), items, search, k (at most so many), queries, recall with its 95% interval low and high (by the queries'
    pairs), p50_ms, p95_ms. Raises ValueError for an unknown field, and for a filter that lets no item through.
    """
    indexed = next(iter(index.schemas.values())).indexed
    rows = []
    with index.session():
        for direction, queries in asking.items():
            found = items[items["modality"] == target_of(direction)]
            chosen = filters or [one.where for one in choose_filters(found, indexed, k)]
            measured = [
                _try_filter(index, direction, queries, items, k, ef, where) for where in ({}, *chosen)
            ]
            rows += [row for row in measured if row is not None]
    table = pd.DataFrame(rows)
    for where in filters:
        if describe_filter(where) not in set(table["filter"]):
            raise ValueError(
                f"filters: {dict(where)} lets no item through; the values of a field are in run.items"
            )
    return table


def _try_filter(
    index: Index, direction: str, queries: Vectors, items: pd.DataFrame, k: int, ef: int, where: Where
) -> dict[str, Any] | None:
    """Return a row of `try_filters`, or None where the filter lets nothing through."""
    target = target_of(direction)
    held, passing = index.count(target), index.count(target, where)
    if not passing:
        return None
    k = min(k, held)
    name, own = list(search_settings(index, k, ef).items())[1]
    measured = measure_searches(index, queries, target, k, {name: own}, where)[name]
    pairs = items.set_index("item_id")["pair_id"].reindex(queries.ids)
    alone = pd.Series(queries.ids, index=pairs.index)
    [(low, high)] = mean_intervals(measured.recalls[:, None], pairs.fillna(alone).to_numpy())
    times = percentiles(measured.milliseconds)
    row = {"direction": direction, "filter": describe_filter(where) or NO_FILTER, "passing": passing / held}
    row |= {"items": passing, "search": name, "k": k, "queries": len(queries)}
    row |= {"recall": measured.recalls.mean(), "low": low, "high": high}
    return row | {name: times[name] for name in ("p50_ms", "p95_ms")}


def target_of(direction: str) -> str:
    """Return the modality that is found in a direction, as "image" in "text-to-image"."""
    return direction.rpartition("-")[2]


def summarize_filters(table: pd.DataFrame) -> str:
    """Name the case of `try_filters` with the lowest recall, beside what is found without a filter."""
    worst = table.loc[table["recall"].idxmin()]
    kinds = "with filters and without" if (table["filter"] != NO_FILTER).any() else "without a filter"
    cases = f"{len(table)} case{'s' * (len(table) > 1)}, {kinds}"
    if worst["recall"] == 1:
        least = table.loc[table["low"].idxmin()]
        return f"This index ({worst['search']}) finds every one of the exact neighbours in {cases}: {_interval(least)}."
    plain = table[(table["filter"] == NO_FILTER) & (table["direction"] == worst["direction"])].iloc[0]
    limit, beside = "without a filter", ""
    if worst["filter"] != NO_FILTER:
        limit = f"where {escape_markdown(worst['filter'])} ({100 * worst['passing']:.3g}% of the items)"
        beside = f"; without a filter {plain['recall']:.1%}"
    return (
        f"Of {cases}, this index ({worst['search']}) does worst for {worst['direction']} {limit}: it finds "
        f"{worst['recall']:.1%} of the {worst['k']} exact neighbours ({_interval(worst)}) in {worst['p50_ms']:.2f} ms"
        f"{beside}."
    )


def _interval(row: pd.Series) -> str:
    queries = f"{row['queries']} quer{'y' if row['queries'] == 1 else 'ies'}"
    return f"95% interval {row['low']:.1%} to {row['high']:.1%}, {queries}"


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
    times the store is opened for one query, which is part of its search, fewer times where that takes 10 seconds
    together; "warm": the store stays open, and after a warm-up every query, or as many as `samples`, is timed. The
    model is loaded and warm in both. Returns the rows of `summarize_parts`: vectors, state, samples, of, a column per
    part, whole_ms.
    """
    asked = [queries[i % len(queries)] for i in range(max(samples, len(queries)))]

    def ask(query: Any) -> dict[str, float]:
        timings: Mapping[str, float] = retriever.search(query, to, k, **settings).timings
        return {part: timings[part] for part in PARTS}

    retriever.embed(asked[0])
    cold: list[dict[str, float]] = []
    for query in asked[:samples]:
        if sum(one["search_ms"] for one in cold) > MOST_OPENING_MS:
            break
        retriever.index.store.close()
        with retriever.session():  # closing is not timed
            cold.append(ask(query))
    with retriever.session():
        for query in asked[:WARM_UP_QUERIES]:
            ask(query)
        warm = [ask(query) for query in asked]
    return summarize_parts(retriever.index, {"just opened": cold, "warm": warm})


def _own_value_first(values: list, like: pd.Series | None, name: str) -> list:
    return values if like is None else sorted(values, key=lambda value: value != like.get(name))
