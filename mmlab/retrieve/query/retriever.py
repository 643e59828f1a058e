"""Queries, texts or images, -> hits: the ranked items with all that the index knows of them."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.embed import Model, load_for
from mmlab.index import Index
from mmlab.items import Vectors
from mmlab.retrieve.query.query_vectors import Asked, embed_questions, images_in
from mmlab.retrieve.query.rank import way
from mmlab.retrieve.query.through_pairs import rank_through_pairs
from mmlab.retrieve.scores.vector_arithmetic import steer

if TYPE_CHECKING:
    from PIL import Image

    Query = str | Path | Image.Image

MINUS = 0.5  # of what the queries weigh


@dataclass(frozen=True, repr=False)
class Retriever:
    """An index, and a model that embeds queries into one of its spaces."""

    index: Index
    model: Model

    def __repr__(self) -> str:
        return f"Retriever({self.model.space.key}, {self.index})"

    def search(
        self,
        query: "Query | Vectors | Sequence[Query]",
        to: str = "image",
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
        plus: "Sequence[Query]" = (),
        minus: "Sequence[Query]" = (),
        minus_weight: float = MINUS,
        **how: Any,
    ) -> pd.DataFrame:
        """The `k` nearest items of modality `to`; a str asks by text, a Path or a PIL image by image.

        A list, a column or an array of them, a folder of images, or ready Vectors ask many queries in one call: the
        hits have a column query_id (the text, or the file's name), and files that are no images are in
        `hits.attrs["skipped"]`. `plus` and `minus` steer every query towards and away from more texts and images,
        see `steer`. `where` filters by payload, e.g. `{"colour": ["red", "blue"]}`; `how`: more settings of
        `Index.search`, such as `diversity=0.5` (MMR) and `group_by_pair=True`.

        Returns rank, score (cosine in [-1, 1]; with `diversity` still in the order of MMR) and the item's payload, a
        field that is called like one of these with `_payload` behind it; `via`, the hit that stands for the item,
        where the model's space holds no `to` (`rank_through_pairs`). `hits.attrs` holds the time spent, `embed_ms`,
        `search_ms` and `payload_ms`. Raises ValueError for an empty text and, without a filter, for a `k` of more
        items than there are, ImageError for a single file that is no image, TypeError for what is neither text
        nor image, SpaceMismatch for a model that the index has no vectors of.
        """
        started = time.perf_counter()
        asked = self._ask(query, plus, minus, minus_weight)
        embedded = time.perf_counter()
        with self.index.session():
            found = self._find(asked.vectors, to, k, where, exact, how)
            searched = time.perf_counter()
            payload = self.index.fetch(found["item_id"].unique())
        single = not isinstance(query, Vectors) and not _many(query)
        hits = found.drop(columns="query_id") if single else found
        hits = hits.merge(payload, on="item_id", how="left", suffixes=("", "_payload"))
        ends = {"embed_ms": embedded - started, "search_ms": searched - embedded}
        ends["payload_ms"] = time.perf_counter() - searched
        hits.attrs = {name: 1000 * seconds for name, seconds in ends.items()} | {"skipped": asked.skipped}
        return hits

    def embed(self, query: "Query | Sequence[Query]") -> Vectors:
        """The query as one unit row (1, D) in the model's space, or several queries as one row each."""
        return self._ask(query, (), (), MINUS).vectors

    def _ask(
        self,
        query: "Query | Vectors | Sequence[Query]",
        plus: "Sequence[Query]",
        minus: "Sequence[Query]",
        weight: float,
    ) -> Asked:
        if isinstance(query, Vectors):
            asked = Asked(query)
        elif _many(query):
            asked = embed_questions(self.model, images_in(query) if isinstance(query, Path) else list(query))
        else:
            asked = embed_questions(self.model, [query], strict=True)
        if not (plus or minus):
            return asked
        towards, away = (
            embed_questions(self.model, list(part), strict=True).vectors if part else None
            for part in (plus, minus)
        )
        return Asked(steer(asked.vectors, towards, away, weight), asked.skipped)

    def _find(
        self,
        queries: Vectors,
        to: str,
        k: int,
        where: Mapping[str, Any] | None,
        exact: bool,
        how: dict[str, Any],
    ) -> pd.DataFrame:
        through = way(self.index, queries, to)
        if through is None:
            return self.index.search(queries, to, k, where, exact, **how)
        found = rank_through_pairs(self.index, queries, to, k, where, exact, through, **how)
        held = self.index.count(to) if len(found) < k * len(queries) and not where else k
        if k > held:
            raise ValueError(
                f"k = {k} is more than the {held} {to} items of index {self.index.name!r}: ask for fewer"
            )
        return found


def _many(query: Any) -> bool:
    """Whether several queries are asked: a folder, or a list, a column, an array of them."""
    return (
        query.is_dir()
        if isinstance(query, Path)
        else isinstance(query, Iterable) and not isinstance(query, str)
    )


def open_retrievers(index: Index, spaces: Sequence[Vectors], items: pd.DataFrame) -> dict[str, Retriever]:
    """For each modality that can ask, "text" and "image", the first of the run's models that embeds it; loads them.

    With a joint space both are one and the same.
    """
    modality = items.set_index("item_id")["modality"]
    models: dict[str, Model] = {}
    found = {}
    for side in ("text", "image"):
        for vectors in spaces:
            if (modality.reindex(vectors.ids) == side).any():
                key = vectors.space.key
                models[key] = models.get(key) or load_for(vectors.space)
                found[side] = Retriever(index, models[key])
                break
    return found
