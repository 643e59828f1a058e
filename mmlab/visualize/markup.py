"""HTML that is safe to show: tables, headings and Markdown in which everything from outside is escaped."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

from mmlab.items import replacing

MAX_CAPTION_LINE = 90  # characters of a table's caption that stands in one line
# Marks that turn the direction of writing: in a label they would turn the rest of its sentence round.
DIRECTION_MARKS = re.compile("[\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Html:
    """A piece of HTML that Jupyter shows; `str()` returns its text.

    The text is shown as it is: whoever makes a piece escapes what comes from outside.

    >>> piece = Html("<b>3 hits</b>")
    >>> str(piece)
    '<b>3 hits</b>'
    """

    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.text

    def save(self, path: str | Path) -> "Html":
        """Write the text to a file, completely or not at all, and return this piece."""
        with replacing(path) as temporary:
            temporary.write_text(self.text, encoding="utf-8")
        return self


def table(frame: pd.DataFrame, caption: str = "", digits: int = 3) -> Html:
    """Return a small table with escaped cells and an optional caption above.

    Numbers are right-aligned, with `digits` decimal places where they are fractions; missing values stay empty. A
    caption longer than a line becomes a paragraph above the table. An empty table with a caption is only the caption.

    >>> shown = table(pd.DataFrame({"model": ["<clip>"], "R@1": [0.51234]}), digits=2)
    >>> "&lt;clip&gt;" in str(shown), "0.51" in str(shown)
    (True, True)
    """
    words = escape(caption)
    is_paragraph = len(caption) > MAX_CAPTION_LINE or (caption and frame.empty)
    paragraph = f'<p style="margin:4px 0">{words}</p>' if is_paragraph else ""
    if paragraph and frame.empty:
        return Html(paragraph)
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in frame.dtypes]
    head = _row("th", [str(name) for name in frame.columns], numeric)
    rows = (
        _row("td", [_format(value, digits) for value in row], numeric)
        for row in frame.itertuples(index=False)
    )
    style = "text-align:left;caption-side:top;white-space:nowrap"
    line = f'<caption style="{style}">{words}</caption>' if caption and not paragraph else ""
    return Html(f"{paragraph}<table>{line}<thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>")


def under_headings(pieces: Mapping[str, Html]) -> Html:
    """Return several pieces below each other, each under its escaped heading.

    >>> str(under_headings({"Hits": Html("<p>none</p>")}))
    '<h3 style="font:600 14px sans-serif;margin:18px 0 4px">Hits</h3><p>none</p>'
    """
    style = "font:600 14px sans-serif;margin:18px 0 4px"
    return Html(
        "".join(f'<h3 style="{style}">{escape(title)}</h3>{piece}' for title, piece in pieces.items())
    )


def folded(piece: Html, title: str) -> Html:
    """Return a piece of HTML that a click on its escaped title unfolds.

    >>> str(folded(Html("<p>12</p>"), "The <numbers>"))
    '<details><summary>The &lt;numbers&gt;</summary><p>12</p></details>'
    """
    return Html(f"<details><summary>{escape(title)}</summary>{piece}</details>")


def render_markdown(text: str) -> str:
    r"""Return Markdown as HTML in which tags appear as text and nothing is loaded from anywhere.

    An image becomes its alternative text. Marks that turn the direction of writing are left out.

    >>> render_markdown("**3** hits for <b>")
    '<p><strong>3</strong> hits for &lt;b&gt;</p>\n'
    """
    import mistune
    from mistune.util import safe_entity

    class SafeRenderer(mistune.HTMLRenderer):
        def text(self, text: str) -> str:
            return safe_entity(text)  # a < that was written as &lt; is one character, not four

        def image(self, text: str, url: str, title: str | None = None) -> str:
            return text  # rendered and escaped already

    markdown = mistune.create_markdown(renderer=SafeRenderer(escape=True), plugins=["table"])
    return str(markdown(DIRECTION_MARKS.sub("", text)))


def _row(tag: str, cells: list[str], numeric: list[bool]) -> str:
    """Return a row of escaped cells, those of numeric columns aligned to the right."""
    aligned = zip(cells, numeric, strict=True)
    parts = (
        f'<{tag} style="text-align:{"right" if is_number else "left"}">{escape(cell)}</{tag}>'
        for cell, is_number in aligned
    )
    return f"<tr>{''.join(parts)}</tr>"


def _format(value: object, digits: int) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) >= 10 else f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
