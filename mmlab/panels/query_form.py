"""The form in which a query is put: a text, an image, or both; an image by name, path, address, file, drop or paste.

The browser makes a large image small before it sends it: Jupyter drops a message of more than 10 MiB without a word.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets as widgets
import pandas as pd
import traitlets

from mmlab.items import ImageError, open_image
from mmlab.items.images import thumbnail
from mmlab.panels import controls
from mmlab.panels.controls import Unfinished
from mmlab.panels.panel_data import PanelData
from mmlab.retrieve import Query

if TYPE_CHECKING:
    from PIL import Image

TEXT, IMAGE, BOTH = MODES = ("text", "image", "both")
MAX_SUGGESTIONS = 500  # texts or images; any other can be typed
PREVIEW_PIXELS = 64
ON_THE_WEB = ("http://", "https://")
HERE = Path(__file__).parent
MAX_SIDE = 1024  # pixels that are sent: no model reads more
MAX_UPLOAD_BYTES = 8_000_000
MAX_NAME_CHARS = 100  # of a file's name in a message


class ImageInput(anywidget.AnyWidget):
    """A button that takes an image by file, drop or paste; `on_image(f)` calls `f(name, content)` with it.

    A JPEG, PNG or WebP of at most 1024 pixels a side is sent as it is; what is larger is sent as a JPEG of that side,
    upright. A file that the browser cannot open is sent as it is, if it has 8 MB at most.
    """

    _esm = HERE / "image_input.js"
    _css = HERE / "image_input.css"
    max_side = traitlets.Int(MAX_SIDE).tag(sync=True)
    max_bytes = traitlets.Int(MAX_UPLOAD_BYTES).tag(sync=True)
    name = traitlets.Unicode("").tag(sync=True)  # of the image that is shown in it; "" for none
    preview = traitlets.Bytes(b"").tag(sync=True)

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._taken: Callable[[str, bytes], Any] = lambda name, content: None
        self._cleared: Callable[[], Any] = lambda: None
        self.on_msg(self._receive)

    def on_image(self, taken: Callable[[str, bytes], Any]) -> None:
        """Call `taken(name, content)` with each image that arrives; empty content: the browser could not send it."""
        self._taken = taken

    def on_clear(self, cleared: Callable[[], Any]) -> None:
        """Call `cleared()` when a person takes the image away."""
        self._cleared = cleared

    def _receive(self, _: Any, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        if content["do"] == "clear":
            self._cleared()
        else:
            self._taken(str(content["name"]), bytes(buffers[0]) if buffers else b"")


class QueryForm:
    """What is asked: `rows` are the widgets in their places, `query()` is what they say.

    The last of text and image that was changed is what asks, unless both do. An image is one of the collection by its
    name, a path or an address that is typed, or one that is chosen, dropped or pasted. Saved rankings can be asked only
    by texts for images and by images for texts of the collection.
    """

    def __init__(self, data: PanelData, query: str | Path = "") -> None:
        images = data.items[data.items["modality"] == "image"]
        self.files = dict(zip(images["pair_id"], images["image"], strict=True))
        self.live, self.fetch = data.live, data.fetch
        # the name of an uploaded or fetched file, and its bytes or the image in them
        self.uploaded: tuple[str, Any] | None = None
        self.upload_number = 0  # tells one upload from the next
        self.listening = controls.Listening()
        self.changed: Callable[[], Any] = lambda: None
        self.mode = controls.toggle_buttons(MODES if self.live else (TEXT, IMAGE), "Ask by")
        self.text = controls.text_with_suggestions(
            _texts(data.items), "Text", "what to look for, then Enter", ""
        )
        names, also = list(self.files)[:MAX_SUGGESTIONS], ", a path, a web address" if self.live else ""
        hint = f"an image of the collection{also}"
        self.image = controls.text_with_suggestions(names, "Image", hint, "300px")
        self.upload = ImageInput()
        self.weight = controls.slider(0.5, 0.0, 1.0, "Text share", 0.05)
        self.to = controls.toggle_buttons(_findable(data), "Find")
        self.button = controls.button("Ask", "ask this, also once more", lambda: self.changed())
        self._style()
        self._watch()
        self._begin_with(query)

    @property
    def rows(self) -> list[widgets.Widget]:
        """The widgets in their places."""
        ask = widgets.HBox([self.text, self.button], layout=widgets.Layout(width="100%", grid_gap="6px"))
        live = [self.image, self.upload, self.mode, self.weight]
        return [ask, controls.row(*(live if self.live else [self.image, self.mode]))]

    @property
    def state(self) -> tuple[Any, ...]:
        """What the controls say, to compare: equal states ask the same."""
        controls_ = (self.mode, self.text, self.image, self.weight, self.to)
        return (*(one.value for one in controls_), self.upload_number)

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
            upload = ", or choose, drop or paste one" if self.live else ""
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
            known = query.image_name if query.image_name in self.files else str(query.image or "")
            self.image.value = known if own else ""
            self.uploaded = None if own or query.image is None else (query.image_name, query.image)
            self.upload_number += 1
            self.weight.value, self.to.value = query.weight, query.to
        self._preview()

    def _style(self) -> None:
        self.text.description = self.image.description = ""  # the tooltip names them
        self.text.layout.flex, self.text.layout.width = "1 1 auto", "auto"
        self.text.add_class("mmlab-ask")
        self.button.add_class("mmlab-ask")
        self.button.button_style = "primary"
        self.button.layout.height = "36px"
        for control in (self.mode, self.to):
            control.style.description_width, control.style.button_width = "auto", "64px"

    def _watch(self) -> None:
        self.mode.observe(lambda _: self._follow_mode(), "value")
        self._follow_mode()
        self.listening.watch(self.text, lambda _: self._ask_by(TEXT))
        self.listening.watch(self.image, lambda _: self._drop_upload())
        self.upload.on_image(self._take_upload)
        self.upload.on_clear(self._take_away)
        for control in [self.mode, self.weight, *([self.to] if self.live else [])]:
            self.listening.watch(control, lambda _: self.changed())

    def _follow_mode(self) -> None:
        """Show the text's share only where both ask; saved rankings are from one modality to the other."""
        both = self.mode.value == BOTH
        self.weight.disabled, self.weight.layout.display = not both, "flex" if both else "none"
        if not self.live:
            self.to.value = TEXT if self.mode.value == IMAGE else IMAGE

    def _ask_by(self, mode: str) -> None:
        """Ask by text or by image from now on, unless both ask."""
        self._preview()
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
        """Put an image that was typed in the place of an uploaded one."""
        self.uploaded = None
        self._ask_by(IMAGE)

    def _take_upload(self, name: str, content: bytes) -> None:
        """Put an uploaded image in the place of one that was typed."""
        with self.listening.silenced():
            self.image.value = ""
        self.uploaded = (name, content)
        self.upload_number += 1
        self._ask_by(IMAGE)

    def _take_away(self) -> None:
        """Ask by the text alone."""
        self.uploaded = None
        with self.listening.silenced():
            self.image.value = ""
        self._ask_by(TEXT) if self.mode.value != BOTH else setattr(self.mode, "value", TEXT)
        self._preview()

    def _chosen_image(self) -> "tuple[str, Path | Image.Image | None]":
        """Return the name of the image that asks and the image; an uploaded one is opened here."""
        name = self.image.value.strip()
        if self.uploaded is None and name.lower().startswith(ON_THE_WEB) and self.live:
            self.uploaded = (name, self._fetched(name))
        if self.uploaded is not None:
            name, content = self.uploaded
            if isinstance(content, bytes | memoryview):
                self.uploaded = (name, open_upload(content, name))
                self._preview()
            return self.uploaded
        return (name, self._file(name)) if name else ("", None)

    def _fetched(self, url: str) -> bytes:
        if self.fetch is None:
            raise ValueError(
                "images on the web are not fetched here: save it, and drop the file on this panel"
            )
        return self.fetch(url)

    def _file(self, name: str) -> Path:
        """Return the file of an image of the collection by its name, or that of a path that was typed."""
        if name in self.files:
            return Path(self.files[name])
        path = Path(name).expanduser()
        if not (self.live and path.is_file()):
            also = " and no file of that path is there" if self.live else ""
            raise ValueError(f"the collection has no image {name!r}{also}; choose one that is suggested")
        return path

    def _preview(self) -> None:
        """Show the image that asks, small; one that cannot be opened is shown by its name alone."""
        name, content = self.uploaded or (self.image.value.strip(), None)
        shown = b""
        try:
            if content is None and name and not name.lower().startswith(ON_THE_WEB):
                shown = thumbnail(self._file(name), PREVIEW_PIXELS)
            elif content is not None and hasattr(content, "convert"):
                shown = _small_jpeg(content)
        except (ImageError, ValueError):  # the answer says what is wrong with it
            pass
        self.upload.name, self.upload.preview = name, shown


def _small_jpeg(image: "Image.Image") -> bytes:
    small, buffer = image.copy(), io.BytesIO()
    small.thumbnail((PREVIEW_PIXELS, PREVIEW_PIXELS))
    small.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _findable(data: PanelData) -> list[str]:
    """Return the modalities that can be found: of a collection that is asked anew those that it holds."""
    held = set(data.items["modality"]) if data.live else set()
    return [modality for modality in (IMAGE, TEXT) if modality in held] or [IMAGE, TEXT]


def _texts(items: pd.DataFrame) -> list[str]:
    texts = items.loc[items["modality"] == "text", "text"]
    return texts.drop_duplicates().head(MAX_SUGGESTIONS).tolist()


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
        raise ValueError(f"{name[:MAX_NAME_CHARS]!r} cannot be asked with; give another image") from error
