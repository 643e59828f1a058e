"""How good rankings are: measures with intervals, by group, beside published results, and where answers are lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.evaluate import (
    mean_by_groups,
    mean_measures,
    measure_names,
    read_labels,
    score_directions,
)
from mmlab.evaluate.means import best_queries, random_queries, worst_queries
from mmlab.evaluate.measures.qrels import labels_between, right_ranks
from mmlab.evaluate.measures.scoring import (
    NDCG_BY_LABELS,
    find_measure,
    join_directions,
    score_ranks,
    success_by_gallery_size,
)
from mmlab.evaluate.paired_comparison import label_effect, shared_queries
from mmlab.evaluate.protocol import (
    SIBLINGS_KEPT,
    benchmark_name,
    compare_with_published,
    protocol_card,
    transpose_card,
)
from mmlab.evaluate.summaries import (
    summarize_gallery_sizes,
    summarize_groups,
    summarize_labels,
    summarize_measures,
    summarize_published,
    summarize_splits,
    write_metrics,
)
from mmlab.index.engines.bm25 import BM25
from mmlab.items import DIRECTIONS, write_table
from mmlab.items.options import Choice, check_value
from mmlab.items.parameter_table import PARAMETERS
from mmlab.items.sentences import as_list, count, listed
from mmlab.items.tables import TooFew
from mmlab.retrieve.query.rank import LEAVE_OUT, finds_without_siblings, query_vectors, scan
from mmlab.retrieve.scores.query_split import Split
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import Html, figure, paired_bars, query_gallery
from mmlab.visualize.bars import group_panels
from mmlab.visualize.curves import throughput_curves
from mmlab.workbench.failure_report import FailureReport
from mmlab.workbench.result import Report, Result, no_table, or_reason
from mmlab.workbench.run_data import RunData
from mmlab.workbench.run_rankings import Rankings
from mmlab.workbench.system_comparison import SystemComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_BESIDE_PUBLISHED = (
    "No published results beside these: siblings are kept, so a caption finds another of its image."
)


NO_WORDS = (
    "BM25 has nothing but captions to find an image by here: the dataset has no label and no other columns of words, "
    'and captions of a query\'s own pair are left out; with siblings="keep" it reads those that are not the query'
)
PLAIN = {"fusion": "none", "weights": "equal", "rescoring": "none", "calibration": "none", "rerank": 0}


@dataclass(frozen=True, repr=False)
class Evaluation(Report):
    """Rankings of a run's queries, evaluated: the mean of every measure with its 95% interval.

    Made by `Run.evaluate`. Success@k is the share of queries with a right answer among the first k (papers on
    captioning sets call it R@k), R@k the share of all right answers that are found. Intervals count pairs.

    Attributes:
        data: the run's items, vectors and labels.
        rankings: what is evaluated.
        k_values: the cutoffs of P@k, R@k and Success@k.
        seed: of the comparisons' bootstrap and of what is drawn.

    Example:
        >>> evaluation = run.evaluate()
        >>> evaluation.directions
        ['text-to-image', 'image-to-text']
    """

    data: RunData
    rankings: Rankings
    k_values: Sequence[int] = (1, 5, 10)
    seed: int = 0

    @property
    def directions(self) -> list[str]:
        """The directions that were ranked, "text-to-image" and "image-to-text"."""
        return list(self.rankings.answers)

    @cached_property
    def qrels(self) -> dict[str, pd.DataFrame]:
        """What is right, by direction: query_id, item_id, relevance."""
        return self.rankings.qrels

    @cached_property
    def per_query(self) -> dict[str, pd.DataFrame]:
        """The score of every query, by direction: query_id and a column for each measure."""
        answers, depth = self.rankings.answers, self.rankings.config.depth
        return score_directions(answers, self.qrels, self.rankings.items, self.k_values, depth)

    @cached_property
    def measures(self) -> pd.DataFrame:
        """The mean of every measure: direction, measure, value, low, high (95%), queries, pairs."""
        items = self.rankings.items
        return join_directions({name: mean_measures(t, items) for name, t in self.per_query.items()})

    @property
    def first_measure(self) -> str:
        """The measure that groups and examples are read by: Success at the first cutoff."""
        return f"Success@{self.k_values[0]}"

    def _overview(self) -> Result:
        """Show the mean of every measure with its 95% interval, for each direction."""
        if self.measures.empty:
            raise TooFew(self._nothing_judged())

        def draw() -> "Figure":
            fig, (ax,) = figure(height=1.2 + 0.4 * self.measures["measure"].nunique())
            paired_bars(
                ax, self.measures, "measure", "direction", "mean over queries, with 95% interval (0 to 1)"
            )
            return fig

        interval = "{value:.3f} ({low:.3f} to {high:.3f})".format_map
        shown = self.measures.assign(value=self.measures.apply(interval, axis="columns"))
        wide = shown.pivot_table("value", "measure", "direction", "first", sort=False).reset_index()
        sentence = (
            f"{summarize_measures(self.measures, self.first_measure)} {self.rankings.siblings_sentence} "
            f"{self.rankings.drawn_sentence} {self.data.changed_sentence}"
        )
        return Result(self.measures, " ".join(sentence.split()), draw, shown=wide)

    def _nothing_judged(self) -> str:
        if self.rankings.unmeasured:
            return self.rankings.unmeasured
        return (
            f"there is nothing to judge by: {self.data.held}, so no query has a known right answer. To judge, give "
            "01_ingest queries of your own: a captions.csv with the columns image and caption, in each line an image "
            "and a query that should find it, and `-p 'keep=[\"unlisted image\"]'` for images that it does not name. "
            "With a column label, 10_scores holds images against others of their label"
        )

    @cached_property
    def protocol_table(self) -> pd.DataFrame:
        """Under which rules the measures were taken, a row for each direction."""
        held, items = self.rankings.vectors_by_modality, self.rankings.items
        return protocol_card(
            held,
            items,
            self.qrels,
            self.rankings.answers,
            self.rankings.judged.name,
            self.rankings.rules(),
            self.rankings.answering,
        )

    def protocol(self) -> Result:
        """Show under which rules the measures were taken: figures compare only where these agree.

        Example:
            >>> run.evaluate().protocol().table[["queries", "gallery"]].shape
            (2, 2)
        """
        return Result(
            self.protocol_table, self.data.space_sentence, shown=transpose_card(self.protocol_table)
        )

    def published(self, benchmark: str = "") -> Result:
        """Show the measures beside published results of the model on this dataset, where there are any.

        Args:
            benchmark: the published split that the items are, such as "flickr30k-1k"; the dataset's name unless given.

        Example:
            >>> table = run.evaluate().published("flickr30k-1k").table
        """
        space = self.data.vectors_by_modality["text"].space
        dataset = benchmark or benchmark_name(self.data.manifest)
        captions = self.protocol_table["captions per image"].iloc[0]
        images = len(self.rankings.vectors_by_modality["image"])
        table = compare_with_published(space.model, dataset, self.measures, images, captions)
        if len(table) and SIBLINGS_KEPT in self.rankings.siblings.values():
            return Result(table.head(0), "", shown=no_table(), caption=NOT_BESIDE_PUBLISHED)
        shown = table.drop(columns=["queries", "pairs", "source", "reasons"])
        return Result(table, "", shown=shown, caption=summarize_published(table, space.model, dataset))

    def by_hand(self) -> Result:
        """Show every measure with and without the relevance that was judged by hand in a panel.

        Example:
            >>> run.evaluate().by_hand().table.columns.tolist()[:4]
            ['direction', 'measure', 'without', 'low']
        """
        labels = read_labels(self.data.folder / run_files.LABELS)
        items = self.rankings.items
        names = measure_names(self.k_values, self.rankings.config.depth)
        own = {name: labels_between(labels, items, *DIRECTIONS[name]) for name in self.directions}
        tables = {
            name: label_effect(self.rankings.answers[name], self.qrels[name], own[name], names, items)
            for name in self.directions
        }
        table = join_directions(tables)
        return Result(table, "", caption=summarize_labels(table, sum(map(len, own.values()))))

    @or_reason
    def by_group(self, *columns: str) -> Result:
        """Show the first measure for each value of items columns, the worst first.

        Args:
            columns: such as "label", "origin" or a column of your own; the first is read by the sentence.

        Example:
            >>> run.evaluate().by_group("label", "origin").table["column"].unique().tolist()
            ['label', 'origin']
        """
        columns, measure = columns or ("label",), self.first_measure
        if self.measures.empty:
            raise TooFew(self.rankings.nothing_judged)
        table = pd.concat([self._group_means(column) for column in dict.fromkeys(columns)], ignore_index=True)

        def draw() -> "Figure":
            few = table.groupby(["column", "group"])["few"].transform("any")
            named = table.assign(group=table["group"].where(~few, table["group"] + " (few pairs)"))
            return group_panels(named, f"{measure} (0 to 1)")

        return Result(table, summarize_groups(table, columns[0], measure), draw, shown=no_table())

    def _group_means(self, column: str) -> pd.DataFrame:
        if column not in self._means_by_column:
            items, measure = self.rankings.items, self.first_measure
            means = mean_by_groups(self.per_query, items, measure, [column])
            self._means_by_column[column] = means
        return self._means_by_column[column]

    @cached_property
    def _means_by_column(self) -> dict[str, pd.DataFrame]:
        return {}

    @or_reason
    def by_gallery_size(self, *sizes: int) -> Result:
        """Show the first Success@k in galleries of fewer items, which is what results of other galleries compare with.

        A smaller gallery holds the right answers and others drawn at random; the mean over all draws is given. A query
        whose right answer is not among the hits that were kept counts as not found.

        Args:
            sizes: numbers of items; halves of the gallery down to ten unless given.

        Example:
            >>> run.evaluate().by_gallery_size(20, 50).table["size"].unique().tolist()
            [20, 50]
        """
        k, tables = self.k_values[0], {}
        if self.measures.empty:
            raise TooFew(self.rankings.nothing_judged)
        for name in self.directions:
            held = len(self.rankings.vectors_by_modality[DIRECTIONS[name][1]])
            asked = [size for size in sizes or _halves(held) if size <= held]
            if not asked:
                raise TooFew(f"{name} has a gallery of {held:,} items, fewer than {min(sizes):,}")
            tables[name] = success_by_gallery_size(self._right_ranks[name], held, asked, k)
        table = join_directions(tables)

        def draw() -> "Figure":
            fig, (ax,) = figure()
            names = ("items in the gallery", f"Success@{k}")
            throughput_curves(ax, table, "direction", "size", "value", names)
            return fig

        return Result(table, summarize_gallery_sizes(table, f"Success@{k}"), draw)

    @cached_property
    def _right_ranks(self) -> dict[str, pd.DataFrame]:
        """The rank of every right answer to the queries that are judged, by direction."""
        return {name: right_ranks(self.rankings.answers[name], self.qrels[name]) for name in self.directions}

    @or_reason
    def by_split(self) -> Result:
        """Show the first Success@k of every split that was ranked, each against its own items, the judged one first.

        Galleries differ in size and with them all measures: `same_size` is the value in as many items as the smallest
        of them holds, see `by_gallery_size`.

        Example:
            >>> run.evaluate().by_split().table["split"].unique().tolist()
            ['test', 'train', 'validation']
        """
        if self.measures.empty:
            raise TooFew(self.rankings.nothing_judged)
        judged = self.rankings.judged
        if not judged.rest:
            raise TooFew(f"{str(judged).capitalize()} are judged: there is no other to show beside")
        table = self._means_by_split
        left = [part.name for part in judged.rest if part.name not in set(table["split"])]

        def draw() -> "Figure":
            fig, (ax,) = figure()
            galleries = "; ".join(f"{DIRECTIONS[name][1]}s" for name in table["direction"].unique())
            axis_name = f"{self.first_measure} of each split among its own ({galleries}), 0 to 1"
            sizes = table["gallery"].map("{:,}".format).groupby(table["split"]).agg("; ".join)
            shown = table.assign(split=table["split"] + " (" + table["split"].map(sizes) + ")")
            paired_bars(ax, shown, "split", "direction", axis_name)
            return fig

        return Result(table, summarize_splits(table, self.first_measure, left), draw)

    @cached_property
    def _means_by_split(self) -> pd.DataFrame:
        return join_directions({name: self._split_means(name) for name in self.directions})

    def _split_means(self, direction: str) -> pd.DataFrame:
        """Return a row for each ranked split: split, served, gallery, value, low, high, queries, pairs, size, ..."""
        judged, ranked = self.rankings.judged, self.rankings.ranked[direction]
        target, k, found = DIRECTIONS[direction][1], self.k_values[0], {judged: self._right_ranks[direction]}
        for part in judged.rest:
            answer = part.asked(ranked.beside)
            if len(answer):
                qrels = self.rankings.of_asked(self.data.qrels(target, part.name), direction, part)
                found[part] = right_ranks(answer, qrels)
        held = {part: len(part.take(self.data.vectors_by_modality[target])) for part in found}
        rows = []
        for part, ranks in found.items():
            means = mean_measures(score_ranks(ranks, [self.first_measure]), part.items).iloc[0]
            same = success_by_gallery_size(ranks, held[part], [min(held.values())], k)
            row = {"split": part.name, "served": self._served(part, direction), "gallery": held[part]}
            row |= means.drop("measure").to_dict()
            rows.append({**row, "size": min(held.values()), "same_size": same["value"].iloc[0]})
        return pd.DataFrame(rows)

    def _served(self, part: Split, direction: str) -> str:
        split = self.rankings.ranked[direction].split
        if part is self.rankings.judged:
            return "judged"
        return "fitted on" if split and split.gallery and split.gallery.name == part.name else ""

    def failures(self, k: int | None = None) -> FailureReport:
        """Return why queries are missed: by their data, the model, the index or a later step.

        Args:
            k: a query is missed without a right answer among the first `k`; the largest cutoff unless given.

        Example:
            >>> run.evaluate().failures(k=1).table.columns.tolist()
            ['direction', 'step', 'queries']
        """
        k = k or max(self.k_values)
        return self._failures.setdefault(k, FailureReport(self.data, self.rankings, k, self.seed))

    @cached_property
    def _failures(self) -> dict[int, FailureReport]:
        return {}

    @or_reason
    def queries(self, which: str = "worst", count: int = 3, direction: str = "") -> Result:
        """Show queries with their right answer and what was found for them.

        Args:
            which: "worst" (ranked lowest, and among those the surest of their mistake), "best" or "random".
            count: how many queries, of different pairs.
            direction: "text-to-image" or "image-to-text"; the first that was ranked unless given.

        Example:
            >>> len(run.evaluate().queries("worst", count=2).table)
            2
        """
        direction = direction or self.directions[0]
        scores, ranked = self.per_query[direction], self.rankings.answers[direction]
        items = self.rankings.items
        choose = {
            "worst": lambda: worst_queries(scores, ranked, items, count),
            "best": lambda: best_queries(scores, ranked, items, count),
            "random": lambda: random_queries(scores, items, count, self.seed),
        }
        check_value("which", which, Choice(tuple(choose)))
        check_value("count", count, PARAMETERS["examples"].kind)
        if scores.empty:
            raise TooFew(self.rankings.nothing_judged)
        ids = choose[which]()
        cards = query_gallery(ids, ranked, self.qrels[direction], items)
        return Result(scores[scores["query_id"].isin(ids)], "", html=cards, shown=no_table())

    def compare(self, other: "Evaluation") -> SystemComparison:
        """Compare these rankings with others of the same queries, query by query.

        Args:
            other: the evaluation that serves as the baseline.

        Raises:
            ValueError: where no direction was ranked by both, or the splits that they judge differ.

        Example:
            >>> graph = run.evaluate(run.rank(to="image", exact=False))
            >>> graph.compare(run.evaluate()).table["direction"].unique().tolist()
            ['text-to-image']
        """
        shared = [name for name in self.directions if name in other.directions]
        if not shared:
            raise ValueError(f"no direction in common: {self.directions} and {other.directions}")
        splits = [one.rankings.judged.name for one in (self, other)]
        if splits[0] != splits[1]:
            raise ValueError(
                f"expected rankings of one split to compare, found {splits[0]} and {splits[1]}: rank both with the same"
            )
        names = (other.rankings.name, self.rankings.name)
        if names[0] == names[1]:
            names = (f"{names[0]} (baseline)", names[1])
        scores = {
            name: shared_queries(dict(zip(names, (other.per_query[name], self.per_query[name]), strict=True)))
            for name in shared
        }
        return SystemComparison(scores, self.rankings.items, self.first_measure, self.seed)

    @or_reason
    def by_retriever(self) -> SystemComparison:
        """Compare the answer, and each other retriever of the run, with BM25, which reads no image.

        BM25 finds an image by the words that are said of it: its label and the dataset's own columns of words; texts of
        its pair count only where `siblings` is "keep", and never the query itself. Texts ask, since no image asks BM25.
        Measures by labels are left out: BM25 reads the labels.

        Example:
            >>> run.evaluate().by_retriever().table["baseline"].unique().tolist()
            ['bm25']
        """
        direction, config = "text-to-image", self.rankings.config
        if direction not in self.directions or not len(self.per_query[direction]):
            raise TooFew(self.rankings.nothing_judged)
        answers = config.retrievers[:1] if config.fusion == "none" else ()
        alone = [one for one in config.retrievers if one not in (BM25, *answers)]
        kept = {name: getattr(config, name) for name in ("siblings", "split", "depth", "max_queries", "seed")}
        given = PLAIN | kept
        ranked = {one: Rankings.of(self.data, "image", {**given, "retrievers": (one,)}) for one in alone}
        found = {BM25: self._by_words()} | {name: one.answers[direction] for name, one in ranked.items()}
        qrels, items = self.qrels[direction], self.rankings.items
        scores = {
            name: score_directions({direction: one}, {direction: qrels}, items, self.k_values, config.depth)
            for name, one in found.items()
        }
        own = "answer" if self.rankings.name == self.data.name else self.rankings.name
        tables = {name: one[direction] for name, one in scores.items()} | {own: self.per_query[direction]}
        fair = {name: table.drop(columns=NDCG_BY_LABELS, errors="ignore") for name, table in tables.items()}
        compared = {direction: shared_queries(fair)}
        return SystemComparison(compared, items, self.first_measure, self.seed)

    def _by_words(self) -> pd.DataFrame:
        """Return what BM25 answers to the texts of the split that is judged."""
        items, config, words = self.rankings.items, self.rankings.config, self.data.vectors_of([BM25])
        if config.siblings == LEAVE_OUT and not finds_without_siblings(words[0]):
            raise TooFew(NO_WORDS)
        asking = query_vectors(words, self.rankings.asked("text-to-image"), "text")[0]
        return scan(words, items, asking, "image", config.depth, config.siblings)

    def conclusion(self, group_by: str = "label") -> str:
        """Return the measures, why queries are missed and the weakest group, as a list of sentences.

        Example:
            >>> run.evaluate().conclusion("label").startswith("**")
            True
        """
        if self.measures.empty:
            return self.sentence
        failures = self.failures()
        asked = [count(len(scores), DIRECTIONS[name][0]) for name, scores in self.per_query.items()]
        sentences = (
            f"**{listed(asked)} of {self.rankings.judged} evaluated.**",
            summarize_measures(self.measures, self.first_measure),
            summarize_measures(self.measures, find_measure(self.measures["measure"].unique(), "RR")),
            self.rankings.siblings_sentence,
            self.rankings.drawn_sentence,
            self.data.changed_sentence,
            failures.sentence,
            self.by_group(group_by).sentence,
            failures.suspects().sentence,
        )
        return as_list(filter(None, sentences))

    def write(self, step: Step, benchmark: str = "") -> Html:
        """Write metrics.json, per_query/, losses/, suspects/ and fixes.csv, and show what the step has written.

        Example:
            >>> files = run.evaluate().write(step)
        """
        failures = self.failures()
        for name, scores in self.per_query.items():
            write_table(scores, step.write(f"{run_files.PER_QUERY}/{name}.parquet"))
            write_table(failures.per_query[name], step.write(f"{run_files.LOSSES}/{name}.parquet"))
        suspects = failures.suspects()
        write_table(suspects.wrong_pairs, step.write(f"{run_files.SUSPECTS}/wrong_pairs.parquet"))
        write_table(suspects.false_negatives, step.write(f"{run_files.SUSPECTS}/false_negatives.parquet"))
        failures.fixes().save(step.write(run_files.FIXES))
        more = {
            "splits": self.by_split().table,
            "losses": failures.shares,
            "causes": failures.causes,
            "failed": failures.failed_modality().table,
            "space": failures.space().table,
            "published": self.published(benchmark).table,
            "by_hand": self.by_hand().table,
            "suspects": suspects.table,
        }
        write_metrics(step.write(run_files.METRICS), self.measures, self.protocol_table, **more)
        return step.outputs()

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the measures, by claim."""
        inside = self.measures["value"].between(self.measures["low"], self.measures["high"])
        losses = self.failures().per_query
        claims = [self.rankings.split_claims(name) for name in self.directions]
        return {
            **{claim: holds for one in claims for claim, holds in one.items()},
            "every interval holds its mean": bool(inside.all()),
            "every query is attributed once": all(
                len(losses[name]) == len(scores) for name, scores in self.per_query.items()
            ),
        }


def _halves(gallery: int) -> list[int]:
    """Return sizes from about ten to that of the gallery, each half of the next."""
    sizes = [gallery]
    while sizes[0] >= 20:
        sizes.insert(0, sizes[0] // 2)
    return sizes
