"""The rankings that a run wrote, as if they were a retriever: its queries are answered again, without a model."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.items import RANKING_COLUMNS, check_columns, is_among


@dataclass(frozen=True, repr=False)
class Recorded:
    """Answers from rankings: {"text-to-image": rankings, "image-to-text": rankings} and the items they are of."""

    rankings: Mapping[str, pd.DataFrame]
    items: pd.DataFrame

    def __repr__(self) -> str:
        return f"Recorded({', '.join(self.rankings)})"

    @property
    def index(self) -> "Recorded":
        """Itself: there is no store to open."""
        return self

    def session(self) -> AbstractContextManager:
        """Nothing is kept open."""
        return nullcontext(self)

    def search(
        self,
        query: str | Path,
        to: str = "image",
        k: int = 10,
        where: dict[str, Any] | None = None,
        exact: bool = False,
    ) -> pd.DataFrame:
        """The first `k` of the ranking that was written for this text or image of the collection.

        `exact` changes nothing: what was ranked is ranked. Raises ValueError for a filter, for a direction without
        rankings, and for a query that is none of theirs.
        """
        if where:
            raise ValueError("rankings that are written cannot be filtered; leave the filters out")
        direction = f"{'text' if isinstance(query, str) else 'image'}-to-{to}"
        if direction not in self.rankings:
            raise ValueError(f"no rankings {direction} are written; there are {', '.join(self.rankings)}")
        ranked = check_columns(self.rankings[direction], RANKING_COLUMNS, direction)
        found = ranked[ranked["query_id"] == self._query_id(query, ranked)].nsmallest(k, "rank")
        hits = found[["item_id", "rank", "score"]].merge(self.items, on="item_id")
        hits.attrs = {"embed_ms": 0.0, "search_ms": 0.0}
        return hits

    def _query_id(self, query: str | Path, ranked: pd.DataFrame) -> str:
        column = "text" if isinstance(query, str) else "image"
        known = self.items.loc[self.items[column] == str(query), "item_id"]
        asked = known[is_among(known, ranked["query_id"])]
        if asked.empty:
            raise ValueError(
                f"{str(query)[:100]!r} is none of the queries that were ranked; choose one of the collection"
            )
        return asked.iloc[0]


def recorded_runs(
    rankings: Mapping[str, Mapping[str, pd.DataFrame]], items: pd.DataFrame
) -> dict[str, Recorded]:
    """Each run's answers by its name, from the rankings of each direction ("text-to-image") by run."""
    runs = dict.fromkeys(run for tables in rankings.values() for run in tables)
    named = dict(rankings)
    return {run: Recorded({name: tables[run] for name, tables in named.items()}, items) for run in runs}
