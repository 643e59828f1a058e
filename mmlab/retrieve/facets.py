"""What the items of a collection can be filtered by."""

from typing import Any

import pandas as pd

NOT_FACETS = {"item_id", "modality", "pair_id", "text", "image", "content", "duplicate_of"}
MOST_VALUES = 50


def facets(items: pd.DataFrame) -> dict[str, list]:
    """Columns whose images have 2 to 50 different values, each with its values, the most frequent first."""
    images = items[items["modality"] == "image"]
    found = {}
    for name in (column for column in items.columns if column not in NOT_FACETS):
        values = images[name].dropna().value_counts()
        if 2 <= len(values) <= MOST_VALUES:
            found[name] = values.index.tolist()
    return found


def filter_examples(items: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """A filter of each kind that these images allow: name -> `where`; equal, any of, not, range.

    Of the first facet its most frequent value, its two most frequent, and all but the most frequent; for the range
    the upper half of the values of the first column of numbers.
    """
    examples: dict[str, dict[str, Any]] = {}
    for field, values in facets(items).items():
        examples = {
            "equal": {field: values[0]},
            "any of": {field: values[:2]},
            "not": {field: {"not": values[:1]}},
        }
        break
    images = items[items["modality"] == "image"]
    for name in images.select_dtypes("number").columns:
        values = sorted(images[name].dropna().unique())
        if len(values) > 1:
            examples["range"] = {name: {"gte": float(values[len(values) // 2])}}
            break
    return examples


def search_examples(items: pd.DataFrame, query: str) -> dict[str, dict[str, Any]]:
    """Ways to narrow and to steer a text query: heading -> further arguments of `Retriever.search`.

    The filters of `filter_examples`, a minus-query of a word of the query (a value of a facet, else the longest word),
    MMR, and one text per pair.
    """
    ways = {f"{kind}: {where}": {"where": where} for kind, where in filter_examples(items).items()}
    words = [word.strip(".,;:!?\"'") for word in query.split()]
    known = {str(value) for values in facets(items).values() for value in values}
    word = next((word for word in words if word in known), max(words, key=len))
    ways[f"not “{word}”"] = {"minus": [word]}
    ways["diverse: MMR, 0.5"] = {"diversity": 0.5}
    ways["texts, the best one of each pair"] = {"to": "text", "group_by_pair": True}
    return ways
