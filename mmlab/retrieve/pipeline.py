"""A run's answer: the queries of a split, step by step: searched, then fused, rescored, calibrated, reranked.

Every query is asked against the items of its own split. What is fitted is fitted on the validation split in its own
gallery; the queries of other splits are ranked beside, and are the bank of a rescoring.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from mmlab.evaluate.summaries import STEP_NAMES
from mmlab.index import Index
from mmlab.index.engines.bm25 import system_name
from mmlab.items import DIRECTIONS, MODALITIES, Vectors, exact_search, is_among
from mmlab.items.options import entries_of
from mmlab.items.parameter_table import check_together, check_values, parse_weights
from mmlab.items.rankings import first_rows, no_rankings
from mmlab.items.sentences import listed
from mmlab.items.tables import TooFew
from mmlab.items.vectors import DENSE, SPARSE
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
    voting_models,
    who_ask,
)
from mmlab.retrieve.query.rerank import Match, contents_of, count_unread, rerank
from mmlab.retrieve.scores.fitted_calibration import FittedCalibration, fit_calibration
from mmlab.retrieve.scores.fuse import RRF_K, fuse
from mmlab.retrieve.scores.fusion_weights import learn_weights
from mmlab.retrieve.scores.hubness import (
    MIN_REFERENCES,
    NONE,
    RESCORINGS,
    TEMPERED,
    centre,
    fit_centring,
    fit_temperature,
    rescore,
)
from mmlab.retrieve.scores.query_split import (
    AUTO,
    COMPARED_PAIRS,
    CalibrationSplit,
    Split,
    choose_split,
    split_names,
    split_queries,
)

EQUAL, LEARNED = "equal", "learned"
# of a split that is ranked beside the judged one, queries times items: some seconds
MAX_SCORES_BESIDE = 200_000_000
AS_EMBEDDED, CENTRED = "as embedded", "centred"  # the two systems of a model that answers alone


@dataclass(frozen=True)
class RetrievalConfig:
    """Which steps a run's answer takes; every one but the search may be "none" (0 for rerank).

    depth: items kept of each query; exact: by exact search, not the graph; fusion: over the run's models, of FUSIONS,
    with the k of "rrf" in rrf_k (of a run whose model answers alone, its vectors as embedded and centred are the two
    systems); weights: the systems' in it, "equal", "learned" on validation, or numbers that add up
    to 1, as "0.7, 0.3"; rescoring: "centring" or of RESCORINGS; calibration: of CALIBRATIONS; rerank: the first N
    again, by a matching head or the cross-encoder rerank_model;
    siblings: "leave_out" of all answers what a model reaches by the other texts, or images, of the query's own
    pair, and the votes of models that reach nothing right without them (`voting_models`), or "keep" it
    (`rank_through_pairs`); seed: for halves of the pairs where there is no validation split; split:
    whose queries are asked against whose items, "auto", "all" or a name, see `choose_split`; retrievers: the ways to
    rank, "dense", "bm25", "sparse", "late", of which the first that a query can ask answers unless they are fused;
    max_queries: how many queries of each direction and split are drawn, by pair (`Split.asking`), and asked against
    the whole gallery, 0 for all.
    Raises ValueError for an unknown name and a number out of range.

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
    rerank_model: str = ""
    seed: int = 0
    rrf_k: float = RRF_K
    siblings: str = LEAVE_OUT
    split: str = AUTO
    retrievers: tuple[str, ...] = (DENSE,)
    max_queries: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "retrievers", entries_of(self.retrievers))
        check_values(**vars(self))
        check_together(vars(self))

    def asking(self, part: Split, source: str) -> pd.DataFrame:
        """Return the items of modality `source` of a split that ask; see `Split.asking`."""
        return part.asking(source, self.max_queries, self.seed)

    def shares(self, models: int) -> tuple[float, ...] | None:
        """Return the weight of each of so many models; None for those that are equal or learned."""
        if self.weights in (EQUAL, LEARNED):
            return None
        shares = parse_weights(self.weights)
        if len(shares) != models:
            raise ValueError(
                f"parameter weights: expected a number for each of {models} models, found {self.weights!r}"
            )
        return shares

    @property
    def needs_fitting(self) -> bool:
        """Whether a step learns from the queries of the validation split."""
        return self.calibration != NONE or self.weights == LEARNED or self.rescoring in TEMPERED


