"""What 03_index shows: what the index holds, how well and how fast it finds, and what each retriever costs."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from mmlab.evaluate.summaries import escape_markdown
from mmlab.index import Hnsw, Index, Quantization, benchmark_search, build_index, open_store
from mmlab.index.bench.search_benchmark import percentiles, search_settings, time_queries
from mmlab.index.engines.bm25 import system_name
from mmlab.index.store.layouts import describe_fields
from mmlab.index.store.payload import Where
from mmlab.items import MODALITIES, Space, Vectors, is_among
from mmlab.items.parameter_table import check_values
from mmlab.items.rankings import opposite_modality
from mmlab.items.sentences import count, milliseconds
from mmlab.items.vectors import DENSE
from mmlab.retrieve.query.rank import who_ask
from mmlab.retrieve.query_trials import summarize_filters, target_of, try_filters
from mmlab.visualize import bars, figure
from mmlab.visualize.bars import recall_panels
from mmlab.workbench.result import Report, Result, or_reason
from mmlab.workbench.run_data import KEEP_OPEN_SECONDS, RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH_RECALL = 0.9  # of an index; below it a sentence says what to change
SLOW_BUILD_SECONDS = 600  # of a graph, which is then said
MEASURED_ITEMS = 1000  # that are indexed by each retriever alone


@dataclass(frozen=True, repr=False)
class IndexReport(Report):
    """A run's index as it was built: its schema, what was sent, and what it loses against exact search.

    Made by `Run.build_index`.

    Attributes:
        index: the index, open for searches.
        asking: the vectors that ask in each direction, such as "text-to-image", a sample of which the index is measured
            with; a modality that shares a space with no other asks itself.
        items: the items that the index was built from.
        vectors: those of every retriever, in their order.

    Example:
        >>> report = run.build_index(progress=False)
        >>> report.sent
        0
    """

    index: Index
    asking: Mapping[str, Vectors]
    items: pd.DataFrame
    vectors: Sequence[Any] = ()

    @classmethod
    def of(cls, data: RunData, settings: Mapping[str, Any]) -> Self:
        """Build the run's index; what is not given is as the run's parameters have it."""
        check_values(**{name: settings.get(name) for name in ("layout", "on_disk", "replace")})
        layout = data.parameters.get("layout", "unified")
        given = {"layout": layout, **index_settings(data.parameters), **settings}
        vectors = data.vectors_of(data.retrievers)
        store = open_store(data.store, keep_open=KEEP_OPEN_SECONDS)
        index = build_index(store, data.name, data.items, vectors, **given)
        return cls(index, _asking(index, data), data.embedded_items, vectors)

    def _overview(self) -> Result:
        """Show how many points were there, sent and deleted, and how long it took."""
        built, held = self.index.report, self.index.collections()
        there, sent, deleted = (int(built[name].sum()) for name in ("were_there", "sent", "deleted"))
        done = (
            f"{sent:,} were sent, {there:,} were in their place" if self.sent else "all were in their place"
        )
        gone = f", {deleted:,} were deleted" if deleted else ""
        sentence = (
            f"**{count(int(held['points'].sum()), 'point')}** in {count(len(held), 'collection')}, "
            f"{self.index.layout} layout: {done}{gone}.{self._damage()}{self._slow_build()}"
        )
        table = built.drop(columns="damage").merge(held, on="collection")
        # the sentence says the first three
        shown = table.drop(columns=["were_there", "sent", "deleted", "segments", "hnsw"])
        return Result(table, sentence, shown=shown, digits=2)

    def _slow_build(self) -> str:
        """Say how long the graph took, where that is long, and what takes less."""
        seconds = self.index.report["build_s"].sum()
        if seconds < SLOW_BUILD_SECONDS:
            return ""
        most = max(schema.hnsw.ef_construct for schema in self.index.schemas.values())
        return (
            f" The graph took {seconds / 60:,.0f} minutes with hnsw_ef_construct={most}; half of that takes about 0.6 "
            "of the time, and 07_tune measures on a sample what it loses."
        )

    def _damage(self) -> str:
        """Return which collections were damaged, and were built anew."""
        damaged = self.index.report.loc[self.index.report["damage"] != "", "collection"]
        if damaged.empty:
            return ""
        return (
            f" The files of {', '.join(map(escape_markdown, damaged))} were damaged: dropped and built anew."
        )

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
        check_values(neighbours=neighbours, ef=ef, seed=seed)
        direction = next(iter(self.asking))
        asked, target = self._sample(direction, queries, seed), target_of(direction)
        k = min(neighbours, self.index.count(target))
        table = benchmark_search(self.index, asked, target, k, search_settings(self.index, k, ef))
        own, exact = table.iloc[1], table.iloc[0]
        sentence = (
            f"This index ({own['search']}) finds {own['recall']:.1%} of the {k} nearest items, in "
            f"{milliseconds(own['p50_ms'])} a query; exact search takes {milliseconds(exact['p50_ms'])}."
        )

        def draw() -> "Figure":
            fig, axs = figure(2, height=2.6)
            lost, taken = f"recall@{k} against exact search", "median latency, ms"
            bars(axs[0], table["search"], table["recall"], lost, "What is lost", form="{:.3f}")
            bars(axs[1], [""] * len(table), table["p50_ms"], taken, "What it takes", form="{:.2f}")
            return fig

        caption = f"{len(asked)} queries for {target} items, k = {k}, each timed alone after 20 others"
        return Result(table, sentence, draw, caption=caption)

    def benchmark_filters(
        self,
        neighbours: int = 10,
        ef: int = 50,
        queries: int = 100,
        seed: int = 0,
        filters: Sequence[Where] = (),
    ) -> Result:
        """Compare the index, in each direction, with exact search under the same filter: recall and latency.

        Args:
            neighbours: how many of the nearest are compared.
            ef: candidates that the graph looks at.
            queries: how many queries are drawn and asked one at a time, the same under every filter.
            seed: draws the queries.
            filters: what is asked for beside no filter, such as {"label": "mug"}; unless given, a common, a middling
                and a rare value of the fields that have a payload index.

        Returns:
            A row for each direction and filter: direction, filter, passing (the share of the items), items (that may be
            found), queries, recall with its 95% interval low and high (by the queries' pairs), p50_ms, p95_ms.

        Raises:
            ValueError: for an unknown field, and for filters that let nothing through.

        Example:
            >>> report.benchmark_filters(queries=5, filters=[{"label": "mug"}]).table["filter"].unique().tolist()
            ['none', 'label = mug']
        """
        check_values(neighbours=neighbours, ef=ef, seed=seed)
        asked = {direction: self._sample(direction, queries, seed) for direction in self.asking}
        table = try_filters(self.index, asked, self.items, neighbours, ef, filters)

        def draw() -> "Figure":
            return recall_panels(table)

        caption = f"k = {neighbours}, each query timed alone after 20 others; intervals of 95% by pair"
        sentence = f"{summarize_filters(table)}{self._advise(table['recall'].min())}"
        return Result(table, sentence, draw, caption=caption)

    def _advise(self, recall: float) -> str:
        """Return what to change in an index that finds too few, "" where it finds enough."""
        if recall >= ENOUGH_RECALL:
            return ""
        own = "" if self.index.layout == "separate" else ", or `layout=separate`, a graph for each modality"
        return f" A larger `ef` finds more{own}; exact search finds all."

    @or_reason
    def by_retriever(self, neighbours: int = 10, queries: int = 100, seed: int = 0) -> Result:
        """Show what each retriever costs: bytes that its vectors take for an item, indexing, and the time of a query.

        Args:
            neighbours: how many hits are asked for.
            queries: how many texts, or images where no text asks, are drawn and asked one at a time.
            seed: draws the queries.

        Returns:
            A row for each retriever: retriever, search, items, bytes_per_item (quantized copies and the graph come on
            top), seconds_per_1000 (to index a thousand of its items alone), p50_ms, p95_ms, p99_ms.

        Example:
            >>> report.by_retriever(queries=5).table["retriever"].tolist()
            ['demo-...', 'bm25']
        """
        check_values(neighbours=neighbours, seed=seed)
        table = pd.DataFrame([self._cost(one, neighbours, queries, seed) for one in self.vectors])
        parts = [
            f"*{row.retriever}* takes {row.bytes_per_item:,.0f} bytes an item, {row.seconds_per_1000:.2f} s to index a "
            f"thousand and {milliseconds(row.p50_ms)} a query"
            for row in table.itertuples()
        ]
        caption = f"Queries asked one at a time after 20 others, k = {neighbours}"
        return Result(table, f"{'; '.join(parts)}.", caption=caption, digits=2)

    def _cost(self, own: Any, neighbours: int, queries: int, seed: int) -> dict[str, Any]:
        source = next(one for one in MODALITIES if len(who_ask([own], self.items, one)))
        [asking] = who_ask([own], self.items, source)
        held = self.index.modalities(own.space)
        target = opposite_modality(source) if opposite_modality(source) in held else held[0]
        asked, k = draw_queries(asking, queries, seed), min(neighbours, self.index.count(target))
        with self.index.session():
            _, spent = time_queries(self.index, asked, target, k)
        return {
            "retriever": system_name(own.space),
            "search": self.index.describe_search(own.space, target, exact=False),
            "items": len(own),
            "bytes_per_item": own.parts_nbytes / max(len(own), 1),
            "seconds_per_1000": self._indexing_seconds(own),
            **percentiles(spent),
        }

    def _indexing_seconds(self, own: Any) -> float:
        """Return the seconds to index a thousand items by these vectors alone, measured on up to so many."""
        ids = own.ids[:MEASURED_ITEMS]
        items = self.items[is_among(self.items["item_id"], ids)]
        vectors = [own.take(ids)]
        if own.space.kind != DENSE:  # beside the smallest dense vector that an index can have
            space = Space("none", "1", "", "", "", 1)
            vectors.insert(0, Vectors(ids, np.ones((len(ids), 1)), space))
        schema = next(iter(self.index.schemas.values()))
        with TemporaryDirectory() as folder:
            started = time.perf_counter()
            settings: dict[str, Any] = {
                "hnsw": schema.hnsw,
                "quantization": schema.quantization,
                "progress": False,
            }
            build_index(open_store(folder), "measured", items, vectors, self.index.layout, **settings)
            return 1000 / len(ids) * (time.perf_counter() - started)

    def _sample(self, direction: str, queries: int, seed: int) -> Vectors:
        return draw_queries(self.asking[direction], queries, seed)


def draw_queries(vectors: Any, count: int, seed: int) -> Any:
    """Draw up to `count` of the vectors, the same for a seed."""
    drawn = pd.Series(vectors.ids).sample(min(count, len(vectors)), random_state=seed)
    return vectors.take(drawn.to_numpy())


def _asking(index: Index, data: RunData) -> dict[str, Vectors]:
    """Return the vectors that ask in each direction, those of the main space first."""
    found: dict[str, Vectors] = {}
    for space in (one for one in index.spaces if one.kind == DENSE):
        for target in index.modalities(space):
            others = data.vectors(opposite_modality(target), space.key, as_queries=True)
            source = opposite_modality(target) if len(others) else target
            if not any(direction.endswith(target) for direction in found):
                found[f"{source}-to-{target}"] = (
                    others if len(others) else data.vectors(target, space.key, as_queries=True)
                )
    return found


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
