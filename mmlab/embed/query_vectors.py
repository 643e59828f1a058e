"""The queries of a user become vectors in a model's space: texts, images, and a text and an image that ask together."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmlab.embed.embedding import embed_items
from mmlab.embed.models import Model, ModelError
from mmlab.items import Vectors, is_among, open_image, unit_rows
from mmlab.items.files import file_hash
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.tables import ITEM_COLUMNS
from mmlab.items.vectors import DENSE

QUERY_COLUMNS = ("query_id", "text", "image")  # the columns of queries that ask; the others are groups


def embed_own_queries(
    queries: pd.DataFrame | None,
    model: Model,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> AnyVectors | None:
    """Return the vectors of queries as they ask; None where there are none that the model can be asked.

    queries: query_id, text and image (the path of a file), "" where a query has none. A query of both is one input of a
    model that takes such; otherwise it is the unit mean of both vectors, and what the model reads of it where that is
    one of them. An image that cannot be opened does not ask. Models of weighted terms or token vectors are asked by
    text alone.

    Example: `embed_own_queries(queries, load_model("demo"))`.
    """
    if queries is None:
        return None
    dense = model.space.kind == DENSE
    known = [one for one in model.modalities if one == "text" or dense]
    found = {one: _embed_part(queries, one, model, cache, batch_size, progress) for one in known}
    parts = {one: vectors for one, vectors in found.items() if vectors is not None}
    if not parts:
        return None
    if len(parts) == 1 or not dense:
        return next(iter(parts.values()))
    return _joined(queries, parts["text"], parts["image"], model)


def _embed_part(
    queries: pd.DataFrame, modality: str, model: Model, cache: Any, batch_size: int, progress: bool
) -> Any:
    """Return the vectors of the texts or of the images of the queries; None where there are none."""
    part = queries[queries[modality] != ""]
    rows = _as_items(part, modality)
    if rows.empty:
        return None
    vectors: Any = embed_items(rows, model, cache, batch_size, progress, as_queries=True).vectors
    return replace(vectors, queries=None) if len(vectors) else None


def _as_items(queries: pd.DataFrame, modality: str) -> pd.DataFrame:
    """Return the texts or the images of queries as a table of items, without images that are not there."""
    if modality == "image":
        there = np.array([Path(path).is_file() for path in queries["image"]], dtype=bool)
        queries = queries[there]
        contents = [file_hash(path) for path in queries["image"]]
    else:
        contents = [sha256(text.encode()).hexdigest() for text in queries["text"]]
    given = {"item_id": queries["query_id"], "modality": modality, modality: queries[modality]}
    table = pd.DataFrame({**dict.fromkeys(ITEM_COLUMNS), **given, "content": contents})
    return table.assign(pair_id=table["item_id"]).reset_index(drop=True)


def _joined(queries: pd.DataFrame, texts: Vectors, images: Vectors, model: Model) -> Vectors:
    """Return one row for each query: of its text, of its image, or of both."""
    asked = queries["query_id"].to_numpy(dtype=str)
    both = asked[is_among(asked, texts.ids) & is_among(asked, images.ids)]
    alone = [own.take(own.ids[~is_among(own.ids, both)]) for own in (texts, images)]
    rows = _rows_of_both(queries.set_index("query_id").loc[both], texts.take(both), images.take(both), model)
    ids = np.concatenate([*(one.ids for one in alone), both])
    vectors = Vectors(ids, np.concatenate([*(one.array for one in alone), rows]), model.space)
    return vectors.take(asked[is_among(asked, ids)])


def _rows_of_both(queries: pd.DataFrame, texts: Vectors, images: Vectors, model: Model) -> np.ndarray:
    """Return unit rows (N, D) of queries of a text and an image: as one input, or the mean of both vectors."""
    rows = texts.array + images.array
    for place, (text, path) in enumerate(zip(queries["text"], queries["image"], strict=True)):
        try:
            rows[place] = model.embed_both([text], [open_image(path)], as_queries=True)[0]
        except ModelError:  # the model takes no such input
            break
    return unit_rows(rows)
