"""How much weight each of several rankings gets in a fusion: learned, or by a rule."""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from math import comb
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmlab.items.rankings import rank_by_score
from mmlab.retrieve.scores.normalize import min_max
from mmlab.retrieve.scores.pooled import Pooled

MOST_SHARES = 66  # ways to share out that are tried: steps of 1/20 for two rankings, of 1/10 for three
FINEST = 20


class LearnedWeights(NamedTuple):
    """The best weight of each ranking, adding up to 1, and the table they were read from: weights (a tuple), value."""

    weights: tuple[float, ...]
    table: pd.DataFrame


def learn_weights(
    rankings: Sequence[pd.DataFrame],
    qrels: pd.DataFrame,
    fusion: str = "weighted_sum",
    grid: Sequence[Sequence[float]] | None = None,
) -> LearnedWeights:
    """Fuse by the weights of `grid`, each a weight per ranking adding up to 1; the best mean reciprocal rank wins.

    `fusion`: of FUSIONS, see `fuse`; the grid is equal ones and those of `shares_of` unless given. Give rankings and
    qrels of validation queries and judge the weights on others: on these they look better than they are. Of equal
    means the weights nearest to equal ones win, of some as near those that are lower first.
    """
    even = 1 / len(rankings)
    tried = list(
        {(even,) * len(rankings): None, **dict.fromkeys(shares_of(len(rankings)))} if grid is None else grid
    )
    if not tried:
        raise ValueError("the grid of weights is empty; expected a weight for each ranking, adding up to 1")
    pooled = Pooled.of(rankings, qrels, fusion)
    values = [pooled.reciprocal_rank(shares) for shares in tried]
    table = pd.DataFrame({"weights": [tuple(map(float, shares)) for shares in tried], "value": values})
    best = table.loc[np.isclose(table["value"], table["value"].max(), rtol=0, atol=1e-12), "weights"]
    nearest = min(best, key=lambda shares: (round(sum((one - even) ** 2 for one in shares), 9), shares))
    return LearnedWeights(nearest, table)


def shares_of(n: int) -> Iterator[tuple[float, ...]]:
    """All ways to share 1 out among `n` in equal steps, as fine as 66 of them allow: 21 for two, in steps of 0.05."""
    steps = max(
        parts for parts in range(1, FINEST + 1) if comb(parts + n - 1, n - 1) <= MOST_SHARES or parts == 1
    )
    for bars in combinations(range(steps + n - 1), n - 1):
        ends = (-1, *bars, steps + n - 1)
        yield tuple(round((last - first - 1) / steps, 9) for first, last in pairwise(ends))


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

    Used as `fuse(how, [a, b], weights_by_confidence([a, b]))`; see `confidence`. A ranking without the query has
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
