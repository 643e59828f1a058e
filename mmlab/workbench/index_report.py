"""What 03_index shows: the schema, what a build sent, and what the index loses against exact search."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.index import Hnsw, Index, Quantization, benchmark_search
from mmlab.index.bench.search_benchmark import search_settings
from mmlab.index.store.layouts import describe_fields
from mmlab.items import Vectors
from mmlab.visualize import bars, figure
from mmlab.workbench.result import Report, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class IndexReport(Report):
    """A run's index as it was built: its schema, what was sent, and what it loses against exact search.

    Made by `Run.build_index`.

    Attributes:
        index: the index, open for searches.
        queries: vectors of the modality that asks, of which a sample judges the index.
    """

    index: Index
    queries: Vectors

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
        """Show the payload fields of the first collection: type, and whether a filter on them has an index."""
        schema = next(iter(self.index.schemas.values()))
        place = "on disk" if schema.on_disk else "in memory"
        copies = schema.quantization or "none"
        caption = (
            f"{self.index.layout} layout, vectors {place}, quantized copies: {copies}, graph: {schema.hnsw}"
        )
        return Result(describe_fields(schema), "", caption=caption)

    def benchmark(self, neighbours: int = 10, ef: int = 50, queries: int = 100, seed: int = 0) -> Result:
        """Compare the index with exact search on the same vectors: recall and latency of each way to search.

        Args:
            neighbours: how many of the nearest are compared.
            ef: candidates that the graph looks at.
            queries: how many queries are drawn and asked one at a time.
            seed: draws the queries.
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
            names = table["search"]
            bars(
                axs[0],
                names,
                table["recall"],
                f"recall@{k} against exact search",
                "What is lost",
                form="{:.3f}",
            )
            bars(
                axs[1],
                [""] * len(names),
                table["p50_ms"],
                "median latency, ms",
                "What it takes",
                form="{:.2f}",
            )
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
