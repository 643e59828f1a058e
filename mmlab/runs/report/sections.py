"""The sections of the first page of a report: figures, galleries, the interactive map."""

import base64
import hashlib
import io
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from markupsafe import Markup

from mmlab.items.sentences import milliseconds
from mmlab.runs.record.manifest import Manifest
from mmlab.runs.record.run_files import MAP, is_own, run_folder
from mmlab.visualize.map_figures import script_hash
from mmlab.visualize.markup import render_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from PIL.ImageFile import ImageFile

# of the drawing of runs
LEFT, RIGHT, TOP, BOTTOM, LEAST_DISTANCE, LABEL_WIDTH = 60.0, 560.0, 20.0, 260.0, 16.0, 150.0
WEBP_QUALITY = 82
PNG_DATA = re.compile("data:image/png;base64,([A-Za-z0-9+/=]+)")
FIRST_GALLERY = "05_worst_queries"
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL | re.IGNORECASE)


class Figure(NamedTuple):
    """An image with its title and the sentence that reads it; `source` is a data URI."""

    source: str
    title: str
    caption: Markup


class Gallery(NamedTuple):
    """A piece of HTML with its title; `id` is its anchor, and `first` says that it is shown unfolded."""

    id: str
    title: str
    html: Markup
    first: bool = False


def read_figures(manifest: Manifest, but: Collection[str] = ()) -> list[Figure]:
    """Return the PNG files that the steps wrote, `but` some, with the titles that their names make."""
    return [
        Figure(
            f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}",
            title_of(path.stem),
            Markup(render_markdown(_description(path))),  # noqa: S704 - render_markdown escapes
        )
        for path in written_paths(manifest, ".png", but)
    ]


def read_galleries(manifest: Manifest, but: Collection[str] = ()) -> list[Gallery]:
    """Return the pieces of HTML that the steps wrote, as `mmlab.visualize` escaped them; the map is none of them.

    Of the steps in `but` only the one that is shown unfolded.
    """
    shown = written_paths(manifest, ".html", but)
    return [
        Gallery(
            f"gallery-{number}",
            title_of(path.stem),
            Markup(_read_html(path)),  # noqa: S704 - mmlab.visualize escaped it
            path.stem == FIRST_GALLERY,
        )
        for number, path in enumerate(written_paths(manifest, ".html"))
        if path.name != MAP and (path in shown or path.stem == FIRST_GALLERY)
    ]


def read_map(manifest: Manifest, but: Collection[str] = ()) -> str:
    """Return the document of the interactive map; "" if no step, `but` some, wrote one, or its script is not ours."""
    found = [path for path in written_paths(manifest, ".html", but) if path.name == MAP]
    document = _read_html(found[-1]).replace("\r\n", "\n") if found else ""
    return document if allow_scripts(document) == f"'{script_hash()}'" else ""


