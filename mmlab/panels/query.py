"""Ask the collection by text or picture, live; `answer` is what the panel shows, by a plain call."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.retrieve import Retriever
from mmlab.visualize import Html, gallery, hits_gallery

if TYPE_CHECKING:
    import ipywidgets

ANY = "any"


def answer(
    retriever: Retriever,
    query: str | Path,
    to: str = "image",
    k: int = 8,
    where: dict[str, Any] | None = None,
    right: Sequence[str] | None = None,
) -> Html:
    """The hits of one query as a gallery, under the query and the time it took.

    `right` holds the item_ids that answer it, where they are known: hits are then marked right or wrong.
    """
    hits = retriever.search(query, to=to, k=k, where=where)
    asked = f"{query.name} (picture)" if isinstance(query, Path) else f"“{query}”"
    limits = "".join(f", {field} = {value}" for field, value in (where or {}).items())
    line = (
        f"<b><bdi>{escape(asked[:300])}</bdi></b> &rarr; {escape(f'{to}{limits}')}: {len(hits)} hits; "
        f"{hits.attrs['embed_ms']:.0f} ms to embed, {hits.attrs['search_ms']:.0f} ms to search"
    )
    picture = gallery([query], ["the query"], side=130) if isinstance(query, Path) else ""
    return Html(f'<p style="font:13px sans-serif">{line}</p>{picture}{hits_gallery(hits, right)}')


def query_panel(retriever: Retriever, items: pd.DataFrame, query: str, k: int = 8) -> "ipywidgets.VBox":
    """A panel over `answer`: a text or one of the collection's pictures, what to find, how many, which label.

    The last of text and picture that was changed is what is asked. An error of a query is shown in the
    panel; ipywidgets would swallow it.
    """
    import ipywidgets as widgets

    pictures = items[items["modality"] == "image"]
    files = dict(zip(pictures["pair_id"], pictures["image"], strict=True))
    text, picture, to, count, label = controls = _controls(items, list(files), query, k)
    result = widgets.HTML()

    def ask(change: dict[str, Any]) -> None:
        if change["owner"] is text:
            picture.value = ""
        asked = Path(files[picture.value]) if picture.value in files else text.value
        where = {} if label.value == ANY else {"label": label.value}
        result.value = "<em>searching …</em>"
        result.value = _shown(retriever, asked, to.value, count.value, where)

    for control in controls:
        control.observe(ask, names="value")
    ask({"owner": text})
    row = widgets.HBox([to, count, label], layout=widgets.Layout(flex_flow="row wrap"))
    return widgets.VBox([text, picture, row, result])


def _controls(items: pd.DataFrame, pictures: list[str], query: str, k: int) -> tuple[Any, ...]:
    """Text, picture, to, count and label, in this order."""
    import ipywidgets as widgets

    labels = [ANY, *sorted(set(items["label"].dropna()))]
    named = {"description_width": "90px"}
    wide = {"layout": widgets.Layout(width="97%"), "style": named, "continuous_update": False}
    return (
        widgets.Text(query, description="Text", placeholder="what to look for, then Enter", **wide),
        widgets.Combobox(
            options=pictures, description="or picture", placeholder="a picture of the collection", **wide
        ),
        widgets.Dropdown(options=["image", "text"], description="Find", style=named),
        widgets.IntSlider(k, 1, 50, description="How many", continuous_update=False, style=named),
        widgets.Dropdown(options=labels, description="Label", style=named),
    )


def _shown(retriever: Retriever, query: str | Path, to: str, k: int, where: dict[str, Any]) -> str:
    try:
        return str(answer(retriever, query, to, k, where))
    except Exception as error:  # whatever it is, the person at the panel has to see it
        return f'<pre style="color:#b00020;white-space:pre-wrap">{escape(f"{type(error).__name__}: {error}")}</pre>'
