"""The user's own queries: what each retriever finds for them, and how good that is by their judgements."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast

import pandas as pd

from mmlab.evaluate import mean_by_groups, mean_measures, measure_names, merge_qrels, score_queries
from mmlab.evaluate.measures.partial import JUDGED, JUDGED_ENOUGH, Pool, score_partial, unjudged_hits
from mmlab.evaluate.measures.scoring import NDCG
from mmlab.evaluate.retrieval_datasets import RetrievalDataset
from mmlab.evaluate.summaries import escape_markdown, measure_with_interval
from mmlab.index.engines.bm25 import BM25, system_name
from mmlab.items import MODALITIES, RANKING_COLUMNS, is_among, write_table
from mmlab.items.rankings import first_rows
from mmlab.items.sentences import count, listed
from mmlab.items.tables import TooFew
from mmlab.retrieve.scores.fuse import fuse
from mmlab.retrieve.units import Units, choose_unit, rank_units
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import figure, paired_bars, query_gallery
from mmlab.visualize.bars import group_panels
from mmlab.workbench.result import Report, Result, no_table, or_reason
from mmlab.workbench.run_data import RunData
from mmlab.workbench.run_rankings import retrieval_config
from mmlab.workbench.system_comparison import SystemComparison

if TYPE_CHECKING:
    import ipywidgets
    from matplotlib.figure import Figure

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

OWN, EXPORTED = "own queries", "own-queries"
SHOWN = ["item_id", "modality", "pair_id", "text", "image", "label"]
TrecTables = tuple[
    Mapping[str, pd.DataFrame], Mapping[str, pd.DataFrame], Mapping[str, pd.DataFrame], pd.DataFrame
]
NONE_GIVEN = (
    "this run has no queries of your own: give 01_ingest `-p queries=queries.csv -p qrels=qrels.csv` to judge the "
    "searches that people make, see README"
)
NOT_JUDGED = "none of the queries of your own has a right answer among the {} that are judged"
RIGHT_ALONE = (
    "the judgements name right answers alone and none that is wrong, so it is not known which hits were judged: "
    "measures for partial judgements need those of relevance 0 as well"
)
MAX_GROUPS = 20  # different values of a column of queries that is read as groups
LENGTH, SHORT, MEDIUM = "length", 2, 5  # of a query, in words


def _where_given(method: Callable[Asked, Answer]) -> Callable[Asked, Answer | Result]:
    """Let a method show nothing where the run has no queries of the user's own, and else say what its answer lacks."""
    answer = or_reason(method)

    @wraps(method)
    def shown(*args: Asked.args, **kwargs: Asked.kwargs) -> Answer | Result:
        own = cast("QueryReport", args[0])
        return answer(*args, **kwargs) if own.data.has_own_queries else Result(no_table(), "")

    return shown


