"""A place for an image to ask with: choose a file, drop it on the panel, or paste it.

The browser makes a large image small before it sends it: Jupyter drops a message of more than 10 MiB without a word.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from mmlab.items import ImageError, open_image

if TYPE_CHECKING:
    from PIL import Image

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
