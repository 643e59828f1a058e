"""The data of one run: its files, checked by its manifest before they are read; items, vectors, index and models."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mmlab.evaluate import qrels_from_pairs, read_labels, vectors_by_modality
from mmlab.evaluate.summaries import escape_markdown, summarize_spaces
from mmlab.index import Index, open_index, open_store
from mmlab.index.engines.bm25 import BM25, WordModel, WordSettings, word_vectors
from mmlab.ingest.outcomes import NAMED
from mmlab.ingest.sources.ready_vectors import ReadyVectors
from mmlab.items import (
    MODALITIES,
    QREL_COLUMNS,
    RANKING_COLUMNS,
    Space,
    Vectors,
    is_among,
    read_items,
    read_table,
)
from mmlab.items.images import refuse_changed
from mmlab.items.ragged_vectors import AnyVectors, SparseVectors, load_vectors
from mmlab.items.rankings import no_rankings, opposite_modality
from mmlab.items.sentences import count
from mmlab.items.tables import SavedTables, in_blocks
from mmlab.items.vectors import DENSE, main_vectors
from mmlab.retrieve import Retriever
from mmlab.retrieve.query.rerank import CrossEncoders
from mmlab.retrieve.query.systems import open_retrievers, open_systems
from mmlab.retrieve.scores.query_split import AUTO, Split, choose_split
from mmlab.runs import Step, list_runs, read_manifest, run_folder
from mmlab.runs.record import run_files
from mmlab.runs.record.lineage import check_input, find_maker, find_writer, written_files
from mmlab.runs.record.manifest import Manifest, given_parameters
from mmlab.runs.report.summary import rank_runs, read_metrics, summarize_runs
from mmlab.visualize import figure, pareto
from mmlab.workbench.result import Report, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# parameters of 03_index, and the fields of WordSettings
WORD_SETTINGS = {
    "bm25_language": "language",
    "bm25_stop_words": "stop_words",
    "bm25_stemming": "stemming",
}
KEEP_OPEN_SECONDS = 300.0  # that the store of a run stays open for the next question
MAX_BEST_CHARS = 1000  # of the sentence on the best runs


@dataclass(frozen=True)
class RunReader:
    """Reads the files of the run `name`.

    Within a notebook's `step` every file that is read is recorded in the run's manifest, and a file that was made with
    other parameters than the step's is refused.
    """

    name: str
    step: Step | None = None

    @property
    def _own(self) -> bool:
        """Whether the step works on this very run, and not on another that it is compared with."""
        return self.step is not None and self.step.run_name == self.name

    @property
    def folder(self) -> Path:
        """The run's folder, data/runs/<name>."""
        return run_folder(self.name)

    @cached_property
    def manifest(self) -> Manifest:
        """The run's manifest as it was when it was first asked for."""
        return read_manifest(self.name)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the run's notebooks were given, by name; within a step, its own parameters first."""
        own = self.step.parameters if self.step and self._own else {}
        return given_parameters(self.manifest["steps"]) | own

    def has(self, file: str) -> bool:
        """Tell whether a notebook of the run wrote `file`: a finished one, other than the one that is at work again."""
        writer = find_writer(self.manifest, file)
        return writer is not None and not (self.step and self._own and writer == self.step.name)

    def read(self, file: str) -> Path:
        """Return the path of a file; raise FileNotFoundError or StaleInput where it cannot be used."""
        if self.step is not None:
            return self.step.read(file) if self._own else self.step.read_from(self.name, file)
        path = self.folder / file
        check_input(self.manifest, path, file, {})
        return path

    def read_all(self, pattern: str) -> list[Path]:
        """Return the files that match, like "vectors/*.arrow"; raise FileNotFoundError if there is none."""
        if self.step is not None and self._own:
            return self.step.read_all(pattern)
        return [self.read(file) for file in written_files(self.manifest, pattern)] or [self.read(pattern)]


