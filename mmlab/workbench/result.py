"""What every answer of the workbench is: a table, the sentence that reads it, and a figure that draws it."""

import base64
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pandas as pd

from mmlab.items import replacing
from mmlab.visualize import Html, table
from mmlab.visualize.markup import render_markdown
from mmlab.visualize.style import render_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
MAX_ROWS_SHOWN = 60


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
        if self.draw is None:
            raise ValueError(f"{type(self).__name__} has no figure; its numbers are in .table")
        return self.draw()

    def save(self, path: str | Path) -> Self:
        """Write the result and return it, so that a notebook shows it as well.

        The ending of `path` decides: .png writes the figure (150 dots per inch, the sentence kept inside as its
        description), .html the gallery, .parquet the table. Raises ValueError for another ending.

        Example:
            >>> result = run.evaluate().protocol().save("protocol.parquet")
        """
        writers = {".png": self._png, ".html": self._gallery, ".parquet": self._parquet}
        if Path(path).suffix not in writers:
            raise ValueError(f"{path}: expected a file name ending in {', '.join(writers)}")
        with replacing(path) as temporary:
            temporary.write_bytes(writers[Path(path).suffix]())
        return self

    def _png(self) -> bytes:
        if "png" not in self._drawn:
            self._drawn["png"] = render_png(self.figure(), self.sentence)
        return self._drawn["png"]

    def _gallery(self) -> bytes:
        return (self._repr_html_() if self.html is None else str(self.html)).encode("utf-8")

    def _parquet(self) -> bytes:
        return self.table.to_parquet(index=False)

    def _repr_html_(self) -> str:
        parts = [str(self.html)] if self.html is not None else []
        if self.html is None and self.draw is not None:
            parts = [image_tag(self._png(), self.sentence)]
        sentence = render_markdown(self.sentence) if self.sentence else ""
        return "".join([*parts, sentence, str(self._table())])

    def _table(self) -> Html:
        rows = self.table if self.shown is None else self.shown
        if not len(rows.columns) or (rows.empty and not self.caption):
            return Html("")
        return table(rows.head(MAX_ROWS_SHOWN), self.caption, digits=self.digits)


class Report(ABC):
    """An answer of several parts: shown by its overview, with further tables and figures as its methods.

    Example:
        >>> evaluation = run.evaluate()
    """

    def overview(self) -> Result:
        """Return the part that stands for the whole; made once.

        Example:
            >>> overview = run.evaluate().overview()
        """
        if "_shown" not in self.__dict__:
            self.__dict__["_shown"] = self._overview()
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
        """Write the overview as .png, .html or .parquet, see `Result.save`, and return the report.

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
    width = int.from_bytes(png[16:20], "big") * 100 // DOTS_PER_INCH
    data = base64.b64encode(png).decode()
    style = f"width:{width}px;max-width:100%"
    return f'<img alt="{escape(words, quote=True)}" style="{style}" src="data:image/png;base64,{data}">'


def no_table() -> pd.DataFrame:
    """Return a table without columns: for results whose figure or gallery says it all."""
    return pd.DataFrame()
