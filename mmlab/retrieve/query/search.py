"""The one search: a text, an image or both, of one model or several, fused, then calibrated and reranked.

The panels and the API ask through `search`, so the same query gives both the same hits.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pandas as pd

from mmlab.items import RANKING_COLUMNS
from mmlab.items.tables import TooFew
from mmlab.retrieve.query.rerank import Match, contents_of, count_unread, rerank
from mmlab.retrieve.query.retriever import Retriever
from mmlab.retrieve.query.spec import (
    COMPOSED,
    CONFIDENCE,
    EARLY,
    NONE,
    ROCCHIO,
    Query,
    SearchResult,
    describe_filter,
    modality_of,
)
from mmlab.retrieve.query.systems import Searcher, System, Systems, systems_of
from mmlab.retrieve.scores.fitted_calibration import FittedCalibration
from mmlab.retrieve.scores.fuse import FUSIONS, fuse, mix_vectors
from mmlab.retrieve.scores.fusion_weights import weights_by_confidence

if TYPE_CHECKING:
    from mmlab.retrieve.query.spec import Content

IN_ENGINE = ("rrf", "dbsf")  # fusions that the engine has as well
# by kind, then by direction, as "text-to-image"; and these by the name of the system whose scores they were fitted on
Calibrations = Mapping[str, Mapping[str, FittedCalibration]]
CalibrationsBySystem = Mapping[str, Calibrations]


class Part(NamedTuple):
    """What a searcher is asked, a text, an image, or None for examples alone, and how much its answer counts."""

    searcher: Searcher
    content: "Content | None"
    weight: float


def search(
    systems: "Searcher | Mapping[str, Searcher | System]",
    query: Query,
    calibrations: CalibrationsBySystem | None = None,
    match: Match | None = None,
) -> SearchResult:
    """Answer a query: the `query.k` best items, with their payload, rank from 1 and score.

    `systems`: one retriever, or several by name, see `systems_of`; the query names those that answer, all do where it
    names none. Text and image of one joint model make one vector ("early", "composed"); else each part asks each model,
    and their first `query.depth` hits are fused by `fuse`. Calibrated hits have a column `probability`; `calibrations`
    are by system, kind and direction. The first `query.rerank` hits are ranked again by `match`, see `rerank`, with
    their rank before in `before`. Raises ValueError for what these systems cannot answer, saying what to choose, and
    for a k of more items than there are.
    """
    names, chosen = _choose(systems_of(systems), query)
    parts = _parts(query, chosen)
    _check(query, len(chosen), parts)
    for part in parts:
        if isinstance(part.searcher, Retriever):
            part.searcher.load()
    started = time.perf_counter()
    with ExitStack() as stack:
        for searcher in {id(part.searcher): part.searcher for part in parts}.values():
            stack.enter_context(searcher.session())
        result = _find(query, parts)
    hits, warning = result.table, ""
    if query.calibration != NONE:
        fitted, gallery = _fitted(query, names, calibrations or {}), parts[0].searcher.count(query.to)
        warning = fitted.differences(_rankings(hits), gallery, describe_filter(query.where))
        hits = hits.assign(probability=fitted.probabilities(_rankings(hits))["score"].to_numpy())
    if query.rerank:
        hits, unread = _rerank(hits, query, match)
        warning = " ".join(filter(None, [warning, unread]))
    rest = 1000 * (time.perf_counter() - started) - sum(result.timings.values())
    timings = {**result.timings, "rank_ms": rest}
    return SearchResult(hits.head(query.k).reset_index(drop=True), timings, (), warning, result.method)


def _choose(systems: Systems, query: Query) -> tuple[list[str], list[System]]:
    """Return the systems that answer, and their names."""
    names = list(query.models or systems)
    unknown = [name for name in names if name not in systems]
    if unknown:
        raise ValueError(f"models: expected some of {', '.join(systems)}, found {unknown[0]!r}")
    return names, [systems[name] for name in names]


def _parts(query: Query, systems: Sequence[System]) -> list[Part]:
    """Return what every system is asked that it can be asked; one that only texts can ask leaves the image to others.

    Raises ValueError where a text or an image can be asked of none.
    """
    shares = query.shares if len(query.shares) == len(systems) else [1 / len(systems)] * len(systems)
    contents: list[Content | None] = [*query.contents] or [None]
    both = len(contents) > 1 and query.weight != CONFIDENCE
    weights = _text_and_image(query) if both else [1.0] * len(contents)
    parts = []
    for content, weight in zip(contents, weights, strict=True):
        source = query.source if content is None else modality_of(content)
        asked = [
            (system[source], share) for system, share in zip(systems, shares, strict=True) if source in system
        ]
        if not asked:
            known = " or ".join(dict.fromkeys(one for system in systems for one in system))
            raise ValueError(f"no model of this system can be asked by {source}; ask by {known}")
        parts += [Part(searcher, content, share * weight) for searcher, share in asked]
    return parts


def _check(query: Query, systems: int, parts: Sequence[Part]) -> None:
    """Raise ValueError for settings that do not fit so many systems and parts."""
    one_vector = query.fusion in (EARLY, COMPOSED)
    late = len(parts) > 1 and (not one_vector or systems > 1)
    if late and one_vector:
        raise ValueError(
            f"{query.fusion} fusion makes one vector of one space, found several models: choose {', '.join(FUSIONS)}"
        )
    if query.weight == CONFIDENCE and query.has_both and (not late or systems > 1):
        raise ValueError(
            "the weight by confidence needs the rankings of one model: choose one, and a late fusion"
        )
    if query.shares and len(query.shares) != systems:
        raise ValueError(
            f"shares: expected one for each of {systems} models, adding up to 1; found {list(query.shares)}"
        )
    if query.diversity is not None and (late or query.rerank):
        raise ValueError(
            "diversity orders the hits of one search: choose one model, early fusion, no reranking; or no diversity"
        )
    scored = [name for name in ("context", "boost") if getattr(query, name)]
    scored += ["recommend"] if query.recommend != ROCCHIO and query.examples else []
    if query.calibration != NONE and scored:
        raise ValueError(f"calibrations are fitted on cosines: choose calibration none, or no {scored[0]}")
    if query.rerank and not query.contents:
        raise ValueError("rerank holds the hits against a query: give a text or an image, or set rerank to 0")


def _find(query: Query, parts: Sequence[Part]) -> SearchResult:
    """Return the hits of one search, or of several that are fused, before calibration and reranking."""
    if len(parts) == 1:
        [(searcher, content, _)] = parts
        return _search_part(searcher, content, query, _depth(searcher, query, single=True))
    if query.fusion in (EARLY, COMPOSED):
        return _find_early(query, *parts)
    if _fits_one_request(query, parts):
        return _search_fused(query, parts)
    answers = [
        _search_part(searcher, content, query, _depth(searcher, query, single=False))
        for searcher, content, _ in parts
    ]
    hits = _fuse([answer.table for answer in answers], query, [part.weight for part in parts])
    timings = {name: sum(answer.timings[name] for answer in answers) for name in answers[0].timings}
    methods = dict.fromkeys(answer.method for answer in answers if answer.method)
    return SearchResult(hits, timings, method=" and ".join(methods))


def _fits_one_request(query: Query, parts: Sequence[Part]) -> bool:
    """Return whether the engine can search and fuse at once: one collection, equal weights, nothing steered."""
    retrievers = [part.searcher for part in parts if isinstance(part.searcher, Retriever)]
    by_confidence = query.weight == CONFIDENCE and query.has_both
    settled = not (query.examples or query.boost or query.group_by_pair or by_confidence)
    same = len({part.weight for part in parts}) == 1 and len({id(one.index) for one in retrievers}) == 1
    if not (settled and same) or query.fusion not in IN_ENGINE or len(retrievers) < len(parts):
        return False
    index, spaces = retrievers[0].index, {one.model.space for one in retrievers}
    held = all(query.to in index.modalities(space) for space in spaces)
    return held and len({index.collection(space, query.to) for space in spaces}) == 1


def _search_fused(query: Query, parts: Sequence[Part]) -> SearchResult:
    """Search all parts and fuse their hits by one request."""
    retrievers = [cast("Retriever", part.searcher) for part in parts]
    index, depth = retrievers[0].index, _depth(retrievers[0], query, single=False)
    times = [time.perf_counter()]
    vectors = [one.embed(cast("Content", part.content)) for one, part in zip(retrievers, parts, strict=True)]
    times.append(time.perf_counter())
    index.check_filter(query.where or None)
    settings = (query.fusion, int(query.rrf_k), query.where or None, query.exact)
    found = index.search_fused(vectors, query.to, depth, depth, *settings).table.drop(columns="query_id")
    times.append(time.perf_counter())
    hits = found.merge(index.fetch(found["item_id"]), on="item_id", how="left", suffixes=("", "_payload"))
    times.append(time.perf_counter())
    methods = dict.fromkeys(
        index.describe_search(one.model.space, query.to, query.exact) for one in retrievers
    )
    timings = dict(
        zip(("embed_ms", "search_ms", "payload_ms"), (1000 * np.diff(times)).tolist(), strict=True)
    )
    return SearchResult(hits, timings, method=" and ".join(methods))


def _find_early(query: Query, text: Part, image: Part) -> SearchResult:
    """Search once, with the unit mean of the text's and the image's vector, or with that of both as one input."""
    reader, viewer = text.searcher, image.searcher
    if not (isinstance(reader, Retriever) and isinstance(viewer, Retriever)):
        raise ValueError(f"saved rankings have no vectors to mix: choose {', '.join(FUSIONS)}")
    started = time.perf_counter()
    asked, shown = (cast("Content", part.content) for part in (text, image))
    if query.fusion == COMPOSED:
        mixed = viewer.compose(query.text, shown)
    else:
        mixed = mix_vectors([reader.embed(asked), viewer.embed(shown)], _text_and_image(query))
    spent = 1000 * (time.perf_counter() - started)
    result = _search_part(viewer, mixed, query, _depth(viewer, query, single=True))
    timings = {**result.timings, "embed_ms": result.timings["embed_ms"] + spent}
    return SearchResult(result.table.drop(columns="query_id"), timings, method=result.method)


def _search_part(searcher: Searcher, content: Any, query: Query, depth: int) -> SearchResult:
    """Search by a text, an image or a vector, with the query's settings that are set."""
    names = ("plus", "minus", "context", "boost", "group_by_pair")
    settings = {name: getattr(query, name) for name in names if getattr(query, name)}
    if query.minus:
        settings["minus_weight"] = query.minus_weight
    if query.plus or query.minus:
        settings["recommend"] = query.recommend
    if query.diversity is not None:
        settings["diversity"] = query.diversity
    return searcher.search(content, query.to, depth, query.where or None, query.exact, **settings)


