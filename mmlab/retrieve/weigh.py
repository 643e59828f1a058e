"""How much weight each of two rankings gets in a weighted sum: learned, or by a rule."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmlab.retrieve.fuse import weighted_sum
from mmlab.retrieve.normalize import min_max
from mmlab.retrieve.order import rank_by_score
from mmlab.retrieve.reliability import judge

Measure = Callable[[pd.DataFrame, pd.DataFrame], Sequence[float]]
GRID = tuple(np.linspace(0, 1, 21).round(2).tolist())


class LearnedWeight(NamedTuple):
    """The best weight of the first ranking, and the table it was read from: weight, value."""

    weight: float
    table: pd.DataFrame


def learn_weight(
    first: pd.DataFrame,
    second: pd.DataFrame,
    qrels: pd.DataFrame,
    measure: Measure,
    grid: Sequence[float] = GRID,
    normalizer: str | None = "min-max",
) -> LearnedWeight:
    """Try the weights of `grid`, each in [0, 1], for `first` (1 - weight for `second`); the best mean value wins.

    `measure(qrels, rankings)` gives one value per query, higher is better. Give rankings and qrels of validation
    queries and judge the weight on others: on these it looks better than it is. Of equal values the weight
    nearest to 0.5 wins, of two as near the lower one.
    """
    if not len(grid):
        raise ValueError("the grid of weights is empty; expected numbers from 0 to 1")
    values = [
        float(np.mean(measure(qrels, weighted_sum([first, second], [weight, 1 - weight], normalizer))))
        for weight in grid
    ]
    if not np.isfinite(values).all():
        raise ValueError(f"the measure gave {values}: expected a finite mean for every weight")
    table = pd.DataFrame({"weight": np.asarray(grid, dtype=np.float64), "value": values})
    best = table[np.isclose(table["value"], table["value"].max(), rtol=0, atol=1e-12)]["weight"]
    nearest = min(best, key=lambda weight: (round(abs(weight - 0.5), 9), weight))
    return LearnedWeight(float(nearest), table)


def reciprocal_ranks(qrels: pd.DataFrame, rankings: pd.DataFrame) -> pd.Series:
    """1 / rank of the first right item of each judged query, by query_id; 0 where none is ranked."""
    right = judge(rankings, qrels)
    first = (
        rankings.merge(right[right["relevant"]], on=["query_id", "item_id"]).groupby("query_id")["rank"].min()
    )
    queries = qrels.loc[qrels["relevance"] > 0, "query_id"].unique()
    return (1 / first).reindex(queries, fill_value=0.0)


def confidence(rankings: pd.DataFrame) -> pd.Series:
    """How clearly the first item leads, by query_id: (s1 - s2) / (s1 - sn), in [0, 1], sn the lowest score.

    That is the lead in min-max scores, as a weighted sum sees it. 0 where there is no second item or all scores
    are equal. Compare it between rankings of the same depth only: the longer a ranking, the lower its sn.
    """
    scaled = rank_by_score(min_max(rankings)).set_index("query_id")
    first, second = (scaled.loc[scaled["rank"] == rank, "score"] for rank in (1, 2))
    return (first - second.reindex(first.index)).fillna(0.0).rename("confidence")


def weights_by_confidence(
    rankings: Sequence[pd.DataFrame], share: float = 0.6
) -> tuple[pd.Series, pd.Series]:
    """For every query, `share` for the more confident ranking and the rest for the other; a half each at a tie.

    Used as `weighted_sum([a, b], weights_by_confidence([a, b]))`; see `confidence`. A ranking without the query has
    confidence 0. Raises ValueError unless there are two rankings and the share is in [0.5, 1].
    """
    if len(rankings) != 2:
        raise ValueError(f"the rule compares two rankings, found {len(rankings)}")
    if not 0.5 <= share <= 1:
        raise ValueError(f"the more confident side gets a share from 0.5 to 1, found {share}")
    one, other = (confidence(ranking) for ranking in rankings)
    queries = one.index.union(other.index, sort=False)
    lead = one.reindex(queries, fill_value=0.0) - other.reindex(queries, fill_value=0.0)
    lead = np.sign(lead.round(9))  # what differs by less is a tie that rounding broke
    return 0.5 + lead * (share - 0.5), 0.5 - lead * (share - 0.5)
