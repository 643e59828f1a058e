"""What is fitted on some queries is judged on others: the queries divided by split, or by chance and pair."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmlab.items import check_columns, is_among

VALIDATION = ("val", "valid", "validation", "dev")
TEST = "test"


@dataclass(frozen=True)
class Fold:
    """The queries to fit on and those to judge on, no pair on both sides, and how they were divided."""

    fitting: frozenset[str]
    judging: frozenset[str]
    says: str

    def fit_on(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows, of rankings or qrels, of the queries to fit on."""
        return table[is_among(table["query_id"], self.fitting)]

    def judge_on(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of the queries to judge on."""
        return table[is_among(table["query_id"], self.judging)]


def fold_queries(items: pd.DataFrame, query_ids: Sequence[str], seed: int = 0) -> Fold:
    """Fit on the queries of the validation split, judge on those of the test split, or all others without one.

    Validation is called val, valid, validation or dev. Where no query is of it, half of the pairs, drawn by `seed`,
    serve to fit and the others to judge; `says` tells which it was. Raises ValueError with fewer than two pairs.
    """
    check_columns(items, ("item_id", "pair_id", "split"), "items")
    known = items.set_index("item_id").loc[list(query_ids)]
    split = known["split"].astype("str").str.lower()
    fitting = split.isin(VALIDATION)
    if fitting.any() and not fitting.all():
        judging = (split == TEST) if (split == TEST).any() else ~fitting
        judging &= ~is_among(known["pair_id"], known.loc[fitting, "pair_id"])
        where = "the test split" if (split == TEST).any() else "all other splits"
        says = f"fitted on {fitting.sum():,} queries of the validation split, judged on {judging.sum():,} of {where}"
        return Fold(frozenset(known.index[fitting]), frozenset(known.index[judging]), says)
    pairs = np.sort(known["pair_id"].astype("str").unique())
    if len(pairs) < 2:
        raise ValueError(f"expected queries of two pairs or more to divide, found {len(pairs)}")
    drawn = np.random.default_rng(seed).permutation(pairs)[: len(pairs) // 2]
    fitting = is_among(known["pair_id"].astype("str"), drawn)
    says = (
        f"not divided by a validation split: fitted on the {fitting.sum():,} queries of half of the pairs, "
        f"drawn by seed {seed}, judged on the {(~fitting).sum():,} of the other half"
    )
    return Fold(frozenset(known.index[fitting]), frozenset(known.index[~fitting]), says)
