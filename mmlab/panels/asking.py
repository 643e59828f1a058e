"""A question -> hits: one search, a hybrid of text and picture, or several models fused; then reranked, calibrated.

Nothing is computed here: embedding, search, fusion, reranking and calibration are those of mmlab.retrieve.
"""

import time
from collections.abc import Mapping, Sequence

import pandas as pd

from mmlab.items import RANKING_COLUMNS
from mmlab.panels.question import EARLY, NONE, Question
from mmlab.retrieve import FUSIONS, Calibration, Retriever, contents_of, hybrid, rerank
from mmlab.retrieve.rerank import Match

DEPTH = 100  # hits that are fused, reranked or calibrated before the first k are taken
MODALITIES = {"text", "image"}
System = Mapping[str, Retriever]  # who answers a text and who a picture, see `open_retrievers`
Systems = Mapping[str, System]
Calibrations = Mapping[str, Mapping[str, Calibration]]  # by kind, then by direction, as "text-to-image"


def systems_of(retrievers: "Retriever | System | Mapping[str, Retriever | System]") -> dict[str, System]:
    """Systems by name: of one retriever, of one for each modality that asks, or of several of either by name."""
    if not isinstance(retrievers, Mapping):
        return {"": dict.fromkeys(sorted(MODALITIES), retrievers)}
    if set(retrievers) <= MODALITIES:
        return {"": retrievers}
    return {name: systems_of(one)[""] for name, one in retrievers.items()}


def ask(
    systems: Systems,
    question: Question,
    calibrations: Calibrations | None = None,
    match: Match | None = None,
    held: int | None = None,
) -> pd.DataFrame:
    """The hits of a question: rank, score, payload, and a column `probability` where it is calibrated.

    `systems`: as `systems_of` gives them; the question names those that answer, the first does where it names none.
    `match` judges the first `question.rerank` hits again, see `rerank`. `held`: how many items there are to find,
    where that is known: no more are asked for. `hits.attrs` holds `embed_ms` and `search_ms`, the opening of the
    store in it. Raises KeyError for an unknown system, ValueError where no calibration fits what is asked.
    """
    started = time.perf_counter()
    chosen = [systems[name] for name in question.systems or list(systems)[:1]]
    plain = question.calibration == NONE and not question.rerank and len(chosen) * len(question.parts) == 1
    depth = min(question.k if plain else max(question.k, DEPTH), max(held or DEPTH, 1))
    hits, embedding = _find(chosen, question, depth)
    if question.calibration != NONE:
        hits = _calibrate(hits, question, calibrations or {})
    if question.rerank and match:
        hits = _rerank(hits, question, match)
    kept = hits.head(question.k).reset_index(drop=True)
    kept.attrs = {"embed_ms": embedding, "search_ms": 1000 * (time.perf_counter() - started) - embedding}
    return kept


def _find(chosen: Sequence[System], question: Question, depth: int) -> tuple[pd.DataFrame, float]:
    """The first `depth` hits, and the milliseconds to embed the query."""
    (part, _), *more = question.parts
    how = {"to": question.to, "k": depth, "where": question.where or None, "exact": question.exact}
    if more:
        systems = chosen[0] if len(chosen) == 1 else [system["text"] for system in chosen]
        with _asked(chosen[0], "text").index.session():  # opened once for both parts
            hits = hybrid(systems, part, more[0][0], question.weight, question.fusion, **how, depth=depth)
        return hits, hits.attrs["embed_ms"]
    answers = [_asked(system, question.source).search(part, **how) for system in chosen]
    embedding = sum(hits.attrs["embed_ms"] for hits in answers)
    return (answers[0] if len(answers) == 1 else _fuse(answers, question)), embedding


def _asked(system: System, source: str) -> Retriever:
    if source not in system:
        raise ValueError(f"no model of this run can be asked by {source}; ask by {' or '.join(system)}")
    return system[source]


def _fuse(answers: Sequence[pd.DataFrame], question: Question) -> pd.DataFrame:
    """The answers of several models as one, each with the same weight."""
    if question.fusion == EARLY:
        raise ValueError("vectors of several models cannot be mixed; choose weighted_sum, rrf or dbsf")
    fused = FUSIONS[question.fusion]([_rankings(hits) for hits in answers])
    payload = pd.concat(answers).drop_duplicates("item_id").drop(columns=["rank", "score"])
    return fused.drop(columns="query_id").merge(payload, on="item_id")


def _rerank(hits: pd.DataFrame, question: Question, match: Match) -> pd.DataFrame:
    """The first hits in the order of `match`, by the text where text and picture ask."""
    contents = {**contents_of(hits), "query": question.parts[0][0]}
    ranked = rerank(_rankings(hits), match, contents, question.rerank)[["item_id", "rank", "score", "before"]]
    return ranked.merge(hits.drop(columns=["rank", "score"]), on="item_id")


def _calibrate(hits: pd.DataFrame, question: Question, calibrations: Calibrations) -> pd.DataFrame:
    direction = f"{question.source}-to-{question.to}"
    known = calibrations.get(question.calibration, {})
    if direction not in known or len(question.systems) > 1:
        raise ValueError(
            f"the {question.calibration} calibration is fitted for {', '.join(known) or 'nothing'} with one "
            f"model; {direction} is asked here: choose calibration none"
        )
    return hits.assign(probability=known[direction].apply(_rankings(hits))["score"].to_numpy())


def _rankings(hits: pd.DataFrame) -> pd.DataFrame:
    return hits.assign(query_id="query")[list(RANKING_COLUMNS)]
