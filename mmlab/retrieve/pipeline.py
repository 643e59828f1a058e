"""All queries of one direction, step by step: searched, then fused, rescored, calibrated, reranked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from mmlab.index import Index
from mmlab.items import DIRECTIONS, Vectors, opposite_modality
from mmlab.items.rankings import first_rows
from mmlab.retrieve.config import LEARNED, NONE, Recipe
from mmlab.retrieve.query.model_rankings import askers, gallery_of, rank_models, search_exactly
from mmlab.retrieve.query.rank import rank, way
from mmlab.retrieve.query.rerank import Match, contents_of, rerank
from mmlab.retrieve.scores.fitted_calibration import Fitted, fit_calibration
from mmlab.retrieve.scores.fuse import fuse
from mmlab.retrieve.scores.fusion_weights import learn_weights
from mmlab.retrieve.scores.query_split import Fold, fold_queries
from mmlab.retrieve.scores.rescore import rescored


@dataclass(frozen=True)
class Ranked:
    """The rankings after every step, in order, and which of them is the answer; what was fitted for it, where it was.

    weights: of each model in the fusion, by its space's key; fold: the queries to fit on and those to judge on.
    """

    steps: dict[str, pd.DataFrame]
    answer: pd.DataFrame
    calibration: Fitted | None = None
    fold: Fold | None = None
    weights: Mapping[str, float] = field(default_factory=dict)


def rank_in_steps(
    index: Index,
    spaces: Sequence[Vectors],
    items: pd.DataFrame,
    source: str,
    target: str,
    recipe: Recipe,
    qrels: pd.DataFrame,
    match: Match | None = None,
) -> Ranked:
    """Every item of modality `source` asks for those of modality `target`: "text" and "image".

    `spaces`: the vectors of the run's models, the main one first; the first that embeds `source` answers "exact",
    "index" (the graph, by the vectors themselves) and, where the index has them, "quantized"; then what the recipe
    asks for: "fused" (not where one alone embeds `source`), "rescored" (each model's scores, fused again),
    "calibrated", "reranked" by `match`. What is fitted is fitted on validation, see `fold_queries`.
    Raises ValueError for a step that this run cannot take, saying what it lacks.
    """
    asking = askers(spaces, items, source)
    fold = fold_queries(items, asking[0].ids, recipe.seed) if recipe.fits else None
    with index.session():
        steps = _searched(index, spaces, items, asking[0], target, recipe.depth)
        answer = steps["exact"] if recipe.exact else list(steps.values())[-1]
        weights: dict[str, float] = {}
        if recipe.fusion != NONE and len(asking) > 1:
            ranked = rank_models(index, spaces, items, source, target, recipe.depth, recipe.exact)
            weights = _weights(ranked, recipe, qrels, fold)
            steps["fused"] = answer = _fused(list(ranked.values()), weights, recipe)
    if recipe.rescoring != NONE:
        steps["rescored"] = answer = _rescored(spaces, asking, items, source, recipe, weights, fold)
    fitted = None
    if recipe.calibration != NONE:
        fitted = fit_calibration(recipe.calibration, answer, qrels, fold)
        steps["calibrated"] = answer = fitted.apply(answer)
    if recipe.rerank:
        if match is None:
            raise ValueError(
                "rerank: no model of this run has a matching head; embed with a BLIP, or set rerank = 0"
            )
        steps["reranked"] = answer = rerank(answer, match, contents_of(items), recipe.rerank)
    return Ranked(steps, answer, fitted, fold, weights)


def rank_directions(
    index: Index,
    spaces: Sequence[Vectors],
    items: pd.DataFrame,
    recipe: Recipe,
    qrels: Mapping[str, pd.DataFrame],
    match: Match | None = None,
) -> dict[str, Ranked]:
    """`rank_in_steps` for texts that ask for images and images that ask for texts, by the names of DIRECTIONS.

    Raises ValueError where the recipe fuses and no direction is answered by several models.
    """
    if recipe.fusion != NONE and all(
        len(askers(spaces, items, source)) < 2 for source, _ in DIRECTIONS.values()
    ):
        raise ValueError(
            "fusion: one model alone answers here, expected several; give more models to 02_embed"
        )
    return {
        name: rank_in_steps(index, spaces, items, *way, recipe, qrels[name], match)
        for name, way in DIRECTIONS.items()
    }


def _searched(
    index: Index, spaces: Sequence[Vectors], items: pd.DataFrame, asked: Vectors, target: str, depth: int
) -> dict[str, pd.DataFrame]:
    steps = {
        "exact": search_exactly(index, spaces, items, asked, target, depth),
        "index": rank(index, asked, target, depth, quantized=False),
    }
    searched = way(index, asked, target) or target
    if index.schemas[index.collection(asked.space, searched)].quantization:
        steps["quantized"] = rank(index, asked, target, depth)
    return steps


def _weights(
    ranked: Mapping[str, pd.DataFrame], recipe: Recipe, qrels: pd.DataFrame, fold: Fold | None
) -> dict[str, float]:
    if recipe.weights == LEARNED:
        own = [fold.fit_on(one) for one in ranked.values()]
        shares = learn_weights(own, fold.fit_on(qrels), recipe.fusion).weights
    else:
        shares = recipe.shares(len(ranked)) or [1 / len(ranked)] * len(ranked)
    return dict(zip(ranked, shares, strict=True))


def _fused(rankings: list[pd.DataFrame], weights: Mapping[str, float], recipe: Recipe) -> pd.DataFrame:
    return first_rows(fuse(recipe.fusion, rankings, list(weights.values())), recipe.depth)


def _rescored(
    spaces: Sequence[Vectors],
    asking: list[Vectors],
    items: pd.DataFrame,
    source: str,
    recipe: Recipe,
    weights: Mapping[str, float],
    fold: Fold | None,
) -> pd.DataFrame:
    """The answer of each model that holds both sides, rescored, and fused as they were."""
    pairs = items.set_index("item_id")["pair_id"]
    ranked = []
    for queries in asking if weights else asking[:1]:
        there = gallery_of(spaces, items, queries, opposite_modality(source))
        if not len(there):
            raise ValueError(
                f"rescoring: {queries.space.key} holds no items of the other modality to compare with"
            )
        how = {"k": recipe.depth, "seed": recipe.seed, "fold": fold}
        ranked.append(rescored(queries, there, pairs, recipe.rescoring, source, **how))
    return ranked[0] if len(ranked) == 1 else _fused(ranked, weights, recipe)
