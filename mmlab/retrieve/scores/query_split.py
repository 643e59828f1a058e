"""What is fitted on some queries is evaluated on others: the queries divided by split, or by chance and pair."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmlab.items import check_columns, is_among
from mmlab.items.tables import Ids, TooFew

VALIDATION = ("val", "valid", "validation", "dev")
TEST = "test"


@dataclass(frozen=True)
class CalibrationSplit:
    """The queries to fit on and those to evaluate on, no pair in both, and a sentence on how they were divided."""

    fitting: frozenset[str]
    evaluation: frozenset[str]
    summary: str

    def fitting_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows, of rankings or qrels, of the queries to fit on."""
        return table[is_among(table["query_id"], self.fitting)]

    def evaluation_rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows, of rankings or qrels, of the queries to evaluate on."""
        return table[is_among(table["query_id"], self.evaluation)]


def split_queries(items: pd.DataFrame, query_ids: Ids, seed: int = 0) -> CalibrationSplit:
    """Divide queries: fit on those of the validation split, evaluate on the test split, or all others without one.

    Validation is called val, valid, validation or dev. Where no query is of it, half of the pairs, drawn by `seed`,
    serve to fit and the others to evaluate. `items` has item_id, pair_id, split. Raises TooFew with fewer than two
    pairs, KeyError for a query that is not among the items.

    >>> items = pd.DataFrame({"item_id": ["a", "b"], "pair_id": ["p", "r"], "split": ["validation", "test"]})
    >>> split = split_queries(items, ["a", "b"])
    >>> sorted(split.fitting), sorted(split.evaluation)
    (['a'], ['b'])
    """
    check_columns(items, ("item_id", "pair_id", "split"), "items")
    known = items.set_index("item_id").loc[list(query_ids)]
    split = known["split"].astype("str").str.lower()
    fitting = split.isin(VALIDATION).to_numpy()
    if fitting.any() and not fitting.all():
        has_test = bool((split == TEST).any())
        evaluation = (split == TEST).to_numpy() if has_test else ~fitting
        evaluation = evaluation & ~is_among(known["pair_id"], known.loc[fitting, "pair_id"])
        others = "the test split" if has_test else "all other splits"
        divided = f"fitted on {fitting.sum():,} queries of the validation split, evaluated on {evaluation.sum():,} of "
        return CalibrationSplit(_ids(known, fitting), _ids(known, evaluation), divided + others)
    fitting = _draw_half_of_pairs(known["pair_id"].astype("str"), seed)
    summary = (
        f"not divided by a validation split: fitted on the {fitting.sum():,} queries of half of the pairs, "
        f"drawn by seed {seed}, evaluated on the {(~fitting).sum():,} of the other half"
    )
    return CalibrationSplit(_ids(known, fitting), _ids(known, ~fitting), summary)


def _draw_half_of_pairs(pair_ids: pd.Series, seed: int) -> np.ndarray:
    pairs = np.sort(pair_ids.unique())
    if len(pairs) < 2:
        raise TooFew(f"queries: expected those of two pairs or more to divide, found {len(pairs)}")
    return is_among(pair_ids, np.random.default_rng(seed).permutation(pairs)[: len(pairs) // 2])


def _ids(known: pd.DataFrame, rows: np.ndarray) -> frozenset[str]:
    return frozenset(known.index[rows])