def _depth(searcher: Searcher, query: Query, single: bool) -> int:
    """Return how many hits to ask for: `k`, or as many as are fused, calibrated or reranked, if there are so many."""
    if single and query.calibration == NONE and not query.rerank:
        return query.k
    return max(query.k, min(query.depth, searcher.count(query.to)))


def _fuse(answers: Sequence[pd.DataFrame], query: Query, weights: Sequence[Any]) -> pd.DataFrame:
    """Fuse the answers of every system to every part, by the systems' shares and the weights of text and image."""
    rankings = [_rankings(hits) for hits in answers]
    if query.weight == CONFIDENCE and query.has_both:
        weights = weights_by_confidence(rankings)
    fused = fuse(query.fusion, rankings, list(weights), query.rrf_k)
    payload = pd.concat([hits.drop(columns=["rank", "score"]) for hits in answers]).drop_duplicates("item_id")
    hits = fused.drop(columns="query_id").merge(payload, on="item_id", suffixes=("", "_payload"))
    if query.group_by_pair:
        hits = hits.drop_duplicates("pair_id", ignore_index=True)
        hits["rank"] = range(1, len(hits) + 1)
    return hits


def _text_and_image(query: Query) -> list[float]:
    """Return the weights of the text and of the image."""
    weight = float(query.weight)
    return [weight, 1 - weight]


