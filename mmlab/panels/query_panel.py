"""The query panel, which asks the collection by text, image or both, and the form in which a query is put.

`answer_query` gives the same by a plain call.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import pandas as pd

from mmlab.items import ImageError, open_image
from mmlab.panels import controls
from mmlab.panels.controls import Unfinished, add_query_columns, download_link, show_in
from mmlab.panels.hit_grids import PanelData, answer_query, shorten
from mmlab.panels.search_controls import SearchControls
from mmlab.retrieve import Query
from mmlab.retrieve.query.spec import summarize_settings
from mmlab.visualize import Html

if TYPE_CHECKING:
    from PIL import Image

MAX_SUGGESTIONS = 500  # texts or images; any other can be typed
MAX_UPLOAD_BYTES = 8_000_000  # Jupyter drops a message of more than 10 MiB without a word
MAX_NAME_CHARS = 100  # of a file's name in a message
UPLOAD_LABEL = f"Upload an image, {MAX_UPLOAD_BYTES / 1e6:.0f} MB at most"


class QueryForm:
    """What is asked: `rows` are the widgets in their places, `query()` is what they say.

    The last of text and image that was changed is what asks, unless both do. Saved rankings can be asked only by texts
    for images and by images for texts of the collection.
    """

    def __init__(self, data: PanelData, query: str | Path = "") -> None:
        images = data.items[data.items["modality"] == "image"]
        self.files = dict(zip(images["pair_id"], images["image"], strict=True))
        self.live = data.live
        # the name of an uploaded file, and its bytes or the image in them
        self.uploaded: tuple[str, Any] | None = None
        self.listening = controls.Listening()
        self.changed: Callable[[], Any] = lambda: None
        self.mode = controls.toggle_buttons(MODES if self.live else (TEXT, IMAGE), "Ask by")
        texts, hint = _texts(data.items), "what to look for, then Enter"
        self.text = controls.text_with_suggestions(texts, "Text", hint, "97%")
        names, hint = list(self.files)[:MAX_SUGGESTIONS], "the name of one in the collection"
        self.image = controls.text_with_suggestions(names, "Image", hint, "420px")
        self.upload = controls.upload_button(UPLOAD_LABEL)
        self.weight = controls.slider(0.5, 0.0, 1.0, "Text share", 0.05)
        self.to = controls.choose_one(_findable(data), "Find")
        self.button = controls.button("Ask", "ask this, also once more", lambda: self.changed())
        self._watch()
        self._begin_with(query)

    @property
    def rows(self) -> list[widgets.Widget]:
        """The widgets in their places; those of `last` stand where the panel wants them."""
        by_image = [self.image, self.upload, self.weight] if self.live else [self.image]
        return [self.mode, self.text, controls.row(*by_image)]

    @property
    def last(self) -> list[widgets.Widget]:
        """The widgets at the end of the form."""
        return [self.to, self.button] if self.live else [self.button]

    def listen(self, changed: Callable[[], Any]) -> None:
        """Call `changed` whenever a person changes what is asked, or presses the button."""
        self.changed = changed

    def query(self, **settings: Any) -> Query:
        """Return what the controls say, with further fields of the query.

        Raises Unfinished where something is still to be chosen, ValueError for an image that cannot be asked with.
        """
        name, image = self._chosen_image() if self.mode.value != TEXT else ("", None)
        text = self.text.value if self.mode.value != IMAGE and self.text.value.strip() else ""
        if self.mode.value != TEXT and image is None:
            upload = ", or upload one" if self.live else ""
            raise Unfinished(f"Choose an image of the collection by its name{upload}.")
        if self.mode.value != IMAGE and not text:
            raise Unfinished("Type what to look for, then press Enter.")
        weight, to = self.weight.value, self.to.value
        return Query(text=text, image=image, image_name=name, weight=weight, to=to, **settings)

    def fill(self, query: Query) -> None:
        """Set the controls to a query that was asked before, without asking it."""
        with self.listening.silenced():
            alone = IMAGE if query.image is not None else TEXT
            self.mode.value = BOTH if query.has_both else alone
            self.text.value = query.text or self.text.value
            own = isinstance(query.image, Path)
            self.image.value = query.image_name if own else ""
            self.uploaded = None if own or query.image is None else (query.image_name, query.image)
            self.weight.value, self.to.value = query.weight, query.to

    def _watch(self) -> None:
        self.weight.disabled = True
        self.mode.observe(lambda _: self._follow_mode(), "value")
        self.listening.watch(self.text, lambda _: self._ask_by(TEXT))
        self.listening.watch(self.image, lambda _: self._drop_upload())
        self.listening.watch(self.upload, self._take_upload)
        for control in [self.mode, self.weight, *([self.to] if self.live else [])]:
            self.listening.watch(control, lambda _: self.changed())

    def _follow_mode(self) -> None:
        """Let the text's share be set only where both ask; saved rankings are from one modality to the other."""
        self.weight.disabled = self.mode.value != BOTH
        if not self.live:
            self.to.value = "text" if self.mode.value == IMAGE else "image"

    def _ask_by(self, mode: str) -> None:
        """Ask by text or by image from now on, unless both ask."""
        if self.mode.value in (mode, BOTH):
            self.changed()
        else:
            self.mode.value = mode  # whose watcher asks

    def _begin_with(self, query: str | Path) -> None:
        if isinstance(query, str):
            self.text.value = query
            return
        names = [name for name, file in self.files.items() if file == str(query)]
        if not names:
            raise ValueError(f"the collection has no image {query}; give the path of one of its images")
        self.image.value = names[0]

    def _drop_upload(self) -> None:
        """Put an image of the collection in the place of an uploaded one."""
        self.uploaded = None
        self._ask_by(IMAGE)

    def _take_upload(self, files: Sequence[dict[str, Any]]) -> None:
        """Put an uploaded image in the place of one of the collection, and free the button for the same file again."""
        if not files:
            return
        with self.listening.silenced():
            self.image.value = ""
            self.upload.value = ()
        self.uploaded = (files[0]["name"], files[0]["content"])
        self._ask_by(IMAGE)

    def _chosen_image(self) -> "tuple[str, Path | Image.Image | None]":
        """Return the name of the image that asks and the image; an uploaded one is opened here."""
        if self.uploaded is not None:
            name, content = self.uploaded
            if isinstance(content, bytes | memoryview):
                self.uploaded = (name, open_upload(content, name))
            return self.uploaded
        name = self.image.value
        if name and name not in self.files:
            raise ValueError(f"the collection has no image {name!r}; choose one that is suggested")
        return name, Path(self.files[name]) if name else None


