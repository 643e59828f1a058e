"""Many queries that already have vectors -> rankings, through an index or by the vectors of a run's models."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mmlab.index import Index
from mmlab.index.engines.bm25 import system_name
from mmlab.items import MODALITIES, exact_search, is_among
from mmlab.items.options import Whole, check_value
from mmlab.items.ragged_vectors import AnyVectors, SparseVectors
from mmlab.items.rankings import (
    OwnPairs,
    drop_self_matches,
    first_rows,
    opposite_modality,
    tie_near_scores,
)
from mmlab.items.tables import TooFew
from mmlab.items.vectors import SPARSE

DEPTH_FACTOR = 4  # how many times deeper to search when the hits stand for too few items
MAX_LISTED_PAIRS = 1000  # that are asked for by name; of more, all items are read
# the siblings of a query: the other texts, or the other images, of its pair
LEAVE_OUT, KEEP = "leave_out", "keep"


def rank(
    index: Index,
    queries: AnyVectors,
    to: str,
    k: int = 100,
    where: Mapping[str, Any] | None = None,
    exact: bool = False,
    through: str | None = None,
    within: Mapping[str, Any] | None = None,
    own_pairs: pd.Series | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Rank the items of modality `to` for every query: query_id, item_id, rank from 1, score (cosine).

    Returns at most `k` rows per query, queries in their own order. A query that is itself in the index is left out of
    its own ranking: it would always be found first. Where the queries' space holds no `to`, or `through` names a
    modality to search instead, the ranking goes through pairs and has a column `via`: see `rank_through_pairs`, also
    for `own_pairs`. `within` is a filter as `where` is, on the items that stand for others too: that of a split's
    gallery. `settings`: more of `Index.search`. Raises SpaceMismatch for queries of a space that the index has not,
    ValueError for a `k` below 1.
    """
    check_value("k", k, Whole(1))
    with index.session():
        through = through or bridge_modality(index, queries, to)
        if through:
            return rank_through_pairs(
                index, queries, to, k, where, exact, through, within, own_pairs, **settings
            )
        held = index.store.count(index.collection(queries.space, to), modality=to)
        found = index.search(queries, to, max(min(k + 1, held), 1), _both(where, within), exact, **settings)
    return first_rows(drop_self_matches(tie_near_scores(found.table)), k)


def bridge_modality(index: Index, queries: AnyVectors, to: str) -> str | None:
    """Return the modality to search to get to `to` through pairs; None where the queries' space holds `to` itself.

    Raises SpaceMismatch, naming what differs, for queries of a space that the index has not.
    """
    held = index.modalities(queries.space)
    return None if to in held or not held else held[0]


