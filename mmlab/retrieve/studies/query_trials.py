"""Study: one query asked in several ways, examples that suit the collection, and where the time of an answer goes."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mmlab.index.bench.search_benchmark import summarize_parts
from mmlab.retrieve.query.retriever import Retriever
from mmlab.retrieve.query.spec import CONFIDENCE
from mmlab.retrieve.query.systems import System, fusion_options

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


def search_examples(
    items: pd.DataFrame, query: str, like: pd.Series | None = None, more: str = ""
) -> dict[str, dict[str, Any]]:
    """Return settings that narrow and steer a text query: heading -> further arguments of `Retriever.search`.

    The filters of `filter_examples`, a further positive (`more`, where given), a minus-query of a word of the query (a
    value of a facet, else the longest word), MMR, and one text per pair.
    """
    examples: dict[str, dict[str, Any]] = {
        f"{kind}: {_describe_filter(where)}": {"where": where}
        for kind, where in filter_examples(items, like).items()
    }
    words = [word.strip(".,;:!?\"'") for word in query.split()]
    known = {str(value) for values in facets(items).values() for value in values}
    word = next((word for word in words if word in known), max(words, key=len))
    if more:
        examples[f"and also like “{more}”"] = {"plus": [more]}
    examples[f"not “{word}”"] = {"minus": [word]}
    examples["diverse: MMR, 0.5"] = {"diversity": 0.5}
    examples["texts, the best one of each pair"] = {"to": "text", "group_by_pair": True}
    return examples


def hybrid_examples(system: System) -> dict[str, dict[str, Any]]:
    """Return every fusion of a text and an image, and weights of the weighted sum: heading -> settings of `Query`."""
    halves = {f"{fusion}, half each": {"fusion": fusion} for fusion in fusion_options({"": system})}
    weighted: dict[str, dict[str, Any]] = {
        f"weighted_sum, text {weight:.0%}": {"fusion": "weighted_sum", "weight": weight}
        for weight in (0.2, 0.8)
    }
    by_rule = {"fusion": "weighted_sum", "weight": CONFIDENCE}
    return {**halves, **weighted, "weighted_sum, 60 % to the more confident": by_rule}


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


def _describe_filter(where: dict[str, Any]) -> str:
    """Return a filter of one field in words."""
    [(name, wanted)] = where.items()
    if isinstance(wanted, dict):
        [(kind, wanted)] = wanted.items()
        name = f"{name} {'from' if kind == 'gte' else 'not'}"
        wanted = wanted if isinstance(wanted, list) else [f"{wanted:g}"]
    values = wanted if isinstance(wanted, list) else [wanted]
    return f"{name} {' or '.join(map(str, values))}"
