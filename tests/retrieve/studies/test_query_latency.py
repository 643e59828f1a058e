"""From question to payload, part by part, cold and warm, with the real model and store."""

from mmlab.retrieve.studies.query_latency import time_answers


def test_every_part_is_timed_cold_and_warm(collection) -> None:
    table = time_answers(collection.retriever, ["a red mug", "a teapot"], k=3, samples=4)
    assert table["state"].tolist() == ["just opened", "just opened", "warm", "warm"]
    assert table["of"].tolist() == ["p50", "p95"] * 2
    assert table["samples"].tolist() == [4, 4, 4, 4]
    assert set(table["vectors"]) == {"in memory"}
    parts = ["embed_ms", "search_ms", "payload_ms"]
    assert table.columns.tolist() == ["vectors", "state", "samples", "of", *parts, "whole_ms"]
    assert (table[parts] > 0).all(axis=None)


def test_opening_is_part_of_the_cold_search(collection) -> None:
    median = time_answers(collection.retriever, ["a red mug"], k=3, samples=5)
    median = median[median["of"] == "p50"].set_index("state")
    assert median.loc["just opened", "search_ms"] > 2 * median.loc["warm", "search_ms"]


def test_every_question_is_asked_once_at_least_while_warm(collection) -> None:
    texts = collection.items.loc[collection.items["modality"] == "text", "text"].tolist()[:7]
    table = time_answers(collection.retriever, texts, to="text", k=2, samples=3)
    assert table["samples"].tolist() == [3, 3, 7, 7]
