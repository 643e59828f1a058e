"""Vectors (N, D) -> points (N, 2), and the points as a scatter plot.

A map shows neighbourhoods, not distances: read clusters, not the gaps between them.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mmlab.items import Vectors
from mmlab.visualize.kept_maps import keep_map
from mmlab.visualize.style import COLOURS, MARKERS, legend_below, literal, name_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def map_umap(vectors: Vectors, neighbours: int = 15, seed: int = 0) -> np.ndarray:
    """UMAP by cosine (McInnes, Healy, Melville 2018): float32 (N, 2); `neighbours` is bounded by N - 1.

    The neighbours are exact, not approximate: for the sizes that fit a page that is quicker than
    compiling umap's own search.
    """
    from sklearn.neighbors import NearestNeighbors

    count = min(neighbours, len(vectors) - 1)
    search = NearestNeighbors(n_neighbors=count, metric="cosine").fit(vectors.array)
    distances, nearest = search.kneighbors(vectors.array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap says that a seed keeps it on one core, which is what we want
        import umap

        known = (nearest, distances.astype(np.float32), None)
        reducer = umap.UMAP(
            n_neighbors=count, metric="cosine", precomputed_knn=known, random_state=seed, n_jobs=1
        )
        return reducer.fit_transform(vectors.array).astype(np.float32)


def map_tsne(vectors: Vectors, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """t-SNE by cosine (van der Maaten, Hinton 2008): float32 (N, 2); `perplexity` is bounded by (N - 1) / 3."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    bounded = min(perplexity, max((len(vectors) - 1) / 3, 1.0))
    reducer = TSNE(perplexity=bounded, metric="cosine", init="random", random_state=seed)
    with threadpool_limits(
        1
    ):  # its threads wait for each other busily: two on a busy machine take six times as long
        return reducer.fit_transform(vectors.array).astype(np.float32)


def map_parts(
    parts: Sequence[Vectors], project: Callable[..., np.ndarray], cache: Path | None = None, **settings: Any
) -> np.ndarray:
    """A map of each of `parts`, float32 (N, 2) for all: one as it is, several side by side in squares of one size.

    `project`: `map_umap` or `map_tsne`. Vectors of two spaces have no distances between them, nor have their maps.
    `cache`: a folder in which maps are kept, so that the same vectors are not laid out twice (`keep_map`).
    """
    maps = [
        keep_map(cache, project, part, **settings) if cache else project(part, **settings) for part in parts
    ]
    if len(maps) == 1:
        return maps[0]
    squares = [(m - m.min(axis=0)) / np.maximum(np.ptp(m, axis=0), 1e-9) for m in maps]
    return np.concatenate([m + np.array([1.2 * n, 0]) for n, m in enumerate(squares)]).astype(np.float32)


def trust(parts: Sequence[Vectors], points: np.ndarray, neighbours: int = 10) -> float:
    """The trustworthiness of a map in [0, 1] (Venna and Kaski 2001): 1 if all near on the map are near by cosine.

    `parts` and `points` (N, 2) as `map_parts` has them; of several parts the mean by size. `neighbours` is bounded
    by (N - 1) // 2; NaN where that is 0.
    """
    from sklearn.manifold import trustworthiness

    ends = np.cumsum([len(part) for part in parts])
    values = []
    for part, here in zip(parts, np.split(points, ends[:-1]), strict=True):
        count = min(neighbours, (len(part) - 1) // 2)
        known = trustworthiness(part.array, here, n_neighbors=count, metric="cosine") if count > 0 else np.nan
        values.append(known)
    return float(np.average(values, weights=[len(part) for part in parts]))


def mixing(points: np.ndarray, groups: pd.Series, neighbours: int = 10) -> float:
    """Share in [0, 1] of the nearest `neighbours` of each point (N, 2) that belong to another group (N,)."""
    from sklearn.neighbors import NearestNeighbors

    count = min(neighbours, len(points) - 1)
    nearest = NearestNeighbors(n_neighbors=count).fit(points).kneighbors(return_distance=False)
    names = groups.to_numpy()
    return float((names[nearest] != names[:, None]).mean())


def plot_links(ax: "Axes", points: np.ndarray) -> "Axes":
    """Thin lines between the two of each pair: `points` (2 N, 2), the texts and then the images in the same order."""
    from matplotlib.collections import LineCollection

    half = len(points) // 2
    lines = np.stack([points[:half], points[half:]], axis=1)
    ax.add_collection(LineCollection(lines, colors="#bbbbbb", linewidths=0.5, zorder=0.5))
    return ax


def order_groups(groups: pd.Series, most: int) -> list[str]:
    """The names that get a colour: categories in their order, else the `most` largest, the largest first."""
    if isinstance(groups.dtype, pd.CategoricalDtype):
        return [name for name in groups.cat.categories if (groups == name).any()][:most]
    return groups.value_counts().index[:most].tolist()


def plot_map(ax: "Axes", points: np.ndarray, groups: pd.Series, title: str = "", most: int = 6) -> "Axes":
    """Scatter `points` (N, 2); each group gets a colour and a marker, all past the `most` first are "other".

    The first are the largest, or of a categorical those that come first in its order.
    """
    first = order_groups(groups, most)
    rest = ~groups.isin(first).to_numpy()
    if rest.any():
        ax.scatter(*points[rest].T, s=8, color="#c8c8c8", label="other", linewidths=0)
    for number, name in enumerate(first):
        here = (groups == name).to_numpy()
        ax.scatter(
            *points[here].T,
            s=16,
            color=COLOURS[number],
            marker=MARKERS[number],
            label=literal(name),
            alpha=0.8,
            linewidths=0,
        )
    ax.set_xticks([])
    ax.set_yticks([])
    legend_below(ax, 24, 2, markerscale=1.6, frameon=False)
    return name_axes(ax, "first map axis (no unit)", "second map axis (no unit)", title)
