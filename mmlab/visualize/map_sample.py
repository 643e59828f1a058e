"""The items that a map shows: a seeded sample of pairs in which every group has its share, and their groups."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmlab.items import Vectors, check_columns, is_among

NO_GROUP = "(none)"
FOUND_FIRST, MISSED, NOT_JUDGED = "found first", "missed", "not judged"


def sample_pairs(items: pd.DataFrame, count: int, by: str = "label", seed: int = 0) -> pd.DataFrame:
    """Return at most `count` pairs, one text and one image of each: all texts first, then the images in the same order.

    The sample is stratified: each value of the column `by` has its share, to within one pair. `items` without a
    partner are left out. Raises ValueError for a count below 1 and where a column is missing.

    >>> items = pd.DataFrame({"item_id": ["t", "i"], "modality": ["text", "image"], "pair_id": "p", "label": "mug"})
    >>> sample_pairs(items, 10)["item_id"].tolist()
    ['t', 'i']
    """
    if count < 1:
        raise ValueError(f"sample: expected 1 pair or more, found {count}")
    check_columns(items, ("item_id", "modality", "pair_id", by), "items")
    first = items.drop_duplicates(["pair_id", "modality"]).set_index("pair_id", drop=False)
    texts, images = first[first["modality"] == "text"], first[first["modality"] == "image"]
    pairs = images.loc[is_among(images.index, texts.index)].sample(frac=1, random_state=seed)
    strata = name_groups(pairs, by)
    place = (strata.groupby(strata).cumcount() + 0.5) / strata.groupby(strata).transform("size")
    order = np.argsort(place.to_numpy(), kind="stable")  # the first of every group, then the second ...
    chosen = pairs.index[np.sort(order[:count])]
    return pd.concat([texts.loc[chosen], images.loc[chosen]], ignore_index=True)


def name_groups(items: pd.DataFrame, column: str) -> pd.Series:
    """Return the values of a column as text, "(none)" where there is none."""
    return items[column].astype("str").where(items[column].notna(), NO_GROUP)


def order_groups(groups: pd.Series, max_groups: int) -> list[str]:
    """Return the first `max_groups` groups: categories in their order, other values by size, the largest first."""
    if isinstance(groups.dtype, pd.CategoricalDtype):
        return [name for name in groups.cat.categories if (groups == name).any()][:max_groups]
    return groups.value_counts().index[:max_groups].tolist()


def sampled_vectors(vectors_by_modality: Mapping[str, Vectors], shown: pd.DataFrame) -> list[Vectors]:
    """Return the vectors of the sample `shown`, one `Vectors` for each space, in the order of the sample.

    `vectors_by_modality`: "text" and "image" -> their vectors. If both lie in one space the result has one element,
    else two: the texts and the images.
    """
    parts = [
        vectors.take(shown.loc[shown["modality"] == modality, "item_id"])
        for modality, vectors in vectors_by_modality.items()
    ]
    if parts[0].space != parts[1].space:
        return parts
    ids, rows = np.concatenate([part.ids for part in parts]), np.concatenate([part.array for part in parts])
    return [Vectors(ids, rows, parts[0].space)]


def found_first(shown: pd.DataFrame, *per_query: pd.DataFrame) -> pd.Series:
    """Return for each item of `shown` whether its right answer ranks first: found first, missed or not judged.

    `per_query`: scores with the columns query_id and RR, the reciprocal rank, of one direction or both.
    """
    scores = pd.concat([table[["query_id", "RR"]] for table in per_query]).set_index("query_id")["RR"]
    of_items = scores.reindex(shown["item_id"]).to_numpy()
    results = np.where(np.isnan(of_items), NOT_JUDGED, np.where(of_items == 1, FOUND_FIRST, MISSED))
    return pd.Series(pd.Categorical(results, categories=[FOUND_FIRST, MISSED, NOT_JUDGED]))


def listed_items(ids: list[str], items: pd.DataFrame, max_items: int = 24) -> pd.DataFrame:
    """Return the first `max_items` of these items in the order of `ids`, as the selection of a map lists them."""
    return items.set_index("item_id").loc[ids[:max_items]].reset_index()
