"""A run's answer: all queries of a direction, step by step: searched, then fused, rescored, calibrated, reranked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from mmlab.index import Index
from mmlab.items import DIRECTIONS, MODALITIES, Vectors, exact_search
from mmlab.items.options import check_option
from mmlab.items.rankings import first_rows, no_rankings, opposite_modality
from mmlab.retrieve.query.rank import (
    KEEP,
    LEAVE_OUT,
    bridge_modality,
    gallery_vectors,
    have_joint_space,
    pairs_of_queries,
    query_vectors,
    rank,
    rank_exactly,
    rank_models,
)
from mmlab.retrieve.query.rerank import Match, contents_of, rerank
from mmlab.retrieve.scores.fitted_calibration import FittedCalibration, fit_calibration
from mmlab.retrieve.scores.fuse import RRF_K, SUM_TOLERANCE, fuse
from mmlab.retrieve.scores.fusion_weights import learn_weights
from mmlab.retrieve.scores.hubness import NONE, TEMPERED, centre, fit_centring, rescore
from mmlab.retrieve.scores.query_split import CalibrationSplit, split_queries

EQUAL, LEARNED = "equal", "learned"
AS_EMBEDDED, CENTRED = "as embedded", "centred"  # the two systems of a model that answers alone


@dataclass(frozen=True)
class RetrievalConfig:
    """Which steps a run's answer takes; every one but the search may be "none" (0 for rerank).

    depth: items kept of each query; exact: by exact search, not the graph; fusion: over the run's models, of FUSIONS,
    with the k of "rrf" in rrf_k (of a run whose model answers alone, its vectors as embedded and centred are the two
    systems); weights: the systems' in it, "equal", "learned" on validation, or numbers that add up
    to 1, as "0.7, 0.3"; rescoring: "centring" or of RESCORINGS; calibration: of CALIBRATIONS; rerank: the first N
    again; siblings: "leave_out" of all answers what a model reaches by the other texts, or images, of the query's own
    pair, or "keep" it (`rank_through_pairs`); seed: for halves of the pairs where there is no validation split. Raises
    ValueError for an unknown name and a number out of range.

    >>> RetrievalConfig(fusion="rrf", weights="0.7, 0.3").shares(models=2)
    (0.7, 0.3)
    """

    depth: int = 100
    exact: bool = True
    fusion: str = NONE
    weights: str = EQUAL
    rescoring: str = NONE
    calibration: str = NONE
    rerank: int = 0
    seed: int = 0
    rrf_k: float = RRF_K
    siblings: str = LEAVE_OUT

    def __post_init__(self) -> None:
        for name in ("fusion", "rescoring", "calibration", "siblings"):
            check_option(name, getattr(self, name))
        if self.depth < 1 or self.rerank < 0 or self.rrf_k < 0:
            raise ValueError(
                "expected depth of at least 1, rerank and rrf_k of at least 0; found "
                f"{self.depth}, {self.rerank} and {self.rrf_k}"
            )
        if self.weights != EQUAL and self.fusion == NONE:
            raise ValueError(
                f"weights {self.weights!r} need a fusion: set fusion to rrf, dbsf or weighted_sum"
            )
        if self.rescoring == "qb_norm" and self.calibration != NONE:
            raise ValueError(
                "calibration: qb_norm rescores some queries and leaves others as they are, so that their scores are on "
                "two scales and no calibration fits both; choose csls or inverted_softmax"
            )
        self.shares(len(self.weights.split(",")))

    def shares(self, models: int) -> tuple[float, ...] | None:
        """Return the weight of each of so many models; None for those that are equal or learned."""
        if self.weights in (EQUAL, LEARNED):
            return None
        try:
            shares = tuple(float(share) for share in self.weights.split(","))
        except ValueError:
            shares = ()
        if len(shares) != models or min(shares) < 0 or abs(sum(shares) - 1) > SUM_TOLERANCE:
            raise ValueError(
                f"weights: expected {EQUAL!r}, {LEARNED!r}, or a number for each of {models} models, adding up to 1, "
                f"such as '0.7, 0.3'; found {self.weights!r}"
            )
        return shares

    @property
    def needs_fitting(self) -> bool:
        """Whether a step learns from the queries of the validation split."""
        return self.calibration != NONE or self.weights == LEARNED or self.rescoring in TEMPERED


@dataclass(frozen=True)
class RankedDirection:
    """The rankings after every step, in order, and which of them is the answer; what was fitted for it, and on what.

    weights: of each model in the fusion, by its space's key, or of "as embedded" and "centred"; split: the queries to
    fit on and those to evaluate on; exact: whether the answer was made from exact search, not from the graph.
    """

    steps: dict[str, pd.DataFrame]
    answer: pd.DataFrame
    calibration: FittedCalibration | None = None
    split: CalibrationSplit | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    exact: bool = True

    @property
    def chain(self) -> dict[str, pd.DataFrame]:
        """The rankings from exact search to the answer, each made from the one before; see `parent_steps`."""
        parents = parent_steps(self.steps, self.exact)
        name, names = _last_step(parents, self.exact), []
        while name:
            names.append(name)
            name = parents.get(name, "")
        return {name: self.steps[name] for name in reversed(names)}


def parent_steps(steps: Iterable[str], exact: bool) -> dict[str, str]:
    """Return for each step but "exact" the step that it was made from.

    The graph stands in for exact search, quantized copies for the graph's vectors; models are fused as the run answers,
    and rescored from exact scores (and fused again); a calibration and a reranking take what the steps before left.

    >>> parent_steps(["exact", "index", "quantized", "fused", "reranked"], exact=True)
    {'index': 'exact', 'quantized': 'index', 'fused': 'exact', 'reranked': 'fused'}
    """
    parents: dict[str, str] = {}
    for name in steps:
        if name in ("index", "rescored"):
            parents[name] = "exact"
        elif name == "quantized":
            parents[name] = "index"
        elif name != "exact":
            parents[name] = _last_step(parents, exact)
    return parents


def _last_step(parents: Iterable[str], exact: bool) -> str:
    """Return the last step of an answer: the last that changes it, or the search that it was made from."""
    names = list(parents)
    later = [name for name in names if name not in ("index", "quantized")]
    return later[-1] if later else "exact" if exact or not names else names[-1]


def rank_directions(
    index: Index,
    vectors: Sequence[Vectors],
    items: pd.DataFrame,
    config: RetrievalConfig,
    qrels: Mapping[str, pd.DataFrame],
    match: Match | None = None,
    others: pd.DataFrame | None = None,
) -> dict[str, RankedDirection]:
    """Rank texts that ask for images and images that ask for texts: those directions that `qrels` names.

    See `rank_direction`, which also says what it raises.
    """
    return {
        direction: rank_direction(
            index, vectors, items, source, target, config, qrels[direction], match, others
        )
        for direction, (source, target) in DIRECTIONS.items()
        if direction in qrels
    }


def rank_direction(
    index: Index,
    vectors: Sequence[Vectors],
    items: pd.DataFrame,
    source: str,
    target: str,
    config: RetrievalConfig,
    qrels: pd.DataFrame,
    match: Match | None = None,
    others: pd.DataFrame | None = None,
) -> RankedDirection:
    """Rank the items of modality `target` for every item of modality `source`: "text" and "image".

    `vectors`: those of the run's models, the main one first. The first that embeds `source` answers "exact", "index"
    (the graph, by the vectors themselves) and, where the index has them, "quantized"; then come the steps of the
    configuration: "fused" (not where one alone embeds `source`, unless one alone answers in both directions: then its
    vectors as embedded and centred are fused), "rescored" (each system's scores, fused again), "calibrated", "reranked"
    by `match`. What is fitted is fitted on validation, see `split_queries`; `others`: items outside the gallery, as
    those of a training split, whose queries are the bank of a rescoring (`find_banks`). Raises ValueError for a step
    that this run cannot take, saying what it lacks. Without items of both modalities nothing is ranked,
    nor where siblings are left out and no model holds both: no query could find a right item. Weights are never learned
    on siblings.
    """
    both = {source, target} <= set(items["modality"])
    if not both or (config.siblings == LEAVE_OUT and not have_joint_space(vectors, items)):
        return RankedDirection({"exact": no_rankings(), "index": no_rankings()}, no_rankings())
    queries = query_vectors(vectors, items, source)
    split = split_queries(items, queries[0].ids, config.seed) if config.needs_fitting else None
    with index.session():
        steps = _searched(index, vectors, items, queries[0], target, config)
        answer = steps["exact"] if config.exact else list(steps.values())[-1]
        ranked = _systems(index, vectors, items, source, config) if config.fusion != NONE else {}
        learned_on = ranked
        if config.weights == LEARNED and config.siblings == KEEP:
            learned_on = _systems(index, vectors, items, source, replace(config, siblings=LEAVE_OUT))
    weights = _weights(learned_on, config, qrels, split) if ranked else {}
    if ranked:
        steps["fused"] = answer = _fused(list(ranked.values()), weights, config)
    if config.rescoring != NONE:
        steps["rescored"] = answer = _rescored(
            vectors, queries, items, source, config, weights, split, others
        )
    fitted = None
    if config.calibration != NONE and split:
        held = int((items["modality"] == target).sum())
        fitted = fit_calibration(config.calibration, answer, qrels, split, held)
        steps["calibrated"] = answer = fitted.apply(answer)
    if config.rerank:
        steps["reranked"] = answer = _reranked(answer, items, config, match)
    return RankedDirection(steps, answer, fitted, split, weights, config.exact)


def summarize_steps(ranked: Mapping[str, RankedDirection]) -> str:
    """Return a sentence on the steps of each direction, with which weights, and how a calibration was fitted."""
    parts = []
    for direction, found in ranked.items():
        steps = f"**{direction}**: {', then '.join(found.steps)}"
        kind = found.calibration.calibration.kind if found.calibration else ""
        weights = " + ".join(f"{weight:.2g} {name}" for name, weight in found.weights.items())
        details = [part for part in (weights, kind, found.split.summary if found.split else "") if part]
        parts.append(f"{steps} ({', '.join(details)})" if details else steps)
    return "; ".join(parts) + "."


def _searched(
    index: Index,
    vectors: Sequence[Vectors],
    items: pd.DataFrame,
    queries: Vectors,
    target: str,
    config: RetrievalConfig,
) -> dict[str, pd.DataFrame]:
    depth, own_pairs = config.depth, pairs_of_queries(items, config.siblings)
    steps = {
        "exact": rank_exactly(index, vectors, items, queries, target, depth, config.siblings),
        "index": rank(index, queries, target, depth, own_pairs=own_pairs, quantized=False),
    }
    searched = bridge_modality(index, queries, target) or target
    if index.schemas[index.collection(queries.space, searched)].quantization:
        steps["quantized"] = rank(index, queries, target, depth, own_pairs=own_pairs)
    return steps


def _systems(
    index: Index, vectors: Sequence[Vectors], items: pd.DataFrame, source: str, config: RetrievalConfig
) -> dict[str, pd.DataFrame]:
    """Return the rankings to fuse, by the system's name; none where one of several models answers this direction."""
    target = opposite_modality(source)
    if len(query_vectors(vectors, items, source)) > 1:
        return rank_models(index, vectors, items, source, target, config.depth, config.exact, config.siblings)
    if any(len(query_vectors(vectors, items, modality)) > 1 for modality in MODALITIES):
        return {}
    (own,) = query_vectors(vectors, items, source)
    gallery = gallery_vectors(vectors, items, own, target)
    if not len(gallery):
        raise ValueError(
            "fusion: one model alone answers here, and it holds no texts and images in one space to fuse "
            "as embedded and centred; give more models to 02_embed"
        )
    (embedded,) = rank_models(index, vectors, items, source, target, config.depth, config.exact).values()
    return {
        AS_EMBEDDED: embedded,
        CENTRED: exact_search(*centre(own, gallery, source), config.depth),
    }


def _weights(
    ranked: Mapping[str, pd.DataFrame],
    config: RetrievalConfig,
    qrels: pd.DataFrame,
    split: CalibrationSplit | None,
) -> dict[str, float]:
    shares = config.shares(len(ranked)) or (1 / len(ranked),) * len(ranked)
    if config.weights == LEARNED and split:
        fitting = [split.fitting_rows(one) for one in ranked.values()]
        shares = learn_weights(fitting, split.fitting_rows(qrels), config.fusion, rrf_k=config.rrf_k).weights
    return dict(zip(ranked, shares, strict=True))


def _fused(
    rankings: list[pd.DataFrame], weights: Mapping[str, float], config: RetrievalConfig
) -> pd.DataFrame:
    return first_rows(fuse(config.fusion, rankings, list(weights.values()), config.rrf_k), config.depth)


def _rescored(
    vectors: Sequence[Vectors],
    queries: Sequence[Vectors],
    items: pd.DataFrame,
    source: str,
    config: RetrievalConfig,
    weights: Mapping[str, float],
    split: CalibrationSplit | None,
    others: pd.DataFrame | None,
) -> pd.DataFrame:
    """Rescore the answer of each fused system, or of the first model, and fuse them as they were."""
    known = items if others is None else pd.concat([items, others])
    pairs, rescoring = known.set_index("item_id")["pair_id"], config.rescoring
    systems = [
        _rescorable(vectors, own, items, source, others) for own in (queries if weights else queries[:1])
    ]
    if CENTRED in weights:
        systems.append(_centred(*systems[0], source))
    ranked = [
        rescore(
            own, gallery, pairs, rescoring, source, config.depth, config.seed, split, None, references
        ).rankings
        for own, gallery, references in systems
    ]
    return ranked[0] if len(ranked) == 1 else _fused(ranked, weights, config)


def _rescorable(
    vectors: Sequence[Vectors], own: Vectors, items: pd.DataFrame, source: str, others: pd.DataFrame | None
) -> tuple[Vectors, Vectors, Vectors | None]:
    """Return queries, gallery and reference queries outside the gallery, of one model."""
    gallery = gallery_vectors(vectors, items, own, opposite_modality(source))
    if not len(gallery):
        raise ValueError(f"rescoring: {own.space.key} holds no items of the other modality to compare with")
    return own, gallery, None if others is None else gallery_vectors(vectors, others, own, source).asking()


def _centred(
    queries: Vectors, gallery: Vectors, references: Vectors | None, source: str
) -> tuple[Vectors, Vectors, Vectors | None]:
    centring = fit_centring(queries, gallery, source)
    others = None if references is None else centring.apply(references, source)
    return *centre(queries, gallery, source), others


def _reranked(
    answer: pd.DataFrame, items: pd.DataFrame, config: RetrievalConfig, match: Match | None
) -> pd.DataFrame:
    if match is None:
        raise ValueError(
            "rerank: no model of this run has a matching head; embed with a BLIP, or set rerank = 0"
        )
    return rerank(answer, match, contents_of(items), config.rerank)