def _read_html(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is damaged ({error}): run the notebook that writes it again")


def allow_scripts(document: str) -> str:
    """Return the hashes by which a content policy allows the scripts of a document and no other: "'sha256-...' ...".

    A script of JSON is data and needs none.
    """
    texts = [found["text"] for found in SCRIPT.finditer(document) if "json" not in found["attributes"]]
    digests = [hashlib.sha256(text.encode()).digest() for text in dict.fromkeys(texts)]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def written_paths(manifest: Manifest, suffix: str, but: Collection[str] = ()) -> list[Path]:
    """Return the files with this suffix that the steps, `but` some, wrote and that still exist, in their order."""
    folder = run_folder(manifest["run"])
    records = [record for step, record in manifest["steps"].items() if step not in but]
    paths = [folder / file for record in records for file in record["writes"]]
    found = [path for path in dict.fromkeys(paths) if path.suffix == suffix and path.is_file()]
    return [path for path in found if is_own(path, folder)]


def title_of(stem: str) -> str:
    """Return the stem of a file's name as words.

    >>> title_of("05_similarity_histogram")
    'Similarity histogram'
    """
    words = stem.lstrip("0123456789_-").replace("_", " ").replace("-", " ").strip() or stem
    return words[0].upper() + words[1:]


class Point(NamedTuple):
    """A run in the drawing of quality against cost: its place, the ends of its interval, its name and where that is."""

    x: float
    y: float
    low: float
    high: float
    name: str
    label: float
    front: bool


class Scatter(NamedTuple):
    """Runs of one dataset as points over cost and quality, and the ticks of both axes as (place, label)."""

    title: str
    measure: str
    points: list[Point]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def draw_runs(table: "pd.DataFrame") -> list[Scatter]:
    """Return a drawing of quality against cost for each dataset and measure of two runs or more of `rank_runs`."""
    known = table.dropna(subset=["value", "latency_ms"])
    groups = known.groupby(["dataset", "measure"], sort=False)
    return [_scatter(dataset, measure, part) for (dataset, measure), part in groups if len(part) > 1]


def _scatter(dataset: str, measure: str, part: "pd.DataFrame") -> Scatter:
    lows, highs = part["low"].fillna(part["value"]), part["high"].fillna(part["value"])
    x_of = _scale(np.log(part["latency_ms"]), LEFT, RIGHT)
    y_of = _scale([*lows, *highs], BOTTOM, TOP)
    points: list[Point] = []
    for row, low, high in sorted(
        zip(part.to_dict("records"), lows, highs, strict=True), key=lambda one: one[0]["latency_ms"]
    ):
        x, y = x_of(np.log(row["latency_ms"])), y_of(row["value"])
        points.append(
            Point(x, y, y_of(low), y_of(high), row["name"], _free(x, y, points), bool(row["front"]))
        )
    ends = part["latency_ms"].min(), part["latency_ms"].max()
    x_ticks = [(x_of(np.log(tick)), milliseconds(tick)) for tick in ends]
    y_ticks = [(y_of(tick), f"{tick:.3f}") for tick in (lows.min(), part["value"].max(), highs.max())]
    return Scatter(Path(dataset).name, measure, points, _apart(x_ticks), _apart(y_ticks))


def _scale(values: "Collection[float]", first: float, last: float) -> "Callable[[float], float]":
    """Return a function from values to places between `first` and `last`, with a margin; the middle for one value."""
    low, high = min(values), max(values)
    span = high - low
    return lambda value: round(
        first + (last - first) * (0.5 if not span else 0.06 + 0.88 * (value - low) / span), 1
    )


def _free(x: float, y: float, others: Sequence[Point]) -> float:
    """Return the height of a label beside a point at which it stands on none of the labels of others."""
    near = [other.label for other in others if abs(other.x - x) < LABEL_WIDTH]
    heights = [y + 4 + sign * step * LEAST_DISTANCE for step in range(1, len(near) + 2) for sign in (1, -1)]
    return next(height for height in heights if all(abs(height - one) >= LEAST_DISTANCE - 2 for one in near))


def _apart(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the ticks whose labels do not stand on one before."""
    kept: list[tuple[float, str]] = []
    for tick in ticks:
        if all(abs(tick[0] - other[0]) > LEAST_DISTANCE for other in kept):
            kept.append(tick)
    return kept


def shrink_figures(page: str) -> str:
    """Return a page in which PNG images became WebP images of the same size, wherever these take less.

    >>> shrink_figures("<p>no image</p>")
    '<p>no image</p>'
    """
    return PNG_DATA.sub(_shrink, page)


def _shrink(found: re.Match[str]) -> str:
    smaller = io.BytesIO()
    with suppress(OSError), _open_image(io.BytesIO(base64.b64decode(found[1]))) as image:
        image.convert("RGB").save(smaller, "WEBP", quality=WEBP_QUALITY)
    data = f"data:image/webp;base64,{base64.b64encode(smaller.getvalue()).decode()}"
    return data if smaller.getvalue() and len(data) < len(found[0]) else found[0]


def _description(path: Path) -> str:
    """Return the sentence that `render_png` of mmlab.visualize wrote into the file, "" for an image from elsewhere."""
    try:
        with _open_image(path) as image:
            return str(image.info.get("Description", ""))
    except (OSError, SyntaxError, ValueError) as error:  # of Pillow
        raise _damaged(path, error) from error


def _open_image(source: "Path | io.BytesIO") -> "ImageFile":
    from PIL import Image

    return Image.open(source)
