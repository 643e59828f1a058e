"""What 02_embed shows: what each model embedded, its space, and whether matched pairs stand apart in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.embed import Embedded
from mmlab.embed.multi_model import describe_rows, describe_spaces, describe_work
from mmlab.evaluate.space.pair_separation import compare_spaces, matched_cosines
from mmlab.evaluate.summaries import summarize_space_comparison
from mmlab.items import Vectors, main_vectors, write_table
from mmlab.runs import Step
from mmlab.visualize import Html
from mmlab.visualize.distributions import pair_histograms
from mmlab.workbench.result import Report, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class EmbedReport(Report):
    """The vectors of one or several models: what was done, their spaces, their norms, and how pairs stand apart.

    Made by `Run.embed`.

    Attributes:
        results: for each model its vectors, the items that failed and what was done.
        items: the items that were embedded.
    """

    results: Sequence[Embedded]
    items: pd.DataFrame

    @property
    def vectors(self) -> list[Vectors]:
        """The vectors of each model, in the order of the models."""
        return [result.vectors for result in self.results]

    @property
    def main(self) -> Vectors:
        """The vectors of the main space: the first that holds both images and texts."""
        return main_vectors(self.vectors, self.items)

    @property
    def skipped(self) -> pd.DataFrame:
        """The items that got no vector, with the reason."""
        tables = [result.skipped for result in self.results]
        return pd.concat(tables, ignore_index=True).drop_duplicates()

    def _overview(self) -> Result:
        """Show what each model embedded, took from the cache, failed at and truncated."""
        count, models = sum(map(len, self.vectors)), len(self.results)
        sentence = (
            f"**{count:,} vectors** of {len(self.items):,} items from {models} model{'s' * (models > 1)}; the main "
            f"space has {self.main.space.dimension} dimensions. {len(self.skipped):,} items failed."
        )
        return Result(describe_work(self.results), sentence, digits=1)

    def spaces(self) -> Result:
        """Show all that decides where each model puts an input: vectors of two spaces cannot be compared."""
        return Result(describe_spaces(self.results), f"The run's main space is `{self.main.space.key}`.")

    @cached_property
    def _norms(self) -> pd.DataFrame:
        return describe_rows(self.results, self.items)

    def norms(self) -> Result:
        """Show the norms of the rows, where they point on average, and what the precision costs."""
        furthest = max(
            float(np.abs(np.linalg.norm(v.array, axis=1) - 1).max(initial=0)) for v in self.vectors
        )
        least = self._norms["least cosine to float32"].min()
        sentence = (
            f"All {sum(map(len, self.vectors)):,} norms lie within {furthest:.1e} of 1. The least cosine to float32 is "
            f"{least:.5f}."
        )
        return Result(self._norms, sentence, digits=5)

    def pairs(self, seed: int = 0) -> Result:
        """Show the cosines of matched pairs beside those of mismatched ones, drawn by `seed`, for each space."""
        table = compare_spaces(self.vectors, self.items, seed)

        def draw() -> "Figure":
            return pair_histograms({v.space.key: matched_cosines(v, self.items, seed) for v in self.vectors})

        return Result(table, summarize_space_comparison(table), draw)

    def conclusion(self, seed: int = 0) -> str:
        """Return what was embedded and whether matched pairs stand apart, in a few sentences."""
        return f"{self.sentence} {self.pairs(seed).sentence}"

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the vectors, by claim."""
        modalities = {kind for result in self.results for kind in result.counts["modality"]}
        complete = [
            len(result.vectors) + len(result.skipped) == result.counts["items"].sum()
            for result in self.results
        ]
        return {
            "every item has a vector of each model that embeds it, or a reason": all(complete),
            "texts and images are each embedded by a model": modalities == set(self.items["modality"]),
        }

    def write(self, step: Step) -> Html:
        """Write the vectors of each model and embed_skipped.parquet, and show what the step has written."""
        for vectors in self.vectors:
            vectors.save(step.write(f"vectors/{vectors.space.key}.npz"))
        write_table(self.skipped, step.write("embed_skipped.parquet"))
        return step.outputs()
