"""Which queries are shown."""

import pandas as pd

from mmlab.evaluate import best_queries, random_queries, worst_queries

ITEMS = pd.DataFrame({"item_id": ["clear", "close", "unsure", "sure", "silent"], "pair_id": list("ABCDE")})
PER_QUERY = pd.DataFrame({"query_id": ["clear", "close", "unsure", "sure"], "RR": [1.0, 1.0, 0.0, 0.0]})
RANKINGS = pd.DataFrame(
    [
        ("clear", "a", 1, 0.9), ("clear", "b", 2, 0.1),
        ("close", "a", 1, 0.9), ("close", "b", 2, 0.8),
        ("unsure", "a", 1, 0.2), ("unsure", "b", 2, 0.1),
        ("sure", "a", 1, 0.95), ("sure", "b", 2, 0.1),
    ],
    columns=["query_id", "item_id", "rank", "score"],
)  # fmt: skip


def test_the_best_are_right_by_the_widest_gap() -> None:
    assert best_queries(PER_QUERY, RANKINGS, ITEMS, 2) == ["clear", "close"]


def test_the_worst_are_wrong_and_surest_of_it() -> None:
    assert worst_queries(PER_QUERY, RANKINGS, ITEMS, 2) == ["sure", "unsure"]


def test_a_query_without_a_ranking_is_among_the_worst() -> None:
    silent = pd.concat([PER_QUERY, pd.DataFrame({"query_id": ["silent"], "RR": [0.0]})])
    assert "silent" in worst_queries(silent, RANKINGS, ITEMS, 3)


def test_of_a_pair_only_one_query_is_shown() -> None:
    one_pair = ITEMS.assign(pair_id=["A", "A", "B", "B", "C"])
    assert best_queries(PER_QUERY, RANKINGS, one_pair, 4) == ["clear", "sure"]
    assert worst_queries(PER_QUERY, RANKINGS, one_pair, 4) == ["sure", "clear"]


def test_random_queries_are_repeated_by_the_seed_and_come_from_different_pairs() -> None:
    drawn = [random_queries(PER_QUERY, ITEMS, 3, seed) for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1]
    assert len({tuple(queries) for queries in drawn}) > 1
    assert all(len(queries) == len(set(queries)) == 3 for queries in drawn)
    one_pair = ITEMS.assign(pair_id="A")
    assert len(random_queries(PER_QUERY, one_pair, 3)) == 1
