"""The hits of a search, as images and as a table, and why a hit was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pandas as pd

from mmlab.evaluate.summaries import escape_markdown
from mmlab.items.tables import TooFew
from mmlab.retrieve.query.explain import HitExplanation, explain_hit, nearest_captions
from mmlab.visualize import Html, figure, gallery, under_headings
from mmlab.visualize.image_figures import image_grid, occlusion_map, word_bars
from mmlab.workbench.result import Report, Result, no_table, or_reason, unanswered
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUERIES_SHOWN = 6
CAPTION_CHARS = 120
QUERY_CHARS = 80


@dataclass(frozen=True, repr=False)
class Explanation(Report):
    """How the cosine of a text query and an image drops when a part of either is left out. Made by `Hits.explain`.

    Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (ECCV 2014).

    Attributes:
        found: the cells of the image and the words of the query, each with the cosine without it and the drop.
        image: path of the image.
        captions: rank, score, own, text: the texts of the collection that are nearest to the image.
    """

    found: HitExplanation
    image: str
    captions: pd.DataFrame

    @classmethod
    def of(cls, data: RunData, query: str, hit: pd.Series) -> Self:
        """Explain a hit, a row of the table of a search."""
        space = data.retrievers["image"].model.space
        captions = nearest_captions(data.index, [hit["item_id"]], space)
        shown = captions[["rank", "score", "own", "text"]]
        return cls(explain_hit(data.retrievers, query, hit), hit["image"], shown)

    @property
    def cells(self) -> pd.DataFrame:
        """The image with one cell covered by its mean colour: row, column, left, top, right, bottom, cosine, drop."""
        return self.found.cells.table

    @property
    def words(self) -> pd.DataFrame:
        """The query with one word left out: position, word, cosine, drop."""
        return self.found.words.table

    def _overview(self) -> Result:
        """Show the image under the drop of each of its cells, the drop of each word, and the nearest captions."""

        def draw() -> "Figure":
            fig, (left, right) = figure(columns=2, width=9, height=3.9)
            occlusion_map(left, self.image, self.cells, "Covered")
            word_bars(right, self.words, "Left out")
            return fig

        caption = "The texts of the collection that are nearest to the image" if len(self.captions) else ""
        return Result(self.cells, self._summary(), draw, shown=self.captions, caption=caption)

    def _summary(self) -> str:
        cell, word = (table.loc[table["drop"].idxmax()] for table in (self.cells, self.words))
        return (
            f"The query and the image have a cosine of {self.found.words.cosine:.3f}. Covering row {cell['row']:.0f}, "
            f"column {cell['column']:.0f} of the image lowers it most, by {cell['drop']:.3f}; leaving out "
            f"“{escape_markdown(word['word'])}” lowers it by {word['drop']:.3f}."
        )


@dataclass(frozen=True, repr=False)
class Hits(Report):
    """The nearest items of one or several queries, best first. Made by `Run.search`.

    In a notebook hits render as images, marked right or wrong where the query belongs to the collection.

    Attributes:
        data: the run that was searched.
        found: the hits: rank, score, the items' columns, `pair_image` (the image of the item's pair) and `words`.
        timings: milliseconds spent: embed_ms, search_ms, payload_ms.
        skipped: files that were asked with and are no images: source and reason.
        query: what was asked, in words.
        right: the item_ids that answer the query; None where that is not known.
        text: the text that asked; empty where an image or many queries did.
        note: why nothing was asked, or what is special about the answer; mostly empty.
    """

    data: RunData
    found: pd.DataFrame
    timings: Mapping[str, float]
    skipped: Sequence[Mapping[str, str]]
    query: str
    right: frozenset[str] | None = None
    text: str = ""
    note: str = ""

    def __len__(self) -> int:
        return len(self.found)

    def _overview(self) -> Result:
        """Show the hits as images with rank, score and words."""
        table = self.found
        if not self.query:
            return unanswered(self.note)

        def draw() -> "Figure":
            return image_grid(list(table["pair_image"]), self._captions(table), self._marks(table))

        return Result(table, self._summary(), draw, html=self._gallery(), shown=no_table())

    @or_reason
    def explain(self, rank: int = 1) -> Explanation:
        """Return why the hit at `rank` was found: which parts of the image and which words the match rests on.

        A collection without images says so instead.

        Raises:
            ValueError: unless one text asked for images, or for a rank that is not there.

        Example:
            >>> explanation = run.search("a red mug").explain(rank=1)
            >>> explanation.table.columns.tolist()
            ['row', 'column', 'left', 'top', 'right', 'bottom', 'cosine', 'drop']
        """
        found = self.found
        if not self.query or not (self.data.items["modality"] == "image").any():
            raise TooFew(f"an explanation needs an image that a text has found: {self.data.held}")
        if "query_id" in found or not self.text or (found["modality"] != "image").any():
            raise ValueError(
                "explain: expected the hits of one text query for images; search with a text, to='image'"
            )
        if rank not in set(found["rank"]):
            raise ValueError(f"explain: there are {len(found)} hits, found rank {rank}")
        hit = found[found["rank"] == rank].iloc[0]
        return Explanation.of(self.data, self.text, hit)

    def _gallery(self) -> Html:
        table = self.found
        if "query_id" not in table:
            return gallery(list(table["pair_image"]), self._captions(table), self._marks(table))
        parts = {
            str(query): gallery(list(found["pair_image"]), self._captions(found))
            for query, found in list(table.groupby("query_id", sort=False))[:QUERIES_SHOWN]
        }
        return under_headings(parts)

    def _captions(self, table: pd.DataFrame) -> list[str]:
        chances = (
            table["probability"].map("  p {:.2f}".format) if "probability" in table else [""] * len(table)
        )
        rows = zip(table["rank"], table["score"], chances, table["words"], strict=True)
        return [
            f"{rank}. {score:.3f}{chance}  {str(words)[:CAPTION_CHARS]}"
            for rank, score, chance, words in rows
        ]

    def _marks(self, table: pd.DataFrame) -> Sequence[bool] | None:
        return None if self.right is None else [item in self.right for item in table["item_id"]]

    def _summary(self) -> str:
        spent = self.timings
        found = f"{len(self):,} hits"
        if self.right is not None:
            ranks = self.found.loc[self.found["item_id"].isin(self.right), "rank"]
            found += f", a right one at rank {ranks.min()}" if len(ranks) else ", none of them right"
        times = f"{spent['embed_ms']:.0f} ms to embed, {spent['search_ms']:.1f} ms to search"
        note = f" {self.note}" if self.note else ""
        return f"**{_shortened(self.query)}**: {found}; {times}.{note}"


def _shortened(query: str) -> str:
    """Return the beginning and the end of a long query, as Markdown that shows it as it is."""
    if len(query) <= QUERY_CHARS:
        return escape_markdown(query)
    half = QUERY_CHARS // 2
    return f"{escape_markdown(query[:half])} … {escape_markdown(query[-half:])}"
