"""The style of all figures: quiet axes, colours that differ in lightness too, and labels in any script."""

import io
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.items import MODALITIES
from mmlab.items.sentences import split_words

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
POINTS_PER_INCH, PNG_DOTS_PER_INCH = 72, 150
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
    "savefig.dpi": PNG_DOTS_PER_INCH,
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
        fig.set_dpi(PNG_DOTS_PER_INCH)
        canvas: Any = fig.canvas  # `savefig` would draw twice, the first time for the layout alone
        canvas.print_png(buffer, metadata={"Description": description, "Software": None})
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


# Scripts whose letters join, change places or run from right to left, which takes libraqm: Hebrew, Arabic, those of
# India, Tibetan, Burmese, Khmer. matplotlib has it from 3.11 on.
SHAPED = re.compile("[\u0590-\u0dff\u0f00-\u109f\u1780-\u17ff\ufb1d-\ufdff\ufe70-\ufefe]")
BOXES = "lastresort"  # a font of boxes for every letter, which matplotlib brings along
# Beginnings of the names of files in which fonts of many scripts mostly come: they are looked at first.
LIKELY_FONTS = (
    "notosanscjk", "notosans", "noto", "arialuni", "msyh", "simhei", "pingfang", "hiragino", "yugoth", "malgun", "wqy",
    "droidsansfallback", "unifont", "leelawad", "nirmala", "tahoma", "dejavu",
)  # fmt: skip


def fit_labels(fig: "Figure") -> dict[str, str]:
    """Give every text of a figure a font that has its letters; return the labels that none of those installed has.

    Such a label is replaced by a number, and returned by that number: {"[1]": "..."}. Fonts are looked for only where
    the one of matplotlib lacks a letter.

    >>> from mmlab.visualize.style import note
    >>> fit_labels(note("Größe 3 µm"))
    {}
    """
    texts = [text for text in fig.findobj(load_matplotlib().text.Text) if not text.get_text().isascii()]
    letters = _drawn_letters(text.get_text() for text in texts)
    unshaped = set() if _shapes_letters() else {letter for letter in letters if SHAPED.match(letter)}
    lacking = letters - _letters_of(_default_font()) - unshaped
    families, found = _find_fonts(frozenset(lacking)) if lacking else ((), lacking)
    for text in texts:
        if lacking & set(text.get_text()):
            text.set(fontfamily=[*text.get_fontfamily(), *families], fontweight="normal")
    missing = (lacking - found) | unshaped
    return _number_labels(fig, missing) if missing else {}


def _shapes_letters() -> bool:
    return hasattr(load_matplotlib().ft2font, "__libraqm_version__")


def _drawn_letters(texts: Iterable[str]) -> set[str]:
    """Return the characters of the texts that leave a mark."""
    return {c for c in set().union(*texts) if unicodedata.category(c)[0] not in "CZ"}


def _default_font() -> str:
    from_name: str = load_matplotlib().font_manager.findfont("DejaVu Sans")
    return from_name


@lru_cache(maxsize=1000)
def _letters_of(font: str) -> frozenset[str]:
    """Return the characters that a font file has outlines of; none for a file that cannot be used."""
    try:
        face = load_matplotlib().ft2font.FT2Font(font)
    except (RuntimeError, OSError, ValueError):  # bitmaps, damaged files
        return frozenset()
    return frozenset(map(chr, face.get_charmap())) if face.scalable else frozenset()


@lru_cache(maxsize=100)
def _find_fonts(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the families that together have most of these letters, registered with matplotlib, and those they have.

    Fonts that were installed after matplotlib made its list are found as well.
    """
    manager = load_matplotlib().font_manager
    known = {*manager.findSystemFonts(), *(entry.fname for entry in manager.fontManager.ttflist)}
    fonts = sorted((font for font in known if BOXES not in Path(font).name.lower()), key=_likelihood)
    families: dict[str, None] = {}
    found: frozenset[str] = frozenset()
    for font in fonts:
        new = (letters - found) & _letters_of(font)
        if new:
            families[_register(font)] = None
            found |= new
        if found == letters:
            break
    return tuple(families), found


def _likelihood(font: str) -> tuple[int, bool, str]:
    """Sort fonts of many scripts first, and of a family the upright one of common weight."""
    name = Path(font).name.lower()
    place = next((n for n, start in enumerate(LIKELY_FONTS) if name.startswith(start)), len(LIKELY_FONTS))
    is_usual = "regular" in name or not re.search("bold|italic|oblique|light|thin|medium|black|mono", name)
    return place, not is_usual, name


def _register(font: str) -> str:
    """Return the family of a font file, which matplotlib knows from now on."""
    fonts = load_matplotlib().font_manager.fontManager
    if not any(entry.fname == font for entry in fonts.ttflist):
        fonts.addfont(font)
    family: str = next(entry.name for entry in fonts.ttflist if entry.fname == font)
    return family


def _number_labels(fig: "Figure", missing: set[str]) -> dict[str, str]:
    """Put a number in the place of what cannot be written; return the words by their number."""
    numbers: dict[str, str] = {}

    def numbered(text: str) -> str:
        places = [place for place, letter in enumerate(text) if letter in missing]
        if not places:
            return text
        words = " ".join(text[places[0] : places[-1] + 1].split())
        number = numbers.setdefault(words, f"[{len(numbers) + 1}]")
        return text[: places[0]] + number + text[places[-1] + 1 :]

    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            labels = [label.get_text() for label in axis.get_ticklabels()]
            if any(map(missing.intersection, labels)):
                axis.set_ticklabels([numbered(label) for label in labels])
    for text in fig.findobj(load_matplotlib().text.Text):
        text.set_text(numbered(text.get_text()))
    return {number: words for words, number in numbers.items()}


def label_width(text: str) -> int:
    """Return how many columns a text takes: two for each letter of Chinese, Japanese and Korean.

    >>> label_width("mug"), label_width("红杯")
    (3, 4)
    """
    marks = ("Mn", "Me", "Cf")
    return sum(
        0 if unicodedata.category(c) in marks else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text
    )


def shorten_label(text: str, width: int) -> str:
    """Return the first words of a text that fit into so many columns, with "…" behind them if there are more.

    >>> shorten_label("a red mug", 6), shorten_label("extraordinary", 6)
    ('a red…', 'extra…')
    """
    text = " ".join(text.split())
    return text if label_width(text) <= width else f"{wrap_label(text, width - 1)[0]}…"


def wrap_label(text: str, width: int) -> list[str]:
    """Divide a text into lines of at most so many columns, between words; a longer word is cut.

    >>> wrap_label("a red mug, or two", 9), wrap_label("红色杯子", 5)
    (['a red', 'mug, or', 'two'], ['红色', '杯子'])
    """
    lines = [""]
    for word in split_words(text):
        for piece in _pieces(word, width):
            if lines[-1] and label_width(lines[-1] + piece.rstrip()) > width:
                lines.append("")
            lines[-1] += piece
    return [line.strip() for line in lines]


def _pieces(word: str, width: int) -> list[str]:
    """Return a word, or the parts of one that is wider than a line."""
    if label_width(word.strip()) <= width:
        return [word]
    pieces = [""]
    for letter in word:
        if label_width(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