class Reranking(NamedTuple):
    """What ranking the first items again took: their number n, milliseconds per query, and how many were not read."""

    n: int
    milliseconds: float
    unread: int


@dataclass(frozen=True)
class RankedDirection:
    """The rankings after every step, in order, and which of them is the answer; what was fitted for it, and on what.

    steps, answer: of the queries that are judged, against the items of their split. weights: of each model in the
    fusion, by its space's key, or of "as embedded" and "centred"; split: the queries to fit on and those to evaluate
    on, None where nothing is fitted; exact: whether the answer was made from exact search, not from the graph; beside:
    the same answer to queries of other splits, each against the items of its own split; drawn: how many queries the
    graph was asked beside an exact answer, 0 for all; reranking: what the step "reranked" took, where it was made.
    """

    steps: Mapping[str, pd.DataFrame]
    answer: pd.DataFrame
    calibration: FittedCalibration | None = None
    split: CalibrationSplit | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    exact: bool = True
    beside: pd.DataFrame = field(default_factory=no_rankings)
    drawn: int = 0
    reranking: Reranking | None = None

    @property
    def chain(self) -> dict[str, pd.DataFrame]:
        """The rankings from exact search to the answer, each made from the one before; see `parent_steps`."""
        return {name: self.steps[name] for name in self.chain_names}

    @property
    def chain_names(self) -> list[str]:
        """The names of the steps in `chain`, of which no rankings are read."""
        parents = parent_steps(self.steps, self.exact)
        name, names = _last_step(parents, self.exact), []
        while name:
            names.append(name)
            name = parents.get(name, "")
        return names[::-1]


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
) -> dict[str, RankedDirection]:
    """Rank texts that ask for images and images that ask for texts: those directions that `qrels` names.

    See `rank_direction`, which also says what it raises.
    """
    return {
        direction: rank_direction(index, vectors, items, source, target, config, qrels[direction], match)
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
) -> RankedDirection:
    """Rank the items of modality `target` for every item of modality `source`: "text" and "image".

    The queries of the configuration's split are asked against its own items: all that the index holds are `items`, and
    its filters let one split through. Other splits of up to 200,000,000 queries times items are ranked beside, unless a
    matching head ranks again, which takes minutes.

    `vectors`: those of the run's models, the main one first. The first that embeds `source`, and votes
    (`voting_models`), answers "exact", "index" (the graph, by the vectors themselves) and, where the index has them,
    "quantized"; then come the steps of the configuration: "fused" (not where one alone votes, unless one alone answers
    in both directions: then its vectors as embedded and centred are fused), "rescored" (each system's scores, fused
    again), "calibrated", "reranked" by `match`. What is fitted is fitted on validation, see `split_queries`; the
    queries of other splits are the bank of a rescoring, where there are enough (`find_banks`). Raises ValueError for a
    step that this run cannot take, saying what it lacks, and for a split that no item is of. Without items of both
    modalities nothing is ranked, nor where siblings are left out and no model holds both: no query could find a right
    item. Weights are never learned on siblings.
    """
    asked = _Direction(index, vectors, choose_split(items, config.split), source, target, config)
    if not asked.can_be_answered:
        return RankedDirection({"exact": no_rankings(), "index": no_rankings()}, no_rankings())
    with index.session():
        searched = asked.searched()
        systems = asked.systems() if config.fusion != NONE else {}
        weights = asked.weights(systems, qrels) if systems else {}
        ranked = asked.later_steps(systems, weights) or asked.as_searched(searched)
    fitted = asked.fit(ranked, qrels) if config.calibration != NONE else None
    if fitted:
        ranked["calibrated"] = fitted.apply(list(ranked.values())[-1])
    last = list(ranked)[-1]
    steps = searched | {name: asked.judged.asked(table) for name, table in ranked.items()}
    answer, reranking = steps[last], None
    if config.rerank:
        answer, reranking = _reranked(answer, asked.judged.items, config, match)
        steps["reranked"] = answer
    beside = asked.judged.not_asked(ranked[last])
    return RankedDirection(
        steps, answer, fitted, asked.split, weights, config.exact, beside, asked.drawn, reranking
    )


