"""What an answer takes from the question to the payload: embedding, search and payload, cold and warm."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mmlab.index import summarize_parts
from mmlab.retrieve.query.retriever import Retriever

SAMPLES = 20  # openings, and warm questions at least
WARM_UP = 5  # questions that are not counted: the cold ones have already been through the model
PARTS = ("embed_ms", "search_ms", "payload_ms")


def time_answers(
    retriever: Retriever,
    questions: Sequence[Any],
    to: str = "image",
    k: int = 10,
    samples: int = SAMPLES,
    **how: Any,
) -> pd.DataFrame:
    """embed_ms, search_ms and payload_ms of one question at a time, p50 and p95, cold and warm.

    questions: texts, paths or images, asked in turn; `how`: more of `Retriever.search`. "just opened": `samples`
    times the store is opened for one question, which is part of its search; "warm": the store stays open, and after a
    warm-up every question, or as many as `samples`, is timed. The model is loaded and warm in
    both. Returns the rows of `summarize_parts`: vectors, state, samples, of, a column per part, whole_ms.
    """
    asked = [questions[i % len(questions)] for i in range(max(samples, len(questions)))]

    def ask(question: Any) -> dict[str, float]:
        spent = retriever.search(question, to, k, **how).attrs
        return {part: spent[part] for part in PARTS}

    retriever.embed(asked[0])
    cold = []
    for question in asked[:samples]:
        with retriever.index.session():  # closing is not timed
            cold.append(ask(question))
    with retriever.index.session():
        for question in asked[:WARM_UP]:
            ask(question)
        warm = [ask(question) for question in asked]
    return summarize_parts(retriever.index, {"just opened": cold, "warm": warm})
