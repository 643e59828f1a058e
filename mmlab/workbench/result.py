"""What every answer of the workbench is: a table, the sentence that reads it, and a figure that draws it."""

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

import pandas as pd

from mmlab.evaluate.summaries import escape_markdown
from mmlab.items import replacing
from mmlab.items.sentences import count, heading
from mmlab.items.tables import TooFew, to_csv
from mmlab.visualize import Html, table
from mmlab.visualize.markup import folded, render_markdown
from mmlab.visualize.style import PNG_DOTS_PER_INCH, fit_labels, note, render_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_ROWS_SHOWN = 60
MAX_ROWS_BESIDE = 6  # of a table that stands below its figure; a longer one is folded
MAX_LABEL_CHARS = 2000  # of all labels that stand beside a figure

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True, repr=False)
class Result:
    """A table with the sentence that reads it and, where there is one, the figure that draws it.

    In a notebook it shows the figure, the sentence and the table.

    Attributes:
        table: the numbers, as a DataFrame.
        sentence: one sentence made from the numbers, as Markdown.
        draw: a function that makes the matplotlib figure; None for a result without one.
        html: a gallery that is shown in place of a figure; None without one.
        shown: the table as a reader sees it; the table itself unless given, and none where it has no columns.
        caption: the heading of the table.
        digits: decimal places of the table's numbers.

    Example:
        >>> import pandas as pd
        >>> result = Result(pd.DataFrame({"k": [1, 5], "found": [0.25, 0.5]}), "Half is found within 5.")
        >>> result
        Result: Half is found within 5. (2 rows: k, found)
    """

    table: pd.DataFrame
    sentence: str
    draw: "Callable[[], Figure] | None" = None
    html: Html | None = None
    shown: pd.DataFrame | None = None
    caption: str = ""
    digits: int = 3
    _drawn: dict[str, bytes] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        columns = ", ".join(map(str, self.table.columns))
        return f"{type(self).__name__}: {self.sentence} ({len(self.table):,} rows: {columns})"

    def figure(self) -> "Figure":
        """Return a new matplotlib Figure of the result; raise ValueError for a result that has none.

        Example:
            >>> figure = run.evaluate().by_group("label").figure()
        """
        return self._fitted()[0]

    def _fitted(self) -> "tuple[Figure, str]":
        """Return the figure in fonts that have its letters, and in words what could only be numbered."""
        if self.draw is None:
            raise ValueError(f"{type(self).__name__} has no figure; its numbers are in .table")
        fig = self.draw()
        labels = [f"{number} {words}" for number, words in fit_labels(fig).items()]
        return fig, f"In the figure: {escape_markdown('; '.join(labels), MAX_LABEL_CHARS)}." if labels else ""

    def save(self, path: str | Path) -> Self:
        """Write the result and return it, so that a notebook shows it as well.

        The ending of `path` decides: .png writes the figure (150 dots per inch, the sentence kept inside as its
        description), .html the gallery, .parquet the table, .csv the table for a spreadsheet, which opens it safely.
        Raises ValueError for another ending.

        Example:
            >>> result = run.evaluate().protocol().save("protocol.parquet")
        """
        writers = {".png": self._png, ".html": self._gallery, ".parquet": self._parquet, ".csv": self._csv}
        if Path(path).suffix not in writers:
            raise ValueError(f"{path}: expected a file name ending in {', '.join(writers)}")
        with replacing(path) as temporary:
            temporary.write_bytes(writers[Path(path).suffix]())
        return self

    def _png(self) -> bytes:
        if "png" not in self._drawn:
            fig, labels = self._fitted()
            self._drawn["png"] = render_png(fig, f"{self.sentence} {labels}".strip())
            self._drawn["labels"] = labels.encode()
        return self._drawn["png"]

    def _gallery(self) -> bytes:
        return (str(self.html or "") or self._repr_html_()).encode("utf-8")

    def _parquet(self) -> bytes:
        return self.table.to_parquet(index=False)

    def _csv(self) -> bytes:
        return to_csv(self.table).encode("utf-8-sig")  # the mark by which a spreadsheet knows it

    def _repr_html_(self) -> str:
        parts = [str(self.html)] if self.html is not None else []
        if self.html is None and self.draw is not None:
            parts = [image_tag(self._png(), self.sentence)]
        words = [self.sentence, self._drawn.get("labels", b"").decode()]
        sentences = [render_markdown(text) for text in words if text]
        return "".join([*parts, *sentences, str(self._table())])

    def _table(self) -> Html:
        rows = self.table if self.shown is None else self.shown
        if not len(rows.columns) or (rows.empty and not self.caption):
            return Html("")
        shown = table(rows.head(MAX_ROWS_SHOWN).rename(columns=_heading), self.caption, digits=self.digits)
        is_long = self.draw is not None and len(rows) > MAX_ROWS_BESIDE
        return folded(shown, f"The numbers: {count(len(rows), 'row')}") if is_long else shown


