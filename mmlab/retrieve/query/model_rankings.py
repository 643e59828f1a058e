"""Who answers: every model of a run that embeds what is asked, exactly or by its index."""

from collections.abc import Sequence

import pandas as pd

from mmlab.index import Index
from mmlab.items import Vectors, exact_search, is_among
from mmlab.retrieve.query.rank import rank, way


def askers(spaces: Sequence[Vectors], items: pd.DataFrame, source: str) -> list[Vectors]:
    """Of every model that embeds `source` the vectors of these items; ValueError where none does."""
    ids = items.loc[items["modality"] == source, "item_id"]
    asking = [vectors.take(ids[is_among(ids, vectors.ids)]) for vectors in spaces]
    found = [vectors for vectors in asking if len(vectors)]
    if not found:
        raise ValueError(f"no model of this run has vectors of modality {source!r}: nothing can ask")
    return found


def rank_models(
    index: Index,
    spaces: Sequence[Vectors],
    items: pd.DataFrame,
    source: str,
    target: str,
    k: int = 100,
    exact: bool = True,
) -> dict[str, pd.DataFrame]:
    """The answer of each model that embeds `source` by its space's key, exact or by the graph."""
    return {
        asked.space.key: search_exactly(index, spaces, items, asked, target, k)
        if exact
        else rank(index, asked, target, k)
        for asked in askers(spaces, items, source)
    }


def search_exactly(
    index: Index, spaces: Sequence[Vectors], items: pd.DataFrame, asked: Vectors, target: str, k: int
) -> pd.DataFrame:
    """The exact answer by the vectors at hand where they hold the target, see `exact_search`; else through pairs."""
    if way(index, asked, target):
        return rank(index, asked, target, k, exact=True)
    return exact_search(asked, gallery_of(spaces, items, asked, target), k)


def gallery_of(spaces: Sequence[Vectors], items: pd.DataFrame, asked: Vectors, target: str) -> Vectors:
    """The items of a modality in the space of the queries; no rows where the model embeds none."""
    held = next(vectors for vectors in spaces if vectors.space == asked.space)
    ids = items.loc[items["modality"] == target, "item_id"]
    return held.take(ids[is_among(ids, held.ids)])
