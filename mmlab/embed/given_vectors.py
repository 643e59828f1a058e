"""Vectors that were made elsewhere: the space that they are of, whether its model is at hand, and their rows, checked.

Letters: N rows, D dimensions.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.embed.embedding import EITHER, Embedded, embed_items
from mmlab.embed.models import Model, ModelError, load_for, load_model
from mmlab.items import Space, Vectors, is_among
from mmlab.items.files import file_hash
from mmlab.items.tables import SKIPPED_COLUMNS, TooFew
from mmlab.items.vector_files import VectorWriter
from mmlab.items.vectors import AS_GIVEN, DENSE

NO_NAME = "unnamed"  # the model of a space that nobody named
MISSING, NOT_FINITE, ZERO = "no vector", "vector not finite", "vector of zeros"
ROW = "row"
SMALLEST_NORM = 1e-12
SAMPLED = 16  # items of each modality that are embedded again, to compare
LEAST_COSINE = 0.9  # of the median of these: below it, text queries would be of another space
VECTORS_ONLY = (
    "the run has vectors only ({}), so that a new text or image cannot ask: ask by a text or an image of the "
    "collection, or by Vectors; or run 02_embed again with -p space=MODEL, the model that made them"
)

Block = tuple[str, int, np.ndarray]  # the table, the record of the first row from 1, rows float32 (n, D)


class GivenSpace(NamedTuple):
    """The space of given vectors; its model, None where it cannot be loaded; and what was found, in a sentence."""

    space: Space
    model: Model | None
    sentence: str


def find_space(name: str, dimension: int, said: Space | None = None) -> GivenSpace:
    """Return the space of vectors that the model `name` made, and the model where it can be loaded.

    name: as of `load_model`; "" where nobody knows it. said: the space that their files say, where they say one.
    Raise ValueError where the model has other dimensions than the vectors, or their files say another model.
    """
    if said and name and name != said.model:
        raise ValueError(
            f"space: the files say that {said.model} made their vectors, found {name!r}: leave space out"
        )
    name = name or (said.model if said else "")
    if not name:
        return GivenSpace(without_model(NO_NAME, dimension), None, "Nobody has named their space.")
    try:
        model = load_for(said) if said else load_model(name)
    except ModelError as error:
        space = replace(said, pooling=AS_GIVEN) if said else without_model(name, dimension)
        return GivenSpace(space, None, f"The model {name} cannot be loaded here: {error}.")
    if model.space.kind != DENSE or model.space.dimension != dimension:
        raise ValueError(
            f"space: {name} makes {model.space.kind} vectors of {model.space.dimension} dimensions, the ready vectors "
            f"have {dimension}: name the model that made them, or leave space empty"
        )
    return GivenSpace(model.space, model, "")


def without_model(name: str, dimension: int) -> Space:
    """Return the space of vectors whose model is not at hand."""
    return Space(name, "", AS_GIVEN, "", "as given, float32", dimension)


def take_vectors(
    items: pd.DataFrame, blocks: Mapping[str, Iterable[Block]], space: Space, path: str | Path
) -> Embedded:
    """Write the vectors of the items as unit rows, block by block, and return them as they lie in the file.

    items: with row, file and record: where each stands in the source. blocks: the vectors of "image" and "text", or of
    "row" where a record is either. An item whose vector is missing, not finite or zero is skipped, with the reason.
    """
    skipped, counts = [_skipped_table(items[:0], [])], []
    with VectorWriter(path, space) as writer:
        for of, some in blocks.items():
            started, own = time.perf_counter(), items if of == ROW else items[items["modality"] == of]
            failed = [_write_block(writer, rows, *found) for rows, *found in _matched(own, some)]
            refused = pd.concat([_skipped_table(own[:0], []), *failed], ignore_index=True)
            skipped.append(refused)
            counts += _count(own, refused, time.perf_counter() - started)
    return Embedded(Vectors.load(path), pd.concat(skipped, ignore_index=True), pd.DataFrame(counts))


def _matched(items: pd.DataFrame, blocks: Iterable[Block]) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Yield the items of each block with their vectors; raise ValueError where some have none."""
    tables = {
        str(name): rows.sort_values("record", kind="stable")
        for name, rows in items.groupby("file", sort=False)
    }
    records = {name: rows["record"].to_numpy(dtype=np.int64) for name, rows in tables.items()}
    matched = 0
    for table, first, vectors in blocks:
        if table in tables:
            start, end = np.searchsorted(records[table], [first, first + len(vectors)])
            yield tables[table].iloc[start:end], vectors[records[table][start:end] - first]
            matched += end - start
    if matched != len(items):
        raise ValueError(
            f"{len(items) - matched:,} of {len(items):,} items stand in no table of the ready vectors: run 01_ingest "
            "again"
        )


def _write_block(writer: VectorWriter, items: pd.DataFrame, vectors: np.ndarray) -> pd.DataFrame:
    """Write the unit rows of the items, and return those that have none as skipped rows."""
    norms = np.linalg.norm(vectors, axis=1)
    reasons = np.full(len(items), None, dtype=object)
    reasons[~np.isfinite(norms)] = NOT_FINITE
    reasons[np.isnan(vectors).all(axis=1)] = MISSING
    reasons[norms < SMALLEST_NORM] = ZERO
    kept = pd.isna(reasons)
    writer.append(items["item_id"].to_numpy()[kept], vectors[kept] / norms[kept, None])
    return _skipped_table(items[~kept], reasons[~kept])


