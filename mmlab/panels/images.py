"""Images that are asked with: opened within bounds when uploaded, and shown small."""

import base64
import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from mmlab.items import ImageError, open_image
from mmlab.visualize import Html, gallery

if TYPE_CHECKING:
    from PIL import Image

MOST_BYTES = 8_000_000  # of an uploaded file: Jupyter drops a message of more than 10 MiB without a word
SIDE = 130  # pixels


def open_upload(content: bytes | memoryview, name: str) -> "Image.Image":
    """An uploaded file as an image; ValueError, with its cause, for a large file or one that cannot be opened."""
    if len(content) > MOST_BYTES:
        raise ValueError(
            f"{name[:100]!r} has {len(content) / 1e6:.0f} MB, expected {MOST_BYTES / 1e6:.0f} at most: "
            "make the image smaller"
        )
    try:
        return open_image(io.BytesIO(bytes(content)))
    except ImageError as error:
        raise ValueError(f"{name[:100]!r} cannot be asked with; upload another image") from error


def image_card(image: "Path | Image.Image") -> Html:
    """The query's image, small."""
    if isinstance(image, Path):
        return gallery([image], ["the query"], side=SIDE)
    small, buffer = image.copy(), io.BytesIO()
    small.thumbnail((2 * SIDE, 2 * SIDE))
    small.save(buffer, "JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode()
    style = f"max-width:{SIDE}px;max-height:{SIDE}px;border:2px solid #bbb;border-radius:6px;padding:4px"
    return Html(
        f'<p><img alt="{escape("the query")}" style="{style}" src="data:image/jpeg;base64,{data}"></p>'
    )