@dataclass(frozen=True, repr=False)
class RunList(Report):
    """The runs of the data folder as a leaderboard: quality with its interval, cost, and the settings that differ.

    Runs of one dataset stand together, the best first; see `rank_runs` for the columns.

    Example:
        >>> mmlab.open_run().table["name"].tolist()
        ['demo', 'graph']
    """

    def _overview(self) -> Result:
        """Show all runs, and quality against cost; open one with `mmlab.open_run(name)`."""
        table = rank_runs()
        if table.empty:
            return Result(
                table, "There is no run yet: make one with `mmlab demo` or `mmlab run --dataset ...`."
            )
        shown = table.assign(models=table["models"].map(", ".join)).drop(columns="front")
        sentence = f"{count(len(table), 'run')}; open one with `mmlab.open_run(name)`."
        best = escape_markdown(summarize_runs(table), most=MAX_BEST_CHARS)
        drawn = table.dropna(subset=["value", "latency_ms"])
        drawn = drawn[drawn["dataset"].isin(drawn["dataset"].mode().head(1))]

        def draw() -> "Figure":
            fig, (ax,) = figure(height=3.6)
            names = ("median time of a query, ms (log)", drawn["measure"].iloc[0])
            pareto(ax, drawn, "name", "latency_ms", "value", names, "Quality against cost")
            return fig

        return Result(table, f"{sentence} {best}".strip(), draw if len(drawn) > 1 else None, shown=shown)

    def __len__(self) -> int:
        return len(list_runs())

    def _ipython_key_completions_(self) -> list[str]:
        return [row["name"] for row in list_runs()]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("s" if number != 1 else "")


