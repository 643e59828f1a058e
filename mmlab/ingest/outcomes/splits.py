"""Leakage between splits: the same image, exactly or nearly, on both sides of a split."""

import pandas as pd

from mmlab.ingest.images.resolve import IMAGE_ITEM
from mmlab.ingest.rules import LEAK, Rules
from mmlab.items import is_among

EVALUATED = {"test": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1}  # 0 is judged by, 1 is fitted on


def leading_split(splits: pd.Series, groups: pd.Series) -> pd.Series:
    """Of each group the split that is evaluated on: test before validation before all others, else the first.

    Aligned with `splits`; missing where no member of the group has a split.
    """
    rank = splits.str.lower().map(EVALUATED).fillna(2).where(splits.notna(), 3)
    order = rank.sort_values(kind="stable").index
    return splits[order].groupby(groups[order]).transform("first")[splits.index]


def settle_splits(rows: pd.DataFrame, images: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """The images with `split`, that of their pair, and `leading`, that of all that look the same.

    An image whose split is not the leading one is a leak: flagged, or refused with its rows, so that what is
    evaluated on stays whole. `rows` has the columns name and split.
    """
    rows = rows[is_among(rows["name"], images.index)]
    named = rows["name"].map(images["pair_id"]), rows["name"].map(images["group"])
    split, leading = (
        leading_split(rows["split"], groups).groupby(rows["name"]).first().reindex(images.index)
        for groups in named
    )
    leak = split.notna() & (split != leading) & (images["outcome"] == IMAGE_ITEM)
    images = images.assign(split=split, leading=leading)
    if LEAK in rules.refused:
        told = "its like in split " + leading[leak]
        return images.assign(
            outcome=images["outcome"].mask(leak, LEAK), detail=images["detail"].mask(leak, told)
        )
    flags = images["flags"].mask(leak, images["flags"] + ", " + LEAK)
    return images.assign(flags=flags.str.removeprefix(", "))
