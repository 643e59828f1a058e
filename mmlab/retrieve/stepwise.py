"""All queries of one direction, step by step: searched, then fused, rescored, calibrated, reranked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from mmlab.index import Index
from mmlab.items import Vectors
from mmlab.retrieve.calibrate import CALIBRATIONS
from mmlab.retrieve.fitted import Fitted, fit_calibration
from mmlab.retrieve.fold import Fold, fold_queries
from mmlab.retrieve.fuse import FUSIONS
from mmlab.retrieve.rank import rank, way
from mmlab.retrieve.rerank import Match, contents_of, rerank
from mmlab.retrieve.rescore import HOW, rescored

NONE = "none"
DIRECTIONS = {"text-to-image": ("text", "image"), "image-to-text": ("image", "text")}


@dataclass(frozen=True)
class Recipe:
    """Which steps a run's answer takes; every one but the search may be "none" (0 for rerank).

    depth: items kept of each query; exact: by exact search, not the graph; fusion: over the run's models, of
    FUSIONS; rescoring: "centring" or of RESCORINGS; calibration: of CALIBRATIONS; rerank: the first N.
    """

    depth: int = 100
    exact: bool = True
    fusion: str = NONE
    rescoring: str = NONE
    calibration: str = NONE
    rerank: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("fusion", FUSIONS), ("rescoring", HOW), ("calibration", CALIBRATIONS)):
            if getattr(self, name) not in (NONE, *known):
                raise ValueError(
                    f"{name}: expected one of {', '.join((NONE, *known))}, found {getattr(self, name)!r}"
                )
        if self.depth < 1 or self.rerank < 0:
            raise ValueError(
                f"depth is at least 1 and rerank at least 0, found {self.depth} and {self.rerank}"
            )


@dataclass(frozen=True)
class Ranked:
    """The rankings after every step, in order, and which of them is the answer; the calibration where one ran."""

    steps: dict[str, pd.DataFrame]
    answer: pd.DataFrame
    calibration: Fitted | None = None
    fold: Fold | None = None


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
    asks for: "fused" (the same weight for each model; not where one alone embeds `source`), "rescored" (each model's
    scores, fused again), "calibrated" (fitted on validation, see `fold_queries`), "reranked" by `match`.
    Raises ValueError for a step that this run cannot take, saying what it lacks.
    """
    asking = askers(spaces, items, source)
    with index.session():
        steps = _searched(index, asking[0], target, recipe.depth)
        answer = steps["exact"] if recipe.exact else list(steps.values())[-1]
        if recipe.fusion != NONE and len(asking) > 1:
            more = [rank(index, asked, target, recipe.depth, exact=recipe.exact) for asked in asking[1:]]
            steps["fused"] = answer = _fused([answer, *more], recipe)
    if recipe.rescoring != NONE:
        steps["rescored"] = answer = _rescored(spaces, asking, items, source, recipe)
    fitted = fold = None
    if recipe.calibration != NONE:
        fold = fold_queries(items, answer["query_id"].unique(), recipe.seed)
        fitted = fit_calibration(recipe.calibration, answer, qrels, fold)
        steps["calibrated"] = answer = fitted.apply(answer)
    if recipe.rerank:
        if match is None:
            raise ValueError(
                "rerank: no model of this run has a matching head; embed with a BLIP, or set rerank = 0"
            )
        steps["reranked"] = answer = rerank(answer, match, contents_of(items), recipe.rerank)
    return Ranked(steps, answer, fitted, fold)


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


def askers(spaces: Sequence[Vectors], items: pd.DataFrame, source: str) -> list[Vectors]:
    """Of every model that embeds `source` the vectors of these items; ValueError where none does."""
    ids = items.loc[items["modality"] == source, "item_id"]
    asking = [vectors.take(ids[ids.isin(vectors.ids)]) for vectors in spaces]
    found = [vectors for vectors in asking if len(vectors)]
    if not found:
        raise ValueError(f"no model of this run has vectors of modality {source!r}: nothing can ask")
    return found


def _searched(index: Index, asked: Vectors, target: str, depth: int) -> dict[str, pd.DataFrame]:
    steps = {
        "exact": rank(index, asked, target, depth, exact=True),
        "index": rank(index, asked, target, depth, quantized=False),
    }
    searched = way(index, asked, target) or target
    if index.schemas[index.collection(asked.space, searched)].quantization:
        steps["quantized"] = rank(index, asked, target, depth)
    return steps


def _fused(rankings: list[pd.DataFrame], recipe: Recipe) -> pd.DataFrame:
    fused = FUSIONS[recipe.fusion](rankings)
    return fused[fused["rank"] <= recipe.depth].reset_index(drop=True)


def _rescored(
    spaces: Sequence[Vectors], asking: list[Vectors], items: pd.DataFrame, source: str, recipe: Recipe
) -> pd.DataFrame:
    """The answer of each model that holds both sides, rescored, and fused as they were."""
    pairs = items.set_index("item_id")["pair_id"]
    gallery = items.loc[items["modality"] != source, "item_id"]
    asked = asking if recipe.fusion != NONE else asking[:1]
    ranked = []
    for queries in asked:
        held = next(vectors for vectors in spaces if vectors.space == queries.space)
        there = held.take(gallery[gallery.isin(held.ids)])
        if not len(there):
            raise ValueError(
                f"rescoring: {queries.space.key} holds no items of the other modality to compare with"
            )
        ranked.append(rescored(queries, there, pairs, recipe.rescoring, source, recipe.depth, recipe.seed))
    return ranked[0] if len(ranked) == 1 else _fused(ranked, recipe)
