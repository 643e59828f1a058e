"""Queries of a user's own -> rankings of units: images, texts, pairs, or products of several images and texts.

A unit scores as its best member, or as their mean. Letters: Q queries, N items, U units.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmlab.items import MODALITIES, QREL_COLUMNS, check_columns, is_among
from mmlab.items.options import Choice, check_value
from mmlab.items.ragged_vectors import AnyVectors, SparseVectors
from mmlab.items.rankings import no_rankings, opposite_modality, rankings_from_blocks
from mmlab.items.tables import places_among

PAIR, AUTO_UNIT = "pair", "auto"
BEST, MEAN = "best", "mean"


@dataclass(frozen=True)
class Units:
    """What is found and judged, and the items that each consists of.

    name: "image", "text", "pair" (an image with its texts), or a column of the items, such as "product_id", whose
    values are the units; one whose value is missing belongs to none. score: "best" or "mean" of the members' scores.

    >>> items = pd.DataFrame({"item_id": list("abc"), "modality": ["image", "text", "image"], "pair_id": list("ppq")})
    >>> Units("pair").of(items).tolist()
    ['p', 'p', 'q']
    """

    name: str
    score: str = BEST

    def __post_init__(self) -> None:
        check_value("unit_score", self.score, Choice((BEST, MEAN)))

    def of(self, items: pd.DataFrame) -> pd.Series:
        """Return the unit of each item, by item_id; items of none are left out. ValueError for an unknown column."""
        ids = items.set_index("item_id")
        if self.name in MODALITIES:
            known = ids[ids["modality"] == self.name]
            return pd.Series(known.index, index=known.index, dtype="str")
        column = "pair_id" if self.name == PAIR else self.name
        check_columns(ids, [column], "unit: items")
        return ids[column].dropna().astype("str")

    def members(self, items: pd.DataFrame, known: np.ndarray) -> pd.Series:
        """Return the unit of each item that has a vector, by item_id; `known` are the ids with one.

        Where images are found by a model of texts alone, or texts by one of images, the items of the other modality
        stand for those of their pair.
        """
        units = self.of(items)
        held = units[is_among(units.index, known)]
        if len(held) or self.name not in MODALITIES:
            return held
        other = items[items["modality"] == opposite_modality(self.name)]
        other = other[is_among(other["item_id"], known)]
        wanted = items[is_among(items["item_id"], units.index)]
        joined = other[["item_id", "pair_id"]].merge(wanted[["item_id", "pair_id"]], on="pair_id")
        return pd.Series(joined["item_id_y"].to_numpy(), index=joined["item_id_x"], dtype="str")

    def judged(self, qrels: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
        """Return judgements of items as judgements of units: the largest relevance of the members.

        qrels, and what is returned: query_id, item_id, relevance; here item_id is a unit. A judgement may name a unit
        as well; those of items that are in no unit are left out.
        """
        unit = self.of(items)
        direct = qrels["item_id"].where(is_among(qrels["item_id"], unit))
        named = qrels.assign(item_id=qrels["item_id"].map(unit).fillna(direct)).dropna(subset="item_id")
        largest = named.groupby(["query_id", "item_id"], sort=False, as_index=False)["relevance"].max()
        return largest[list(QREL_COLUMNS)]


def choose_unit(name: str, qrels: pd.DataFrame) -> str:
    """Return the unit; "auto" is what most judgements name.

    qrels: with the column named, "image", "text", "item" or a column of the items.

    >>> choose_unit("auto", pd.DataFrame({"named": ["image", "image", "text"]}))
    'image'
    """
    if name != AUTO_UNIT:
        return name
    named = qrels["named"].value_counts() if len(qrels) else pd.Series(dtype=int)
    first = str(named.index[0]) if len(named) else "image"
    return "image" if first == "item" else first


def rank_units(
    queries: AnyVectors, vectors: AnyVectors, items: pd.DataFrame, units: Units, depth: int
) -> pd.DataFrame:
    """Rank all units for each query by exact search: query_id, item_id (of the unit), rank from 1, score.

    queries: in the space of vectors. vectors: those of the items; BM25's documents keep all their texts, since no query
    is one of them. items: the gallery. depth: units kept of each query. Without units that have a vector there are no
    rows.
    """
    own = vectors.ids[is_among(vectors.ids, items["item_id"])]
    members = units.members(items, own)
    if members.empty or not len(queries):
        return no_rankings()
    gallery: Any = vectors.take(pd.unique(members.index).astype(str))
    blocks = _score_units(queries, gallery, members, units.score)
    return rankings_from_blocks(blocks, queries.ids, np.unique(members.to_numpy(dtype=str)), depth)


def _score_units(
    queries: Any, gallery: Any, members: pd.Series, score: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the places of queries and the scores (Q, U) of units in the order of their names, block by block."""
    names, unit = np.unique(members.to_numpy(dtype=str), return_inverse=True)
    order = np.argsort(unit, kind="stable")
    column = places_among(members.index.to_numpy(dtype=str)[order], gallery.ids)
    starts = np.searchsorted(unit[order], np.arange(len(names)))
    sizes = np.diff(np.append(starts, len(order)))
    sparse = isinstance(gallery, SparseVectors)
    asking = queries.by_rarity_in(gallery) if sparse else queries
    places = np.arange(len(queries))
    for rows, scores in asking.score_blocks(gallery):
        parts = scores[:, column]
        found = (
            np.maximum.reduceat(parts, starts, axis=1)
            if score == BEST
            else np.add.reduceat(parts, starts, axis=1) / sizes
        )
        yield places[rows], np.where(found > 0, found, -np.inf) if sparse else found