def _skipped_table(items: pd.DataFrame, reasons: Any) -> pd.DataFrame:
    places = items["file"] + ", record " + items["record"].astype("str")
    fields = {
        "row": items["row"],
        "source": items["pair_id"],
        "text": items["text"],
        "reason": reasons,
        "detail": places,
    }
    types = dict.fromkeys(SKIPPED_COLUMNS, "str") | {"row": "Int64"}
    return pd.DataFrame(fields, index=items.index).astype(types)


def _count(items: pd.DataFrame, skipped: pd.DataFrame, seconds: float) -> list[dict[str, Any]]:
    """Return what was taken of each modality, as in `Embedded`: all vectors were known, none was embedded."""
    given = len(items)
    lost = is_among(items["row"].astype("str"), skipped["row"].astype("str"))
    rows = []
    for modality in items["modality"].unique():
        of = (items["modality"] == modality).to_numpy()
        failed = int((of & lost).sum())
        done = {"items": int(of.sum()), "embedded": 0, "cached": int(of.sum()) - failed, "failed": failed}
        rest = {"truncated": 0, "halved": 0, "seconds": seconds * of.sum() / given, "per_second": 0.0}
        rows.append({"modality": modality, "side": EITHER, **done, **rest})
    return rows


def compare_with_model(vectors: Vectors, items: pd.DataFrame, model: Model) -> pd.Series:
    """Return the cosines of given vectors with those that the model makes of the same items, by item id.

    At most 16 texts and 16 images whose file is at hand are embedded, at even distances; none where there are none.
    """
    known = items[is_among(items["item_id"], vectors.ids) & items["modality"].isin(model.modalities)]
    texts, images = (known[known["modality"] == modality] for modality in ("text", "image"))
    images = _at_hand(images)
    sample = pd.concat([_spread(texts), _spread(images)])
    if sample.empty:
        return pd.Series(dtype=float)
    made = embed_items(sample, model, progress=False).dense
    own = vectors.take(made.ids)
    return pd.Series((own.array * made.array).sum(axis=1), index=made.ids)


def _at_hand(images: pd.DataFrame) -> pd.DataFrame:
    """Return images whose file is there, with the hash of its bytes as content."""
    there = images[images["image"].map(os.path.isabs).astype(bool)]
    there = _spread(there[there["image"].map(os.path.isfile).astype(bool)])
    return there.assign(content=[file_hash(path) for path in there["image"]])


def _spread(items: pd.DataFrame) -> pd.DataFrame:
    places = np.linspace(0, len(items) - 1, min(SAMPLED, len(items))).astype(int)
    return items.iloc[np.unique(places)]


def agree(cosines: pd.Series) -> bool:
    """Return whether vectors are of the model that they were compared with; nothing compared speaks against none."""
    return cosines.empty or bool(cosines.median() >= LEAST_COSINE)


class KnownVectors:
    """The vectors of a collection by its texts and its images, so that its items ask where no model can embed them.

    >>> items = pd.DataFrame({"item_id": ["t", "i"], "text": ["a mug", None], "image": [None, "a.jpg"]})
    >>> known = KnownVectors(items, Vectors(["t", "i"], np.eye(2), Space("toy", "", AS_GIVEN, "", "", 2)))
    >>> known.find("a mug").tolist(), known.find(Path("a.jpg")).tolist(), known.find("a cup")
    ([1.0, 0.0], [0.0, 1.0], None)
    """

    def __init__(self, items: pd.DataFrame, vectors: Vectors) -> None:
        self.items, self.vectors = items, vectors

    def find(self, asked: Any) -> np.ndarray | None:
        """Return the unit row (D,) of a text (str) or an image (its path) of the collection.

        None for others, and for what a model can embed: where there is one, only images that are not at hand are left.
        """
        has_model = self.vectors.space.has_model
        if not isinstance(asked, str | Path) or (has_model and (isinstance(asked, str) or asked.is_file())):
            return None
        column = self.items["image" if isinstance(asked, Path) else "text"]
        same = column == str(asked)
        if isinstance(asked, Path) and not same.any():  # a Path joins the slashes of an address
            same = column.str.replace("://", ":/", n=1, regex=False) == str(asked)
        ids = self.items.loc[same.fillna(False), "item_id"]
        ids = ids[is_among(ids, self.vectors.ids)]
        return self.vectors.take(ids.iloc[:1].to_numpy()).array[0] if len(ids) else None


class VectorsOnly(TooFew):
    """A new text or image was to ask where no model can embed it."""


class NoModel:
    """Stands for the model of a space that came without one: it embeds nothing, and raises VectorsOnly."""

    device, tells_queries_apart = "cpu", False
    modalities = ("text", "image")  # of the collection, see `KnownVectors`

    def __init__(self, space: Space) -> None:
        self.space = space

    def load_soon(self) -> None:
        """Load nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise VectorsOnly(VECTORS_ONLY.format(self.space.model))
