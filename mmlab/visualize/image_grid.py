"""Images with captions as a matplotlib figure, for slides and papers; a notebook shows them as a gallery."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.items import ImageError, open_image
from mmlab.visualize.style import INK, escape_mathtext, figure, write_centred

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 8
SIDE = 256  # pixels of the longer side that are drawn
CAPTION_WIDTH = 22  # characters of a line
CAPTION_CHARS = 66
MARK_COLOURS = {True: "#009E73", False: "#D55E00", None: "#bbbbbb"}


def image_grid(
    images: Sequence[str | None], captions: Sequence[str], marks: Sequence[bool | None] | None = None
) -> "Figure":
    """Return a figure with an image and its caption in each cell, at most eight to a row.

    `images`: paths; a missing one, or one that cannot be opened, leaves its cell to the caption. `marks`: whether each
    is right (a green frame), wrong (an orange, dashed one) or unknown.
    """
    count, columns = len(captions), max(min(len(captions), COLUMNS), 1)
    rows = max(-(-count // columns), 1)
    fig, axs = figure(columns, width=1.5 * columns, height=2.1 * rows, rows=rows)
    known = [None] * count if marks is None else marks
    for ax, path, caption, mark in zip(axs, images, captions, known, strict=False):
        _draw_image(ax, path, mark)
        ax.set_title(fill(escape_mathtext(caption[:CAPTION_CHARS]), CAPTION_WIDTH), fontsize=7)
    for ax in axs[count:]:
        ax.set_axis_off()
    return fig


def _draw_image(ax: "Axes", path: str | None, mark: bool | None) -> None:
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set(
            visible=True, color=MARK_COLOURS[mark], linewidth=2, linestyle="--" if mark is False else "-"
        )
    if pd.isna(path):
        return
    try:
        ax.imshow(np.asarray(open_image(str(path), least=SIDE)))
    except ImageError as error:
        write_centred(ax, str(error)).title.set_color(INK)
