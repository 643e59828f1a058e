"""A question -> hits: one search, a hybrid of text and image, or several models fused; then reranked, calibrated.

Nothing is computed here: embedding, search, fusion, reranking and calibration are those of mmlab.retrieve.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mmlab.items import RANKING_COLUMNS
from mmlab.retrieve.query.hybrid import hybrid
from mmlab.retrieve.query.rerank import Match, contents_of, rerank
from mmlab.retrieve.query.retriever import Retriever
from mmlab.retrieve.query.spec import EARLY, NONE, Question
from mmlab.retrieve.query.systems import System, Systems
from mmlab.retrieve.scores.calibrate import Calibration
from mmlab.retrieve.scores.fuse import FUSIONS

DEPTH = 100  # hits that are fused, reranked or calibrated before the first k are taken
Fitted = Mapping[str, Mapping[str, Calibration]]  # by kind, then by direction, as "text-to-image"
Calibrations = Mapping[str, Fitted]  # by the name of the system whose scores they were fitted on


def ask(
    systems: Systems,
    question: Question,
    calibrations: Calibrations | None = None,
    match: Match | None = None,
    held: int | None = None,
) -> pd.DataFrame:
    """The hits of a question: rank, score, payload, and a column `probability` where it is calibrated.

    `systems`: as `systems_of` gives them; the question names those that answer, all do where it names none.
    `match` judges the first `question.rerank` hits again, see `rerank`. `held`: how many items there are to find,
    where that is known: no more are asked for. `hits.attrs` holds `embed_ms` and `search_ms`, the opening of the
    store in it. Raises KeyError for an unknown system, ValueError where no calibration fits what is asked.
    """
    started = time.perf_counter()
    names = list(question.systems or systems)
    chosen = [systems[name] for name in names]
    plain = question.calibration == NONE and not question.rerank and len(chosen) * len(question.parts) == 1
    depth = min(question.k if plain else max(question.k, DEPTH), max(held or DEPTH, 1))
    hits, embedding = _find(chosen, question, depth)
    if question.calibration != NONE:
        hits = _calibrate(hits, question, names, calibrations or {})
    if question.rerank and match:
        hits = _rerank(hits, question, match)
    kept = hits.head(question.k).reset_index(drop=True)
    kept.attrs = {"embed_ms": embedding, "search_ms": 1000 * (time.perf_counter() - started) - embedding}
    return kept


def _find(chosen: Sequence[System], question: Question, depth: int) -> tuple[pd.DataFrame, float]:
    """The first `depth` hits, and the milliseconds to embed the query."""
    how = {"to": question.to, "k": depth, "where": question.where or None, "exact": question.exact}
    asked = [
        (_asked(system, part), part, weight / len(chosen))
        for system in chosen
        for part, weight in question.parts
    ]
    if len(asked) == 1:
        hits = asked[0][0].search(asked[0][1], **how)
        return hits, hits.attrs["embed_ms"]
    with asked[0][0].index.session():  # opened once for all parts
        if len(chosen) == 1:
            (_, text, weight), (_, image, _) = asked
            hits = hybrid(chosen[0], text, image, weight, question.fusion, **how, depth=depth)
            return hits, hits.attrs["embed_ms"]
        answers = [retriever.search(part, **how) for retriever, part, _ in asked]
    embedding = sum(hits.attrs["embed_ms"] for hits in answers)
    shares = [weight for *_, weight in asked] if len(question.parts) > 1 else None  # all the same
    return _fuse(answers, shares, question.fusion), embedding


def _asked(system: System, part: Any) -> Retriever:
    """Who of a system is asked by this part of a question."""
    source = "text" if isinstance(part, str) else "image"
    if source not in system:
        raise ValueError(f"no model of this system can be asked by {source}; ask by {' or '.join(system)}")
    return system[source]


def _fuse(answers: Sequence[pd.DataFrame], weights: Sequence[float] | None, fusion: str) -> pd.DataFrame:
    """The answers of several models, to every part of the question, as one."""
    if fusion == EARLY:
        raise ValueError("vectors of several models cannot be mixed; choose weighted_sum, rrf or dbsf")
    fused = FUSIONS[fusion]([_rankings(hits) for hits in answers], weights)
    payload = pd.concat(answers).drop_duplicates("item_id").drop(columns=["rank", "score"])
    return fused.drop(columns="query_id").merge(payload, on="item_id")


def _rerank(hits: pd.DataFrame, question: Question, match: Match) -> pd.DataFrame:
    """The first hits in the order of `match`, by the text where text and image ask."""
    contents = {**contents_of(hits), "query": question.parts[0][0]}
    ranked = rerank(_rankings(hits), match, contents, question.rerank)[["item_id", "rank", "score", "before"]]
    return ranked.merge(hits.drop(columns=["rank", "score"]), on="item_id")


def _calibrate(
    hits: pd.DataFrame, question: Question, names: Sequence[str], calibrations: Calibrations
) -> pd.DataFrame:
    """With the probability of each hit, by what was fitted on the scores of this very system."""
    direction = f"{question.source}-to-{question.to}"
    if len(names) > 1:
        raise ValueError("scores of several models are calibrated for none of them: choose calibration none")
    known = calibrations.get(names[0], {}).get(question.calibration, {})
    if direction not in known:
        raise ValueError(
            f"the {question.calibration} calibration of {names[0] or 'this model'} is fitted for "
            f"{', '.join(known) or 'nothing'}; {direction} is asked here: choose calibration none"
        )
    return hits.assign(probability=known[direction].apply(_rankings(hits))["score"].to_numpy())


def _rankings(hits: pd.DataFrame) -> pd.DataFrame:
    return hits.assign(query_id="query")[list(RANKING_COLUMNS)]