@dataclass(frozen=True)
class _Direction:
    """One direction of a run: queries of modality `source`, against the items of modality `target` of their split."""

    index: Index
    vectors: Sequence[Vectors]
    judged: Split
    source: str
    target: str
    config: RetrievalConfig

    @property
    def can_be_answered(self) -> bool:
        """Whether there are queries and items, and a way from the ones to the right others."""
        items = self.judged.items
        both = {self.source, self.target} <= set(items["modality"])
        return (
            both
            and bool(who_ask(self.vectors, items, self.source))
            and (self.config.siblings == KEEP or have_joint_space(self.vectors, items))
        )

    @cached_property
    def split(self) -> CalibrationSplit | None:
        """The queries to fit on and those to evaluate on; None where nothing is fitted."""
        return fitting_split(self.judged, self.source, self.config)

    @cached_property
    def parts(self) -> list[Split]:
        """The splits whose queries are ranked: the judged one, that which is fitted on, and small ones beside."""
        parts = self.judged.galleries if self.split else [self.judged]
        known = {part.name for part in parts}
        beside = [] if self.config.rerank else [part for part in self.judged.rest if part.name not in known]
        most = self.config.max_queries
        return parts + [part for part in beside if part.scores(self.source, most) <= MAX_SCORES_BESIDE]

    @property
    def fitted_on(self) -> Split:
        """The split that the fitting queries are of."""
        return self.split.gallery if self.split and self.split.gallery else self.judged

    def searched(self) -> dict[str, pd.DataFrame]:
        """Return the rankings of the judged queries by exact search, by the graph and by quantized copies.

        Weighted terms have no graph. Where exact search answers, the graph is asked the queries of 2,000 pairs
        (`Split.of_compared_pairs`): what it loses is known as well, and a walk takes longer than a scan.
        """
        queries, *_ = self.queries(self.judged)
        if queries.space.kind == SPARSE:
            return {"exact": self._scan(self.judged, queries)}
        asking = queries.take(self._compared) if self.drawn else queries
        steps = {
            "exact": self._scan(self.judged, queries),
            "index": self._walk(self.judged, asking, quantized=False),
        }
        searched = bridge_modality(self.index, queries, self.target) or self.target
        if self.index.schemas[self.index.collection(queries.space, searched)].quantization:
            steps["quantized"] = self._walk(self.judged, asking)
        return steps

    @cached_property
    def _compared(self) -> np.ndarray:
        """The judged queries that the graph is asked."""
        ids = self.queries(self.judged)[0].ids
        return self.judged.of_compared_pairs(ids, self.config.seed) if self.config.exact else ids

    @property
    def drawn(self) -> int:
        """How many of the judged queries the graph is asked; 0 for all."""
        asked = len(self._compared)
        return asked if asked < len(self.queries(self.judged)[0]) else 0

    def _scan(self, part: Split, queries: Vectors) -> pd.DataFrame:
        depth, siblings = self.config.depth, self.config.siblings
        return rank_exactly(
            self.index, self.vectors, part.items, queries, self.target, depth, part.where, siblings
        )

    def _walk(self, part: Split, queries: Vectors, quantized: bool = True) -> pd.DataFrame:
        depth, own_pairs = self.config.depth, pairs_of_queries(part.items, self.config.siblings)
        return rank(
            self.index,
            queries,
            self.target,
            depth,
            within=part.where,
            own_pairs=own_pairs,
            quantized=quantized,
        )

    @cached_property
    def voters(self) -> list[Vectors]:
        """The vectors of the models whose answers count in this direction."""
        return voting_models(self.vectors, self.judged.items, self.source, self.config.siblings)

    def queries(self, part: Split) -> list[Vectors]:
        """Return the vectors of the queries of a split, from every model that embeds them and votes."""
        return query_vectors(self.voters, self.config.asking(part, self.source), self.source)

    def as_searched(self, searched: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """Return the search that is the answer, by its name, with the queries of the other parts."""
        name = "exact" if self.config.exact else list(searched)[-1]
        return {name: _joined([searched[name], *map(self.search, self.parts[1:])])}

    def search(self, part: Split) -> pd.DataFrame:
        """Rank the queries of a split by the first model that embeds them, as the run answers."""
        queries, *_ = self.queries(part)
        scanned = self.config.exact or queries.space.kind == SPARSE
        return self._scan(part, queries) if scanned else self._walk(part, queries)

    def _by_model(self, part: Split) -> dict[str, pd.DataFrame]:
        """Return the rankings of each model that embeds the queries, by exact search or by the graph."""
        config, asking = self.config, self.config.asking(part, self.source)
        settings = (config.depth, config.exact, part.where, config.siblings, asking)
        return rank_models(self.index, self.voters, part.items, self.source, self.target, *settings)

    def systems(self) -> dict[str, pd.DataFrame]:
        """Return the rankings to fuse, by the system's name; none where one of several models answers alone."""
        by_part = [self._systems_of(part) for part in self.parts]
        return {name: _joined([one[name] for one in by_part if name in one]) for name in by_part[0]}

    def _systems_of(self, part: Split) -> dict[str, pd.DataFrame]:
        if len(self.queries(part)) > 1:
            return self._by_model(part)
        if any(len(query_vectors(self.vectors, part.items, one)) > 1 for one in MODALITIES):
            return {}
        (own,) = self.queries(part)
        gallery = gallery_vectors(self.vectors, part.items, own, self.target)
        if not len(gallery):
            raise ValueError(
                "fusion: one model alone answers here, and it holds no texts and images in one space to fuse "
                "as embedded and centred; give more models to 02_embed"
            )
        centred = exact_search(*centre(own, gallery, self.source), self.config.depth)
        return {AS_EMBEDDED: self.search(part), CENTRED: centred}

    def right(self, qrels: pd.DataFrame) -> pd.DataFrame:
        """Return what is right for the queries to fit on, in their gallery."""
        return self.fitted_on.within(qrels)

    def weights(self, ranked: Mapping[str, pd.DataFrame], qrels: pd.DataFrame) -> dict[str, float]:
        """Return the weight of each system: given, equal, or learned, though not on siblings."""
        shares = self._given_shares(ranked) or (1 / len(ranked),) * len(ranked)
        if self.config.weights == LEARNED and self.config.siblings == KEEP:
            without = replace(self, config=replace(self.config, siblings=LEAVE_OUT))
            voting, alone = without.systems(), system_name(without.queries(self.judged)[0].space)
            learned = without.weights(voting, qrels) if voting else {alone: 1.0}
            return {name: learned.get(name, 0.0) for name in ranked}
        if self.config.weights == LEARNED and self.split:
            fitting = [self.split.fitting_rows(one) for one in ranked.values()]
            right = self.split.fitting_rows(self.right(qrels))
            shares = learn_weights(fitting, right, self.config.fusion, rrf_k=self.config.rrf_k).weights
        return dict(zip(ranked, shares, strict=True))

    def _given_shares(self, names: Iterable[str]) -> tuple[float, ...] | None:
        """Return the given weights of the systems that vote, adding up to 1; None where none are given or left."""
        asking = [
            system_name(own.space) for own in query_vectors(self.vectors, self.judged.items, self.source)
        ]
        names = list(names)
        given = self.config.shares(len(asking)) if len(asking) > 1 else self.config.shares(len(names))
        if given is None or len(given) == len(names):
            return given
        left = [share for key, share in zip(asking, given, strict=True) if key in names]
        return tuple(share / sum(left) for share in left) if sum(left) else None

    def later_steps(
        self, ranked: Mapping[str, pd.DataFrame], weights: Mapping[str, float]
    ) -> dict[str, pd.DataFrame]:
        """Return the rankings after fusing and rescoring, of the queries of all parts."""
        steps = {}
        if ranked:
            steps["fused"] = _fused(list(ranked.values()), weights, self.config)
        if self.config.rescoring != NONE:
            steps["rescored"] = self._rescored(weights)
        return steps

    def fit(self, ranked: Mapping[str, pd.DataFrame], qrels: pd.DataFrame) -> FittedCalibration | None:
        """Fit the calibration to the last rankings of the fitting queries."""
        if self.split is None:
            return None
        answer, held = list(ranked.values())[-1], self.split.holds(self.target)
        return fit_calibration(self.config.calibration, answer, self.right(qrels), self.split, held)

    def _rescored(self, weights: Mapping[str, float]) -> pd.DataFrame:
        """Rescore each system, or the first model, and fuse them as they were; small splits beside may lack a bank."""
        temperatures = self._temperatures(weights)
        needed = {self.judged.name, self.fitted_on.name if self.config.calibration != NONE else ""}
        tables = []
        for part in self.parts:
            try:
                tables.append(self._rescored_part(part, weights, temperatures))
            except TooFew:
                if part.name in needed:
                    raise
        return _joined(tables)

    def _temperatures(self, weights: Mapping[str, float]) -> list[float | None]:
        """Return the temperature of each system, chosen on the fitting queries; None for the default."""
        part, config = self.fitted_on, self.config
        systems = self._rescorable(part, weights)
        if self.split is None or config.rescoring not in TEMPERED:
            return [None] * len(systems)
        with suppress(TooFew):  # such a split may lack a bank where the judged one has one
            return [
                fit_temperature(
                    *own[:2], self.pairs, config.rescoring, list(self.split.fitting), config.seed, own[2]
                )
                for own in systems
            ]
        return [None] * len(systems)

    def _rescored_part(
        self, part: Split, weights: Mapping[str, float], temperatures: Sequence[float | None]
    ) -> pd.DataFrame:
        config = self.config
        ranked = [
            rescore(
                queries, gallery, self.pairs, config.rescoring, self.source, config.depth, config.seed,
                temperature, references,
            ).rankings
            for (queries, gallery, references), temperature in zip(
                self._rescorable(part, weights), temperatures, strict=True
            )
        ]  # fmt: skip
        return ranked[0] if len(ranked) == 1 else _fused(ranked, weights, config)

    @cached_property
    def pairs(self) -> pd.Series:
        """The pair_id of every item of the run, by its id."""
        return pd.concat([self.judged.items, self.judged.others]).set_index("item_id")["pair_id"]

    def _rescorable(
        self, part: Split, weights: Mapping[str, float]
    ) -> list[tuple[Vectors, Vectors, Vectors]]:
        """Return queries, gallery and reference queries outside both the gallery and the judged split, by system."""
        asking, outside = self.queries(part), self.judged.outside(part)
        systems = []
        for own in asking if weights else asking[:1]:
            gallery = gallery_vectors(self.vectors, part.items, own, self.target)
            if not len(gallery):
                raise ValueError(
                    f"rescoring: {own.space.key} holds no items of the other modality to compare with"
                )
            systems.append((own, gallery, gallery_vectors(self.vectors, outside, own, self.source)))
        if CENTRED in weights:
            centring = fit_centring(*systems[0][:2], self.source)
            modalities = (self.source, self.target, self.source)
            centred = [centring.apply(one, side) for one, side in zip(systems[0], modalities, strict=True)]
            systems.append((centred[0], centred[1], centred[2]))
        return systems


def fitting_split(judged: Split, source: str, config: RetrievalConfig) -> CalibrationSplit | None:
    """Return the queries of modality `source` to fit on and to evaluate on; None where nothing is fitted."""
    if not config.needs_fitting:
        return None
    known = pd.concat([config.asking(part, source)["item_id"] for part in judged.galleries])
    return split_queries(judged, known, config.seed)


def describe_fitting(judged: Split, source: str, config: RetrievalConfig) -> dict[str, str]:
    """Say what served an answer beside the queries that it is judged by: what was "fitted on", "bank of rescoring"."""
    fitted = {
        "weights": config.weights == LEARNED,
        "temperature": config.rescoring in TEMPERED,
        "calibration": config.calibration != NONE,
    }
    split = fitting_split(judged, source, config)
    what = " and ".join(name for name, is_so in fitted.items() if is_so)
    if config.rescoring not in RESCORINGS:
        bank = "none"
    else:
        asked = judged.others[judged.others["modality"] == source]
        outside = (~is_among(asked["pair_id"], judged.items["pair_id"])).sum()
        names = ", ".join(dict.fromkeys(split_names(judged.others)))
        bank = (
            f"queries of {names}"
            if outside >= MIN_REFERENCES
            else "queries of pairs that neither ask nor answer"
        )
    return {"fitted on": f"{what}: {split.summary}" if split else "nothing", "bank of rescoring": bank}


def summarize_steps(ranked: Mapping[str, RankedDirection]) -> str:
    """Return a sentence on the steps of each direction, with which weights, and how a calibration was fitted."""
    parts: dict[str, list[str]] = {}
    for direction, found in ranked.items():
        kind = found.calibration.calibration.kind if found.calibration else ""
        weights = " + ".join(f"{weight:.2g} {name}" for name, weight in found.weights.items())
        details = [part for part in (weights, kind, found.split.summary if found.split else "") if part]
        parts.setdefault(_steps_in_words(found, ", ".join(details)), []).append(direction)
    return "; ".join(f"**{listed(names)}**: {words}" for words, names in parts.items()) + "."


def summarize_reranking(ranked: Mapping[str, RankedDirection], model: str = "") -> str:
    """Say how long ranking again took for a query of each direction, and how many items were not read."""
    made = {name: one.reranking for name, one in ranked.items() if one.reranking}
    if not made:
        return ""
    times = listed([f"{one.milliseconds:.3g} ms a query ({name})" for name, one in made.items()])
    first = next(iter(made.values())).n
    sentence = f"Ranking the first {first:,} again by {model or 'the matching head'} took {times}."
    unread = sum(one.unread for one in made.values())
    if not unread:
        return sentence
    return (
        f"{sentence} It reads an image by the other texts of its pair, never by the query or, where siblings are left "
        f"out, by those of the query's own pair: {unread:,} hits had none and kept their places."
    )


def _steps_in_words(found: RankedDirection, details: str) -> str:
    """Return the steps that led to the answer, with details, and those that are ranked beside it for comparison."""
    names = found.chain_names
    own = names if "index" not in names else [step for step in names if step != "exact"]
    chain, beside = (
        [STEP_NAMES.get(step, step) for step in found.steps if (step in own) == inside]
        for inside in (True, False)
    )
    answer = f"answered by {', then '.join(chain)}" + (f" ({details})" if details else "")
    asked = f", asked {found.drawn:,} queries of {COMPARED_PAIRS:,} pairs drawn" if found.drawn else ""
    return f"{answer}; beside the answer {listed(beside)}{asked}" if beside else answer


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def _fused(
    rankings: list[pd.DataFrame], weights: Mapping[str, float], config: RetrievalConfig
) -> pd.DataFrame:
    return first_rows(fuse(config.fusion, rankings, list(weights.values()), config.rrf_k), config.depth)


def _reranked(
    answer: pd.DataFrame, items: pd.DataFrame, config: RetrievalConfig, match: Match | None
) -> tuple[pd.DataFrame, Reranking]:
    """Rank the first items again; words of the query's own pair are read where siblings are kept."""
    if match is None:
        raise ValueError(
            "rerank: no model of this run has a matching head; embed with a BLIP, give a rerank_model, or set "
            "rerank = 0"
        )
    contents, own_pairs = contents_of(items, match), pairs_of_queries(items, config.siblings)
    started = time.perf_counter()
    found = rerank(answer, match, contents, config.rerank, own_pairs=own_pairs)
    spent = 1000 * (time.perf_counter() - started) / max(answer["query_id"].nunique(), 1)
    unread = count_unread(found, config.rerank)
    return found.drop(columns="read"), Reranking(config.rerank, spent, unread)