def _fitted(query: Query, names: Sequence[str], calibrations: CalibrationsBySystem) -> FittedCalibration:
    """Return what was fitted on the scores of this very system, in the direction of the query."""
    direction = f"{query.source}-to-{query.to}"
    if len(names) > 1:
        raise ValueError("scores of several models are calibrated for none of them: choose calibration none")
    known = calibrations.get(names[0], {}).get(query.calibration, {})
    if direction not in known:
        raise TooFew(
            f"the {query.calibration} calibration of {names[0] or 'this model'} is fitted for "
            f"{', '.join(known) or 'nothing'}; {direction} is asked here: choose calibration none"
        )
    return known[direction]


def _rerank(hits: pd.DataFrame, query: Query, match: Match | None) -> tuple[pd.DataFrame, str]:
    """Put the first hits in the order of `match`, by the text where text and image ask; say which were not read."""
    if match is None:
        raise ValueError("rerank: there is no model to rank the first hits again; set rerank to 0")
    contents = {**contents_of(hits, match, query.text), "query": query.contents[0]}
    ranked = rerank(_rankings(hits), match, contents, query.rerank)
    unread = count_unread(ranked, query.rerank)
    said = f"Hits without words to read kept their places: {unread:,} of the first {query.rerank:,}."
    found = ranked[["item_id", "rank", "score", "before"]]
    return found.merge(hits.drop(columns=["rank", "score"]), on="item_id"), said if unread else ""


def _rankings(hits: pd.DataFrame) -> pd.DataFrame:
    return hits.assign(query_id="query")[list(RANKING_COLUMNS)]
