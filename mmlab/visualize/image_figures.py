"""Images in figures: hits with their captions, and the parts of an image or a text that a match rests on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.items import ImageError, check_columns, open_image
from mmlab.visualize.style import (
    COLOURS,
    INK,
    figure,
    load_matplotlib,
    name_axes,
    wrap_label,
    write_centred,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

IMAGE_SIDE = 512  # pixels of the longer side that are drawn
MAX_OPACITY = 0.75  # of the cell that matters most
MAX_WORD_CHARS = 24
OCCLUSION_COLUMNS = ("left", "top", "right", "bottom", "drop")


def occlusion_map(
    ax: "Axes", image: "str | Path | Image.Image", table: pd.DataFrame, title: str = ""
) -> "Axes":
    """Draw an image under the cells of an occlusion table, each with its drop in hundredths of cosine.

    `table`: left, top, right, bottom in [0, 1] of the image and drop, the loss of cosine while the cell is covered. The
    more a cell matters, the less of the image shows through. Red and a plus speak for the match, blue and a minus
    against it. Raises ValueError where a column is missing, ImageError for a file that cannot be opened.

    >>> from PIL import Image
    >>> from mmlab.visualize import figure
    >>> halves = {"left": [0, 0.5], "top": 0, "right": [0.5, 1], "bottom": 1, "drop": [0.12, -0.03]}
    >>> _, (ax,) = figure()
    >>> ax = occlusion_map(ax, Image.new("RGB", (20, 10)), pd.DataFrame(halves))
    >>> [text.get_text() for text in ax.texts]
    ['+12', '-3']
    """
    check_columns(table, OCCLUSION_COLUMNS, "occlusion table")
    matplotlib = load_matplotlib()
    shown = open_image(image, min_side=IMAGE_SIDE) if isinstance(image, str | Path) else image.convert("RGB")
    ax.imshow(np.asarray(shown), extent=(0, 1, 1, 0), aspect=shown.height / shown.width)
    drops = 100 * table["drop"].to_numpy(dtype=float)
    highest = max(np.abs(drops).max(), 1e-9)
    colours = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(-highest, highest), "RdBu_r")
    for cell, drop in zip(table[list(OCCLUSION_COLUMNS[:4])].to_numpy(dtype=float), drops, strict=True):
        text = f"{drop:+.0f}" if abs(drop) >= 0.5 else "0"
        _draw_cell(ax, cell, tuple(colours.to_rgba(drop)), MAX_OPACITY * abs(drop) / highest, text)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.figure.colorbar(colours, ax=ax, label="drop in cosine x 100", shrink=0.85)
    return name_axes(ax, "", title=title)


def word_bars(ax: "Axes", table: pd.DataFrame, title: str = "", max_words: int = 12) -> "Axes":
    """Draw the drop in cosine without each word as bars, in the order of the text.

    `table`: word, drop. A longer text shows the `max_words` words with the largest drops, positive or negative.

    >>> from mmlab.visualize import figure
    >>> _, (ax,) = figure()
    >>> ax = word_bars(ax, pd.DataFrame({"word": ["red", "mug"], "drop": [0.3, -0.1]}))
    >>> [text.get_text() for text in ax.texts]
    ['+0.300', '-0.100']
    """
    check_columns(table, ("word", "drop"), "occlusion table")
    table = table[table.index.isin(table["drop"].abs().nlargest(max_words).index)]
    words = [
        word if len(word) <= MAX_WORD_CHARS else f"{word[: MAX_WORD_CHARS - 1]}…" for word in table["word"]
    ]
    rows = range(len(table))
    ax.barh(rows, table["drop"], color=COLOURS[0], height=0.7)
    for row, drop in zip(rows, table["drop"], strict=True):  # written to the right of bars to the left, too
        ax.annotate(f"{drop:+.3f}", (max(drop, 0), row), (4, 0), textcoords="offset points", va="center")
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(rows, [str(word) for word in words])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.15)
    return name_axes(ax, "drop in cosine without the word", title=title)


def _draw_cell(ax: "Axes", cell: np.ndarray, colour: tuple[float, ...], opacity: float, text: str) -> None:
    """Cover a cell (left, top, right, bottom) with a colour and write a text in its middle."""
    rectangle = load_matplotlib().patches.Rectangle
    left, top, right, bottom = cell.tolist()
    width, height = right - left, bottom - top
    ax.add_patch(rectangle((left, top), width, height, facecolor=colour, alpha=opacity, linewidth=0))
    ax.add_patch(rectangle((left, top), width, height, fill=False, edgecolor="white", linewidth=0.4))
    plate = {"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 0.8}
    middle = left + width / 2, top + height / 2
    ax.text(*middle, text, ha="center", va="center", fontsize=7, color="black", bbox=plate)


COLUMNS = 8
SIDE = 256  # pixels of the longer side that are drawn
CAPTION_WIDTH = 22  # columns of a line
CAPTION_LINES = 4
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
        lines = wrap_label(caption[:CAPTION_CHARS], CAPTION_WIDTH)[:CAPTION_LINES]
        ax.set_title("\n".join(lines), fontsize=7)
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
        ax.imshow(np.asarray(open_image(str(path), min_side=SIDE)))
    except ImageError as error:
        name = "\n".join(wrap_label(str(path)[-CAPTION_WIDTH * CAPTION_LINES :], CAPTION_WIDTH))
        write_centred(ax, f"{error}\n{name}").title.set_color(INK)
