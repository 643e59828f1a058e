"""What 09_fusion shows: fused systems with learned weights beside equal shares and each system alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import pandas as pd

from mmlab.evaluate import compare_systems
from mmlab.items import DIRECTIONS
from mmlab.retrieve.studies.hub_study import try_rescorings
from mmlab.retrieve.studies.weight_study import (
    WeightTrial,
    summarize_weights,
    try_model_weights,
    try_query_weights,
    weight_table,
)
from mmlab.visualize import figure, forest
from mmlab.workbench.result import Report, Result
from mmlab.workbench.run_data import RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class FusionStudy(Report):
    """Weights learned on validation queries and evaluated on others. Made by `Run.study_fusion`.

    Systems are compared by the mean reciprocal rank.

    Attributes:
        trials: what was fused, by name: the learned weights and the rankings of the queries to judge on.
        items: the items that were ranked.
        seed: of the bootstrap.
    """

    trials: Mapping[str, WeightTrial]
    items: pd.DataFrame
    seed: int = 0

    @classmethod
    def of(cls, data: RunData, systems: str, fusion: str, depth: int, seed: int) -> Self:
        """Learn the weights of "text and image" or of the run's "models"; ValueError for anything else."""
        index, items = data.index, data.embedded_items
        vectors = index.in_order(data.all_vectors)
        if systems == "text and image":
            trials = {systems: try_query_weights(index, vectors, items, depth, seed)}
        elif systems == "models":
            qrels = {name: data.qrels(target) for name, (_, target) in DIRECTIONS.items()}
            tried = try_rescorings(vectors[0], items, depth, seed)
            trials = try_model_weights(index, vectors, items, qrels, tried, fusion, depth, seed)
        else:
            raise ValueError(f"systems: expected 'text and image' or 'models', found {systems!r}")
        return cls(trials, items, seed)

    @cached_property
    def compared(self) -> dict[str, pd.DataFrame]:
        """Each trial's systems compared with equal shares, where a weight could be learned."""
        return {
            name: compare_systems(trial.scores(), self.items, self.seed)
            for name, trial in self.trials.items()
            if trial.rankings
        }

    def _overview(self) -> Result:
        """Show each system's difference to equal shares with its 95 % interval."""
        tables = [table.assign(of=name) for name, table in self.compared.items()]
        table = weight_table(self.compared).reset_index(drop=True)

        def draw() -> "Figure":
            fig, axs = figure(
                max(len(tables), 1), width=10, height=1.4 + 0.3 * max(map(len, tables), default=1)
            )
            for ax, part in zip(axs, tables, strict=False):
                bounds = part[["difference_low", "difference_high"]].to_numpy()
                label = "mean reciprocal rank, difference to equal shares (95 %)"
                forest(ax, part["system"], part["difference"], bounds, label, part["of"].iloc[0])
            return fig

        return Result(table, summarize_weights(self.trials, self.compared), draw)

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the weights, by claim."""
        sums = [sum(trial.weights.values()) for trial in self.trials.values() if trial.weights]
        return {"the weights of every trial add up to 1": all(abs(total - 1) < 1e-9 for total in sums)}
