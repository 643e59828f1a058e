"""A map to look into: one HTML file with points, captions and small images, its script inside, nothing fetched.

Captions come from outside. They travel as JSON in which no tag can open, and the script puts them on the page as
text; the page's own policy lets no other script run.
"""

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmlab.items import ImageError, open_image
from mmlab.visualize.galleries import Html
from mmlab.visualize.maps import order_groups

TEMPLATES = Path(__file__).parent / "templates"
SIDE, QUALITY = 64, 60  # pixels and JPEG quality of the images: about 2 KB each
LONGEST = 300  # characters of a caption
SPAN = 1000  # the maps' coordinates are whole numbers from 0 to this


def interactive_map(
    maps: Mapping[str, np.ndarray],
    shown: pd.DataFrame,
    groups: Mapping[str, pd.Series],
    links: bool = True,
    title: str = "Map",
) -> Html:
    """A whole HTML document: hover or arrow keys show image and caption; wheel, drag and buttons zoom and pan.

    `maps`: name -> points (2 N, 2). `shown`: items as `sample_pairs` returns them, N texts and then, in the same
    order, the N images of their pairs. `groups`: name -> the group of each item (2 N,), by which points get
    colour and shape, all past the first six the same. `links`: whether the pairs are joined by lines. About
    4 KB for each pair. Items whose image cannot be opened show their caption only.
    """
    data = {
        "maps": [{"name": name, "points": _spread(points)} for name, points in maps.items()],
        "groups": [{"name": name, **_numbered(values)} for name, values in groups.items()],
        "links": links,
        **_describe(shown),
    }
    page = (TEMPLATES / "map.html").read_text(encoding="utf-8")
    for name, text in {
        "hash": script_hash(),
        "title": escape(title),
        "style": (TEMPLATES / "map.css").read_text(encoding="utf-8"),
        "script": _script(),
        "data": _json(data),  # last: nothing is put into what it holds
    }.items():
        page = page.replace(f"%{name}%", text, 1)
    return Html(page)


def map_frame(document: Html, height: int = 620) -> Html:
    """The document in a frame of its own, in which scripts run but reach nothing outside; for a notebook's output."""
    style = f"width:100%;height:{height}px;border:0"
    source = escape(str(document), quote=True)
    return Html(
        f'<iframe title="interactive map" sandbox="allow-scripts" style="{style}" srcdoc="{source}"></iframe>'
    )


def script_hash() -> str:
    """What a content policy must list to let the map's script run, and no other: sha256-..."""
    digest = hashlib.sha256(f"\n{_script()}".encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _describe(shown: pd.DataFrame) -> dict[str, list]:
    """For each item its caption, whether it is an image, the number of the other of its pair, and its thumbnail."""
    half = len(shown) // 2
    captions = [str(text)[:LONGEST] for text in shown["text"].iloc[:half]]
    return {
        "captions": captions * 2,
        "image": [0] * half + [1] * half,
        "other": [*range(half, 2 * half), *range(half)],
        "thumbs": [None] * half + _thumbs(shown["image"].iloc[half:]),
    }


def _script() -> str:
    return (TEMPLATES / "map.js").read_text(encoding="utf-8")


def _json(data: Any) -> str:
    """JSON that can stand in a script element: no tag, comment or entity can begin in it."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _spread(points: np.ndarray) -> list[list[int]]:
    """The points as whole numbers in 0 to SPAN, both axes by the same factor."""
    low, high = points.min(axis=0), points.max(axis=0)
    width = max(float((high - low).max()), 1e-9)
    middle = (points - (low + high) / 2) / width + 0.5
    return (middle * SPAN).round().astype(int).tolist()


def _numbered(values: pd.Series) -> dict[str, list]:
    """The names of the groups as `order_groups` has them, and the number of each value's name."""
    column = pd.Series(values)
    names = order_groups(column, len(column))
    return {"names": [str(name) for name in names], "of": pd.Index(names).get_indexer(column).tolist()}


def _thumbs(paths: Sequence[str]) -> list[str | None]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_thumb, paths))


def _thumb(path: Any) -> str | None:
    """An image as base64 JPEG, None where there is none."""
    from PIL import Image

    try:
        image = open_image(path, least=2 * SIDE)
    except (ImageError, TypeError):  # no file, or no path
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()