class RunData:
    """What a run holds. Everything is read or loaded when it is first needed, and nothing is changed."""

    def __init__(self, files: RunReader) -> None:
        self._files = files

    @property
    def name(self) -> str:
        """The run's name, that of its folder in data/runs."""
        return self._files.name

    @property
    def folder(self) -> Path:
        """The folder with the run's files, its executed notebooks and its report."""
        return self._files.folder

    @property
    def step(self) -> Step | None:
        """The step of the notebook that opened the run; None for a run that was opened by its name."""
        return self._files.step

    @property
    def manifest(self) -> Manifest:
        """The record of the run: what each notebook was given, read and wrote."""
        return self._files.manifest

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that the run's notebooks were given, by name."""
        return self._files.parameters

    @property
    def models(self) -> list[str]:
        """The models that embedded the run's items, as 02_embed was given them, or the space of ready vectors."""
        if self.ready:
            return [str(self.parameters.get("space") or "ready vectors")]
        return [str(model) for model in self.parameters.get("models", [])]

    @property
    def dataset(self) -> str:
        """The dataset that 01_ingest read."""
        return str(self.parameters.get("dataset", ""))

    @cached_property
    def items(self) -> pd.DataFrame:
        """The run's items, a row for each image and each text.

        Columns: item_id, modality ("image" or "text"), pair_id (ties an image to its texts), text, image (path of the
        file), label, split, origin, content, width, height, flags, duplicate_of, then the dataset's own columns.
        """
        items = read_items(self._files.read(run_files.ITEMS))
        opened = (items["modality"] == "image") & was_opened(items)
        record = self.manifest["steps"].get("01_ingest")
        began = datetime.fromisoformat(record["finished"]).timestamp() - record["seconds"] if record else 0.0
        self.__dict__["changed_images"] = [
            path
            for block in in_blocks(items.loc[:, ["image", "content"]])
            for path in refuse_changed(*_listed(block[opened[block.index]]), began)
        ]
        return items

    @cached_property
    def changed_images(self) -> list[str]:
        """The paths of the images whose files have changed since 01_ingest: none of them is opened."""
        _ = self.items  # which notes them
        found: list[str] = self.__dict__["changed_images"]
        return found

    @property
    def changed_sentence(self) -> str:
        """How many images have changed since 01_ingest, as Markdown; empty where none has."""
        if not self.changed_images:
            return ""
        images = (self.items["modality"] == "image").sum()
        return (
            f"**{len(self.changed_images):,} of {count(int(images), 'image')} changed since 01_ingest**: the figures "
            "are of what was there then, and what is there now is not shown; run the notebooks again from 01_ingest on."
        )

    @property
    def held(self) -> str:
        """How many images, texts and pairs of both the run holds, in words: "there are 30 images, ..."."""
        counts = self.items["modality"].value_counts()
        images, texts = (
            set(self.items.loc[self.items["modality"] == one, "pair_id"]) for one in ("image", "text")
        )
        return (
            f"there are {_count(counts.get('image', 0), 'image')}, {_count(counts.get('text', 0), 'text')} and "
            f"{_count(len(images & texts), 'pair')} of both"
        )

    @cached_property
    def ready(self) -> ReadyVectors | None:
        """The ready vectors that came with the dataset, None where its items were embedded."""
        if not self._files.has(run_files.READY_VECTORS):
            return None
        return ReadyVectors.from_dict(json.loads(self._files.read(run_files.READY_VECTORS).read_text()))

    @property
    def placed_items(self) -> pd.DataFrame:
        """The items with row, file and record: where each stands in the dataset."""
        places = read_table(self._files.read(run_files.PLACES)).dropna(subset=["item_id"])
        return self.items.merge(places, on="item_id", how="left", validate="one_to_one")

    @cached_property
    def embedded_items(self) -> pd.DataFrame:
        """The items that have a vector: those that can be asked and found."""
        ids = np.concatenate([vectors.ids for vectors in self.all_vectors])
        held = is_among(self.items["item_id"], ids)
        return self.items if held.all() else self.items[held]

    @cached_property
    def all_vectors(self) -> list[Vectors]:
        """The vectors of each of the run's models, those of the main space first.

        The main space is the first that holds both images and texts.
        """
        paths = self._files.read_all(f"{run_files.VECTORS}/*.arrow")
        vectors = [self._with_queries(Vectors.load(path)) for path in paths]
        main = main_vectors(vectors, self.items)
        return [main, *(other for other in vectors if other is not main)]

    def vectors_of(self, retrievers: Sequence[str]) -> list[Any]:
        """Return the vectors by which these retrievers rank, in their order: of dense models those of `all_vectors`.

        Args:
            retrievers: some of "dense", "bm25", "sparse" and "late".

        Raises:
            ValueError: for sparse or late where no model of the run is of that kind.

        Example:
            >>> run.vectors_of(["bm25"])
            [SparseVectors(... with ... weights in bm25-...)]
        """
        found: dict[str, Callable[[], list[Any]]] = {
            "dense": lambda: self.all_vectors,
            "bm25": lambda: [self.words],
            "sparse": partial(self._ragged, "sparse"),
            "late": partial(self._ragged, "late"),
        }
        return [one for name in retrievers for one in found[name]()]

    @property
    def retrievers(self) -> tuple[str, ...]:
        """The retrievers that the run was given, as "dense" and "bm25"."""
        return tuple(self.parameters.get("retrievers", ["dense"]))

    @cached_property
    def words(self) -> SparseVectors:
        """The words of the pairs of the embedded items, as BM25 ranks by them."""
        names = {ours: name for name, ours in WORD_SETTINGS.items() if name in self.parameters}
        given = {ours: self.parameters[name] for ours, name in names.items()}
        return word_vectors(self.embedded_items, WordSettings(**given))

    def _ragged(self, kind: str) -> list[Any]:
        """Return the vectors of the models of this kind, with those of their texts as queries."""
        paths = written_files(self.manifest, f"{run_files.VECTORS}/{kind}/*.npz")
        if not paths:
            raise ValueError(
                f"retrievers: {kind} needs a model of that kind; the models are {', '.join(self.models)}"
            )
        return [self._with_queries(load_vectors(self._files.read(path))) for path in paths]

    @property
    def has_own_queries(self) -> bool:
        """Whether 01_ingest was given queries of the user's own."""
        return self._files.has(run_files.QUERIES)

    @cached_property
    def own_query_table(self) -> pd.DataFrame:
        """The user's own queries: query_id, text and image ("" where a query has none), and their own columns.

        Raises FileNotFoundError where 01_ingest was given none.
        """
        return read_table(self._files.read(run_files.QUERIES), ("query_id", "text", "image"))

    @cached_property
    def own_judgements(self) -> pd.DataFrame:
        """The judgements that 01_ingest was given: query_id, item_id, relevance, and what each of them named."""
        return read_table(self._files.read(run_files.QRELS), (*QREL_COLUMNS, "named"))

    @property
    def own_labels(self) -> pd.DataFrame:
        """The judgements of the user's own queries that were made by hand: query_id, item_id, relevance, judged, by."""
        labels = read_labels(self.folder / run_files.LABELS)
        return labels[is_among(labels["query_id"], self.own_query_table["query_id"])]

    def own_query_vectors(self, vectors: AnyVectors) -> AnyVectors | None:
        """Return the user's own queries as they ask these vectors; None where they cannot.

        Example:
            >>> asking = run.own_query_vectors(run.all_vectors[0])
        """
        if vectors.space.model == BM25:
            texts = self.own_query_table[self.own_query_table["text"] != ""]
            asking = WordModel.of(vectors.space).ask(texts["query_id"].tolist(), texts["text"])
            return asking if len(texts) else None
        file = own_query_file(vectors.space)
        return load_vectors(self._files.read(file)) if self._files.has(file) else None

    def _with_queries(self, vectors: Any) -> Any:
        """Return the vectors with those of their texts as queries, where 02_embed wrote some."""
        space = vectors.space
        dense, ragged = run_files.QUERY_VECTORS, run_files.RAGGED_QUERIES
        file = dense.format(space.key) if space.kind == DENSE else ragged.format(space.kind, space.key)
        return (
            replace(vectors, queries=load_vectors(self._files.read(file)))
            if self._files.has(file)
            else vectors
        )

    @cached_property
    def vectors_by_modality(self) -> dict[str, Vectors]:
        """The vectors of the texts and those of the images, from the main space where it holds them."""
        return vectors_by_modality(self.all_vectors, self.embedded_items)

    @property
    def space_sentence(self) -> str:
        """Whether texts and images lie in one space, and what cannot be shown where they do not."""
        if len(self.embedded_items["modality"].unique()) < len(MODALITIES):
            return f"{self.held[0].upper()}{self.held[1:]}: nothing is compared across modalities."
        return summarize_spaces(self.vectors_by_modality)

    def vectors(
        self, modality: str | None = None, model: str | None = None, as_queries: bool = False
    ) -> Vectors:
        """Return the vectors of the run's items: ids (N,), unit rows float32 (N, D), and their space.

        Args:
            modality: "text" or "image"; both unless given.
            model: one of `models`, or the key of its space; the main space unless given.
            as_queries: the texts as they ask, where the model puts another prompt before a query than before a text
                that is found.

        Raises:
            ValueError: for an unknown modality or model.

        Example:
            >>> run.vectors("image").array.shape
            (..., 128)
        """
        if modality not in (None, *MODALITIES):
            raise ValueError(f"modality: expected text, image or None, found {modality!r}")
        found = self.all_vectors[0] if model is None else self._vectors_of(model)
        found = found.asking() if as_queries else found
        if modality is None:
            return found
        ids = self.items.loc[self.items["modality"] == modality, "item_id"]
        return found.take(ids[is_among(ids, found.ids)])

    def _vectors_of(self, model: str) -> Vectors:
        for vectors in self.all_vectors:
            if model in (vectors.space.key, vectors.space.model):
                return vectors
        known = [vectors.space.key for vectors in self.all_vectors]
        raise ValueError(f"model: expected one of {', '.join([*self.models, *known])}, found {model!r}")

    def judged(self, split: str | None = None) -> Split:
        """Return the split that is judged, queries and gallery: name, items, and the items of other splits.

        Args:
            split: "auto" (test where there is one, else validation, else all), the name of a split, or "all"; the
                run's parameter unless given.

        Raises:
            ValueError: for a split that no item is of, naming those that there are.

        Example:
            >>> run.judged().name
            'test'
        """
        wanted = split or str(self.parameters.get("split", AUTO))
        if wanted not in self._splits:
            self._splits[wanted] = choose_split(self.embedded_items, wanted)
        return self._splits[wanted]

    @cached_property
    def _splits(self) -> dict[str, Split]:
        """The splits that were asked for, each chosen once."""
        return {}

    def qrels(self, to: str = "image", split: str | None = None) -> pd.DataFrame:
        """Return what is right: query_id, item_id, relevance (1), a row for each right answer.

        Args:
            to: the modality that is found: "image" (texts ask) or "text" (images ask). An item answers the queries of
                its own pair; a query without an item of this modality in its pair has no row.
            split: whose queries and items, as of `judged`; those that the run judges unless given.

        Example:
            >>> run.qrels("text").columns.tolist()
            ['query_id', 'item_id', 'relevance']
        """
        return qrels_from_pairs(self.judged(split).items, opposite_modality(to), to)

    @property
    def judged_name(self) -> str:
        """The name of the split that 05_evaluate judged, "all" where it was all items."""
        for split in self.protocol.get("split", [])[:1]:
            return str(split).partition(":")[0]
        return choose_split(self.items, str(self.parameters.get("split", AUTO))).name

    @property
    def protocol(self) -> pd.DataFrame:
        """The rules by which 05_evaluate measured, a row for each direction; without rows where it has not run."""
        if not self._files.has(run_files.METRICS):
            return pd.DataFrame()
        return pd.DataFrame(read_metrics(self._files.read(run_files.METRICS)).get("protocol", []))

    @property
    def refused(self) -> str:
        """How many entries of the dataset 01_ingest refused, by reason; of all splits, since not each has one."""
        if not self._files.has(run_files.SKIPPED):
            return "not recorded"
        counts = read_table(self._files.read(run_files.SKIPPED))["reason"].value_counts()
        return ", ".join(f"{reason} {count:,}" for reason, count in counts.items()) or "nothing"

    def per_query(self, direction: str) -> pd.DataFrame:
        """Return the scores of every query that 05_evaluate wrote: query_id and a column for each measure.

        Example:
            >>> scores = run.per_query("text-to-image")["Success@1"]
        """
        return read_table(self._files.read(f"{run_files.PER_QUERY}/{direction}.parquet"))

    @property
    def store(self) -> str:
        """Where the run's index lies: the URL of a Qdrant server, or a folder."""
        return self.given_store or str(self.folder / "store")

    @property
    def given_store(self) -> str:
        """The store that the run was given, "" for its own folder; raises ValueError as `check_store` does."""
        return run_files.check_store(self.name, str(self.parameters.get("store") or ""))

    @cached_property
    def index(self) -> Index:
        """The run's index, opened; raises FileNotFoundError naming 03_index where there is none yet."""
        layout = self.parameters.get("layout", "unified")
        self._files.read(run_files.INDEX)
        store = open_store(self.store, keep_open=KEEP_OPEN_SECONDS)
        index = open_index(store, find_maker(self.manifest, run_files.INDEX), layout)
        # which image is opened says the run, never a server
        return replace(index, images=self.items.set_index("item_id")["image"])

    @cached_property
    def exact(self) -> bool:
        """Whether a search scans all vectors unless it is asked otherwise.

        As the run's own answers do, the parameter `exact` of 04_retrieve; also where 03_index has measured that a scan
        takes no longer than the graph.
        """
        if self.parameters.get("exact", True):
            return True
        exact_ms, own_ms = self.benchmark["p50_ms"].iloc[:2]
        return bool(exact_ms <= own_ms)

    @cached_property
    def answering(self) -> Mapping[str, Retriever]:
        """What answers queries by text and by image: {"text": ..., "image": ...}."""
        return open_retrievers(self.index, self.index.in_order(self.all_vectors), self.embedded_items)

    @cached_property
    def systems(self) -> Mapping[str, Mapping[str, Retriever]]:
        """Every model of the run in every layout of its index, by name, and BM25 where its index holds the words."""
        vectors = self.index.in_order(self.vectors_of(self.retrievers))
        return open_systems(self.answering, vectors, self.embedded_items)

    @cached_property
    def cross_encoders(self) -> CrossEncoders:
        """The models that rank first hits again, by id or folder: each is loaded when it first ranks."""
        return CrossEncoders(self.embedded_items)

    def answer(self, direction: str) -> pd.DataFrame:
        """Return the run's own answer of a direction, as 04_retrieve wrote it.

        Example:
            >>> run.answer("text-to-image").columns.tolist()
            ['query_id', 'item_id', 'rank', 'score']
        """
        return read_table(self._files.read(f"{run_files.RANKINGS}/{direction}.parquet"), RANKING_COLUMNS)

    def answers_beside(self, direction: str) -> pd.DataFrame:
        """Return the run's answers to queries of other splits than the judged one, each in its own gallery.

        Example:
            >>> run.answers_beside("text-to-image").columns.tolist()
            ['query_id', 'item_id', 'rank', 'score']
        """
        file = f"{run_files.OTHER_SPLITS}/{direction}.parquet"
        return read_table(self._files.read(file), RANKING_COLUMNS) if self._files.has(file) else no_rankings()

    def ranking_steps(self, direction: str) -> SavedTables:
        """Return the rankings after each step of a direction, by the step's name, in their order.

        Each is read when it is asked for.

        Example:
            >>> list(run.ranking_steps("text-to-image"))
            ['exact', 'index', 'quantized']
        """
        paths = self._files.read_all(f"{run_files.RANKINGS}/{direction}/*.parquet")
        return SavedTables({path.stem: path for path in paths}, RANKING_COLUMNS)

    def saved_table(self, file: str) -> pd.DataFrame:
        """Return a table that a notebook of the run wrote; one without rows and columns where none has.

        Example:
            >>> run.saved_table("skipped.parquet").columns.tolist()
            ['row', 'source', 'text', 'reason', 'detail']
        """
        return read_table(self._files.read(file)) if self._files.has(file) else pd.DataFrame()

    @property
    def benchmark(self) -> pd.DataFrame:
        """How the index was searched and how fast, as 03_index measured it: search, recall, p50_ms, p95_ms, p99_ms."""
        return read_table(self._files.read(run_files.INDEX))


def _listed(images: pd.DataFrame) -> tuple[list[str], list[str]]:
    return images["image"].tolist(), images["content"].tolist()


def was_opened(items: pd.DataFrame) -> pd.Series:
    """Return whether 01_ingest has opened the file of each item: it opens none beside ready vectors."""
    return ~items["content"].astype("str").str.startswith(NAMED, na=False)


def own_query_file(space: Space) -> str:
    """Return the file of the user's own queries in a space, relative to the run's folder."""
    file = run_files.OWN_QUERY_VECTORS.format(space.key)
    return f"{file}.arrow" if space.kind == DENSE else f"{file}.npz"


def check_images(items: pd.DataFrame) -> None:
    """Raise FileNotFoundError where there are images that 01_ingest has opened, and none of their files is there."""
    images = items[(items["modality"] == "image") & was_opened(items)]
    paths = images["image"]
    if len(paths) and not any(map(os.path.exists, paths)):
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
        raise FileNotFoundError(
            f"none of the {len(paths):,} images is there any more, below {folder}: the folder was moved or removed, or "
            "its disk is not mounted. Bring it back, or run 01_ingest again with the dataset where it is now"
        )
