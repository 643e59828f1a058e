"""What 07_tune shows: settings of the index and of the model, measured on the run's own vectors and items."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from mmlab.embed import ModelError
from mmlab.embed.multi_model import FULL_PRECISION, embed_with_models, sweep_batches
from mmlab.evaluate import qrels_from_pairs, score_queries
from mmlab.evaluate.summaries import escape_markdown
from mmlab.index import (
    Hnsw,
    Workload,
    benchmark_search,
    compare_layouts,
    compare_placements,
    open_store,
    sweep_index,
)
from mmlab.index.bench.index_sweep import has_faiss, sweep_faiss, temporary_index
from mmlab.index.bench.recommend import (
    best_of_graphs,
    frontier,
    name_settings,
    parameters_of,
    recommend,
    summarize_placement,
)
from mmlab.items import QREL_COLUMNS, Vectors, exact_search, is_among, write_table
from mmlab.items import data as data_folder
from mmlab.items.options import check_value, entries_of
from mmlab.items.parameter_table import PARAMETERS, check_values
from mmlab.items.rankings import DIRECTIONS, opposite_modality
from mmlab.items.tables import TooFew
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import Html, bars, figure, pareto
from mmlab.visualize.curves import throughput_curves
from mmlab.workbench.index_report import draw_queries, index_settings
from mmlab.workbench.result import Report, Result, no_table, or_reason, unanswered
from mmlab.workbench.run_data import RunData
from mmlab.workbench.system_comparison import LEVEL, MARGIN, SystemComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JUDGED_PAIRS, JUDGED_BY, RANKED = 1000, "Success@1", 10  # what other precisions are judged on
MAX_QUERIES = 100  # in each direction, the same as 03_index asks
LAYOUT_PAIRS = 200
LAYOUT_QUERIES = 60
PLACED_ITEMS = 500
SCANNED_KB = 10  # below which no graph is built: so small that every layout gets one


# of its parameters that a tuning leaves as they are
DEFAULTS_OF_03 = {"always_ram": True, "rescore": True, "oversampling": 2.0, "replace": False}


# the fields of a grid, and the parameters of 07_tune
TRIED = {
    "m": "tune_m",
    "ef_construct": "tune_ef_construct",
    "ef": "tune_ef",
    "quantizations": "tune_quantization",
    "oversampling": "tune_oversampling",
    "on_disk": "tune_on_disk",
}


@dataclass(frozen=True)
class IndexGrid:
    """The settings of the index that a tuning tries; each field is a list of values, see `sweep_index`."""

    m: Sequence[int] = (16, 64)
    ef_construct: Sequence[int] = (128,)
    ef: Sequence[int] = (16, 50, 128)
    quantizations: Sequence[str] = ("scalar", "product", "binary", "turbo")
    oversampling: Sequence[float] = (2.0, 4.0)
    on_disk: Sequence[bool] = (False, True)

    def __post_init__(self) -> None:
        for name, parameter in TRIED.items():
            check_value(name, entries_of(getattr(self, name)), PARAMETERS[parameter].kind)


@dataclass(frozen=True, repr=False)
class TuningReport(Report):
    """Every setting of the index, built on the run's vectors and compared with exact search. Made by `Run.tune`.

    Attributes:
        data: the run whose vectors are indexed; nothing of it is changed.
        grid: the settings that are tried.
        neighbours: how many nearest items a search is judged by.
        points: vectors at most, drawn at random from more.
        store: the URL of a Qdrant server to sweep on; a temporary folder unless given.
        seed: draws vectors and queries.

    Example:
        >>> placed = {"oversampling": [2.0], "on_disk": [False]}
        >>> grid = IndexGrid(m=[8], ef_construct=[32], ef=[16], quantizations=["scalar"], **placed)
        >>> report = run.tune(grid, points=200)
        >>> report.grid.m
        [8]
    """

    data: RunData
    grid: IndexGrid = field(default_factory=IndexGrid)
    neighbours: int = 10
    points: int = 20_000
    store: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        check_values(neighbours=self.neighbours, tune_points=self.points, store=self.store, seed=self.seed)

    @classmethod
    def of(cls, data: RunData, grid: IndexGrid | None, settings: Mapping[str, Any]) -> Self:
        """Take what is not given from the run's parameters: in 07_tune those that begin with "tune_"."""
        given = data.parameters
        own = {name: given[parameter] for name, parameter in TRIED.items() if parameter in given}
        others = {"neighbours": "neighbours", "points": "tune_points", "seed": "seed"}
        defaults = {name: given[parameter] for name, parameter in others.items() if parameter in given}
        return cls(data, grid or IndexGrid(**own), **{**defaults, "store": data.given_store, **settings})

    @cached_property
    def _items(self) -> pd.DataFrame:
        items, main = self.data.items, self.data.all_vectors[0]
        return items[is_among(items["item_id"], main.ids)]

    @property
    def layout(self) -> str:
        """The layout of the run's index, in which every setting is built."""
        return str(self.data.parameters.get("layout", "unified"))

    @cached_property
    def _swept_items(self) -> pd.DataFrame:
        count = min(self.points, len(self._items))
        return self._items.sample(count, random_state=self.seed).sort_index()

    @cached_property
    def vectors(self) -> Vectors:
        """The vectors that are indexed, of both modalities where the main space holds them."""
        return self.data.all_vectors[0].take(self._swept_items["item_id"])

    @cached_property
    def asked(self) -> dict[str, Vectors]:
        """The vectors that ask, by the modality that they search: those that 03_index is measured with.

        Where the main space holds one modality only, it asks itself.
        """
        key, held = self.vectors.space.key, sorted(self._items["modality"].unique())
        sources = {to: opposite_modality(to) if opposite_modality(to) in held else to for to in held}
        return {
            to: draw_queries(self.data.vectors(source, key, as_queries=True), MAX_QUERIES, self.seed)
            for to, source in sources.items()
        }

    @property
    def _target(self) -> str:
        """The modality that layouts and placements search, images where there are any."""
        return next(iter(self.asked))

    @property
    def k(self) -> int:
        """How many nearest items a search is measured by: at most as many as there are of a modality."""
        counts = self._swept_items["modality"].value_counts()
        return min(self.neighbours, *(int(counts.get(to, 1)) for to in self.asked))

    @property
    def swept(self) -> pd.DataFrame:
        """Every setting of the engine: its recall against exact search, latency, build time, memory and disk."""
        if isinstance(self._sweep, TooFew):
            raise self._sweep
        return self._sweep

    @cached_property
    def _sweep(self) -> pd.DataFrame | TooFew:
        """The sweep, or why there is none: it is not tried again for every part of the report."""
        engine = open_store(self.store) if self.store else None
        settings: dict[str, Any] = {
            name: list(getattr(self.grid, name)) for name in self.grid.__dataclass_fields__
        }
        try:
            asked = self._swept_items, self.vectors, self.asked, self.k, self.layout
            return sweep_index(*asked, **settings, store=engine, progress=True)
        except TooFew as error:
            return error

    @cached_property
    def settings(self) -> pd.DataFrame:
        """The same with those of FAISS where it is installed, each with a name, and whether no other beats it."""
        modality = self._swept_items.set_index("item_id")["modality"]
        searched = {
            to: (self.vectors.take(modality.index[modality == to]), own) for to, own in self.asked.items()
        }
        faiss = sweep_faiss(searched, self.k, self.grid.m, max(self.grid.ef_construct), self.grid.ef)
        table = name_settings(pd.concat([self.swept, faiss], ignore_index=True))
        return table.assign(front=[*frontier(self.swept), *[False] * len(faiss)])

    @property
    def _measured(self) -> pd.DataFrame | None:
        """The settings, or None where there are too few vectors for a graph."""
        return None if isinstance(self._sweep, TooFew) else self.settings

    def _overview(self) -> Result:
        """Show the best settings of each graph."""
        asking = " and ".join(f"{len(own)} queries for {to}s" for to, own in self.asked.items())
        sentence = (
            f"**{len(self.vectors):,} vectors** of {escape_markdown(self.vectors.space.model)}, built in the run's own "
            f"layout ({self.layout}), answer {asking}; recall is that of the modality which is found worse."
        )
        caption = (
            f"recall@{self.k} against exact search, and the latency of one query: the best of {len(self.settings)} "
            "settings for each graph; all are in tune/index.parquet"
        )
        return Result(self.settings, sentence, shown=best_of_graphs(self.settings), caption=caption)

    @or_reason
    def pareto(self) -> Result:
        """Show recall against latency; the settings that no other beats in both are joined.

        Example:
            >>> best = report.pareto().table
        """

        def draw() -> "Figure":
            fig, (ax,) = figure(height=3.8, width=9)
            names = ("median latency of a query, ms (log)", f"recall@{self.k} against exact search")
            pareto(ax, self.settings, "method", "p50_ms", "recall", names, "Recall against latency")
            return fig

        missing = (
            "" if has_faiss() else " FAISS is not installed: pip install 'mmlab[tune]' adds it to the figure."
        )
        count = int(self.settings["front"].sum())
        sentence = f"{count} of {len(self.swept)} settings are beaten by no other.{missing}"
        return Result(self.settings[self.settings["front"]], sentence, draw, shown=no_table())

    @or_reason
    def costs(self) -> Result:
        """Show the seconds to build each graph, the memory to answer, and the disk.

        Example:
            >>> costs = report.costs().table[["graph", "build_s", "memory_mb", "disk_mb"]]
        """
        built = (
            self.settings[self.settings["engine"] != "exact"].drop_duplicates("graph").sort_values("build_s")
        )

        def draw() -> "Figure":
            fig, axs = figure(3, height=0.5 + 0.3 * max(4, len(built)), width=10)
            bars(axs[0], built["graph"], built["build_s"], "seconds", "Build", form="{:.2f}")
            bars(axs[1], [""] * len(built), built["memory_mb"].fillna(0), "MB", "Memory", form="{:.1f}")
            bars(axs[2], [""] * len(built), built["disk_mb"].fillna(0), "MB", "Disk", form="{:.1f}")
            return fig

        swept = self.swept
        sentence = (
            f"Sending {len(self.vectors):,} vectors takes {swept['upsert_s'].median():.2f} s, a graph "
            f"{swept['build_s'].min():.2f} to {swept['build_s'].max():.2f} s. {summarize_placement(swept)}"
        )
        return Result(built, sentence, draw, shown=no_table())

    @or_reason
    def recommendation(self) -> Result:
        """Say which setting finds enough at the least cost, and the command that builds the index so.

        Example:
            >>> advice = report.recommendation().sentence
        """
        note = (
            f"Numbers of this machine and of {len(self.vectors):,} vectors: tune again when either changes."
        )
        return Result(no_table(), f"{self._advice} {note}")

    @cached_property
    def _advice(self) -> str:
        return recommend(self.swept, self.data.name, self._measure_as_built, self.layout)

    def _measure_as_built(self, setting: pd.Series) -> dict[str, float]:
        """Build the run's whole index by a setting, as 03_index would, and return its recall by modality, as there."""
        settings = index_settings({**DEFAULTS_OF_03, **parameters_of(setting)})
        with TemporaryDirectory(prefix="mmlab-") as folder:
            store = open_store(self.store or Path(folder) / "store")
            built = self.data.items, self.data.all_vectors, self.layout
            with temporary_index(store, *built, **settings) as index:
                return {
                    to: float(benchmark_search(index, own, to, self.k, {"own": {}})["recall"].iloc[0])
                    for to, own in self.asked.items()
                }

    @or_reason
    def dimensions(self, kept: Sequence[int] = (64, 128, 256, 512), margin: float = MARGIN) -> Result:
        """Show what the first dimensions of the run's vectors find beside all of them; no model is needed.

        Args:
            kept: how many dimensions are kept; numbers that are no fewer than there are are left out.
            margin: the loss that would still do, in points (hundredths of Success@1), over 0 and up to 100.

        Returns:
            A row for each direction and number of dimensions: direction, dimensions, Success@1, difference to all of
            them, largest_loss (what the true loss is at most, 95% sure), p_holm, loses_little (whether it is shown
            that no more than the margin is lost). Shares, not points; at most 1,000 pairs are asked.

        Example:
            >>> report.dimensions([32, 64]).table["dimensions"].unique().tolist()
            [128, 64, 32]
        """
        check_values(tune_dimensions=entries_of(kept), margin=margin)
        vectors, drawn = self.data.all_vectors[0], _draw_pairs(self._items, self.seed)
        whole = vectors.space.dimension
        fewer = sorted({number for number in kept if number < whole}, reverse=True)
        if not fewer:
            raise TooFew(f"the vectors have {whole} dimensions, and no fewer were tried")
        own = vectors.take(drawn["item_id"])
        found = {str(number): own.truncate(number) for number in (whole, *fewer)}
        comparison = SystemComparison(_score(found, drawn), drawn, JUDGED_BY, self.seed)
        table = _compare_dimensions(comparison, margin)
        caption = f"Success@1 of {drawn['pair_id'].nunique():,} pairs by the first dimensions of each vector"
        return Result(table, _say_dimensions(table, whole, margin), caption=caption)

    def layouts(self) -> Result:
        """Show what the three layouts cost, built from up to 200 pairs in a temporary folder.

        Example:
            >>> report.layouts().table["layout"].tolist()
            ['unified', 'separate', 'named']
        """
        pair_ids = self._items["pair_id"].drop_duplicates()
        drawn = pair_ids.sample(min(LAYOUT_PAIRS, len(pair_ids)), random_state=self.seed)
        some = self._items[is_among(self._items["pair_id"], drawn)]
        target = self._target
        near = min(self.k, int((some["modality"] == target).sum()))
        queries = self.asked[target].take(self.asked[target].ids[:LAYOUT_QUERIES])
        vectors = [self.data.all_vectors[0]]
        table = compare_layouts(Workload(some, vectors, queries, target, near, self._small_graph))
        costs = table.set_index("layout")
        sentence = (
            f"The smallest on disk is {costs['disk_mb'].idxmin()} ({costs['disk_mb'].min():.1f} MB, the largest "
            f"{costs['disk_mb'].max():.1f} MB); the fastest query is with {costs['p50_ms'].idxmin()} "
            f"({costs['p50_ms'].min():.2f} ms), the fastest build with {costs['build_s'].idxmin()}."
        )
        return Result(table, sentence, caption=f"{len(some):,} items, queries for {target}s, k = {near}")

    def placements(self) -> Result:
        """Show the time of one query with vectors in memory and on disk, just opened and warm.

        Example:
            >>> report.placements().table["vectors"].unique().tolist()
            ['in memory', 'on disk']
        """
        target = self._target
        held = self._items[self._items["modality"] == target]
        some = held.sample(min(PLACED_ITEMS, len(held)), random_state=self.seed)
        queries = self.asked[target].take(self.asked[target].ids[:LAYOUT_QUERIES])
        k = min(self.k, len(some))
        vectors = [self.data.all_vectors[0]]
        table = compare_placements(Workload(some, vectors, queries, target, k, self._small_graph))
        opened = table[table["of"] == "p50"].set_index(["vectors", "state"])["whole_ms"]
        sentence = (
            f"A store that has to be opened first answers in {opened['in memory', 'just opened']:.0f} ms, on disk in "
            f"{opened['on disk', 'just opened']:.0f} ms; a warm one in {opened['in memory', 'warm']:.1f} ms."
        )
        caption = f"{len(some):,} {target} vectors, k = {k}: median and 95th percentile of one query"
        return Result(table, sentence, caption=caption, digits=2)

    @property
    def _small_graph(self) -> Hnsw:
        """The run's own graph, also over so few vectors that a scan would do."""
        given = self.data.parameters
        m, ef_construct = given.get("hnsw_m", 64), given.get("hnsw_ef_construct", 128)
        return Hnsw(m=m, ef_construct=ef_construct, ef=given.get("ef", 50), scan_kb=SCANNED_KB)

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the settings, by claim."""
        measured = self._measured
        if measured is None:
            return {}
        return {"every setting of the index has a recall": bool(measured["recall"].notna().all())}

    def write(self, step: Step) -> Html:
        """Write tune/index.parquet, and show what the step has written.

        Example:
            >>> files = report.write(step)
        """
        if self._measured is not None:
            write_table(self._measured, step.write(run_files.TUNED_INDEX))
        return step.outputs()


@dataclass(frozen=True, repr=False)
class ModelSpeed(Report):
    """How fast a model embeds, by batch size and precision, and what a shorter number costs. Made by `Run.tune_model`.

    Attributes:
        speeds: modality, precision, batch_size, items_per_second, memory_mb, cosine to float32, and the problem of a
            setting that could not be measured.
        model: the model that was measured.
        comparison: what each precision finds beside float32, on a sample of the run's pairs; None where there is no
            other precision.

    Example:
        >>> speed = run.tune_model(batch_sizes=[8], precisions=["float32"], items=8)
        >>> speed.speeds["batch_size"].unique().tolist()
        [8]
    """

    speeds: pd.DataFrame
    model: str
    comparison: SystemComparison | None = None

    @classmethod
    def of(
        cls, data: RunData, model: str, sizes: Sequence[int], precisions: Sequence[str], items: int, seed: int
    ) -> Self:
        """Measure each setting on some items of each modality, and compare what other precisions find on some pairs."""
        known = data.embedded_items
        drawn = [
            rows.sample(min(items, len(rows)), random_state=seed) for _, rows in known.groupby("modality")
        ]
        speeds = sweep_batches(pd.concat(drawn), model, sizes, precisions)
        if set(precisions) == {FULL_PRECISION}:
            return cls(speeds, model)
        kept = _draw_pairs(known, seed)
        vectors = {}
        for name in dict.fromkeys([FULL_PRECISION, *precisions]):
            with suppress(ModelError):  # which the column problem has
                vectors[name] = _embed(kept, model, data.parameters, name)
        return cls(speeds, model, SystemComparison(_score(vectors, kept), kept, JUDGED_BY, seed))

    @or_reason
    def losses(self, margin: float = MARGIN) -> Result:
        """Show what other precisions find less than float32 does, on the same queries of at most 1,000 pairs.

        Args:
            margin: the loss that would still do, in points (hundredths of Success@1), over 0 and up to 100.

        Example:
            >>> speed = run.tune_model(batch_sizes=[8], precisions=["float32", "bfloat16"], items=8)
            >>> "bfloat16" in speed.losses(margin=5).sentence
            True
        """
        if self.comparison is None or not any(len(one) > 1 for one in self.comparison.scores.values()):
            raise TooFew("there is no other precision to set beside float32, or no query to ask of it")
        asked = self.comparison.non_inferiority(margin)
        return replace(asked, sentence=f"{self.comparison.sentence} {asked.sentence}")

    def _overview(self) -> Result:
        """Show throughput and memory of every setting."""
        measured = self.speeds.assign(method=self.speeds["modality"] + ", " + self.speeds["precision"])

        def draw() -> "Figure":
            fig, axs = figure(2, width=9)
            throughput, memory = ("batch size", "items a second"), ("batch size", "MB above the loaded model")
            throughput_curves(
                axs[0], measured, "method", "batch_size", "items_per_second", throughput, "Throughput"
            )
            throughput_curves(axs[1], measured, "method", "batch_size", "memory_mb", memory, "Memory")
            return fig

        caption = f"{self.model}: items a second, memory above the loaded model, cosine to float32"
        if not measured["items_per_second"].notna().any():
            nothing = unanswered(self._fastest())
            return replace(nothing, table=self.speeds, shown=self.speeds, caption=caption)
        return Result(self.speeds, self._fastest(), draw, caption=caption, digits=4)

    def _fastest(self) -> str:
        measured = self.speeds.dropna(subset=["items_per_second"]).sort_values("items_per_second")
        best = measured.groupby("modality").tail(1).to_dict("records")
        if not best:
            return "No setting could be measured: see the column problem."
        parts = [
            f"{row['modality']}s in batches of {row['batch_size']} in {row['precision']}" for row in best
        ]
        return f"Fastest: {'; '.join(parts)}."

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the measurements, by claim."""
        known: Any = self.speeds["items_per_second"].notna() | (self.speeds["problem"] != "")
        return {"every setting was measured or says why not": bool(known.all())}

    def write(self, step: Step) -> Html:
        """Write tune/model.parquet, and show what the step has written.

        Example:
            >>> files = speed.write(step)
        """
        write_table(self.speeds, step.write(run_files.TUNED_MODEL))
        return step.outputs()


