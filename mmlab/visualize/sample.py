"""Which items a map shows: a seeded sample of pairs in which every group has its share."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mmlab.items import Vectors, check_columns, is_among

NO_GROUP = "(none)"
RESULTS = ("found first", "missed", "not judged")


def sample_pairs(items: pd.DataFrame, count: int, by: str = "label", seed: int = 0) -> pd.DataFrame:
    """At most `count` pairs, one text and one image of each: all texts first, then the images in the same order.

    Stratified: each value of the column `by` has its share of the sample, to within one pair. `items` without a
    partner are left out. Raises ValueError for a count under 1.
    """
    if count < 1:
        raise ValueError(f"sample: expected 1 pair or more, found {count}")
    check_columns(items, ("item_id", "modality", "pair_id", by), "items")
    one = items.drop_duplicates(["pair_id", "modality"])
    texts, images = (
        one[one["modality"] == side].set_index("pair_id", drop=False) for side in ("text", "image")
    )
    pairs = images.loc[is_among(images.index, texts.index)].sample(frac=1, random_state=seed)
    strata = name_groups(pairs, by)
    place = (strata.groupby(strata).cumcount() + 0.5) / strata.groupby(strata).transform("size")
    order = np.argsort(place.to_numpy(), kind="stable")[
        :count
    ]  # the first of every group, then the second ...
    chosen = pairs.index[np.sort(order)]
    return pd.concat([texts.loc[chosen], images.loc[chosen]], ignore_index=True)


def name_groups(items: pd.DataFrame, column: str) -> pd.Series:
    """The values of a column as text, "(none)" where there is none."""
    return items[column].astype("str").where(items[column].notna(), NO_GROUP)


def sampled_vectors(sides: Mapping[str, Vectors], shown: pd.DataFrame) -> list[Vectors]:
    """The vectors of `shown` (as `sample_pairs` returns it): in one, or in two if texts and images lie in two spaces.

    `sides`: "text" and "image" -> their vectors. Below each other they have the order of `shown`.
    """
    parts = [side.take(shown.loc[shown["modality"] == name, "item_id"]) for name, side in sides.items()]
    if parts[0].space != parts[1].space:
        return parts
    ids, rows = np.concatenate([p.ids for p in parts]), np.concatenate([p.array for p in parts])
    return [Vectors(ids, rows, parts[0].space)]


def found_first(shown: pd.DataFrame, *per_query: pd.DataFrame) -> pd.Series:
    """For each item of `shown` "found first" if its right answer stood at rank 1, else "missed", or "not judged".

    `per_query`: per-query scores with the columns query_id and RR, of one direction or both.
    """
    scores = pd.concat([table[["query_id", "RR"]] for table in per_query]).set_index("query_id")["RR"]
    of_items = scores.reindex(shown["item_id"]).to_numpy()
    said = np.where(of_items == 1, RESULTS[0], RESULTS[1])
    return pd.Series(pd.Categorical(np.where(np.isnan(of_items), RESULTS[2], said), categories=RESULTS))