def open_upload(content: bytes | memoryview, name: str) -> "Image.Image":
    """Open an uploaded file as an image; raise ValueError for a large file or one that cannot be opened."""
    if len(content) > MAX_UPLOAD_BYTES:
        raise ValueError(
            f"{name[:MAX_NAME_CHARS]!r} has {len(content) / 1e6:.0f} MB, expected {MAX_UPLOAD_BYTES / 1e6:.0f} at "
            "most: make the image smaller"
        )
    try:
        return open_image(io.BytesIO(bytes(content)))
    except ImageError as error:
        raise ValueError(f"{name[:MAX_NAME_CHARS]!r} cannot be asked with; upload another image") from error


def _findable(data: PanelData) -> list[str]:
    """Return the modalities that can be found: of a collection that is asked anew those that it holds."""
    held = set(data.items["modality"]) if data.live else set()
    return [modality for modality in (IMAGE, TEXT) if modality in held] or [IMAGE, TEXT]


def _texts(items: pd.DataFrame) -> list[str]:
    texts = items.loc[items["modality"] == "text", "text"]
    return texts.drop_duplicates().head(MAX_SUGGESTIONS).tolist()


MAX_HISTORY = 20  # queries
MAX_HISTORY_CHARS = 60  # of a query in the list
EXPORTED = ("rank", "score", "probability", "item_id", "modality", "pair_id", "words", "label")


def query_panel(data: PanelData, query: str | Path = "", k: int = 8) -> widgets.VBox:
    """Return a panel that answers anew whenever a control changes, shows errors and remembers what was asked.

    query: a text, or the path of an image of the collection, to begin with. k: how many hits, 1 to 50. Raises
    ValueError for an image that the collection does not have.
    """
    return QueryPanel(data, query, k).box


class QueryPanel:
    """A form, the answer to what it says, a link that saves the answer, and what was asked before."""

    def __init__(self, data: PanelData, query: str | Path = "", k: int = 8) -> None:
        self.data = data
        self.form, self.settings = QueryForm(data, query), SearchControls(data, k)
        self.asked: list[Query] = []
        self.listening = controls.Listening()
        self.history = controls.choose_one([("", -1)], "Asked before", "700px")
        self.result, self.link = widgets.HTML(), widgets.HTML()
        parts = {"How it is ranked": self.settings.ranking, "Filters": list(self.settings.filters.values())}
        last = controls.row(self.settings.k, *self.form.last)
        answer = [self.history, self.result, self.link]
        self.box = widgets.VBox([*self.form.rows, last, controls.folded_rows(parts), *answer])
        self.box.add_class("mmlab-query")
        self.form.listen(self.ask)
        self.settings.listen(self.ask)
        self.listening.watch(self.history, self.ask_again)
        if query:
            self.ask()

    def ask(self) -> None:
        """Answer what the form says."""
        self.link.value = ""
        show_in(self.result, self.answer)

    def answer(self) -> Html:
        """Return the answer to what the form says, with a link that saves it, and remember the query."""
        query = self.form.query(**self.settings.values)
        shown, hits = answer_query(self.data, query)
        table = add_query_columns(hits[[name for name in EXPORTED if name in hits]], query.to_dict())
        self.link.value = str(download_link(table, "hits.csv"))
        self.remember(query)
        return shown

    def remember(self, query: Query) -> None:
        """Put a query on top of those that were asked before."""
        self.asked = [query, *(one for one in self.asked if one != query)][:MAX_HISTORY]
        names = [f"{number}. {_summarize(one)}" for number, one in enumerate(self.asked, 1)]
        with self.listening.silenced():
            self.history.options = [(name, number) for number, name in enumerate(names)]
            self.history.value = 0

    def ask_again(self, number: int) -> None:
        """Ask again what was asked before, with all its settings."""
        query = self.asked[number]
        self.form.fill(query)
        self.settings.fill(query)
        self.ask()


def _summarize(query: Query) -> str:
    parts = [shorten(query.describe(), MAX_HISTORY_CHARS), summarize_settings(query)]
    return " · ".join(filter(None, parts))


TEXT, IMAGE, BOTH = MODES = ("text", "image", "both")
