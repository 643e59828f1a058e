"""Why queries fail: by the data, the model or a step, which modality failed, and which data may be wrong."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.evaluate import (
    compare_systems,
    explain_queries,
    mean_measures,
    merge_qrels,
    score_queries,
    suspected_false_negatives,
    suspected_wrong_pairs,
)
from mmlab.evaluate.losses import (
    MissedQueries,
    count_causes,
    draw_found,
    failed_modalities,
    failure_shares,
    loss_changes,
    losses_beside,
    losses_by_stage,
    name_causes,
)
from mmlab.evaluate.measures.geometry import describe_space, joint_vectors
from mmlab.evaluate.measures.pair_separation import pair_cosines
from mmlab.evaluate.measures.scoring import join_directions
from mmlab.evaluate.summaries import (
    summarize_failures,
    summarize_gain,
    summarize_losses,
    summarize_separation,
    summarize_steps_beside,
    summarize_suspects,
)
from mmlab.evaluate.suspected import above_threshold, score_suspects
from mmlab.items.parameter_table import check_values
from mmlab.items.tables import TooFew
from mmlab.retrieve.pipeline import parent_steps
from mmlab.runs.record import run_files
from mmlab.visualize import figure, overlapping_histograms, paired_bars, under_headings
from mmlab.visualize.bars import waterfall_panels
from mmlab.visualize.galleries import false_negatives_gallery, wrong_pairs_gallery
from mmlab.workbench.fixes import FixList, list_fixes, missed_queries
from mmlab.workbench.result import Report, Result, no_table, or_reason
from mmlab.workbench.run_data import RunData
from mmlab.workbench.run_rankings import Rankings

if TYPE_CHECKING:
    import ipywidgets
    from matplotlib.figure import Figure

TEXT_TO_IMAGE = "text-to-image"


@dataclass(frozen=True, repr=False)
class FailureReport(Report):
    """Where the right answers of queries are lost, and why: each miss has one cause. Made by `Evaluation.failures`.

    Attributes:
        data: the run's items and vectors.
        rankings: the answers, and the rankings after each step that led to them.
        k: a query is missed without a right answer among its first `k`.
        seed: of the wrong pairs that are drawn.

    Example:
        >>> failures = run.evaluate().failures(k=5)
        >>> shares = failures.shares
    """

    data: RunData
    rankings: Rankings
    k: int
    seed: int = 0

    @cached_property
    def per_query(self) -> dict[str, pd.DataFrame]:
        """For each query whether each step found it, the cause of a miss and which modality failed."""
        vectors, items = self.rankings.vectors_by_modality, self.rankings.items
        tables = {}
        for name, steps in self.rankings.chains.items():
            qrels = self.rankings.qrels[name]
            explained = explain_queries(steps, qrels, vectors, items, self.k)
            tables[name] = name_causes(explained, qrels, items, self._wrong_pairs)
        return tables

    @cached_property
    def causes(self) -> pd.DataFrame:
        """How many queries are missed by which cause: direction, cause, kind, missed, marked, queries, k."""
        return join_directions({name: count_causes(t, self.k) for name, t in self.per_query.items()})

    @cached_property
    def beside(self) -> dict[str, pd.DataFrame]:
        """What the steps that are not in the answer lose and gain, by direction: see `losses_beside`."""
        tables, items = {}, self.rankings.items
        for name, ranked in self.rankings.ranked.items():
            parents, chain = parent_steps(ranked.steps, ranked.exact), ranked.chain_names
            others = {step: parent for step, parent in parents.items() if step not in chain}
            qrels = self.rankings.compared(name)
            tables[name] = losses_beside(ranked.steps, others, qrels, self.k, items)
        return tables

    @cached_property
    def gain(self) -> dict[str, pd.DataFrame]:
        """What ranking again changes, against the step before it, by direction: see `compare_systems`."""
        tables, names = {}, [f"Success@{k}" for k in sorted({1, self.k})]
        for name, chain in self.rankings.chains.items():
            qrels, last = self.rankings.qrels[name], list(chain)[-2:]
            if last[-1] == "reranked" and len(qrels):
                scores = {step: score_queries(chain[step], qrels, names) for step in last}
                tables[name] = compare_systems(scores, self.rankings.items, self.seed)
        return tables

    @cached_property
    def shares(self) -> pd.DataFrame:
        """The share of queries that is found or lost at each step, with 95% intervals."""
        items = self.rankings.items
        return join_directions({name: losses_by_stage(t, items) for name, t in self.per_query.items()})

    def _overview(self) -> Result:
        """Show how many queries each step loses, from all queries down to those that are answered."""
        falls = {name: loss_changes(table) for name, table in self.per_query.items() if len(table)}
        if not falls:
            raise TooFew(self.rankings.nothing_judged)

        def draw() -> "Figure":
            return waterfall_panels(falls, "queries")

        queries = {name: len(table) for name, table in self.per_query.items()}
        losses = summarize_losses(self.causes, queries, self.k)
        beside, gain = summarize_steps_beside(self.beside, queries), summarize_gain(self.gain)
        sentence = " ".join(filter(None, (losses, beside, gain)))
        return Result(join_directions(falls), sentence, draw, shown=no_table())

    @or_reason
    def failed_modality(self) -> Result:
        """Show which of text and image stands among wrong neighbours, for the misses and for queries that were found.

        Example:
            >>> run.evaluate().failures(k=1).failed_modality().table.columns.tolist()[:6]
            ['direction', 'failed', 'value', 'low', 'high', 'queries']
        """
        table = self._failed_shares
        if table.empty:
            judged = any(map(len, self.per_query.values()))
            raise TooFew(summarize_failures(table) if judged else self.rankings.nothing_judged)

        def draw() -> "Figure":
            fig, (ax,) = figure(height=4.6)
            bars = table.assign(of=table["direction"] + ", misses")
            usual = table.assign(of=table["direction"] + ", found", value=table["among_found"])
            usual = usual.assign(low=usual["value"], high=usual["value"])
            both = pd.concat([bars, usual]).dropna(subset="value")
            paired_bars(ax, both, "failed", "of", "share of the queries", "Failed modality")
            return fig

        return Result(table, summarize_failures(table), draw, shown=no_table())

    @cached_property
    def _failed_shares(self) -> pd.DataFrame:
        items, vectors, tables = self.rankings.items, self.rankings.vectors_by_modality, {}
        for name, explained in self.per_query.items():
            drawn = draw_found(explained, self.seed)
            found = failed_modalities(vectors, items, self.rankings.qrels[name], drawn)
            tables[name] = failure_shares(explained, items, found)
        return join_directions(tables)

    @or_reason
    def separation(self) -> Result:
        """Show the cosines of right pairs beside those of wrong ones, drawn at random.

        Example:
            >>> run.evaluate().failures().separation().table.columns.tolist()
            ['query_id', 'item_id', 'positive', 'negative']
        """
        vectors = self.rankings.vectors_by_modality
        right, asked = self.data.qrels("image", self.rankings.judged.name), vectors["text"].asking()
        cosines = pair_cosines(asked, vectors["image"], right, self.seed)

        def draw() -> "Figure":
            fig, (ax,) = figure()
            groups = {"right pairs": cosines["positive"], "wrong pairs": cosines["negative"]}
            overlapping_histograms(ax, groups, "cosine of text and image (no unit)")
            return fig

        return Result(cosines, summarize_separation(cosines), draw, shown=no_table())

    @or_reason
    def space(self) -> Result:
        """Show the shape of the space: how narrow it is, its dimensions in use, the modality gap, its hubs.

        Example:
            >>> run.evaluate().failures().space().table.columns.tolist()
            ['measure', 'of', 'value', 'meaning', 'items']
        """
        return Result(self._space, "")

    @cached_property
    def _space(self) -> pd.DataFrame:
        return describe_space(self.rankings.vectors_by_modality)

    @or_reason
    def upper_bound(self) -> Result:
        """Show the measures of text-to-image if every suspected false negative were right after all.

        Example:
            >>> run.evaluate().failures().upper_bound().table.columns.tolist()
            ['measure', 'value', 'low', 'high', 'if_right', 'if_right_low', 'if_right_high']
        """
        _, suspects, _ = self._suspects
        names = [f"Success@{k}" for k in sorted({1, self.k})]
        answer, qrels = self.rankings.answers[TEXT_TO_IMAGE], self.rankings.qrels[TEXT_TO_IMAGE]
        judged = (qrels, merge_qrels(qrels, suspects.assign(relevance=1)))
        own, bound = (
            mean_measures(score_queries(answer, right, names), self.rankings.items) for right in judged
        )
        table = own[["measure", "value", "low", "high"]].assign(
            if_right=bound["value"], if_right_low=bound["low"], if_right_high=bound["high"]
        )
        if table.empty:
            raise TooFew(self.rankings.nothing_judged)
        first = table.iloc[0]
        if suspects.empty:
            return Result(table, "No false negative is suspected, so the measures stay as they are.")
        sentence = (
            f"If all {len(suspects):,} suspected false negatives were right, {first['measure']} were "
            f"{first['if_right']:.3f} at most instead of {first['value']:.3f} (text-to-image)."
        )
        return Result(table, sentence)

    def suspects(self, shown: int = 6) -> "SuspectLists":
        """Return pairs that may be wrong and misses that may be right, for review; `shown` of each are displayed.

        Pairs of all splits are read, for the more neighbours the better; misses are those of the queries judged here.

        Example:
            >>> wrong = run.evaluate().failures().suspects().wrong_pairs
        """
        check_values(suspects=shown)
        return SuspectLists(*self._suspects, self.data.embedded_items, shown)

    def fixes(self) -> Result:
        """List what to repair in the dataset, as `Run.fixes` does from the files of the run.

        Example:
            >>> "missing file" in set(run.evaluate().failures().fixes().table["finding"])
            True
        """
        wrong, above, _ = self._suspects
        return list_fixes(FixList(self.data, wrong, above, missed_queries(self.per_query)))

    def panel(self, k: int = 5, by: str | None = None) -> "ipywidgets.VBox":
        """Return a panel for JupyterLab that walks through the missed queries, whose hits can be judged by hand.

        Judgements go to labels.jsonl in the run's folder.

        Args:
            k: how many hits of each query are shown.
            by: who judges; the user of this machine unless given.

        Example:
            >>> panel = run.evaluate().failures().panel(k=3)
        """
        from mmlab.panels import inspect_panel

        labels = self.data.folder / run_files.LABELS
        missed = {
            name: MissedQueries(explained, self.rankings.answers[name], self.rankings.qrels[name], labels)
            for name, explained in self.per_query.items()
        }
        return inspect_panel(missed, self.data.embedded_items, k, by)

    @cached_property
    def _wrong_pairs(self) -> pd.DataFrame:
        joint = joint_vectors(self.data.all_vectors[0], self.data.vectors_by_modality)
        return suspected_wrong_pairs(joint, self.data.embedded_items)

    @cached_property
    def _suspects(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """The wrong pairs, the false negatives, and how many of the known faults they hold."""
        vectors, items = self.data.vectors_by_modality, self.data.embedded_items
        answer, qrels = self.rankings.answers[TEXT_TO_IMAGE], self.rankings.qrels[TEXT_TO_IMAGE]
        above = suspected_false_negatives(vectors["text"], items, answer, qrels, threshold=-1.0)
        wrong = self._wrong_pairs
        return wrong, above_threshold(above), score_suspects(wrong, above, items)


@dataclass(frozen=True, repr=False)
class SuspectLists(Report):
    """Pairs that may be wrong, and misses that may be right answers: two lists for review.

    Attributes:
        wrong_pairs: all texts with their image, those first that fit it worst for their neighbourhood; the column
            suspected marks those that may be wrong.
        false_negatives: images ranked above the right one whose captions say nearly the same.
        known: how many of the demo's known faults the lists hold; no rows for a dataset of one's own.
        items: the items that they are of.
        shown: how many of each list are displayed.

    Example:
        >>> suspects = run.evaluate().failures().suspects(shown=3)
        >>> wrong = suspects.wrong_pairs
    """

    wrong_pairs: pd.DataFrame
    false_negatives: pd.DataFrame
    known: pd.DataFrame
    items: pd.DataFrame
    shown: int = 6

    def _overview(self) -> Result:
        """Show how many are suspected, the first of each list, and how many rightly where that is known."""
        sentence = summarize_suspects(self.wrong_pairs, len(self.false_negatives), self.known)
        lists = {
            "Suspected wrong pairs": wrong_pairs_gallery(self.wrong_pairs, self.items, self.shown),
            "Suspected false negatives": false_negatives_gallery(
                self.false_negatives, self.items, self.shown
            ),
        }
        return Result(self.known, sentence, html=under_headings(lists))
