"""Maps drawn: as scatter plots with measures of how far they can be trusted, and as a page of their own.

The page is one HTML file with points, captions, thumbnails and its script; nothing is fetched. Captions come from
outside. They are stored as JSON in which no tag can begin, and the script shows them as text; the content policy of the
page lets no other script run.
"""

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.items import ImageError, Vectors, open_image
from mmlab.visualize.map_layout import is_paired, load_sklearn, order_groups
from mmlab.visualize.markup import Html
from mmlab.visualize.style import (
    COLOURS,
    MARKERS,
    OTHER_COLOUR,
    figure,
    group_styles,
    legend_below,
    load_matplotlib,
    name_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def map_panels(
    points: np.ndarray, groups: Mapping[str, pd.Series], name: str, links: bool = True
) -> "Figure":
    """Return a figure with a panel of the map for each of `groups`, points coloured by group.

    `points` (M, 2): texts, then images; with `links` N texts and their N images in the same order. `groups`: name ->
    one value per point. `name`: of the map, such as UMAP. `links`: join the pairs by lines in the first panel.

    >>> fig = map_panels(np.eye(2), {"modality": pd.Series(["text", "image"])}, "UMAP")
    >>> [ax.get_title(loc="left") for ax in fig.axes]
    ['UMAP by modality']
    """
    fig, axs = figure(len(groups), width=11, height=4.6)
    for number, (ax, (column, values)) in enumerate(zip(axs, groups.items(), strict=True)):
        plot_map(ax, points, values, f"{name} by {column}")
        if links and number == 0:
            plot_links(ax, points)
    return fig


def plot_map(
    ax: "Axes", points: np.ndarray, groups: pd.Series, title: str = "", max_groups: int = 6
) -> "Axes":
    """Scatter points (N, 2), each group with its own colour and marker; groups past the first are "other".

    The first `max_groups` are the largest, or the first categories of a categorical.
    """
    first = order_groups(groups, max_groups)
    rest = ~groups.isin(first).to_numpy()
    if rest.any():
        x, y = points[rest].T
        ax.scatter(x, y, s=8, color=OTHER_COLOUR, alpha=0.5, label="other", linewidths=0)
    for number, name in zip(group_styles(first), first, strict=True):
        x, y = points[(groups == name).to_numpy()].T
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        label = str(name)
        ax.scatter(x, y, s=16, color=colour, marker=marker, label=label, alpha=0.8, linewidths=0)
    ax.set_xticks([])
    ax.set_yticks([])
    legend_below(ax, 24, 2, marker_scale=1.6)
    return name_axes(ax, "first map axis (no unit)", "second map axis (no unit)", title)


def plot_links(ax: "Axes", points: np.ndarray) -> "Axes":
    """Draw a thin line between text and image of each pair; `points` (2 N, 2): the texts, then their images."""
    half = len(points) // 2
    lines = np.stack([points[:half], points[half:]], axis=1)
    collection = load_matplotlib().collections.LineCollection
    ax.add_collection(collection(list(lines), colors="#bbbbbb", linewidths=0.5, zorder=0.5))
    return ax


def measure_maps(
    maps: Mapping[str, np.ndarray],
    vectors_by_space: Sequence[Vectors],
    groups: Mapping[str, pd.Series],
    neighbours: int = 10,
) -> pd.DataFrame:
    """Return a row for each map: its trustworthiness, and how its groups mix.

    Columns: map, trustworthiness, and for each of `groups` "other ... near", the share of the nearest `neighbours` on
    the map that belong to another group, and "... by chance", that share if all points were mixed. Two spaces are two
    maps side by side: the share of other modalities near means nothing there and is NaN.
    """
    rows = []
    for name, points in maps.items():
        row = {"map": name, "trustworthiness": trustworthiness(vectors_by_space, points, neighbours)}
        for column, values in groups.items():
            is_apart = column == "modality" and len(vectors_by_space) > 1
            row[f"other {column} near"] = np.nan if is_apart else group_mixing(points, values, neighbours)
            row[f"{column} by chance"] = _mixing_by_chance(values)
        rows.append(row)
    return pd.DataFrame(rows)


def summarize_maps(measured: pd.DataFrame) -> str:
    """Return a sentence on how far each map of `measure_maps` can be trusted and how the modalities mix on it."""
    parts = []
    for row in measured.to_dict("records"):
        other, chance = row["other modality near"], row["modality by chance"]
        mixed = f"{other:.0%} of the ten nearest are of the other modality ({chance:.0%} if mixed by chance)"
        if chance == 0:
            mixed = "all of one modality"
        elif np.isnan(other):
            mixed = "texts and images each in a map of their own, side by side"
        parts.append(f"{row['map']}: trustworthiness {row['trustworthiness']:.2f}, {mixed}")
    return f"{'; '.join(parts)}."


def trustworthiness(vectors_by_space: Sequence[Vectors], points: np.ndarray, neighbours: int = 10) -> float:
    """Return the trustworthiness of a map in [0, 1] (Venna and Kaski 2001).

    1 means that all neighbours on the map are neighbours by cosine. `points` (N, 2) as `map_spaces` returns them; of
    several spaces the mean, weighted by size. `neighbours` is at most (N - 1) // 2; NaN where that is 0.
    """
    measure = load_sklearn().manifold.trustworthiness
    sizes = [len(vectors) for vectors in vectors_by_space]
    values = []
    for vectors, part in zip(vectors_by_space, np.split(points, np.cumsum(sizes)[:-1]), strict=True):
        count = min(neighbours, (len(vectors) - 1) // 2)
        values.append(
            measure(vectors.array, part, n_neighbors=count, metric="cosine") if count > 0 else np.nan
        )
    return float(np.average(values, weights=sizes))


def group_mixing(points: np.ndarray, groups: pd.Series, neighbours: int = 10) -> float:
    """Return the share in [0, 1] of the nearest `neighbours` of each point (N, 2) that belong to another group."""
    search = load_sklearn().neighbors.NearestNeighbors(n_neighbors=min(neighbours, len(points) - 1))
    nearest = search.fit(points).kneighbors(return_distance=False)
    names = groups.to_numpy()
    return float((names[nearest] != names[:, None]).mean())


def _mixing_by_chance(groups: pd.Series) -> float:
    """Return the probability that another point drawn at random belongs to another group."""
    sizes = groups.value_counts().to_numpy()
    total = sizes.sum()
    return float(1 - (sizes * (sizes - 1)).sum() / (total * (total - 1))) if total > 1 else np.nan


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
    each pair. An item whose image cannot be opened shows its caption and the reason.

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
    thumbnails, reasons = _thumbnails(shown["image"].iloc[texts:])
    for number, reason in enumerate(reasons, texts):
        for item in {number, others[number]} if reason else ():
            captions[item] += f" (image not shown: {reason})"
    return {
        "captions": captions,
        "image": [0] * texts + [1] * (len(shown) - texts),
        "other": others,
        "thumbs": [None] * texts + thumbnails,
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


def _thumbnails(paths: Sequence[str | None]) -> tuple[list[str | None], list[str]]:
    """Return each image as base64 JPEG, or None and the reason why it cannot be opened; no reason without a path."""
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(_thumbnail, paths))
    return [thumbnail for thumbnail, _ in made], [reason for _, reason in made]


def _thumbnail(path: str | None) -> tuple[str | None, str]:
    from PIL import Image

    if path is None or pd.isna(path):
        return None, ""
    try:
        image = open_image(path, min_side=2 * THUMBNAIL_SIDE)
    except ImageError as error:
        return None, str(error)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode(), ""