@dataclass(frozen=True, repr=False)
class QueryReport(Report):
    """The user's own queries, ranked by each retriever of the run and by all of them, fused, and judged.

    Made by `Run.own_queries`. Units are found: images, texts, pairs, or products; all measures count them. Intervals
    count queries.

    Attributes:
        data: the run.
        units: what is found.
        k_values: the cutoffs of P@k, R@k and Success@k.
        seed: of the comparison's bootstrap.

    Example:
        >>> own = run.own_queries()
        >>> own.table.columns.tolist()[:4]
        ['system', 'measure', 'value', 'low']
    """

    data: RunData
    units: Units
    k_values: Sequence[int] = (1, 5, 10)
    seed: int = 0

    @classmethod
    def of(cls, data: RunData, unit: str, unit_score: str, k_values: Sequence[int], seed: int) -> Self:
        """Choose the unit by what the judgements name, where it is "auto"; raise ValueError for an unknown one."""
        name = choose_unit(unit, data.own_judgements) if data.has_own_queries else "image"
        units = Units(name, unit_score)
        units.of(data.items.head(1))
        return cls(data, units, k_values, seed)

    @cached_property
    def queries(self) -> pd.DataFrame:
        """The queries: query_id, text, image, then their own columns, and their length in words.

        A column of numbers with more than 20 different values, such as a frequency, is cut into three parts of as many
        queries. Raises TooFew where the run has none.
        """
        if not self.data.has_own_queries:
            raise TooFew(NONE_GIVEN)
        table = self.data.own_query_table
        words = table["text"].str.split().str.len()
        named = words.map(
            lambda n: "1 or 2 words" if n <= SHORT else "3 to 5" if n <= MEDIUM else "6 or more"
        )
        table = table if LENGTH in table else table.assign(**{LENGTH: named.where(words > 0, "no words")})
        numbers = [name for name in table.select_dtypes("number") if table[name].nunique() > MAX_GROUPS]
        return table.assign(**{name: _thirds(table[name]) for name in numbers})

    @cached_property
    def items(self) -> pd.DataFrame:
        """The gallery: the items of the split that is judged."""
        return self.data.judged().items

    @cached_property
    def answers(self) -> dict[str, pd.DataFrame]:
        """The rankings of each system: query_id, item_id (of the unit), rank from 1, score.

        First the run's answer, then each retriever alone where there are several, and all of them, fused by rank.
        """
        saved = self._saved()
        return saved or self._ranked()

    def _ranked(self) -> dict[str, pd.DataFrame]:
        config = retrieval_config(self.data)
        found: dict[str, pd.DataFrame] = {}
        for vectors in self._vectors(config.retrievers):
            asking = self.data.own_query_vectors(vectors)
            if asking is not None:
                ranked = rank_units(asking, vectors, self.items, self.units, config.depth + 1)
                found[system_name(vectors.space)] = first_rows(self._without_own(ranked), config.depth)
        several = [ranked for ranked in found.values() if len(ranked)]
        if len(several) > 1:
            fusion = "rrf" if config.fusion == "none" else config.fusion
            found[f"all, by {fusion}"] = fuse(fusion, several, None, config.rrf_k)
        return found

    def _without_own(self, table: pd.DataFrame) -> pd.DataFrame:
        """Leave out the image that a query asks by, where it is one of those that are found."""
        if self.units.name != "image":
            return table
        asked = self.queries.set_index("query_id")["image"]
        images = self.items.set_index("item_id")["image"]
        return table[table["item_id"].map(images) != table["query_id"].map(asked)]

    def _vectors(self, retrievers: Sequence[str]) -> list[Any]:
        """Return the vectors of the run's retrievers, and BM25's, the baseline that reads no image."""
        names = retrievers if BM25 in retrievers else (*retrievers, BM25)
        try:
            return self.data.vectors_of(names)
        except TooFew:  # no item has a word
            return self.data.vectors_of([name for name in names if name != BM25])

    def _saved(self) -> dict[str, pd.DataFrame]:
        """Return the rankings that 04_retrieve wrote for these units; none where it has not."""
        index = self.data.saved_table(f"{run_files.OWN_RANKINGS}/systems.parquet")
        if index.empty or not (index["unit"] == self.units.name).all():
            return {}
        if not (index["unit_score"] == self.units.score).all():
            return {}
        rows = zip(index["system"], index["file"], strict=True)
        return {name: self.data.saved_table(f"{run_files.OWN_RANKINGS}/{file}") for name, file in rows}

    @cached_property
    def qrels(self) -> pd.DataFrame:
        """What is right: query_id, item_id (of the unit), relevance; of the gallery's units alone.

        Where a unit was judged by hand in a panel too, that judgement holds.
        """
        merged = merge_qrels(self._given, self.units.judged(self.data.own_labels, self.items))
        return self._without_own(merged).reset_index(drop=True)

    @property
    def _given(self) -> pd.DataFrame:
        """The judgements that 01_ingest was given, of units."""
        known = self.data.own_judgements
        asked = known[is_among(known["query_id"], self.queries["query_id"])]
        return self.units.judged(asked, self.items)

    @cached_property
    def per_query(self) -> dict[str, pd.DataFrame]:
        """The scores of every query with a right answer, by system: query_id and a column for each measure."""
        names = measure_names(self.k_values, retrieval_config(self.data).depth)
        return {name: score_queries(ranked, self.qrels, names) for name, ranked in self.answers.items()}

    @cached_property
    def measures(self) -> pd.DataFrame:
        """The mean of every measure by system: system, measure, value, low, high (95%), queries."""
        tables = [
            mean_measures(scores, self._as_items).assign(system=name)
            for name, scores in self.per_query.items()
            if len(scores)
        ]
        columns = ["system", "measure", "value", "low", "high", "queries"]
        return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)

    @property
    def _as_items(self) -> pd.DataFrame:
        """The queries as the statistics count them: each stands for itself."""
        return self.queries.assign(item_id=self.queries["query_id"], pair_id=self.queries["query_id"])

    @property
    def first_measure(self) -> str:
        """The measure that groups and comparisons are read by: nDCG@10, which counts degrees of relevance."""
        return NDCG

    def _overview(self) -> Result:
        """Show the mean of every measure of each system with its 95% interval."""
        asked = self.queries
        if self.measures.empty:
            raise TooFew(NOT_JUDGED.format(self._gallery()))

        def draw() -> "Figure":
            fig, (ax,) = figure(height=1.4 + 0.5 * self.measures["measure"].nunique())
            axis_name = "mean over queries, with 95% interval (0 to 1)"
            paired_bars(ax, self.measures, "measure", "system", axis_name)
            return fig

        interval = "{value:.3f} ({low:.3f} to {high:.3f})".format_map
        shown = self.measures.assign(value=self.measures.apply(interval, axis="columns"))
        wide = shown.pivot_table("value", "measure", "system", "first", sort=False).reset_index()
        first = self.measures[self.measures["measure"] == self.first_measure]
        means = [
            f"{escape_markdown(row['system'])} {measure_with_interval(row['value'], row['low'], row['high'])}"
            for row in first.to_dict("records")
        ]
        judged = int(first["queries"].max())
        sentence = (
            f"**{count(len(asked), 'query')} of your own**, {judged:,} of them with a right answer among "
            f"{self._gallery()}: {self.first_measure} {listed(means)}."
        )
        return Result(self.measures, sentence, draw, shown=wide)

    def _gallery(self) -> str:
        held = self.units.of(self.items).nunique()
        return f"{held:,} {self._unit_name}s of {self.data.judged()}"

    @property
    def _unit_name(self) -> str:
        known = ("image", "text", "pair")
        return self.units.name if self.units.name in known else f"value of {self.units.name}"

    @_where_given
    def compare(self) -> SystemComparison:
        """Compare each system with BM25, query by query, where BM25 can be asked; else with the first system.

        Example:
            >>> run.own_queries().compare().table["baseline"].unique().tolist()
            ['bm25']
        """
        if self.measures.empty:
            raise TooFew(NOT_JUDGED.format(self._gallery()))
        names = sorted(self.per_query, key=lambda name: name != BM25)
        if len(names) < 2:
            raise TooFew("one system answered: there is no other to compare it with")
        tables = {OWN: {name: self.per_query[name] for name in names}}
        return SystemComparison(tables, self._as_items, self.first_measure, self.seed)

    @_where_given
    def by_group(self, *columns: str) -> Result:
        """Show nDCG@10 for each group of queries, by system, the worst first.

        Args:
            columns: of the table of queries; unless given, all with 2 to 20 different values, and the length in words.

        Example:
            >>> run.own_queries().by_group("kind").table.columns.tolist()[:3]
            ['system', 'column', 'group']
        """
        names = columns or self._group_columns()
        if self.measures.empty:
            raise TooFew(NOT_JUDGED.format(self._gallery()))
        table = mean_by_groups(self.per_query, self._as_items, self.first_measure, names)

        def draw() -> "Figure":
            named = table.assign(group=table["group"].where(~table["few"], table["group"] + " (few queries)"))
            return group_panels(named, f"{self.first_measure} (0 to 1)")

        renamed = table.rename(columns={"direction": "system"}).drop(columns="pairs")
        return Result(renamed, self._summarize_groups(renamed, names[0]), draw)

    def _group_columns(self) -> list[str]:
        own = [name for name in self.queries if name not in ("query_id", "text", "image")]
        return [name for name in own if 1 < self.queries[name].nunique() <= MAX_GROUPS] or [LENGTH]

    def _summarize_groups(self, table: pd.DataFrame, column: str) -> str:
        """Name the weakest group of the first system, and the group in which another system gains most over it."""
        part = table[(table["column"] == column) & ~table["few"]]
        wide = part.pivot_table("value", "group", "system", sort=False)
        if len(wide) < 2:
            return (
                f"The queries have fewer than two groups by {escape_markdown(column)} that are large enough."
            )
        first, *others = wide.columns
        worst = wide[first].idxmin()
        sentence = (
            f"By {escape_markdown(column)}, {escape_markdown(first)} is weakest for *{escape_markdown(str(worst))}* "
            f"({wide.loc[worst, first]:.3f}) of {len(wide)} groups."
        )
        if not others:
            return sentence
        gains = wide[others].sub(wide[first], axis=0).stack()
        group, name = gains.idxmax()
        return (
            f"{sentence} The largest gain of another over it is that of {escape_markdown(name)} for "
            f"*{escape_markdown(str(group))}* ({gains.max():+.3f})."
        )

    @_where_given
    def partial(self) -> Result:
        """Show the measures for partial judgements by system, and warn where few of the first ten hits are judged.

        Example:
            >>> run.own_queries().partial().sentence[:45]
            'The judgements name right answers alone and n'
        """
        if self.measures.empty:
            raise TooFew(NOT_JUDGED.format(self._gallery()))
        if not (self.qrels["relevance"] == 0).any():
            raise TooFew(RIGHT_ALONE)
        tables = [
            mean_measures(score_partial(ranked, self.qrels), self._as_items).assign(system=name)
            for name, ranked in self.answers.items()
        ]
        table = pd.concat(tables, ignore_index=True)[["system", "measure", "value", "low", "high", "queries"]]
        judged = table[table["measure"] == JUDGED]
        least = judged.loc[judged["value"].idxmin()]
        low = least["value"] < JUDGED_ENOUGH
        advice = (
            " Too few are judged to tell these systems apart: judge the others first (`run.panel('judge')`)."
            if low
            else ""
        )
        sentence = (
            f"Of the first ten hits {100 * least['value']:.0f}% are judged where that is least "
            f"({escape_markdown(least['system'])}).{advice}"
        )
        wide = table.pivot_table("value", "measure", "system", sort=False).reset_index()
        return Result(table, sentence, shown=wide)

    @_where_given
    def unjudged(self, k: int = 10) -> Result:
        """List the hits among the first `k` of any system that nobody has judged, without saying whose they are.

        Example:
            >>> run.own_queries().unjudged(k=5).table.columns.tolist()
            ['query_id', 'item_id']
        """
        asked = self.queries
        table = unjudged_hits(self.answers, self.qrels, asked["query_id"], k)
        sentence = f"{count(len(table), 'hit')} of {count(len(asked), 'query')} not judged yet."
        return Result(table, sentence)

    def panel(self, k: int = 10, by: str | None = None) -> "ipywidgets.VBox":
        """Return a panel for JupyterLab in which the hits of `unjudged` are judged, see `pool_panel`.

        Example:
            >>> panel = run.own_queries().panel(by="a name")
        """
        from mmlab.panels import pool_panel
        from mmlab.panels.controls import notice

        if not self.data.has_own_queries:
            return notice(f"{NONE_GIVEN[0].upper()}{NONE_GIVEN[1:]}.")
        labels = self.data.folder / run_files.LABELS
        return pool_panel(Pool(self.answers, self._given, labels, k), self._shown_items(), by)

    @_where_given
    def examples(self, number: int = 3, system: str = "") -> Result:
        """Show the queries that a system answers worst, with their right answer and its first hits.

        Args:
            number: how many queries.
            system: the name of a system; the first unless given.

        Example:
            >>> len(run.own_queries().examples(2).table)
            2
        """
        if self.measures.empty:
            raise TooFew(NOT_JUDGED.format(self._gallery()))
        name = system or next(iter(self.answers))
        scores = self.per_query[name].sort_values(self.first_measure, kind="stable").head(number)
        ranked = self.answers[name]
        right = self.qrels[self.qrels["relevance"] > 0]
        cards = query_gallery(scores["query_id"].tolist(), ranked, right, self._shown_items())
        return Result(scores, f"The worst answered by {escape_markdown(name)}.", html=cards, shown=no_table())

    def _shown_items(self) -> pd.DataFrame:
        """Return what stands for each unit (its first image, else its first text), and the queries, as items."""
        unit = self.units.of(self.items)
        members = self.items.assign(unit=self.items["item_id"].map(unit)).dropna(subset="unit")
        first = members.sort_values("modality", kind="stable").drop_duplicates("unit")
        return pd.concat([first.assign(item_id=first["unit"]), self._asking()], ignore_index=True)[SHOWN]

    def _asking(self) -> pd.DataFrame:
        """Return the queries as items: those with words as texts, the others as images."""
        asked = self.queries
        modality = asked["text"].map(lambda text: "text" if text else "image")
        known = {"item_id": asked["query_id"], "modality": modality, "pair_id": asked["query_id"]}
        blank = asked[["text", "image"]].replace("", None)
        return asked.assign(**known, **blank, label=None)[SHOWN]

    @property
    def retrieval_datasets(self) -> dict[str, RetrievalDataset]:
        """The queries of words alone, what they search, and what is relevant, where images or texts are found.

        Example:
            >>> list(run.own_queries().retrieval_datasets)
            ['own-queries']
        """
        if not self.data.has_own_queries or self.units.name not in MODALITIES:
            return {}
        asking = self._asking()
        words = asking[(asking["modality"] == "text") & asking["image"].isna()]
        qrels = self.qrels[is_among(self.qrels["query_id"], words["item_id"])]
        corpus = self.items[self.items["modality"] == self.units.name]
        return {EXPORTED: RetrievalDataset(words, corpus, qrels)} if len(qrels) else {}

    def beside(self, judged: TrecTables) -> TrecTables:
        """Return rankings, right answers and scores by direction, and items, with those of these queries beside them.

        Example:
            >>> tables = run.own_queries().beside(({}, {}, {}, run.items))
            >>> list(tables[0])
            ['own-queries']
        """
        if not self.data.has_own_queries or self.measures.empty:
            return judged
        first = next(iter(self.answers))
        own = (self.answers[first], self.qrels, self.per_query[first])
        rankings, qrels, scores = (
            {**table, EXPORTED: mine} for table, mine in zip(judged[:3], own, strict=True)
        )
        return rankings, qrels, scores, pd.concat([judged[3], self._asking()], ignore_index=True)

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the rankings of the user's own queries, by claim; nothing where there are none."""
        if not self.data.has_own_queries:
            return {}
        known = self.units.of(self.items)
        inside = [is_among(ranked["item_id"], known).all() for ranked in self.answers.values()]
        return {f"own queries find {self._unit_name}s of {self.data.judged()}": all(inside)}

    def write_rankings(self, step: Step) -> None:
        """Write the rankings of each system to rankings/own_queries/; nothing where there are no such queries.

        Example:
            >>> run.own_queries().write_rankings(step)
        """
        if not self.data.has_own_queries:
            return
        rows = []
        for number, (name, ranked) in enumerate(self.answers.items(), start=1):
            file = f"{number}.parquet"
            write_table(ranked[list(RANKING_COLUMNS)], step.write(f"{run_files.OWN_RANKINGS}/{file}"))
            rows.append(
                {"system": name, "file": file, "unit": self.units.name, "unit_score": self.units.score}
            )
        write_table(pd.DataFrame(rows), step.write(f"{run_files.OWN_RANKINGS}/systems.parquet"))

    def write_measures(self, step: Step) -> None:
        """Write the mean of every measure by system to own_queries.parquet; nothing where there are no such queries.

        Example:
            >>> run.own_queries().write_measures(step)
        """
        if self.data.has_own_queries:
            write_table(self.measures, step.write(run_files.OWN_MEASURES))


def _thirds(numbers: pd.Series) -> pd.Series:
    """Return for each number the third that it lies in, by its bounds; missing where it is missing.

    >>> _thirds(pd.Series([1.0, 2.0, 3.0])).tolist()
    ['1 to 1.67', '1.67 to 2.33', '2.33 to 3']
    """
    parts = pd.qcut(numbers, 3, duplicates="drop")
    names = [f"{max(part.left, numbers.min()):.3g} to {part.right:.3g}" for part in parts.cat.categories]
    return parts.cat.rename_categories(names).astype("str")
