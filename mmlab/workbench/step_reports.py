"""What 02_embed and 03_index show: the vectors of each model and their space; the index and how well it finds them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from mmlab.embed import Embedded, embed_with_models
from mmlab.embed.embedding import QUERY
from mmlab.embed.given_vectors import agree, compare_with_model, find_space, take_vectors, without_model
from mmlab.embed.models.interface import SUGGESTIONS
from mmlab.embed.multi_model import describe_rows, describe_spaces, describe_work
from mmlab.embed.query_vectors import embed_own_queries
from mmlab.evaluate.measures.geometry import compare_spaces, matched_cosines
from mmlab.evaluate.summaries import escape_markdown, summarize_space_comparison
from mmlab.index import Hnsw, Index, Quantization, benchmark_search, build_index, open_store
from mmlab.index.bench.search_benchmark import percentiles, search_settings, time_queries
from mmlab.index.engines.bm25 import system_name
from mmlab.index.store.layouts import describe_fields
from mmlab.index.store.payload import Where
from mmlab.ingest.sources.ready_vectors import ReadyVectors
from mmlab.items import MODALITIES, Space, Vectors, is_among, write_table
from mmlab.items import data as data_folder
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.rankings import opposite_modality
from mmlab.items.sentences import count, milliseconds
from mmlab.items.tables import in_blocks, is_first
from mmlab.items.vectors import DENSE, LATE, SPARSE, main_vectors
from mmlab.retrieve.query.rank import who_ask
from mmlab.retrieve.query_trials import summarize_filters, target_of, try_filters
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import Html, bars, figure
from mmlab.visualize.bars import recall_panels
from mmlab.visualize.curves import pair_histograms
from mmlab.workbench.result import Report, Result, or_reason
from mmlab.workbench.run_data import KEEP_OPEN_SECONDS, RunData, check_images, own_query_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORDS = {SPARSE: "weighted terms", LATE: "a vector for each token"}
WITHOUT_MODEL = (
    "So the run works with vectors only: items of the collection ask, and new texts and images cannot."
)
PAIRS_COMPARED = 10_000  # of each space, whose vectors are read into memory
MAX_NOTE = 2000  # characters
ENOUGH_RECALL = 0.9  # of an index; below it a sentence says what to change
SLOW_BUILD_SECONDS = 600  # of a graph, which is then said
MEASURED_ITEMS = 1000  # that are indexed by each retriever alone


@dataclass(frozen=True, repr=False)
class EmbedReport(Report):
    """The vectors of one or several models: what was done, their spaces, their norms, and how pairs stand apart.

    Norms and pairs are those of dense spaces, with one row for each item; at least one model makes such.

    Made by `Run.embed`.

    Attributes:
        results: for each model its vectors, the items that failed and what was done.
        items: the items that were embedded.
        note: what was found of the space of ready vectors; mostly empty.

    Example:
        >>> report = run.embed(["demo"])
        >>> report.main.space.model
        'demo'
    """

    results: Sequence[Embedded]
    items: pd.DataFrame
    note: str = ""

    @classmethod
    def of(cls, data: RunData, models: Sequence[str], settings: dict[str, Any]) -> Self:
        """Embed the run's items, or take the vectors that came with them; those of a `space`, if it is given.

        Raises ValueError where there are none, no image gets a vector or no model is dense, FileNotFoundError where no
        image is there.
        """
        if data.items.empty:
            raise ValueError(
                f"{data.name}: there are no items to embed; 01_ingest shows where every row went. Texts without images "
                "are kept with -p 'keep=[\"no image named\"]'"
            )
        checked = ("prompts", "precision", "batch_size", "pool_tokens", "truncate_dim", "engine")
        check_values(**{name: settings.get(name) for name in checked})
        space = settings.pop("space", "")
        if data.ready:
            return cls._of_ready(data, data.ready, space)
        if space:
            raise ValueError(
                f"space: {space!r} names the model of ready vectors, and the dataset has none: give it as one of models"
            )
        check_images(data.items)
        cache = data_folder() / "cache" / "vectors.sqlite"
        own = data.own_query_table if data.has_own_queries else None
        found = embed_with_models(data.items, models, cache=cache, own_queries=own, **settings)
        report = cls(found, data.items)
        report._check_images_embedded()
        report._check_dense()
        return report

    @classmethod
    def _of_ready(cls, data: RunData, ready: ReadyVectors, name: str) -> Self:
        """Take the vectors of the items from their shards; the model that made them is only compared with them."""
        given = find_space(name, ready.first.dimension, ready.space)
        items = data.placed_items
        path = _vectors_file(data, given.space)
        taken = take_vectors(items, {of: ready.blocks(of) for of in ready.shards}, given.space, path)
        if given.model is None:
            return cls([taken], data.items, f"{ready.sentence} {given.sentence} {WITHOUT_MODEL}")
        cosines = compare_with_model(taken.dense, items, given.model)
        if agree(cosines):
            if data.has_own_queries:
                taken = replace(taken, own_queries=embed_own_queries(data.own_query_table, given.model))
            return cls([taken], data.items, f"{ready.sentence} {_say_agreement(cosines, given.space)}")
        space = without_model(given.space.model, given.space.dimension)
        taken = replace(taken, vectors=replace(taken.dense, space=space))
        taken.dense.save(_vectors_file(data, space))
        return cls([taken], data.items, f"{ready.sentence} {_say_agreement(cosines, space)} {WITHOUT_MODEL}")

    @cached_property
    def _dense(self) -> list[Embedded]:
        return [result for result in self.results if result.vectors.space.kind == DENSE]

    @cached_property
    def _ragged(self) -> list[Embedded]:
        return [result for result in self.results if result.vectors.space.kind != DENSE]

    @property
    def vectors(self) -> list[Vectors]:
        """The vectors of each dense model, in the order of the models."""
        return [result.dense for result in self._dense]

    @property
    def ragged(self) -> list[AnyVectors]:
        """The vectors of each sparse or late-interaction model, in the order of the models."""
        return [result.vectors for result in self._ragged]

    @property
    def main(self) -> Vectors:
        """The vectors of the main space: the first that holds both images and texts."""
        return main_vectors(self.vectors, self.items)

    @property
    def skipped(self) -> pd.DataFrame:
        """The items that got no vector, with the reason."""
        tables = [result.skipped for result in self.results]
        return pd.concat(tables, ignore_index=True).drop_duplicates()

    def _check_images_embedded(self) -> None:
        """Raise ValueError where a model embeds images and all have failed."""
        images = self.items["item_id"][self.items["modality"] == "image"]
        for result in self.results:
            tried = (result.counts["modality"] == "image").any()
            ids = result.vectors.id_texts
            if tried and not any(is_among(ids, block).any() for block in in_blocks(images)):
                reasons = result.skipped["reason"].value_counts()
                found = ", ".join(f"{reason} {number:,}" for reason, number in reasons.items())
                raise ValueError(
                    f"none of the {len(images):,} images has a vector of {result.vectors.space.model}: {found}. "
                    "Nothing could be found without them: mend the images, then run 01_ingest again"
                )

    def _check_dense(self) -> None:
        """Raise ValueError where all models are sparse or late: nothing could be compared, indexed and mapped then."""
        if not self._dense:
            found = ", ".join(f"{own.space.model} ({own.space.kind})" for own in self.ragged)
            raise ValueError(
                f"models: expected one at least with one vector for each item, found {found}: add 'demo' or "
                "openai/clip-vit-base-patch32; what is embedded lies in the cache"
            )

    def _overview(self) -> Result:
        """Show what each model embedded, took from the cache, failed at and truncated."""
        count, models = sum(map(len, self.vectors)), len(self.vectors)
        sentence = (
            f"**{count:,} vectors** of {len(self.items):,} items from {models} model{'s' * (models > 1)}; the main "
            f"space has {self.main.space.dimension} dimensions. {len(self.skipped):,} items failed."
        )
        sentences = filter(
            None,
            (
                sentence,
                escape_markdown(self.note, MAX_NOTE),
                self._beside(),
                self._asked_apart(),
                self._not_embedded(),
            ),
        )
        return Result(describe_work(self.results), " ".join(sentences), digits=1)

    def _beside(self) -> str:
        """Say which items have vectors of sparse and late-interaction models, and how large these are."""
        return " ".join(
            f"{count(len(result.vectors), 'item')} {'has' if len(result.vectors) == 1 else 'have'} "
            f"{WORDS[result.vectors.space.kind]} of {escape_markdown(result.vectors.space.model)}, "
            f"{result.bytes_per_item:,.0f} bytes an item."
            for result in self._ragged
        )

    def _asked_apart(self) -> str:
        """Say which models embed a text that asks in another way than one that is found."""
        apart = [own.space.model for own in self.vectors if own.queries is not None]
        if not apart:
            return ""
        return (
            f"Texts have a second vector of {', '.join(map(escape_markdown, apart))}, behind its prompt for queries: "
            "with that one they ask, with the other they are found."
        )

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
        main = escape_markdown(self.main.space.model)
        return Result(describe_spaces(self.results), f"The run's main space is that of {main}.")

    @cached_property
    def _norms(self) -> pd.DataFrame:
        return describe_rows(self._dense, self.items)

    def norms(self) -> Result:
        """Show the norms of the rows, where they point on average, and what the precision costs.

        Example:
            >>> norms = report.norms().table
        """
        furthest = float((self._norms[["smallest norm", "largest norm"]] - 1).abs().to_numpy().max(initial=0))
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
        items, drawn = self._draw_pairs(seed)
        vectors = [own.among(items["item_id"]) for own in self.vectors]
        table = compare_spaces(vectors, items, seed)

        def draw() -> "Figure":
            return pair_histograms({v.space.key: matched_cosines(v, items, seed) for v in vectors})

        return Result(table, f"{summarize_space_comparison(table)}{drawn}", draw)

    def _draw_pairs(self, seed: int) -> tuple[pd.DataFrame, str]:
        """Return the items of at most PAIRS_COMPARED pairs, and a sentence where these were drawn from more."""
        pairs = self.items["pair_id"]
        pairs = pairs[is_first(pairs)]
        if len(pairs) <= PAIRS_COMPARED:
            return self.items, ""
        drawn = pairs.sample(PAIRS_COMPARED, random_state=seed)
        said = f" These are figures of {PAIRS_COMPARED:,} pairs, drawn from {len(pairs):,}."
        return self.items[is_among(self.items["pair_id"], drawn)], said

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
        complete = [len(result.vectors) + len(result.skipped) == _items_of(result) for result in self.results]
        return {
            "every item has a vector of each model that embeds it, or a reason": all(complete),
            "every text that is found can ask": all(self._all_ask(result.vectors) for result in self.results),
        }

    def _all_ask(self, vectors: AnyVectors) -> bool:
        if vectors.queries is None:
            return True
        texts = self.items.loc[self.items["modality"] == "text", "item_id"]
        return set(vectors.queries.ids) == set(texts[is_among(texts, vectors.ids)])

    def write(self, step: Step) -> Html:
        """Write the vectors of each model and embed_skipped.parquet, and show what the step has written.

        Texts that ask behind another prompt are in vectors/queries/. What sparse and late-interaction models made is in
        vectors/sparse/ and vectors/late/.

        Example:
            >>> files = report.write(step)
        """
        for vectors in self.vectors:
            file = f"{run_files.VECTORS}/{vectors.space.key}.arrow"
            if file not in step.writes:  # where ready vectors were written block by block
                vectors.save(step.write(file))
            if vectors.queries is not None:
                vectors.queries.save(step.write(run_files.QUERY_VECTORS.format(vectors.space.key)))
        for own in self.ragged:
            named = own.space.kind, own.space.key
            own.save(step.write(run_files.RAGGED_VECTORS.format(*named)))
            if own.queries is not None:
                own.queries.save(step.write(run_files.RAGGED_QUERIES.format(*named)))
        for result in self.results:
            if result.own_queries is not None:
                result.own_queries.save(step.write(own_query_file(result.vectors.space)))
        write_table(self.skipped, step.write(run_files.EMBED_SKIPPED))
        return step.outputs()


def _vectors_file(data: RunData, space: Space) -> Path:
    """Return where ready vectors are written: in a notebook the run's own file, else one of the cache."""
    file = f"{run_files.VECTORS}/{space.key}.arrow"
    return data.step.write(file) if data.step else data_folder() / "cache" / data.name / file


def _say_agreement(cosines: pd.Series, space: Space) -> str:
    """Say whether the vectors are those that the model makes of some of the items."""
    model = space.model
    if cosines.empty:
        return f"{model} is at hand for queries; no item was at hand to compare its vectors with."
    found = f"a median cosine of {cosines.median():.3f}, the least {cosines.min():.3f}"
    if agree(cosines):
        return f"{model} makes the same vectors of {count(len(cosines), 'item')}: {found}. It embeds queries."
    return f"{model} makes other vectors of {count(len(cosines), 'item')}: {found}. It did not make these."


def _items_of(result: Embedded) -> int:
    """Return how many items a model was given: one that asks and is found counts once."""
    return int(result.counts.loc[result.counts["side"] != QUERY, "items"].sum())


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
