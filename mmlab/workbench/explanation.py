"""Why a hit was found: the parts of its image and the words of the query that the match rests on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pandas as pd

from mmlab.evaluate.summaries import escape_markdown
from mmlab.retrieve.query.explain import HitExplanation, explain_hit, nearest_captions
from mmlab.visualize import figure
from mmlab.visualize.explanations import occlusion_map, word_bars
from mmlab.workbench.result import Report, Result
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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

        caption = "The texts of the collection that are nearest to the image"
        return Result(self.cells, self._summary(), draw, shown=self.captions, caption=caption)

    def _summary(self) -> str:
        cell, word = (table.loc[table["drop"].idxmax()] for table in (self.cells, self.words))
        return (
            f"The query and the image have a cosine of {self.found.words.cosine:.3f}. Covering row {cell['row']:.0f}, "
            f"column {cell['column']:.0f} of the image lowers it most, by {cell['drop']:.3f}; leaving out "
            f"“{escape_markdown(word['word'])}” lowers it by {word['drop']:.3f}."
        )