class Report(ABC):
    """An answer of several parts: shown by its overview, with further tables and figures as its methods.

    Example:
        >>> evaluation = run.evaluate()
    """

    def overview(self) -> Result:
        """Return the part that stands for the whole; made once. Where there is too little for it, it says so.

        Example:
            >>> overview = run.evaluate().overview()
        """
        if "_shown" not in self.__dict__:
            self.__dict__["_shown"] = or_reason(self._overview)()
        found: Result = self.__dict__["_shown"]
        return found

    @abstractmethod
    def _overview(self) -> Result: ...

    @property
    def table(self) -> pd.DataFrame:
        """The numbers of the overview, as a DataFrame."""
        return self.overview().table

    @property
    def sentence(self) -> str:
        """The sentence that reads the overview, as Markdown."""
        return self.overview().sentence

    def figure(self) -> "Figure":
        """Return the overview as a new matplotlib Figure; raise ValueError where it has none.

        Example:
            >>> figure = run.evaluate().figure()
        """
        return self.overview().figure()

    def save(self, path: str | Path) -> Self:
        """Write the overview as .png, .html, .parquet or .csv, see `Result.save`, and return the report.

        Example:
            >>> evaluation = run.evaluate().save("measures.png")
        """
        self.overview().save(path)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.sentence}"

    def _repr_html_(self) -> str:
        return self.overview()._repr_html_()


def image_tag(png: bytes, words: str) -> str:
    """Return an HTML image with the PNG inside, at the size that it was drawn for (100 dots per inch)."""
    width = int.from_bytes(png[16:20], "big") * 100 // PNG_DOTS_PER_INCH
    data = base64.b64encode(png).decode()
    style = f"width:{width}px;max-width:100%"
    return f'<img alt="{escape(words, quote=True)}" style="{style}" src="data:image/png;base64,{data}">'


def _heading(column: object) -> object:
    return heading(column) if isinstance(column, str) else column


def no_table() -> pd.DataFrame:
    """Return a table without columns: for results whose figure or gallery says it all."""
    return pd.DataFrame()


def unanswered(reason: str) -> Result:
    """Return a result that has nothing to show but the sentence on why; its figure, where one is saved, holds that.

    >>> unanswered("needs two pairs, found one").sentence
    'Needs two pairs, found one.'
    """
    sentence = f"{reason[:1].upper()}{reason[1:]}".rstrip(".") + "."
    return Result(no_table(), sentence, lambda: note(sentence), html=Html(""))


def or_reason(method: Callable[Asked, Answer]) -> Callable[Asked, Answer | Result]:
    """Let a method of the workbench say what its answer lacks, where it raises TooFew, so that a notebook goes on."""

    @wraps(method)
    def answer(*args: Asked.args, **kwargs: Asked.kwargs) -> Answer | Result:
        try:
            return method(*args, **kwargs)
        except TooFew as error:
            return unanswered(str(error))

    return answer
