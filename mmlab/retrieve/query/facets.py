"""What the items of a collection can be filtered by."""

from typing import Any

import pandas as pd

NOT_FACETS = {"item_id", "modality", "pair_id", "text", "image", "content", "duplicate_of"}
TELL_LITTLE = {"split", "origin"}  # of what an image shows
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


def filter_examples(items: pd.DataFrame, like: pd.Series | None = None) -> dict[str, dict[str, Any]]:
    """A filter of each kind that these images allow: name -> `where`; equal, any of, not, range.

    They suit the item `like` (a row of the items, or a hit), else the most frequent values: equal to its value of the
    first facet of words; of the second its value or the most frequent other, and not its value; a range of the first
    column of numbers from its own, or from the middle one, on.
    """
    known = [(name, _first(values, like, name)) for name, values in facets(items).items()]
    known.sort(key=lambda facet: (facet[0] in TELL_LITTLE, not isinstance(facet[1][0], str)))
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
            examples["range"] = {name: {"gte": float(own)}}
            break
    return examples


def search_examples(
    items: pd.DataFrame, query: str, like: pd.Series | None = None, more: str = ""
) -> dict[str, dict[str, Any]]:
    """Ways to narrow and to steer a text query: heading -> further arguments of `Retriever.search`.

    The filters of `filter_examples`, a further positive (`more`, where given), a minus-query of a word of the query (a
    value of a facet, else the longest word), MMR, and one text per pair.
    """
    ways = {
        f"{kind}: {_tell(where)}": {"where": where} for kind, where in filter_examples(items, like).items()
    }
    words = [word.strip(".,;:!?\"'") for word in query.split()]
    known = {str(value) for values in facets(items).values() for value in values}
    word = next((word for word in words if word in known), max(words, key=len))
    if more:
        ways[f"and also like “{more}”"] = {"plus": [more]}
    ways[f"not “{word}”"] = {"minus": [word]}
    ways["diverse: MMR, 0.5"] = {"diversity": 0.5}
    ways["texts, the best one of each pair"] = {"to": "text", "group_by_pair": True}
    return ways


def _first(values: list, like: pd.Series | None, name: str) -> list:
    """The values of a facet, that of `like` first."""
    return values if like is None else sorted(values, key=lambda value: value != like.get(name))


def _tell(where: dict[str, Any]) -> str:
    """A filter in words."""
    [(name, wanted)] = where.items()
    if isinstance(wanted, dict):
        [(kind, wanted)] = wanted.items()
        name = f"{name} {'from' if kind == 'gte' else 'not'}"
        wanted = wanted if isinstance(wanted, list) else [f"{wanted:g}"]
    values = wanted if isinstance(wanted, list) else [wanted]
    return f"{name} {' or '.join(map(str, values))}"
