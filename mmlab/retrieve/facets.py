"""What the items of a collection can be filtered by."""

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
