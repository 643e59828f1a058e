"""The data of one run: items, vectors, index and models, read or loaded when they are first needed."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.evaluate import qrels_from_pairs, vectors_by_modality
from mmlab.evaluate.summaries import summarize_spaces
from mmlab.index import Index, open_index, open_store
from mmlab.items import MODALITIES, Vectors, is_among
from mmlab.items.rankings import opposite_modality
from mmlab.items.vectors import main_vectors
from mmlab.retrieve import Retriever
from mmlab.retrieve.query.systems import open_retrievers, open_systems
from mmlab.runs import Step
from mmlab.runs.record.manifest import Manifest
from mmlab.workbench.run_reader import RunReader


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
        """The models that embedded the run's items, as 02_embed was given them."""
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
        return self._files.items()

    @property
    def held(self) -> str:
        """How many images, texts and pairs of both the run holds, in words: "there are 30 images, ..."."""
        counts = self.items["modality"].value_counts()
        images, texts = (
            set(self.items.loc[self.items["modality"] == one, "pair_id"]) for one in ("image", "text")
        )
        return (
            f"there are {counts.get('image', 0):,} images, {counts.get('text', 0):,} texts and {len(images & texts):,} "
            "pairs of both"
        )

    @cached_property
    def embedded_items(self) -> pd.DataFrame:
        """The items that have a vector: those that can be asked and found."""
        ids = [item for vectors in self.all_vectors for item in vectors.ids]
        return self.items[is_among(self.items["item_id"], ids)]

    @cached_property
    def all_vectors(self) -> list[Vectors]:
        """The vectors of each of the run's models, those of the main space first.

        The main space is the first that holds both images and texts.
        """
        vectors = self._files.vectors()
        main = main_vectors(vectors, self.items)
        return [main, *(other for other in vectors if other is not main)]

    @cached_property
    def vectors_by_modality(self) -> dict[str, Vectors]:
        """The vectors of the texts and those of the images, from the main space where it holds them."""
        return vectors_by_modality(self.all_vectors, self.items)

    @property
    def space_sentence(self) -> str:
        """Whether texts and images lie in one space, and what cannot be shown where they do not."""
        if len(self.embedded_items["modality"].unique()) < len(MODALITIES):
            return f"{self.held[0].upper()}{self.held[1:]}: nothing is compared across modalities."
        return summarize_spaces(self.vectors_by_modality)

    def vectors(self, modality: str | None = None, model: str | None = None) -> Vectors:
        """Return the vectors of the run's items: ids (N,), unit rows float32 (N, D), and their space.

        Args:
            modality: "text" or "image"; both unless given.
            model: one of `models`, or the key of its space; the main space unless given.

        Raises:
            ValueError: for an unknown modality or model.

        Example:
            >>> run.vectors("image").array.shape  # doctest: +SKIP
            (1482, 128)
        """
        if modality not in (None, *MODALITIES):
            raise ValueError(f"modality: expected text, image or None, found {modality!r}")
        found = self.all_vectors[0] if model is None else self._vectors_of(model)
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

    def qrels(self, to: str = "image") -> pd.DataFrame:
        """Return what is right: query_id, item_id, relevance (1), a row for each right answer.

        Args:
            to: the modality that is found: "image" (texts ask) or "text" (images ask). An item answers the queries of
                its own pair; a query without an item of this modality in its pair has no row.
        """
        return qrels_from_pairs(self.embedded_items, opposite_modality(to), to)

    def per_query(self, direction: str) -> pd.DataFrame:
        """Return the scores of every query that 05_evaluate wrote: query_id and a column for each measure."""
        return self._files.per_query(direction)

    @property
    def store(self) -> str:
        """Where the run's index lies: the URL of a Qdrant server, or a folder."""
        return str(self.parameters.get("store") or self.folder / "store")

    @cached_property
    def index(self) -> Index:
        """The run's index, opened; raises FileNotFoundError naming 03_index where there is none yet."""
        layout = self.parameters.get("layout", "unified")
        return open_index(open_store(self.store), self._files.index_name(), layout)

    @cached_property
    def retrievers(self) -> Mapping[str, Retriever]:
        """What answers queries by text and by image: {"text": ..., "image": ...}; loads their models."""
        return open_retrievers(self.index, self.index.in_order(self.all_vectors), self.embedded_items)

    @cached_property
    def systems(self) -> Mapping[str, Mapping[str, Retriever]]:
        """Every model of the run in every layout of its index, by name; loads all models."""
        return open_systems(self.retrievers, self.index.in_order(self.all_vectors), self.embedded_items)

    def answer(self, direction: str) -> pd.DataFrame:
        """Return the run's own answer of a direction, as 04_retrieve wrote it."""
        return self._files.rankings(direction)

    @property
    def benchmark(self) -> pd.DataFrame:
        """How the index was searched and how fast, as 03_index measured it: search, recall, p50_ms, p95_ms, p99_ms."""
        return self._files.benchmark()
