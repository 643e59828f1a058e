"""Why a result: where an image, and which words of a text, the match rests on."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.items import check_columns, open_image
from mmlab.visualize.style import COLOURS, INK, name_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL import Image

SIDE = 512  # pixels of the longer side that are drawn
STRONGEST = 0.75  # opacity of the cell that matters most


def occlusion_map(
    ax: "Axes", image: "str | Path | Image.Image", table: pd.DataFrame, title: str = ""
) -> "Axes":
    """The image under the cells of an occlusion table, each with its drop in hundredths of cosine written on it.

    `table`: left, top, right, bottom in [0, 1] and drop, one row per cell. The more a cell matters, the less of the
    image shows through; red and a plus speak for the match, blue and a minus against it.
    """
    check_columns(table, ("left", "top", "right", "bottom", "drop"), "occlusion table")
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    shown = open_image(image, least=SIDE) if isinstance(image, str | Path) else image.convert("RGB")
    ax.imshow(np.asarray(shown), extent=(0, 1, 1, 0), aspect=shown.height / shown.width)
    drops = 100 * table["drop"].to_numpy(dtype=float)
    most = max(np.abs(drops).max(), 1e-9)
    colour = ScalarMappable(Normalize(-most, most), "RdBu_r")
    for cell, drop in zip(table.itertuples(), drops, strict=True):
        box = (cell.left, cell.top), cell.right - cell.left, cell.bottom - cell.top
        _draw_cell(
            ax,
            box,
            colour.to_rgba(drop),
            STRONGEST * abs(drop) / most,
            f"{drop:+.0f}" if abs(drop) >= 0.5 else "0",
        )
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.figure.colorbar(colour, ax=ax, label="drop in cosine x 100", shrink=0.85)
    return name_axes(ax, "", title=title)


def word_bars(ax: "Axes", table: pd.DataFrame, title: str = "", most: int = 12) -> "Axes":
    """The drop in cosine without a word, as bars in the order of the text; `table`: word, drop.

    Of a longer text only the `most` words that matter most, either way.
    """
    check_columns(table, ("word", "drop"), "occlusion table")
    kept = table["drop"].abs().nlargest(most).index
    table = table[table.index.isin(kept)]
    words = [word if len(word) <= 24 else f"{word[:23]}…" for word in table["word"]]
    places = range(len(table))
    ax.barh(places, table["drop"], color=COLOURS[0], height=0.7)
    for place, drop in zip(places, table["drop"], strict=True):  # at the right of a bar to the left, too
        ax.annotate(f"{drop:+.3f}", (max(drop, 0), place), (4, 0), textcoords="offset points", va="center")
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(places, words)
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.15)
    return name_axes(ax, "drop in cosine without the word", title=title)


def _draw_cell(
    ax: "Axes",
    box: tuple[tuple[float, float], float, float],
    colour: tuple[float, ...],
    opacity: float,
    text: str,
) -> None:
    from matplotlib.patches import Rectangle

    (left, top), width, height = box
    ax.add_patch(Rectangle((left, top), width, height, facecolor=colour, alpha=opacity, linewidth=0))
    ax.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor="white", linewidth=0.4))
    plate = {"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.8}
    middle = left + width / 2, top + height / 2
    ax.text(*middle, text, ha="center", va="center", fontsize=7, color="black", bbox=plate)
