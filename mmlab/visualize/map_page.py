"""An interactive map: one HTML file with points, captions, thumbnails and its script; nothing is fetched.

Captions come from outside. They are stored as JSON in which no tag can begin, and the script shows them as text; the
content policy of the page lets no other script run.
"""

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.items import ImageError, open_image
from mmlab.visualize.map_layout import is_paired, order_groups
from mmlab.visualize.markup import Html
from mmlab.visualize.style import COLOURS, OTHER_COLOUR, group_styles

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL_SIDE, JPEG_QUALITY = 64, 60  # about 2 KB for each image
MAX_CAPTION_CHARS = 300
MAX_COORDINATE = 1000  # coordinates are whole numbers from 0


def interactive_map(
    maps: Mapping[str, np.ndarray],
    shown: pd.DataFrame,
    groups: Mapping[str, pd.Series],
    links: bool = True,
    title: str = "Map",
) -> Html:
    """Return a complete HTML document: hover or arrow keys show image and caption; wheel, drag and buttons zoom.

    `maps`: name -> points (M, 2). `shown`: M items as `sample_pairs` returns them, texts and then images, those of
    their pairs in the same order. `groups`: name -> the group of each item (M,), which decides colour and shape;
    groups past the first six look the same. `links`: whether lines join the pairs. The document takes about 4 KB for
    each pair. Items whose image cannot be opened show their caption only.

    >>> shown = pd.DataFrame({"modality": ["text", "image"], "pair_id": "p", "text": ["a <red> mug", None]})
    >>> shown = shown.assign(image=None)
    >>> page = interactive_map({"UMAP": np.eye(2)}, shown, {"modality": pd.Series(["text", "image"])})
    >>> str(page)[:15], "<red>" in str(page)
    ('<!DOCTYPE html>', False)
    """
    data = {
        "maps": [{"name": name, "points": _scale_points(points)} for name, points in maps.items()],
        "groups": [{"name": name, **_number_groups(values)} for name, values in groups.items()],
        "colours": [*COLOURS, OTHER_COLOUR],
        "links": links,
        **_describe_items(shown),
    }
    page = (TEMPLATES / "map.html").read_text(encoding="utf-8")
    for name, text in {
        "hash": script_hash(),
        "title": escape(title),
        "style": (TEMPLATES / "map.css").read_text(encoding="utf-8"),
        "script": _read_script(),
        "data": _script_json(data),  # last, so that placeholders in captions stay text
    }.items():
        page = page.replace(f"%{name}%", text, 1)
    return Html(page)


def map_frame(document: Html, height: int = 620) -> Html:
    """Return the document in a sandboxed frame for the output of a notebook; scripts reach nothing outside of it."""
    style = f"width:100%;height:{height}px;border:0"
    source = escape(str(document), quote=True)
    return Html(
        f'<iframe title="interactive map" sandbox="allow-scripts" style="{style}" srcdoc="{source}"></iframe>'
    )


def script_hash() -> str:
    """Return the hash, sha256-..., by which a content policy allows the script of the map and no other."""
    digest = hashlib.sha256(f"\n{_read_script()}".encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _describe_items(shown: pd.DataFrame) -> dict[str, list]:
    """Return for each item its caption, whether it is an image, the number of its partner, and its thumbnail.

    An item without a partner is its own, and an image without one is called by its path in the dataset.
    """
    texts = int((shown["modality"] == "text").sum())
    words = shown["text"].astype(object).fillna(shown["pair_id"])
    captions = [str(text)[:MAX_CAPTION_CHARS] for text in words]
    others = list(range(len(shown)))
    if is_paired(shown):
        captions, others = captions[:texts] * 2, others[texts:] + others[:texts]
    return {
        "captions": captions,
        "image": [0] * texts + [1] * (len(shown) - texts),
        "other": others,
        "thumbs": [None] * texts + _thumbnails(shown["image"].iloc[texts:]),
    }


def _read_script() -> str:
    return (TEMPLATES / "map.js").read_text(encoding="utf-8")


def _script_json(data: Mapping[str, object]) -> str:
    """Return JSON for a script element: no tag, comment or entity can begin in it."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _scale_points(points: np.ndarray) -> list[list[int]]:
    """Return the points as whole numbers from 0 to MAX_COORDINATE, both axes scaled by the same factor."""
    low, high = points.min(axis=0), points.max(axis=0)
    width = max(float((high - low).max()), 1e-9)
    middle = (points - (low + high) / 2) / width + 0.5
    return (middle * MAX_COORDINATE).round().astype(int).tolist()


def _number_groups(values: pd.Series) -> dict[str, list]:
    """Return the names of the groups in the order of `order_groups`, their styles, and the number of each value's."""
    column = pd.Series(values)
    names = order_groups(column, len(column))
    numbers = pd.Index(names).get_indexer(column).tolist()
    return {"names": [str(name) for name in names], "styles": group_styles(names), "of": numbers}


def _thumbnails(paths: Sequence[str | None]) -> list[str | None]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_thumbnail, paths))


def _thumbnail(path: str | None) -> str | None:
    """Return an image as base64 JPEG, None where there is no path or it cannot be opened."""
    from PIL import Image

    if path is None or pd.isna(path):
        return None
    try:
        image = open_image(path, min_side=2 * THUMBNAIL_SIDE)
    except ImageError:
        return None
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
