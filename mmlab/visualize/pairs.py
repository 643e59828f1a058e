"""The cosines of matched and of mismatched pairs, one model below the other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from mmlab.visualize.histograms import overlapping_histograms
from mmlab.visualize.style import INK, RULES, name_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT, FURTHER = 3.2, 2.6  # inches of one model's axes, and of each with others


def pair_histograms(cosines: Mapping[str, tuple[str, pd.DataFrame]]) -> "Figure":
    """Space -> what is compared and its cosines (positive, negative), as `matched_cosines` returns them.

    Each has its own axes, for the cosines of two spaces do not compare; one without rows says what it says.
    """
    import matplotlib.pyplot as plt

    count = len(cosines)
    size = (8.0, HEIGHT if count == 1 else FURTHER * count)
    with plt.rc_context(RULES):
        fig, axes = plt.subplots(count, 1, figsize=size, layout="constrained", squeeze=False)
    for ax, (space, (compared, table)) in zip(axes[:, 0], cosines.items(), strict=True):
        if table.empty:
            ax.text(0.5, 0.5, compared, transform=ax.transAxes, ha="center", va="center", color=INK)
            ax.set(xticks=[], yticks=[])
            name_axes(ax, f"cosine in {space}", title="Matched and mismatched pairs")
            continue
        groups = {"matched": table["positive"].to_numpy(), "mismatched": table["negative"].to_numpy()}
        title = "Matched and mismatched pairs" if count == 1 else f"{space}: {compared}"
        overlapping_histograms(ax, groups, f"cosine of {compared} in {space}", title)
    return fig
