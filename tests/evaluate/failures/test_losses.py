"""Where right answers are lost."""

import pandas as pd
import pytest

from mmlab.evaluate import book_losses, loss_waterfall

QUERIES = ["kept", "index", "quantized", "fused", "never", "gained", "back"]
QRELS = pd.DataFrame({"query_id": QUERIES, "item_id": "right", "relevance": 1})
ITEMS = pd.DataFrame({"item_id": QUERIES, "pair_id": QUERIES})


def stage(*found: str) -> pd.DataFrame:
    rows = [(query, "right" if query in found else "wrong", 1, 0.9) for query in QUERIES]
    return pd.DataFrame(rows, columns=["query_id", "item_id", "rank", "score"])


STAGES = {
    "exact": stage("kept", "index", "quantized", "fused", "back"),
    "HNSW": stage("kept", "quantized", "fused"),
    "int8": stage("kept", "fused", "never"),
    "fusion": stage("kept", "gained", "back"),
}
BOOKED = {
    "kept": "found",
    "index": "lost by HNSW",
    "quantized": "lost by int8",
    "fused": "lost by fusion",
    "never": "never close",  # found by accident between, not by exact search and not in the end
    "gained": "gained by fusion",
    "back": "found",  # lost by the index and found again
}


def test_each_query_is_booked_once_by_the_stage_that_decided() -> None:
    losses = book_losses(STAGES, QRELS, k=1)
    assert losses.set_index("query_id")["booked"].to_dict() == BOOKED
    assert losses["HNSW"].tolist() == [True, False, True, True, False, False, False]


def test_the_sums_balance() -> None:
    table = loss_waterfall(book_losses(STAGES, QRELS, k=1), ITEMS)
    assert table[["booked", "queries"]].to_numpy().tolist() == [
        ["found", 2],
        ["lost by HNSW", 1],
        ["lost by int8", 1],
        ["gained by fusion", 1],
        ["lost by fusion", 1],
        ["never close", 1],
    ]
    assert table["queries"].sum() == len(QUERIES)
    assert table["share"].tolist() == pytest.approx([n / len(QUERIES) for n in table["queries"]])
    assert ((table["low"] <= table["share"]) & (table["share"] <= table["high"])).all()


def test_a_query_found_later_than_k_is_not_found_and_one_not_answered_is_lost() -> None:
    second = pd.DataFrame(
        [("kept", "wrong", 1, 0.9), ("kept", "right", 2, 0.8)],
        columns=["query_id", "item_id", "rank", "score"],
    )
    booked = book_losses({"exact": stage(*QUERIES), "HNSW": second}, QRELS, k=1)["booked"]
    assert set(booked) == {"lost by HNSW"}
    assert (
        book_losses({"exact": stage(*QUERIES), "HNSW": second}, QRELS, k=2)["booked"].tolist()[0] == "found"
    )


def test_one_stage_shows_no_loss() -> None:
    with pytest.raises(ValueError, match="expected two stages or more and k >= 1"):
        book_losses({"exact": stage()}, QRELS, k=1)
