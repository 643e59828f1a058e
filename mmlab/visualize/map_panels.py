"""One map seen in several ways, and how far several maps can be trusted."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.items import Vectors
from mmlab.visualize.maps import mixing, plot_links, plot_map, trust
from mmlab.visualize.style import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def map_panels(
    points: np.ndarray, groups: Mapping[str, pd.Series], name: str, links: bool = True
) -> "Figure":
    """A panel of `points` (2 N, 2) for each of `groups` (name -> one value per point), pairs joined in the first."""
    fig, axs = figure(len(groups), width=11, height=4.6)
    for number, (ax, (by, values)) in enumerate(zip(axs, groups.items(), strict=True)):
        plot_map(ax, points, values, f"{name} by {by}")
        if links and number == 0:
            plot_links(ax, points)
    return fig


def judge_maps(
    maps: Mapping[str, np.ndarray],
    parts: Sequence[Vectors],
    groups: Mapping[str, pd.Series],
    neighbours: int = 10,
) -> pd.DataFrame:
    """One row per map: map, trustworthiness, and for each of `groups` "other ... near": the share of the nearest
    `neighbours` on the map that belong to another group, "... by chance" what it would be if all were mixed.

    Two `parts` are two maps side by side: there the share of other modalities near says nothing and is NaN.
    """
    rows = []
    for name, points in maps.items():
        row = {"map": name, "trustworthiness": trust(parts, points, neighbours)}
        for by, values in groups.items():
            apart = by == "modality" and len(parts) > 1
            row[f"other {by} near"] = np.nan if apart else mixing(points, values, neighbours)
            row[f"{by} by chance"] = _by_chance(values)
        rows.append(row)
    return pd.DataFrame(rows)


def say_maps(judged: pd.DataFrame) -> str:
    """How far each map can be trusted, and how the modalities mix on it."""
    parts = []
    for row in judged.to_dict("records"):
        said = f"{row['map']}: trustworthiness {row['trustworthiness']:.2f}"
        other = row["other modality near"]
        if np.isnan(other):
            said += ", texts and images each in a map of their own, side by side"
        else:
            chance = row["modality by chance"]
            said += f", {other:.0%} of the ten nearest are of the other modality ({chance:.0%} if mixed by chance)"
        parts.append(said)
    return f"{'; '.join(parts)}."


def _by_chance(values: pd.Series) -> float:
    """The chance that another point drawn at random belongs to another group."""
    sizes = values.value_counts().to_numpy()
    total = sizes.sum()
    return float(1 - (sizes * (sizes - 1)).sum() / (total * (total - 1))) if total > 1 else np.nan
