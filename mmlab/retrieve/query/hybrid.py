"""A text and an image as one question: mixed into one vector (early), or asked apart and fused (late)."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.items import RANKING_COLUMNS, Vectors
from mmlab.retrieve.query.retriever import Retriever
from mmlab.retrieve.scores.fuse import FUSIONS, TOLERANCE, fuse
from mmlab.retrieve.scores.fusion_weights import weights_by_confidence
from mmlab.retrieve.scores.vector_arithmetic import mix_vectors

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

System = Retriever | Mapping[str, Retriever]
EARLY, CONFIDENCE = "early", "confidence"
TIMES = ("embed_ms", "search_ms", "payload_ms")


def hybrid(
    retriever: System | Sequence[System],
    text: str | Vectors,
    image: "str | Path | Image.Image | Vectors",
    weight: float | str = 0.5,
    how: str = EARLY,
    to: str = "image",
    k: int = 10,
    where: Mapping[str, Any] | None = None,
    exact: bool = False,
    depth: int = 100,
    shares: Sequence[float] | None = None,
) -> pd.DataFrame:
    """The `k` best items of modality `to` for a text and an image together: rank, score, payload, as `search`.

    Both may be given as a row of vectors already (`Retriever.embed`), to ask in several ways and embed once.
    `weight` is the text's share in [0, 1], or "confidence": 60 % for the more confident of both, see
    `weights_by_confidence`. `how`: "early" (unit mean of both vectors, one search), or the first `depth` hits of
    both by "weighted_sum" (of min-max scores), "rrf" or "dbsf". A system is a retriever, or {"text": ..., "image":
    ...}, one for each (`open_retrievers`); a list of systems, of several models or collections, is asked all of it and
    fused, late only, by `shares` that add up to 1, equal ones unless given. Raises ValueError for what does not fit,
    and for a `k` of more items than a system's index has.
    """
    systems = _systems(retriever)
    _check(systems, weight, how, shares)
    reader, viewer = systems[0]
    if how == EARLY:
        started = time.perf_counter()
        mixed = mix_vectors([reader.embed(text), viewer.embed(image)], [weight, 1 - weight])
        embedding = 1000 * (time.perf_counter() - started)
        hits = reader.search(Vectors(["query"], mixed.array, mixed.space), to, k, where, exact)
        hits.attrs["embed_ms"] += embedding
        return hits.drop(columns="query_id")
    asked = [(one, part) for pair in systems for one, part in zip(pair, (text, image), strict=True)]
    answers = [_answer(one, part, to, k, depth, where=where, exact=exact) for one, part in asked]
    rankings = [hits.assign(query_id="query")[list(RANKING_COLUMNS)] for hits in answers]
    sides = weights_by_confidence(rankings) if weight == CONFIDENCE else (weight, 1 - weight)
    shares = shares or [1 / len(systems)] * len(systems)
    fused = fuse(how, rankings, [share * side for share in shares for side in sides]).head(k)
    ranked = ["query_id", "rank", "score"]
    payload = pd.concat([hits.drop(columns=ranked, errors="ignore") for hits in answers])
    payload = payload.drop_duplicates("item_id")
    hits = fused.drop(columns="query_id").merge(payload, on="item_id", suffixes=("", "_payload"))
    hits.attrs = {name: sum(answer.attrs[name] for answer in answers) for name in TIMES}
    return hits


def hybrid_ways(retriever: System) -> tuple[str, ...]:
    """The ways to fuse that these can take: early fusion needs one space for texts and images."""
    [(reader, viewer)] = _systems(retriever)
    return (EARLY, *FUSIONS) if reader.model.space == viewer.model.space else tuple(FUSIONS)


def hybrid_examples(retriever: System) -> dict[str, dict[str, Any]]:
    """Every way to ask by both, and of the weighted sum the weights: heading -> further arguments of `hybrid`."""
    ways = {f"{way}, half each": {"how": way} for way in hybrid_ways(retriever)}
    weighed = {f"weighted_sum, text {weight:.0%}": {"weight": weight} for weight in (0.2, 0.8)}
    weighed["weighted_sum, 60 % to the more confident"] = {"weight": CONFIDENCE}
    return ways | {name: {"how": "weighted_sum", **how} for name, how in weighed.items()}


def _systems(retriever: System | Sequence[System]) -> list[tuple[Retriever, Retriever]]:
    """Who is asked by the text and who by the image, for each system."""
    single = isinstance(retriever, Retriever | Mapping)
    return [
        (one["text"], one["image"]) if isinstance(one, Mapping) else (one, one)
        for one in ([retriever] if single else retriever)
    ]


def _answer(retriever: Retriever, query: Any, to: str, k: int, depth: int, **how: Any) -> pd.DataFrame:
    """The first `depth` hits, or all that there are; not fewer than `k`, which is an error of the search."""
    with retriever.index.session():
        held = retriever.index.count(to)
        return retriever.search(query, to, max(k, min(depth, held)), **how)


def _check(
    systems: list[tuple[Retriever, Retriever]],
    weight: float | str,
    how: str,
    shares: Sequence[float] | None,
) -> None:
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
    if shares is not None and len(shares) != len(systems):
        raise ValueError(
            f"shares: expected one for each of {len(systems)} systems, adding up to 1; found {list(shares)}"
        )
    if shares is not None and abs(sum(shares) - 1) > TOLERANCE:
        raise ValueError(
            f"shares: expected to add up to 1, found {sum(shares):.6g}; divide them by their sum"
        )
