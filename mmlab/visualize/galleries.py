"""Images with captions as HTML: thumbnails inside, every text escaped, nothing fetched."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.items import ImageError, replacing, thumbnail

MARKS = {
    True: ("right", "#009E73", "&#10003;"),
    False: ("wrong", "#D55E00", "&#10007;"),
    None: ("", "#bbb", ""),
}
GALLERY = "display:flex;flex-wrap:wrap;gap:8px;margin-bottom:8px;font:12px sans-serif"
LINE = 90  # characters of a caption that stands in one line
LONGEST = 160  # characters of a caption that are shown; the whole text is in the tooltip


@dataclass(frozen=True)
class Html:
    """A piece of HTML that Jupyter shows; `str()` gives the text."""

    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.text

    def save(self, path: str | Path) -> "Html":
        """Write it as a file, whole or not at all, and return itself, to be shown."""
        with replacing(path) as temporary:
            temporary.write_text(self.text, encoding="utf-8")
        return self


def gallery(
    images: Sequence[Any],
    captions: Sequence[Any],
    marks: Sequence[bool | None] | None = None,
    side: int = 94,
) -> Html:
    """Cards in a row that wraps: a thumbnail of each path (or none where it is missing) over its caption.

    `marks` tells right (True) from wrong (False) by border, colour and sign. An image that cannot be
    opened shows its reason in place of the thumbnail.
    """
    marks = [None] * len(captions) if marks is None else marks
    cards = [_card(*row, side) for row in zip(images, captions, marks, strict=True)]
    return Html(f'<div style="{GALLERY}">{"".join(cards) or "<em>none</em>"}</div>')


def hits_gallery(hits: pd.DataFrame, right: Sequence[str] | None = None, side: int = 94) -> Html:
    """The hits of a search in their order, with score; `right` holds the item_ids that answer the query."""
    known = None if right is None else set(right)
    captions, marks = [], []
    for hit in hits.itertuples():
        words = hit.text if hit.modality == "text" else (hit.label if pd.notna(hit.label) else hit.pair_id)
        captions.append(f"{hit.rank}. {hit.score:.3f}  {words}")
        marks.append(None if known is None else hit.item_id in known)
    return gallery(list(hits["image"]), captions, marks, side)


def under_headings(pieces: Mapping[str, Html]) -> Html:
    """Several pieces one below the other, each under its heading."""
    style = "font:600 14px sans-serif;margin:18px 0 4px"
    parts = [f'<h4 style="{style}">{escape(title)}</h4>{piece}' for title, piece in pieces.items()]
    return Html("".join(parts))


def table(frame: pd.DataFrame, caption: str = "", digits: int = 3) -> Html:
    """A small table with escaped cells, numbers to `digits` places and right-aligned, an optional caption above.

    A caption of more than a line stands in a paragraph of its own; an empty table with a caption is the caption.
    """
    words = escape(caption)
    long = f'<p style="margin:4px 0">{words}</p>' if len(caption) > LINE or (caption and frame.empty) else ""
    if long and frame.empty:
        return Html(long)
    numeric = {name for name in frame.columns if pd.api.types.is_numeric_dtype(frame[name])}
    head = "".join(f"<th{_align(name in numeric)}>{escape(str(name))}</th>" for name in frame.columns)
    rows = []
    for row in frame.itertuples(index=False):
        cells = zip(row, frame.columns, strict=True)
        rows.append("".join(f"<td{_align(n in numeric)}>{escape(_cell(v, digits))}</td>" for v, n in cells))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    style = "text-align:left;caption-side:top;white-space:nowrap"
    note = f'<caption style="{style}">{words}</caption>' if caption and not long else ""
    return Html(f"{long}<table>{note}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _card(image: Any, caption: Any, mark: bool | None, side: int) -> str:
    name, colour, sign = MARKS[mark]
    whole = str(caption)
    shown = whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"
    flag = f'<b style="color:{colour}" title="{name}">{sign} </b>' if sign else ""
    border = f"2px {'dashed' if mark is False else 'solid'} {colour}"
    return (
        f'<figure style="width:{side + 12}px;margin:0;padding:4px;border:{border};border-radius:6px;'
        f'overflow-wrap:anywhere">{_image(image, whole, side)}'
        f'<figcaption style="line-height:1.3" title="{escape(whole[:2000])}">{flag}'
        f"<bdi>{escape(shown)}</bdi></figcaption></figure>"
    )


def _image(image: Any, caption: str, side: int) -> str:
    if pd.isna(image):
        return ""
    try:
        data = base64.b64encode(thumbnail(Path(image), side * 2)).decode()
    except ImageError as error:
        return f"<em>[{escape(str(error))}]</em>"
    style = f"width:{side}px;height:{side}px;object-fit:contain;display:block;margin:auto"
    return f'<img alt="{escape(caption[:200])}" style="{style}" src="data:image/jpeg;base64,{data}">'


def _align(numeric: bool) -> str:
    return f' style="text-align:{"right" if numeric else "left"}"'


def _cell(value: Any, digits: int) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) and abs(value) >= 10 else f"{value:,.{digits}f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
