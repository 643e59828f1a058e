"""The style of all figures: quiet axes, colours that also differ in lightness, a size that fits a page."""

import io
import textwrap
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from mmlab.items import MODALITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

# Readable for colour-blind people and in grey print (Okabe and Ito 2008, ordered dark to light).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
MARKERS = ("o", "^", "s", "D", "v", "P")
HATCHES = ("", "//", "..", "xx", "\\\\", "oo")
OTHER_COLOUR = "#8a8a8a"  # of the groups past the first
INK = "#333333"
POINTS_PER_INCH = 72
NOTE_WIDTH = 110  # characters of a line

RC_PARAMS: "dict[RcKeyType, Any]" = {
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
    "figure.constrained_layout.h_pad": 0.08,  # inches; everything fits in, so nothing has to be drawn twice
    "figure.constrained_layout.w_pad": 0.08,
    "savefig.dpi": 150,
}


def group_styles(names: Sequence[str]) -> list[int]:
    """Return for each group the place of its colour and marker: text and image always have the same, others in order.

    >>> group_styles(["image", "text"]), group_styles(["image"]), group_styles(["mug", "cup"])
    ([1, 0], [1], [0, 1])
    """
    if set(names) <= set(MODALITIES):
        return [MODALITIES.index(name) for name in names]
    return list(range(len(names)))


def figure(
    columns: int = 1, width: float = 8.0, height: float = 3.2, rows: int = 1
) -> "tuple[Figure, list[Axes]]":
    """Return an empty figure in mmlab's style and its axes, row by row.

    `width` and `height` are those of the whole figure in inches.

    >>> fig, (left, right) = figure(columns=2, width=10)
    >>> fig.get_size_inches().tolist()
    [10.0, 3.2]
    """
    plt = load_matplotlib().pyplot
    with plt.rc_context(RC_PARAMS):
        fig, axes = plt.subplots(
            rows,
            columns,
            figsize=(width, height),
            layout="constrained",
            squeeze=False,
            FigureClass=_plain_figure(),
        )
    return fig, list(axes.flat)


@cache
def _plain_figure() -> "type[Figure]":
    """Return the class of all our figures, in which a text from outside is no formula: a dollar sign is itself."""

    class PlainFigure(load_matplotlib().figure.Figure):  # type: ignore[misc]
        def draw(self, renderer: Any) -> None:
            write_plainly(self)
            super().draw(renderer)

    return PlainFigure


def write_plainly(fig: "Figure") -> None:
    """Let no text of a figure be read as a formula, but for the numbers that matplotlib writes on log axes."""
    matplotlib, powers = load_matplotlib(), set()
    for axis in (axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)):
        for minor in (False, True):
            formatter = axis.get_minor_formatter() if minor else axis.get_major_formatter()
            labels = axis.get_ticklabels(minor=minor)
            powers |= set(labels) if isinstance(formatter, matplotlib.ticker.LogFormatter) else set()
    for text in fig.findobj(matplotlib.text.Text):
        text.set_parse_math(text in powers)


def render_png(fig: "Figure", description: str) -> bytes:
    """Return the figure as PNG, 150 dots per inch, and close it.

    `description`: the sentence that reads the figure, kept inside the file, where the report finds it.

    >>> render_png(figure()[0], "**Nothing** yet.")[1:4]
    b'PNG'
    """
    plt = load_matplotlib().pyplot
    buffer = io.BytesIO()
    with plt.rc_context(RC_PARAMS):
        fig.savefig(buffer, format="png", metadata={"Description": description, "Software": None})
    plt.close(fig)  # an open figure would be shown a second time
    return buffer.getvalue()


def load_matplotlib() -> Any:
    """Return matplotlib with its pyplot, which is loaded with the first figure: it takes half a second."""
    import matplotlib.font_manager
    import matplotlib.ft2font
    import matplotlib.pyplot

    return matplotlib


def name_axes(ax: "Axes", x: str, y: str = "", title: str = "") -> "Axes":
    """Write the axis names and a bold title at the left."""
    ax.set(xlabel=x, ylabel=y)
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
    return ax


def write_centred(ax: "Axes", text: str) -> "Axes":
    """Write a text in the middle of axes that have nothing to show."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=INK)
    return ax


def note(text: str) -> "Figure":
    """Return a figure that holds nothing but a sentence: where there is nothing to draw.

    >>> note("No query was missed.").texts[0].get_text()
    'No query was missed.'
    """
    plt = load_matplotlib().pyplot
    lines = textwrap.wrap(text, NOTE_WIDTH)
    with plt.rc_context(RC_PARAMS):
        fig = plt.figure(figsize=(8, 0.4 + 0.2 * len(lines)), FigureClass=_plain_figure())
        fig.text(0.02, 0.5, "\n".join(lines), va="center", color=INK)
    return fig


def legend_below(ax: "Axes", points: float, columns: int, marker_scale: float | None = None) -> None:
    """Place the legend `points` below the axes, under the axis name, whatever the height of the axes."""
    translation = load_matplotlib().transforms.ScaledTranslation
    below = ax.transAxes + translation(0, -points / POINTS_PER_INCH, ax.figure.dpi_scale_trans)
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        ncols=columns,
        borderaxespad=0,
        markerscale=marker_scale,
        frameon=False,
    )
