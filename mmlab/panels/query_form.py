"""The controls of a question: filled in by hand they make a `Query`, and a `Query` fills them in."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.panels import controls
from mmlab.panels.errors import Unfinished
from mmlab.panels.images import MOST_BYTES, open_upload
from mmlab.retrieve import Query

if TYPE_CHECKING:
    from PIL import Image

TEXT, PICTURE, BOTH = MODES = ("text", "image", "both")
SUGGESTED = 500  # texts or images; any other can be typed
UPLOAD = f"Upload an image, {MOST_BYTES / 1e6:.0f} MB at most"


class Form:
    """What is asked: `rows` are its widgets in their places, `question()` is what they say now.

    `changed` is called at every change; the last of text and image that was changed is what asks, unless both do.
    live: something new can be asked; else only texts for images and images for texts of the collection.
    """

    def __init__(self, items: pd.DataFrame, query: str = "", live: bool = True) -> None:
        images = items[items["modality"] == "image"]
        self.files = dict(zip(images["pair_id"], images["image"], strict=True))
        self.live = live
        self.uploaded: tuple[str, Any] | None = None  # its name, and its bytes or the image in them
        self.changed: Callable[[], Any] = lambda: None
        self.quiet = False
        self.mode = controls.buttons(MODES if live else (TEXT, PICTURE), "Ask by")
        self.text = controls.suggestions(_texts(items), "Text", "what to look for, then Enter", "97%")
        self.text.value = query
        suggested = list(self.files)[:SUGGESTED]
        self.image = controls.suggestions(suggested, "Image", "the name of one in the collection")
        self.upload = controls.upload(UPLOAD)
        self.weight = controls.number(0.5, 0.0, 1.0, "Text share", 0.05)
        self.to = controls.choice(["image", "text"], "Find")
        self.button = controls.button("Ask", "ask this, also once more", lambda: self.changed())
        self.listen()

    @property
    def rows(self) -> list[Any]:
        """The widgets in their places; `to` and `button` stand where the panel wants them."""
        by_image = [self.image, self.upload, self.weight] if self.live else [self.image]
        return [self.mode, self.text, controls.row(*by_image)]

    @property
    def last(self) -> list[Any]:
        """What stands at the end of the form."""
        return [self.to, self.button] if self.live else [self.button]

    def listen(self) -> None:
        """Watch every control."""
        self.weight.disabled = True
        self.text.observe(lambda _: self.turn_to(TEXT), "value")
        self.image.observe(lambda _: self.drop_upload(), "value")
        self.upload.observe(lambda change: self.take_upload(change["new"]), "value")
        for control in [self.mode, self.weight, self.to]:
            control.observe(lambda _: self.tell(), "value")

    def tell(self) -> None:
        """Something has changed; the text's share counts only where both ask."""
        self.weight.disabled = self.mode.value != BOTH
        if self.quiet:
            return
        if not self.live:
            self.quiet, self.to.value = True, "text" if self.mode.value == PICTURE else "image"
            self.quiet = False
        self.changed()

    def turn_to(self, mode: str) -> None:
        """Ask by text or by image from now on, unless both ask."""
        if self.quiet:
            return
        if self.mode.value in (mode, BOTH):
            self.tell()
        else:
            self.mode.value = mode  # which tells

    def choose(self, image: Path) -> None:
        """Ask by an image of the collection; ValueError for any other."""
        names = [name for name, file in self.files.items() if file == str(image)]
        if not names:
            raise ValueError(f"the collection has no image {image}")
        self.image.value = names[0]

    def drop_upload(self) -> None:
        """An image of the collection takes the place of an uploaded one."""
        if not self.quiet:
            self.uploaded = None
        self.turn_to(PICTURE)

    def take_upload(self, files: Sequence[dict[str, Any]]) -> None:
        """An uploaded image takes the place of one of the collection; the button is free for the same file again."""
        if self.quiet or not files:
            return
        self.quiet, self.image.value, self.quiet = True, "", False
        self.uploaded = (files[0]["name"], files[0]["content"])
        self.upload.value = ()
        self.turn_to(PICTURE)

    def question(self, **settings: Any) -> Query:
        """What the controls say, with further fields; Unfinished where something is still to be chosen.

        Raises ValueError or ImageError for an image that cannot be asked with.
        """
        name, image = self.chosen_image() if self.mode.value != TEXT else ("", None)
        text = self.text.value.strip() if self.mode.value != PICTURE else ""
        if self.mode.value != TEXT and image is None:
            raise Unfinished(
                "Choose an image of the collection by its name, or upload one."
                if self.live
                else "Choose an image of the collection by its name."
            )
        if self.mode.value != PICTURE and not text:
            raise Unfinished("Type what to look for, then press Enter.")
        return Query(
            text=self.text.value if text else "",
            image=image,
            image_name=name,
            weight=self.weight.value,
            to=self.to.value,
            **settings,
        )

    def chosen_image(self) -> "tuple[str, Path | Image.Image | None]":
        """The name and the image that asks; an uploaded one is opened here, within bounds."""
        if self.uploaded is not None:
            name, content = self.uploaded
            if isinstance(content, bytes | memoryview):
                self.uploaded = (name, open_upload(content, name))
            return self.uploaded
        name = self.image.value
        if name and name not in self.files:
            raise ValueError(f"the collection has no image {name!r}; choose one that is suggested")
        return name, Path(self.files[name]) if name else None

    def fill(self, question: Query) -> None:
        """Set the controls to a question that was asked before, without asking."""
        self.quiet = True
        both = bool(question.text.strip()) and question.image is not None
        self.mode.value = BOTH if both else PICTURE if question.image is not None else TEXT
        self.text.value = question.text or self.text.value
        own = isinstance(question.image, Path)
        self.image.value = question.image_name if own else ""
        self.uploaded = None if own or question.image is None else (question.image_name, question.image)
        for name in ("weight", "to"):
            getattr(self, name).value = getattr(question, name)
        self.quiet = False


def _texts(items: pd.DataFrame) -> list[str]:
    return items.loc[items["modality"] == "text", "text"].drop_duplicates().head(SUGGESTED).tolist()
