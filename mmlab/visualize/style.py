"""One look for all figures: quiet axes, colours that also differ in lightness, a size that fits a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.visualize.galleries import Html
from mmlab.visualize.markdown import render_markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Readable for colour-blind people and in grey print (Okabe and Ito 2008, ordered dark to light).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
MARKERS = ("o", "^", "s", "D", "v", "P")
HATCHES = ("", "//", "..", "xx", "\\\\", "oo")
INK = "#333333"

RULES = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
    "font.size": 10,
    "figure.dpi": 100,
    "figure.constrained_layout.h_pad": 0.08,  # inches; all fits in, so no second drawing has to find what to cut
    "figure.constrained_layout.w_pad": 0.08,
    "savefig.dpi": 150,
}


def figure(columns: int = 1, width: float = 8.0, height: float = 3.2) -> "tuple[Figure, list[Axes]]":
    """A figure of one row of axes in mmlab's style; `width` and `height` in inches for the whole figure."""
    import matplotlib.pyplot as plt

    with plt.rc_context(RULES):
        fig, axes = plt.subplots(1, columns, figsize=(width, height), layout="constrained", squeeze=False)
    return fig, list(axes[0])


def name_axes(ax: "Axes", x: str, y: str = "", title: str = "") -> "Axes":
    """Write the axis names and a bold title at the left."""
    ax.set(xlabel=x, ylabel=y)
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
    return ax


def literal(words: object) -> str:
    """A label from outside as matplotlib shows it as it is: a dollar sign begins no formula."""
    return str(words).replace("$", r"\$")


def legend_below(ax: "Axes", points: float, columns: int, **settings: Any) -> None:
    """The legend under the axis name, so many points below the axes whatever their height."""
    from matplotlib.transforms import offset_copy

    below = offset_copy(ax.transAxes, ax.figure, y=-points, units="points")
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        ncols=columns,
        borderaxespad=0,
        **settings,
    )


def show(fig: "Figure", path: str | Path, says: str) -> None:
    """Write the figure as PNG (150 dots per inch), show it with `says`, the sentence that reads it, below.

    The sentence, Markdown, is kept in the file as its description, so that it stays with the image in a report.
    """
    import matplotlib.pyplot as plt
    from IPython.display import Image, display

    with plt.rc_context(RULES):
        fig.savefig(path, metadata={"Description": says, "Software": None})
    plt.close(fig)  # else the notebook would show it a second time
    sentence = Html(render_markdown(says))  # not Markdown: a label in it may be hostile
    display(Image(filename=str(path), width=int(fig.get_figwidth() * 100), alt=says), sentence)
