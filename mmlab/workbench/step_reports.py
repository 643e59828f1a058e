"""What 02_embed and 03_index show: the vectors of each model and their space; the index and how well it finds them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from mmlab.embed import Embedded, embed_with_models
from mmlab.embed.models.interface import SUGGESTIONS
from mmlab.embed.multi_model import describe_rows, describe_spaces, describe_work
from mmlab.evaluate.measures.pair_separation import compare_spaces, matched_cosines
from mmlab.evaluate.summaries import summarize_space_comparison
from mmlab.index import Hnsw, Index, Quantization, benchmark_search, build_index, open_store
from mmlab.index.bench.search_benchmark import search_settings
from mmlab.index.store.layouts import describe_fields
from mmlab.items import Vectors, write_table
from mmlab.items import data as data_folder
from mmlab.items.rankings import opposite_modality
from mmlab.items.vectors import main_vectors
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import Html, bars, figure
from mmlab.visualize.curves import pair_histograms
from mmlab.workbench.result import Report, Result
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class EmbedReport(Report):
    """The vectors of one or several models: what was done, their spaces, their norms, and how pairs stand apart.

    Made by `Run.embed`.

    Attributes:
        results: for each model its vectors, the items that failed and what was done.
        items: the items that were embedded.

    Example:
        >>> report = run.embed(["demo"])
        >>> report.main.space.model
        'demo'
    """

    results: Sequence[Embedded]
    items: pd.DataFrame

    @classmethod
    def of(cls, data: RunData, models: Sequence[str], settings: Mapping[str, Any]) -> Self:
        """Embed the run's items; raise ValueError where there are none."""
        if data.items.empty:
            raise ValueError(
                f"{data.name}: there are no items to embed; 01_ingest shows where every row went. Texts without images "
                "are kept with -p 'keep=[\"no image named\"]'"
            )
        cache = data_folder() / "cache" / "vectors.sqlite"
        return cls(embed_with_models(data.items, models, cache=cache, **settings), data.items)

    @property
    def vectors(self) -> list[Vectors]:
        """The vectors of each model, in the order of the models."""
        return [result.vectors for result in self.results]

    @property
    def main(self) -> Vectors:
        """The vectors of the main space: the first that holds both images and texts."""
        return main_vectors(self.vectors, self.items)

    @property
    def skipped(self) -> pd.DataFrame:
        """The items that got no vector, with the reason."""
        tables = [result.skipped for result in self.results]
        return pd.concat(tables, ignore_index=True).drop_duplicates()

    def _overview(self) -> Result:
        """Show what each model embedded, took from the cache, failed at and truncated."""
        count, models = sum(map(len, self.vectors)), len(self.results)
        sentence = (
            f"**{count:,} vectors** of {len(self.items):,} items from {models} model{'s' * (models > 1)}; the main "
            f"space has {self.main.space.dimension} dimensions. {len(self.skipped):,} items failed."
        )
        return Result(describe_work(self.results), f"{sentence} {self._not_embedded()}".strip(), digits=1)

    def _not_embedded(self) -> str:
        """Say which items no model embeds, what can be asked all the same, and which model to add."""
        embedded = {kind for result in self.results for kind in result.counts["modality"]}
        counts = self.items["modality"].value_counts()
        return " ".join(
            f"No model embeds the {count:,} {kind}s: {opposite_modality(kind)}s find {opposite_modality(kind)}s, each "
            f"shown with its pair. To find {kind}s too, add {SUGGESTIONS[kind]}."
            for kind, count in counts.items()
            if kind not in embedded
        )

    def spaces(self) -> Result:
        """Show all that decides where each model puts an input: vectors of two spaces cannot be compared.

        Example:
            >>> spaces = report.spaces().table
        """
        return Result(describe_spaces(self.results), f"The run's main space is `{self.main.space.key}`.")

    @cached_property
    def _norms(self) -> pd.DataFrame:
        return describe_rows(self.results, self.items)

    def norms(self) -> Result:
        """Show the norms of the rows, where they point on average, and what the precision costs.

        Example:
            >>> norms = report.norms().table
        """
        furthest = max(
            float(np.abs(np.linalg.norm(v.array, axis=1) - 1).max(initial=0)) for v in self.vectors
        )
        least = self._norms["least cosine to float32"].min()
        sentence = (
            f"All {sum(map(len, self.vectors)):,} norms lie within {furthest:.1e} of 1. The least cosine to float32 is "
            f"{least:.5f}."
        )
        return Result(self._norms, sentence, digits=5)

    def pairs(self, seed: int = 0) -> Result:
        """Show the cosines of matched pairs beside those of mismatched ones, drawn by `seed`, for each space.

        Example:
            >>> pairs = report.pairs(seed=1).table
        """
        table = compare_spaces(self.vectors, self.items, seed)

        def draw() -> "Figure":
            return pair_histograms({v.space.key: matched_cosines(v, self.items, seed) for v in self.vectors})

        return Result(table, summarize_space_comparison(table), draw)

    def conclusion(self, seed: int = 0) -> str:
        """Return what was embedded and whether matched pairs stand apart, in a few sentences.

        Example:
            >>> report.conclusion().startswith("**")
            True
        """
        return f"{self.sentence} {self.pairs(seed).sentence}"

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the vectors, by claim."""
        complete = [
            len(result.vectors) + len(result.skipped) == result.counts["items"].sum()
            for result in self.results
        ]
        return {
            "every item has a vector of each model that embeds it, or a reason": all(complete),
        }

    def write(self, step: Step) -> Html:
        """Write the vectors of each model and embed_skipped.parquet, and show what the step has written.

        Example:
            >>> files = report.write(step)
        """
        for vectors in self.vectors:
            vectors.save(step.write(f"{run_files.VECTORS}/{vectors.space.key}.npz"))
        write_table(self.skipped, step.write(run_files.EMBED_SKIPPED))
        return step.outputs()


@dataclass(frozen=True, repr=False)
class IndexReport(Report):
    """A run's index as it was built: its schema, what was sent, and what it loses against exact search.

    Made by `Run.build_index`.

    Attributes:
        index: the index, open for searches.
        queries: vectors of the modality that asks, a sample of which the index is measured with.

    Example:
        >>> report = run.build_index(progress=False)
        >>> report.sent
        0
    """

    index: Index
    queries: Vectors

    @classmethod
    def of(cls, data: RunData, settings: Mapping[str, Any]) -> Self:
        """Build the run's index; what is not given is as the run's parameters have it."""
        layout = data.parameters.get("layout", "unified")
        given = {"layout": layout, **index_settings(data.parameters), **settings}
        index = build_index(open_store(data.store), data.name, data.items, data.all_vectors, **given)
        asking = data.vectors(opposite_modality(index.modalities(index.spaces[0])[0]))
        return cls(index, asking if len(asking) else data.vectors())

    def _overview(self) -> Result:
        """Show how many points were there, sent and deleted, and how long it took."""
        built, held = self.index.report, self.index.collections()
        sentence = (
            f"**{held['points'].sum():,} points** in {len(held)} collection{'s' * (len(held) > 1)}, "
            f"{self.index.layout} layout: {built['were_there'].sum():,} were there, {built['sent'].sum():,} were sent, "
            f"{built['deleted'].sum():,} deleted."
        )
        return Result(built.merge(held, on="collection"), sentence, digits=2)

    @property
    def sent(self) -> int:
        """How many points were sent or deleted: 0 where everything was in its place."""
        return int(self.index.report[["sent", "deleted"]].to_numpy().sum())

    def schema(self) -> Result:
        """Show the payload fields of the first collection: type, and whether a filter on them has an index.

        Example:
            >>> report.schema().table.columns.tolist()
            ['payload field', 'type', 'filter']
        """
        schema = next(iter(self.index.schemas.values()))
        place = "on disk" if schema.on_disk else "in memory"
        copies = f"{schema.quantization.kind} copies" if schema.quantization else "no quantized copies"
        graph = ", ".join(f"{name} = {value}" for name, value in asdict(schema.hnsw).items())
        caption = f"{self.index.layout} layout; vectors {place}, {copies}; HNSW graph: {graph}"
        return Result(describe_fields(schema), "", caption=caption)

    def benchmark(self, neighbours: int = 10, ef: int = 50, queries: int = 100, seed: int = 0) -> Result:
        """Compare the index with exact search on the same vectors: recall and latency of each way to search.

        Args:
            neighbours: how many of the nearest are compared.
            ef: candidates that the graph looks at.
            queries: how many queries are drawn and asked one at a time.
            seed: draws the queries.

        Example:
            >>> report.benchmark(queries=5).table.columns.tolist()
            ['search', 'recall', 'p50_ms', 'p95_ms', 'p99_ms']
        """
        target = self.index.modalities(self.queries.space)[0]
        drawn = pd.Series(self.queries.ids).sample(min(queries, len(self.queries)), random_state=seed)
        asked = self.queries.take(drawn.to_numpy())
        k = min(neighbours, self.index.count(target))
        table = benchmark_search(self.index, asked, target, k, search_settings(self.index, k, ef))
        own, exact = table.iloc[1], table.iloc[0]
        sentence = (
            f"This index ({own['search']}) finds {own['recall']:.1%} of the {k} exact neighbours, in "
            f"{own['p50_ms']:.2f} ms a query; exact search takes {exact['p50_ms']:.2f} ms."
        )

        def draw() -> "Figure":
            fig, axs = figure(2, height=2.6)
            lost, taken = f"recall@{k} against exact search", "median latency, ms"
            bars(axs[0], table["search"], table["recall"], lost, "What is lost", form="{:.3f}")
            bars(axs[1], [""] * len(table), table["p50_ms"], taken, "What it takes", form="{:.2f}")
            return fig

        caption = f"{len(asked)} queries for {target} items, k = {k}, each timed alone after 20 others"
        return Result(table, sentence, draw, caption=caption)


def index_settings(parameters: dict) -> dict:
    """Return the settings of `build_index` that the parameters of 03_index stand for."""
    hnsw = Hnsw(m=parameters["hnsw_m"], ef_construct=parameters["hnsw_ef_construct"], ef=parameters["ef"])
    names = ("always_ram", "rescore", "oversampling")
    quantization = Quantization.from_name(
        parameters["quantization"], **{name: parameters[name] for name in names}
    )
    return {
        "hnsw": hnsw,
        "quantization": quantization or "none",
        "on_disk": parameters["on_disk"],
        "replace": parameters["replace"] or None,
    }
