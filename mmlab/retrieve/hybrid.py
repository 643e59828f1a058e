"""A text and a picture as one question: mixed into one vector (early), or asked apart and fused (late)."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.items import RANKING_COLUMNS, Vectors
from mmlab.retrieve.early import mix_vectors
from mmlab.retrieve.fuse import FUSIONS
from mmlab.retrieve.search import Retriever
from mmlab.retrieve.weigh import weights_by_confidence

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

EARLY, CONFIDENCE = "early", "confidence"
TIMES = ("embed_ms", "search_ms", "payload_ms")


def hybrid(
    retriever: Retriever | Mapping[str, Retriever] | Sequence[Retriever],
    text: str,
    picture: "str | Path | Image.Image",
    weight: float | str = 0.5,
    how: str = EARLY,
    to: str = "image",
    k: int = 10,
    where: Mapping[str, Any] | None = None,
    exact: bool = False,
    depth: int = 100,
) -> pd.DataFrame:
    """The `k` best items of modality `to` for a text and a picture together: rank, score, payload, as `search`.

    `weight` is the text's share in [0, 1], or "confidence": 60 % for the more confident of both, see
    `weights_by_confidence`. `how`: "early" (unit mean of both vectors, one search), or the first `depth` hits of
    both by "weighted_sum" (of min-max scores), "rrf" or "dbsf". {"text": ..., "image": ...} are one retriever for
    each (`open_retrievers`); a list of retrievers, of several models or collections, is asked all of it and fused
    with equal shares, late only. Raises ValueError for what does not fit.
    """
    systems = _systems(retriever)
    _check(systems, weight, how)
    reader, viewer = systems[0]
    if how == EARLY:
        started = time.perf_counter()
        mixed = mix_vectors([reader.embed(text), viewer.embed(picture)], [weight, 1 - weight])
        embedding = 1000 * (time.perf_counter() - started)
        hits = reader.search(Vectors(["query"], mixed.array, mixed.space), to, k, where, exact)
        hits.attrs["embed_ms"] += embedding
        return hits.drop(columns="query_id")
    deep = {"to": to, "k": max(k, depth), "where": where, "exact": exact}
    answers = [
        _answer(one, part, **deep)
        for pair in systems
        for one, part in zip(pair, (text, picture), strict=True)
    ]
    rankings = [hits.assign(query_id="query")[list(RANKING_COLUMNS)] for hits in answers]
    shares = weights_by_confidence(rankings) if weight == CONFIDENCE else (weight, 1 - weight)
    weights = [share / len(systems) for _ in systems for share in shares]
    fused = FUSIONS[how](rankings, weights).head(k)
    payload = pd.concat([hits.drop(columns=["rank", "score"]) for hits in answers]).drop_duplicates("item_id")
    hits = fused.drop(columns="query_id").merge(payload, on="item_id", suffixes=("", "_payload"))
    hits.attrs = {name: sum(answer.attrs[name] for answer in answers) for name in TIMES}
    return hits


def hybrid_ways(retriever: Retriever | Mapping[str, Retriever]) -> tuple[str, ...]:
    """The ways to fuse that these can take: early fusion needs one space for texts and pictures."""
    [(reader, viewer)] = _systems(retriever)
    return (EARLY, *FUSIONS) if reader.model.space == viewer.model.space else tuple(FUSIONS)


def _systems(
    retriever: Retriever | Mapping[str, Retriever] | Sequence[Retriever],
) -> list[tuple[Retriever, Retriever]]:
    """Who is asked by the text and who by the picture, for each model."""
    if isinstance(retriever, Mapping):
        return [(retriever["text"], retriever["image"])]
    return [(one, one) for one in ([retriever] if isinstance(retriever, Retriever) else retriever)]


def _answer(retriever: Retriever, query: Any, to: str, k: int, **how: Any) -> pd.DataFrame:
    """As many hits as are asked for, or as there are."""
    with retriever.index.session():
        return retriever.search(query, to, max(min(k, retriever.index.count(to)), 1), **how)


def _check(systems: list[tuple[Retriever, Retriever]], weight: float | str, how: str) -> None:
    if how not in (EARLY, *FUSIONS):
        raise ValueError(f"how: expected one of {', '.join((EARLY, *FUSIONS))}, found {how!r}")
    if weight == CONFIDENCE:
        if how == EARLY or len(systems) != 1:
            raise ValueError(
                "the weight by confidence needs the rankings of one retriever: choose a late fusion"
            )
    elif not (isinstance(weight, int | float) and 0 <= weight <= 1):
        raise ValueError(f"weight: the text's share from 0 to 1, or {CONFIDENCE!r}; found {weight!r}")
    if how == EARLY and len(systems) != 1:
        raise ValueError(
            "early fusion mixes vectors of one space, found several models: choose weighted_sum, rrf or dbsf"
        )