def rank_through_pairs(
    index: Index,
    queries: AnyVectors,
    to: str,
    k: int,
    where: Mapping[str, Any] | None = None,
    exact: bool = False,
    through: str = "text",
    within: Mapping[str, Any] | None = None,
    own_pairs: pd.Series | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Rank the items of modality `to` whose pair has an item of modality `through` near the query.

    A caption that is found stands for its image, where texts and images share no space. An item scores as the best hit
    of its pair, which the column `via` names; the query's own item is no hit. `where` holds for the items of modality
    `to`, `within` for those that are searched too. `own_pairs`: the pair_id of queries of the collection, by their id;
    their siblings, the hits of the same pair, count as little as they do themselves. Searches deeper until every query
    has `k` items or all hits have been seen. `settings`: more of `Index.search`.
    """
    wanted = _both(where, within)
    with index.session():
        held = index.store.count(index.collection(queries.space, through), within, through)
        depth = k
        while True:
            depth = min(DEPTH_FACTOR * depth, held)
            searched = index.search(queries, through, max(depth, 1), within, exact, **settings)
            found = tie_near_scores(searched.table)
            ranked = _stand_in(found, *_pairs(index, found, to, wanted), k, own_pairs)
            if depth == held or len(ranked) == k * len(queries):
                return ranked


def vectors_of_modality(vectors: AnyVectors, items: pd.DataFrame, modality: str) -> Any:
    """Return the vectors of the items of one modality, in the order of the items; no rows where none has a vector."""
    return vectors.take(_held_ids(vectors, items, modality))


def _held_ids(vectors: AnyVectors, items: pd.DataFrame, modality: str) -> pd.Series:
    """Return the ids of the items of one modality that have a vector."""
    ids = items.loc[items["modality"] == modality, "item_id"]
    return ids[is_among(ids, vectors.ids)]


def query_vectors(vectors: Sequence[AnyVectors], items: pd.DataFrame, source: str) -> list[Any]:
    """Return the vectors of the items of modality `source` as they ask, from every model that embeds it.

    `vectors`: those of the run's models. Texts ask behind the model's query prompt, where it has one of its own
    (`Vectors.asking`); what is found keeps the prompt of documents. Raises TooFew where no model embeds that modality.
    """
    found = who_ask(vectors, items, source)
    if not found:
        raise TooFew(f"no model of this run has vectors of modality {source!r}: nothing can ask")
    return found


def who_ask(vectors: Sequence[AnyVectors], items: pd.DataFrame, source: str) -> list[Any]:
    """Return the vectors of the items of modality `source` as they ask, from every model that they can ask by."""
    found = [vectors_of_modality(own, items, source).asking() for own in vectors]
    return [part for part in found if len(part)]


def gallery_vectors(
    vectors: Sequence[AnyVectors], items: pd.DataFrame, queries: AnyVectors, target: str
) -> Any:
    """Return the vectors of the items of modality `target` in the queries' space; no rows where it holds none."""
    return vectors_of_modality(next(own for own in vectors if own.space == queries.space), items, target)


def answering_through_pairs(vectors: Sequence[AnyVectors], items: pd.DataFrame, source: str) -> list[Any]:
    """Return the vectors of modality `source` of those models that hold no item of the other modality.

    They get to its items through pairs alone, and so to the right ones by siblings of the query alone.
    """
    target = opposite_modality(source)
    apart = [own for own in vectors if not len(_held_ids(own, items, target))]
    return who_ask(apart, items, source)


def voting_models(
    vectors: Sequence[AnyVectors], items: pd.DataFrame, source: str, siblings: str = LEAVE_OUT
) -> list[Any]:
    """Return the vectors of those models whose answers to queries of modality `source` count.

    All, where siblings are kept or no model holds both modalities. Otherwise none that gets to the other modality
    through pairs alone, and no BM25 over texts alone: without siblings these find wrong items only, so that their votes
    could do nothing but harm.
    """
    if siblings == KEEP or not have_joint_space(vectors, items):
        return list(vectors)
    bridging = {own.space for own in answering_through_pairs(vectors, items, source)}
    return [own for own in vectors if own.space not in bridging and finds_without_siblings(own)]


def finds_without_siblings(own: AnyVectors) -> bool:
    """Return whether right items can be found without what the texts of the query's own pair say."""
    return not isinstance(own, SparseVectors) or own.bare is None or bool(len(own.bare.indices))


def have_joint_space(vectors: Sequence[AnyVectors], items: pd.DataFrame) -> bool:
    """Return whether a model holds both texts and images, which finds a right item without siblings of the query."""
    both = [own for own in vectors if all(len(_held_ids(own, items, one)) for one in MODALITIES)]
    return any(map(finds_without_siblings, both))


def pairs_of_queries(items: pd.DataFrame, siblings: str = LEAVE_OUT) -> pd.Series | None:
    """Return the `own_pairs` of `rank` for queries that are items of the collection; None where siblings are kept."""
    return items.set_index("item_id")["pair_id"] if siblings == LEAVE_OUT else None


def rank_exactly(
    index: Index,
    vectors: Sequence[AnyVectors],
    items: pd.DataFrame,
    queries: AnyVectors,
    target: str,
    k: int,
    within: Mapping[str, Any] | None = None,
    siblings: str = LEAVE_OUT,
) -> pd.DataFrame:
    """Rank `items` by the vectors at hand where they hold the target, see `exact_search`; else through pairs.

    These are asked of the index, whose filter `within` lets the same items through. `siblings`: "leave_out" or "keep"
    the query's own pair there, see `rank_through_pairs`.
    """
    if bridge_modality(index, queries, target):
        own_pairs = pairs_of_queries(items, siblings)
        return rank(index, queries, target, k, exact=True, within=within, own_pairs=own_pairs)
    return scan(vectors, items, queries, target, k, siblings)


def scan(
    vectors: Sequence[AnyVectors],
    items: pd.DataFrame,
    queries: AnyVectors,
    target: str,
    k: int,
    siblings: str = LEAVE_OUT,
) -> pd.DataFrame:
    """Rank `items` by the vectors at hand, without an index. BM25 finds no query by its own words.

    `siblings`: "leave_out" the texts of all documents, so that those of the query's own pair are not missed in one
    alone, or "keep" all but the query itself.
    """
    gallery = gallery_vectors(vectors, items, queries, target)
    if not isinstance(gallery, SparseVectors) or gallery.bare is None or gallery.own is None:
        return exact_search(queries, gallery, k)
    if siblings == LEAVE_OUT:
        return exact_search(queries, gallery.bare.take(gallery.ids), k)
    return exact_search(queries, gallery, k, OwnPairs(items.set_index("item_id")["pair_id"], gallery.own))


def rank_models(
    index: Index,
    vectors: Sequence[AnyVectors],
    items: pd.DataFrame,
    source: str,
    target: str,
    k: int = 100,
    exact: bool = True,
    within: Mapping[str, Any] | None = None,
    siblings: str = LEAVE_OUT,
    asking: pd.DataFrame | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the rankings of each model that embeds `source`, by its space's key, by exact search or by the graph.

    `within`: the filter of the index that lets no other items through, None where it holds no others; `siblings`: see
    `rank_exactly`; `asking`: those of the items that ask, all of modality `source` unless given.
    """
    own_pairs = pairs_of_queries(items, siblings)
    return {
        system_name(queries.space): rank_exactly(index, vectors, items, queries, target, k, within, siblings)
        if exact or queries.space.kind == SPARSE  # which the index scans as well
        else rank(index, queries, target, k, within=within, own_pairs=own_pairs)
        for queries in query_vectors(vectors, items if asking is None else asking, source)
    }


def _both(where: Mapping[str, Any] | None, within: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return {**(where or {}), **(within or {})} or None


def _pairs(
    index: Index, found: pd.DataFrame, to: str, where: Mapping[str, Any] | None
) -> tuple[pd.Series, pd.DataFrame]:
    """Return the pair of every hit, by its id; and item_id and pair_id of the items of modality `to` in such pairs."""
    pair = index.fetch(found["item_id"].unique()).set_index("item_id")["pair_id"].dropna()
    wanted = dict(where or {})
    if len(pair) <= MAX_LISTED_PAIRS and len(pair) and "pair_id" not in wanted:
        wanted["pair_id"] = pair.unique().tolist()
    return pair, index.items(wanted, to)[["item_id", "pair_id"]].dropna()


def _stand_in(
    found: pd.DataFrame, pair: pd.Series, targets: pd.DataFrame, k: int, own_pairs: pd.Series | None
) -> pd.DataFrame:
    """Put in place of every hit the items of its pair, each once and at its best hit."""
    others = drop_self_matches(found).rename(columns={"item_id": "via"})
    hits = others.assign(pair_id=others["via"].map(pair))
    if own_pairs is not None:
        hits = hits[~(hits["pair_id"] == hits["query_id"].map(own_pairs))]
    ranked = hits.merge(targets, on="pair_id").drop_duplicates(["query_id", "item_id"])
    return first_rows(ranked, k)[["query_id", "item_id", "rank", "score", "via"]]
