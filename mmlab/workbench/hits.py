"""The hits of a search: as images, as a table, and why they were found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.retrieve import SearchResult
from mmlab.visualize import escape_markdown, gallery, image_grid, under_headings
from mmlab.workbench.explanation import Explanation
from mmlab.workbench.result import Report, Result, no_table
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUERIES_SHOWN = 6
CAPTION_CHARS = 120


@dataclass(frozen=True, repr=False)
class Hits(Report):
    """The nearest items of one or several queries, best first. Made by `Run.search`.

    In a notebook hits render as images, marked right or wrong where the query belongs to the collection.

    Attributes:
        data: the run that was searched.
        result: the table of hits, the timings, and the files that were skipped.
        query: what was asked, in words.
        right: the item_ids that answer the query; None where that is not known.
    """

    data: RunData
    result: SearchResult
    query: str
    right: frozenset[str] | None = None

    @property
    def timings(self) -> dict[str, float]:
        """Milliseconds spent: embed_ms, search_ms, payload_ms."""
        return dict(self.result.timings)

    @property
    def skipped(self) -> list[dict[str, str]]:
        """Files that were asked with and are no images: source and reason."""
        return list(self.result.skipped)

    def __len__(self) -> int:
        return len(self.result.table)

    def _overview(self) -> Result:
        """Show the hits as images with rank, score and words."""
        table = self.result.table

        def draw() -> "Figure":
            return image_grid(list(table["pair_image"]), self._captions(table), self._marks(table))

        return Result(table, self._summary(), draw, html=self._gallery(), shown=no_table())

    def explain(self, rank: int = 1) -> Explanation:
        """Return why the hit at `rank` was found: which parts of the image and which words the match rests on.

        Raises:
            ValueError: unless one text asked for images, or for a rank that is not there.
        """
        found = self.result.table
        if "query_id" in found or not self.result.text or (found["modality"] != "image").any():
            raise ValueError("explain: expected the hits of one text query for images; search with a text, to='image'")
        if rank not in set(found["rank"]):
            raise ValueError(f"explain: there are {len(found)} hits, found rank {rank}")
        hit = found[found["rank"] == rank].iloc[0]
        return Explanation.of(self.data, self.result.text, hit)

    def _gallery(self) -> object:
        table = self.result.table
        if "query_id" not in table:
            return gallery(list(table["pair_image"]), self._captions(table), self._marks(table))
        parts = {
            str(query): gallery(list(found["pair_image"]), self._captions(found))
            for query, found in list(table.groupby("query_id", sort=False))[:QUERIES_SHOWN]
        }
        return under_headings(parts)

    def _captions(self, table: pd.DataFrame) -> list[str]:
        chances = table["probability"].map("  p {:.2f}".format) if "probability" in table else [""] * len(table)
        rows = zip(table["rank"], table["score"], chances, table["words"], strict=True)
        return [f"{rank}. {score:.3f}{chance}  {str(words)[:CAPTION_CHARS]}" for rank, score, chance, words in rows]

    def _marks(self, table: pd.DataFrame) -> Sequence[bool] | None:
        return None if self.right is None else [item in self.right for item in table["item_id"]]

    def _summary(self) -> str:
        spent = self.timings
        found = f"{len(self):,} hits"
        if self.right is not None:
            ranks = self.result.table.loc[self.result.table["item_id"].isin(self.right), "rank"]
            found += f", a right one at rank {ranks.min()}" if len(ranks) else ", none of them right"
        times = f"{spent['embed_ms']:.0f} ms to embed, {spent['search_ms']:.1f} ms to search"
        return f"**{escape_markdown(self.query)}**: {found}; {times}."