def _draw_pairs(items: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the items of JUDGED_PAIRS pairs, drawn at random, or all."""
    pairs = pd.Series(items["pair_id"].unique())
    return items[items["pair_id"].isin(pairs.sample(min(JUDGED_PAIRS, len(pairs)), random_state=seed))]


def _embed(items: pd.DataFrame, model: str, given: Mapping[str, Any], precision: str) -> Vectors:
    """Embed with the prompts and the dimensions of the run."""
    settings = {name: given[name] for name in ("prompts", "truncate_dim") if name in given}
    known = data_folder() / "cache" / "vectors.sqlite"
    found = embed_with_models(items, [model], precision=precision, cache=known, progress=False, **settings)
    return found[0].dense


def _compare_dimensions(comparison: SystemComparison, margin: float) -> pd.DataFrame:
    """Return a row for each direction and number of dimensions, all of them first."""
    losses = comparison.non_inferiority(margin).table.set_index(["direction", "system"])
    rows = []
    for direction, systems in comparison.scores.items():
        for name, scores in systems.items():
            row = {"direction": direction, "dimensions": int(name), JUDGED_BY: scores[JUDGED_BY].mean()}
            if (direction, name) in losses.index:
                loss = losses.loc[(direction, name)]
                row |= loss[["difference", "largest_loss", "p_holm"]].to_dict()
            rows.append(row)
    table = pd.DataFrame(rows)
    return table.assign(loses_little=table["p_holm"] < LEVEL)


def _say_dimensions(table: pd.DataFrame, whole: int, margin: float) -> str:
    tried = table.dropna(subset=["p_holm"]).groupby("dimensions")
    little, largest = tried["loses_little"].all(), 100 * tried["largest_loss"].max()
    if not little.any():
        best = largest.idxmin()
        return (
            f"That fewer than {whole} dimensions lose at most {margin:g} points of {JUDGED_BY} is not shown; {best} "
            f"lose at most {largest[best]:.2f} points."
        )
    fewest = little[little].index.min()
    return (
        f"The first **{fewest}** of {whole} dimensions lose at most {margin:g} points of {JUDGED_BY} and take "
        f"{fewest / whole:.0%} of the memory: `-p truncate_dim={fewest}` keeps those."
    )


def _score(vectors: Mapping[str, Vectors], items: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    """Return the scores of every query by direction and precision."""
    embedded = items[is_among(items["item_id"], next(iter(vectors.values())).ids)]
    return {
        direction: {name: _score_one(one, qrels) for name, one in vectors.items()}
        for direction, qrels in _qrels_by_direction(embedded).items()
        if len(qrels)
    }


def _qrels_by_direction(items: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what is right in both directions; of texts alone, the other texts of a pair."""
    if (items["modality"] == "image").any():
        return {name: qrels_from_pairs(items, *both) for name, both in DIRECTIONS.items()}
    asked = items[["item_id", "pair_id"]].rename(columns={"item_id": "query_id"})
    others = asked.merge(items[["item_id", "pair_id"]]).query("query_id != item_id").assign(relevance=1)
    return {"text-to-text": others[list(QREL_COLUMNS)]}


def _score_one(vectors: Vectors, qrels: pd.DataFrame) -> pd.DataFrame:
    queries, gallery = (
        vectors.asking().take(qrels["query_id"].unique()),
        vectors.take(qrels["item_id"].unique()),
    )
    return score_queries(exact_search(queries, gallery, RANKED), qrels, [JUDGED_BY])
