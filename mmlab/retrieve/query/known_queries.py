"""Queries that are items of the collection: what answers them, and the rankings that a run saved for them."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.items import RANKING_COLUMNS, check_columns, is_among
from mmlab.retrieve.query.spec import Query, SearchResult, modality_of


def find_right_answers(items: pd.DataFrame, query: Query) -> list[str] | None:
    """Return the item_ids of the modality asked for that belong to the query's pair; None where it is nobody's.

    An image of the collection counts, else a text that some item has word by word; with both, the image's.
    """
    known = _query_items(items, query)
    if known.empty:
        return None
    answers = items[(items["modality"] == query.to) & is_among(items["pair_id"], known["pair_id"])]
    return answers["item_id"].tolist()


def add_pair_columns(hits: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Add `pair_image`, the path of the pair's image, and `words`, the pair's first text or its label, to hits."""
    near = items[is_among(items["pair_id"], hits["pair_id"])]
    images = near[near["modality"] == "image"].drop_duplicates("pair_id").set_index("pair_id")["image"]
    texts = near[near["modality"] == "text"].drop_duplicates("pair_id").set_index("pair_id")["text"]
    words = hits["text"].astype(object)
    for fallback in (hits["pair_id"].map(texts), hits["label"], hits["pair_id"]):
        words = words.fillna(fallback)
    pair_image = hits["image"].astype(object).fillna(hits["pair_id"].map(images))
    return hits.assign(pair_image=pair_image, words=words)


@dataclass(frozen=True, repr=False)
class SavedRankings:
    """The rankings that a run saved, by direction ("text-to-image"), and its items; asked as a `Retriever` is.

    Its queries are answered again, without a model and without a store.
    """

    rankings: Mapping[str, pd.DataFrame]
    items: pd.DataFrame

    def __repr__(self) -> str:
        return f"SavedRankings({', '.join(self.rankings)})"

    def session(self) -> AbstractContextManager:
        """Return a context in which nothing is opened: there is no store."""
        return nullcontext(self)

    def count(self, to: str) -> int:
        """Return the number of items of modality `to`."""
        return int((self.items["modality"] == to).sum())

    def search(
        self,
        query: str | Path,
        to: str = "image",
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
        **settings: Any,
    ) -> SearchResult:
        """Return the first `k` of the ranking that was saved for this text or image of the collection.

        `exact` changes nothing: what was ranked is ranked. Raises ValueError for a filter and other settings, for a
        direction without rankings, and for a query that is none of theirs.
        """
        if where or settings:
            names = ", ".join([*(["filters"] if where else []), *settings])
            raise ValueError(f"saved rankings cannot be searched anew; leave out: {names}")
        direction = f"{modality_of(query)}-to-{to}"
        if direction not in self.rankings:
            raise ValueError(f"no rankings {direction} are saved; there are {', '.join(self.rankings)}")
        ranked = check_columns(self.rankings[direction], RANKING_COLUMNS, direction)
        found = ranked[ranked["query_id"] == self._query_id(query, ranked)].nsmallest(k, "rank")
        hits = found[["item_id", "rank", "score"]].merge(self.items, on="item_id")
        timings = dict.fromkeys(("embed_ms", "search_ms", "payload_ms"), 0.0)
        return SearchResult(hits, timings, method="a saved ranking")

    def _query_id(self, query: str | Path, ranked: pd.DataFrame) -> str:
        known = self.items.loc[self.items[modality_of(query)] == str(query), "item_id"]
        ranked_ones = known[is_among(known, ranked["query_id"])]
        if ranked_ones.empty:
            raise ValueError(
                f"{str(query)[:100]!r} is none of the queries that were ranked; choose one of the collection"
            )
        return ranked_ones.iloc[0]


def saved_rankings_by_run(
    rankings: Mapping[str, Mapping[str, pd.DataFrame]], items: pd.DataFrame
) -> dict[str, SavedRankings]:
    """Return each run's saved rankings by its name, from the rankings of each direction by run.

    A run need not have ranked both directions.
    """
    runs = dict.fromkeys(run for tables in rankings.values() for run in tables)
    return {
        run: SavedRankings(
            {direction: tables[run] for direction, tables in rankings.items() if run in tables}, items
        )
        for run in runs
    }


def _query_items(items: pd.DataFrame, query: Query) -> pd.DataFrame:
    if isinstance(query.image, Path):
        return items[items["image"] == str(query.image)]
    if query.image is not None:
        return items.head(0)
    return items[items["text"] == query.text]
