"""One query, a text or a picture, -> hits: the ranked items with all that the store knows of them."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.embed import Model
from mmlab.index import Store
from mmlab.items import Vectors, open_picture

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, repr=False)
class Retriever:
    """A model that embeds queries, and the collection that answers them."""

    store: Store
    collection: str
    model: Model

    def __repr__(self) -> str:
        return f"Retriever({self.model.space.key}, collection {self.collection!r}, {self.store})"

    def search(
        self,
        query: "str | Path | Image.Image",
        to: str = "image",
        k: int = 10,
        where: dict[str, Any] | None = None,
        exact: bool = False,
    ) -> pd.DataFrame:
        """The `k` nearest items of modality `to`; a str asks by text, a Path or a PIL picture by picture.

        Returns rank, score (cosine in [-1, 1]) and the item's payload, a field that is called like one of these
        with `_payload` behind it. `where` filters by payload, e.g.
        `{"colour": ["red", "blue"]}`. `hits.attrs` holds the time spent, `embed_ms` and `search_ms`.
        Raises ValueError for an empty text, PictureError for a file that is no picture.
        """
        started = time.perf_counter()
        vector = self.embed(query)
        embedded = time.perf_counter()
        conditions = {**(where or {}), "modality": to}
        with self.store.session():
            found = self.store.search(self.collection, vector, k, where=conditions, exact=exact)
            payload = self.store.fetch(self.collection, list(found["item_id"]))
        hits = found.drop(columns="query_id").merge(payload, on="item_id", suffixes=("", "_payload"))
        hits.attrs = {
            "embed_ms": 1000 * (embedded - started),
            "search_ms": 1000 * (time.perf_counter() - embedded),
        }
        return hits

    def embed(self, query: "str | Path | Image.Image") -> Vectors:
        """The query as one unit row (1, D) in the model's space."""
        if isinstance(query, str):
            if not query.strip():
                raise ValueError("the query is empty: type a text, or give the path of a picture")
            row = self.model.embed_queries([query])
        else:
            picture = open_picture(query) if isinstance(query, Path) else query.convert("RGB")
            row = self.model.embed_images([picture])
        return Vectors(["query"], row, self.model.space)
