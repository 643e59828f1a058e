"""The queries of a split, ranked: the answer of each direction and the rankings after each step that led to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from mmlab.evaluate.measures.qrels import right_ranks
from mmlab.evaluate.measures.scoring import join_directions, success_by_cutoff
from mmlab.evaluate.protocol import SIBLINGS_KEPT, SIBLINGS_LEFT_OUT
from mmlab.evaluate.summaries import NOTHING_JUDGED, escape_markdown, summarize_siblings
from mmlab.items import DIRECTIONS, MODALITIES, Vectors, is_among, write_table
from mmlab.items.sentences import listed
from mmlab.items.tables import TooFew
from mmlab.retrieve import RetrievalConfig, rank_directions
from mmlab.retrieve.pipeline import (
    RankedDirection,
    describe_fitting,
    fitting_split,
    summarize_reranking,
    summarize_steps,
)
from mmlab.retrieve.query.explain import ranks_of_query
from mmlab.retrieve.query.rank import (
    KEEP,
    answering_through_pairs,
    have_joint_space,
    voting_models,
    who_ask,
)
from mmlab.retrieve.query.rerank import Match, find_matcher
from mmlab.retrieve.scores.query_split import ALL, Split
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import Html, figure, query_gallery
from mmlab.visualize.curves import success_curves
from mmlab.workbench.result import Report, Result, no_table, or_reason
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OUT_OF_REACH = (
    "nothing is measured here: no model of this run holds both texts and images, so a query finds its right answer "
    'only by other captions, or other images, of its own pair, which are left out; with siblings="keep" 04_retrieve '
    "measures whether a caption finds another caption of its image"
)
NOT_EMBEDDED = "nothing is measured here: no model embeds the {} of this run; give 02_embed one that does"


@dataclass(frozen=True, repr=False)
class Rankings(Report):
    """The ranked items of every query of the split that is judged, in one direction or in both.

    Made by `Run.rank`, and read from the run's files by `Run.rankings`.

    Attributes:
        data: the run whose queries were ranked.
        ranked: for each direction its answer, the rankings after each step, and what was fitted.
        name: what comparisons call these rankings.
        config: how they were made, and of which split.

    Example:
        >>> rankings = run.rank(to="image")
        >>> list(rankings.answers)
        ['text-to-image']
    """

    data: RunData
    ranked: Mapping[str, RankedDirection]
    name: str
    config: RetrievalConfig

    @classmethod
    def of(cls, data: RunData, to: str | None, given: Mapping[str, Any]) -> Self:
        """Rank the queries of one direction, or of both; what is not given is as the run's parameters have it."""
        config = retrieval_config(data, given)
        qrels = {
            name: data.qrels(target, ALL) for name, (_, target) in DIRECTIONS.items() if to in (None, target)
        }
        vectors = _in_order(data, config)
        match = _find_match(data, config) if config.rerank else None
        ranked = rank_directions(data.index, vectors, data.embedded_items, config, qrels, match)
        changed = ", ".join(map(_setting, given.items()))
        return cls(data, ranked, changed or data.name, config)

    @classmethod
    def saved(cls, data: RunData) -> Self:
        """Read the run's own answers; siblings were kept before they could be left out."""
        record = data.manifest["steps"].get("04_retrieve")
        known = record is not None and "siblings" in record["parameters"]
        config, ranked = retrieval_config(data, {} if known else {"siblings": KEEP}), {}
        for name, (source, _) in DIRECTIONS.items():
            steps, answer, beside = data.ranking_steps(name), data.answer(name), data.answers_beside(name)
            split = fitting_split(data.judged(config.split), source, config) if len(answer) else None
            ranked[name] = RankedDirection(steps, answer, None, split, {}, config.exact, beside)
            steps.known[ranked[name].chain_names[-1]] = answer
        return cls(data, ranked, data.name, config)

    @property
    def judged(self) -> Split:
        """The split that is judged: its name, its items, which are queries and gallery, and those of other splits.

        Example:
            >>> run.rankings.judged.name
            'test'
        """
        return self.data.judged(self.config.split)

    @property
    def items(self) -> pd.DataFrame:
        """The items of the split that is judged."""
        return self.judged.items

    @cached_property
    def vectors_by_modality(self) -> dict[str, Vectors]:
        """The vectors of the texts and those of the images of the split that is judged."""
        return {name: self.judged.take(own) for name, own in self.data.vectors_by_modality.items()}

    @cached_property
    def qrels(self) -> dict[str, pd.DataFrame]:
        """What is right, by direction: query_id, item_id, relevance; of no query that something was fitted on.

        No rows where no right answer can be found.

        Example:
            >>> list(run.rankings.qrels)
            ['text-to-image', 'image-to-text']
        """
        right = {name: self.data.qrels(DIRECTIONS[name][1], self.config.split) for name in self.ranked}
        if self.out_of_reach:
            return {name: table.head(0) for name, table in right.items()}
        fitted = {name: one.split for name, one in self.ranked.items() if one.split}
        return {
            name: fitted[name].evaluation_rows(t) if name in fitted else self.of_asked(t, name)
            for name, t in right.items()
        }

    def asked(self, direction: str, part: Split | None = None) -> pd.DataFrame:
        """Return the items that ask in a direction, of the split that is judged unless another is given.

        Example:
            >>> run.rankings.asked("text-to-image")["modality"].unique().tolist()
            ['text']
        """
        return self.config.asking(part or self.judged, DIRECTIONS[direction][0])

    def of_asked(self, qrels: pd.DataFrame, direction: str, part: Split | None = None) -> pd.DataFrame:
        """Return the rows of qrels whose query was asked, see `max_queries`.

        Example:
            >>> qrels = run.rankings.of_asked(run.qrels("image"), "text-to-image")
        """
        if not self.config.max_queries:
            return qrels
        return qrels[is_among(qrels["query_id"], self.asked(direction, part)["item_id"])]

    @cached_property
    def drawn(self) -> dict[str, str]:
        """How many of the queries were drawn, in each direction: "all", or "2,000 of 100,000, by pair"."""
        counts = self.items["modality"].value_counts()
        asked = {name: len(self.asked(name)) for name in self.ranked}
        held = {name: int(counts.get(DIRECTIONS[name][0], 0)) for name in self.ranked}
        return {n: ALL if asked[n] == held[n] else f"{asked[n]:,} of {held[n]:,}, by pair" for n in asked}

    @property
    def drawn_sentence(self) -> str:
        """How many queries were drawn and what the intervals hold for; empty where all asked."""
        parts = [f"{words} ({name})" for name, words in self.drawn.items() if words != ALL]
        if not parts:
            return ""
        return (
            f"Queries were drawn by seed {self.config.seed} and asked against the whole gallery: {listed(parts)}; "
            "the intervals hold for all of them."
        )

    def compared(self, direction: str) -> pd.DataFrame:
        """Return the qrels of the queries that were asked what stands beside the answer: of 2,000 pairs at most.

        Example:
            >>> run.rankings.compared("text-to-image").columns.tolist()
            ['query_id', 'item_id', 'relevance']
        """
        qrels = self.qrels[direction]
        ids = qrels["query_id"].to_numpy(dtype=str)
        if not self.ranked[direction].exact:
            return qrels
        return qrels[is_among(ids, self.judged.of_compared_pairs(ids, self.config.seed))]

    def rules(self) -> dict[str, dict[str, str]]:
        """Return what served the answer beside the queries that are judged, by direction and rule.

        Example:
            >>> run.rankings.rules()["text-to-image"]["fitted on"]
            'nothing'
        """
        return {
            name: describe_fitting(self.judged, DIRECTIONS[name][0], self.config)
            | {"siblings": self.siblings[name], "refused by 01_ingest": self.data.refused}
            | {"queries drawn": self.drawn[name]}
            for name in self.ranked
        }

    @property
    def answers(self) -> dict[str, pd.DataFrame]:
        """The answer of each direction: query_id, item_id, rank from 1, score.

        Example:
            >>> run.rankings.answers["text-to-image"].columns.tolist()
            ['query_id', 'item_id', 'rank', 'score']
        """
        return {direction: ranked.answer for direction, ranked in self.ranked.items()}

    @property
    def steps(self) -> dict[str, dict[str, pd.DataFrame]]:
        """The rankings after each step of each direction, "exact" first.

        Example:
            >>> list(run.rankings.steps["text-to-image"])
            ['exact', 'index', 'quantized']
        """
        return {direction: dict(ranked.steps) for direction, ranked in self.ranked.items()}

    @property
    def chains(self) -> dict[str, dict[str, pd.DataFrame]]:
        """The rankings of each direction from exact search to its answer, each made from the one before."""
        return {direction: ranked.chain for direction, ranked in self.ranked.items()}

    @property
    def out_of_reach(self) -> bool:
        """Whether the right answers are reached by siblings of the queries alone, which were left out."""
        if any(map(len, self.answers.values())):
            return False
        both = set(MODALITIES) <= set(self.items["modality"])
        return both and not have_joint_space(self._vectors, self.items)

    @property
    def unmeasured(self) -> str:
        """What the models lack for a right answer to be found; empty where that is not the reason."""
        if self.out_of_reach:
            return OUT_OF_REACH
        held, embedded = (set(table["modality"]) for table in (self.data.items, self.data.embedded_items))
        lacking = [f"{modality}s" for modality in MODALITIES if modality in held - embedded]
        return NOT_EMBEDDED.format(lacking[0]) if lacking else ""

    @property
    def nothing_judged(self) -> str:
        """Why there is nothing to judge, where that is so."""
        return self.unmeasured or NOTHING_JUDGED

    @property
    def _vectors(self) -> list[Any]:
        """The vectors by which the retrievers of these rankings ranked."""
        return self.data.vectors_of(self.config.retrievers)

    @cached_property
    def answering(self) -> dict[str, list[Any]]:
        """The vectors that ask in each direction: of all models in a fusion that vote, else of the first."""
        vectors, siblings = self._vectors, self.config.siblings
        sources = {name: DIRECTIONS[name][0] for name in self.ranked}
        return self._asking(
            {n: voting_models(vectors, self.items, one, siblings) for n, one in sources.items()}
        )

    def _asking(self, vectors: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Return those of the vectors in each direction that a fusion asks, or that ask alone; {} for one modality."""
        if not set(MODALITIES) <= set(self.items["modality"]):
            return {}
        asking = {name: who_ask(own, self.items, DIRECTIONS[name][0]) for name, own in vectors.items()}
        return {name: own if self.config.fusion != "none" else own[:1] for name, own in asking.items() if own}

    @cached_property
    def _through_pairs(self) -> dict[str, list[str]]:
        """The models that would answer a direction through pairs alone, and so right by siblings of the query alone."""
        vectors, items, found = self._vectors, self.items, {}
        for name, used in self._asking(dict.fromkeys(self.ranked, vectors)).items():
            bridging = {own.space for own in answering_through_pairs(vectors, items, DIRECTIONS[name][0])}
            found[name] = [own.space.model for own in used if own.space in bridging]
        return {name: models for name, models in found.items() if models}

    @property
    def siblings(self) -> dict[str, str]:
        """What became of the siblings of the queries, in each direction: as the protocol says it.

        Siblings are the other texts, or images, of the query's own pair, by which a model without a joint space gets
        to the right answer.
        """
        kept = self._through_pairs if self.config.siblings == KEEP else {}
        return {name: SIBLINGS_KEPT if name in kept else SIBLINGS_LEFT_OUT for name in self.ranked}

    @property
    def siblings_sentence(self) -> str:
        """What the siblings of the queries mean for these figures; empty where no model answers through pairs."""
        kept = self.config.siblings == KEEP
        answering = {name: [own.space.model for own in used] for name, used in self.answering.items()}
        return "" if self.out_of_reach else summarize_siblings(self._through_pairs, answering, kept)

    def _overview(self) -> Result:
        """Show which steps ran, and what share of the queries has a right answer among the first k hits."""
        queries = sum(answer["query_id"].nunique() for answer in self.answers.values())
        if not queries:
            reason = f"a ranking needs texts and images: {self.data.held}, so no item asks for another"
            raise TooFew(self.unmeasured or reason)
        depth = max((int(answer["rank"].max()) for answer in self.answers.values() if len(answer)), default=0)
        curves = success_by_cutoff(self._first_ranks(), depth)

        def draw() -> "Figure":
            fig, (ax,) = figure()
            success_curves(ax, curves)
            return fig

        alone = "" if self.judged.name == ALL else " by its items alone"
        sentence = (
            f"**{queries:,} queries** of {self.judged} answered{alone}, up to {depth} hits kept of each; "
            f"{summarize_steps(self.ranked)} {self.siblings_sentence} {self.drawn_sentence} "
            f"{self.data.changed_sentence}"
        )
        cost = summarize_reranking(self.ranked, escape_markdown(self.config.rerank_model))
        return Result(curves, " ".join(f"{sentence} {cost}".split()), draw, shown=no_table())

    @property
    def table(self) -> pd.DataFrame:
        """All hits, put together when they are asked for: direction, query_id, item_id, rank, score."""
        return join_directions(self.answers)

    def _first_ranks(self) -> dict[str, pd.Series]:
        """Return the rank of the first right answer of every query, missing where none is ranked."""
        ranks = {}
        for direction, answer in self.answers.items():
            right = right_ranks(answer, self.qrels[direction])
            ranks[direction] = right.groupby("query_id", sort=False)["rank"].min()
        return ranks

    @or_reason
    def queries(self, count: int = 3, direction: str = "", seed: int = 0) -> Result:
        """Show `count` queries, drawn by `seed`, with their right answer and the first hits.

        Args:
            count: how many queries.
            direction: "text-to-image" or "image-to-text"; the first that was ranked unless given.
            seed: draws the queries.

        Example:
            >>> len(run.rankings.queries(count=2).table)
            2
        """
        direction = direction or next(iter(self.ranked))
        qrels = self.qrels[direction]
        known = self._known_queries(qrels)
        drawn = known.sample(min(count, len(known)), random_state=seed)
        cards = query_gallery(drawn, self.answers[direction], qrels, self.data.embedded_items)
        return Result(drawn.to_frame(), "", html=cards, shown=no_table())

    @or_reason
    def trace(self, query_id: str = "", k: int = 8, direction: str = "", seed: int = 0) -> Result:
        """Show the ranks that each step gave the first `k` answers of one query.

        Args:
            query_id: the item_id of the query; one that is drawn by `seed` unless given.
            k: how many answers.
            direction: "text-to-image" or "image-to-text"; the first that was ranked unless given.
            seed: draws the query.

        Example:
            >>> len(run.rankings.trace(k=3).table)
            3
        """
        direction = direction or next(iter(self.ranked))
        known = self._known_queries(self.compared(direction))
        query_id = query_id or known.sample(1, random_state=seed).iloc[0]
        ranked = self.ranked[direction]
        table = ranks_of_query(query_id, ranked.steps, ranked.answer, self.data.embedded_items, k)
        query = self.data.items.set_index("item_id").loc[query_id]
        words = query["text"] if query["modality"] == "text" else query["pair_id"]
        return Result(table, "", caption=f"Ranks of the first {len(table)} answers to “{words}”, by step")

    def _known_queries(self, qrels: pd.DataFrame) -> pd.Series:
        if qrels.empty:
            reason = f"no query has a known right answer to show: {self.data.held}"
            raise TooFew(self.unmeasured or reason)
        return qrels["query_id"].drop_duplicates()

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the rankings, by claim."""
        claims = {}
        for direction, answer in self.answers.items():
            source, target = DIRECTIONS[direction]
            held = self.vectors_by_modality
            able = len(held[target]) and not self.out_of_reach
            known = self.asked(direction)["item_id"]
            asked = set(known[is_among(known, held[source].ids)]) if able else set()
            claims[f"every {source} was answered"] = asked == set(answer["query_id"].unique())
            claims |= self.split_claims(direction)
        return claims

    def split_claims(self, direction: str) -> dict[str, bool]:
        """Return whether queries and hits of an answer are of the split that is judged, by claim.

        Example:
            >>> run.rankings.split_claims("text-to-image")
            {'text-to-image: queries and hits are of the test split': True}
        """
        answer = self.answers[direction]
        asked, found = (answer[name].drop_duplicates() for name in ("query_id", "item_id"))
        own = is_among(asked, self.items["item_id"]).all() and is_among(found, self.items["item_id"]).all()
        return {f"{direction}: queries and hits are of {self.judged}": bool(own)}

    def write(self, step: Step) -> Html:
        """Write the answers and the rankings after each step to rankings/, and show what the step has written.

        Answers to queries of other splits go to rankings/other_splits/.

        Example:
            >>> files = run.rankings.write(step)
        """
        for direction, ranked in self.ranked.items():
            for name, rankings in ranked.steps.items():
                write_table(rankings, step.write(f"{run_files.RANKINGS}/{direction}/{name}.parquet"))
            write_table(ranked.answer, step.write(f"{run_files.RANKINGS}/{direction}.parquet"))
            if len(ranked.beside):
                write_table(ranked.beside, step.write(f"{run_files.OTHER_SPLITS}/{direction}.parquet"))
        return step.outputs()


def _setting(given: tuple[str, Any]) -> str:
    """Return in words what was given: "bm25" for the only retriever, else name and value."""
    name, value = given
    return " + ".join(value) if name == "retrievers" else f"{name} {value}"


def _in_order(data: RunData, config: RetrievalConfig) -> list[Any]:
    """Return the vectors that rank, dense ones in the order of the index."""
    by_kind = {name: data.vectors_of([name]) for name in config.retrievers}
    if "dense" in by_kind:
        by_kind["dense"] = data.index.in_order(by_kind["dense"])
    return [one for found in by_kind.values() for one in found]


def retrieval_config(data: RunData, given: Mapping[str, Any] | None = None) -> RetrievalConfig:
    """Return how a run's queries are ranked: by its parameters, but for what is given."""
    names = {field.name for field in fields(RetrievalConfig)}
    settings = {name: value for name, value in data.parameters.items() if name in names} | dict(given or {})
    if not settings.get("rerank") and "rerank_model" not in (given or {}):
        settings["rerank_model"] = ""  # the run's own has nothing to rank
    return RetrievalConfig(**settings)


def _find_match(data: RunData, config: RetrievalConfig) -> Match | None:
    """Return the cross-encoder that was asked for, else the matching head of the first model that has one."""
    if config.rerank_model:
        return data.cross_encoders[config.rerank_model]
    loaded = {id(one): one.model for one in data.answering.values()}
    return find_matcher(data.all_vectors, config.rerank, loaded.values())
