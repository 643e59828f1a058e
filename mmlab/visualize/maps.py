"""Vectors (N, D) -> points (N, 2), and the points as a scatter plot.

A map shows neighbourhoods, not distances: read clusters, not the gaps between them.
"""

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.items import Vectors
from mmlab.visualize.style import COLOURS, MARKERS, name_axes

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


def mixing(points: np.ndarray, groups: pd.Series, neighbours: int = 10) -> float:
    """Share in [0, 1] of the nearest `neighbours` of each point (N, 2) that belong to another group (N,)."""
    from sklearn.neighbors import NearestNeighbors

    count = min(neighbours, len(points) - 1)
    nearest = NearestNeighbors(n_neighbors=count).fit(points).kneighbors(return_distance=False)
    names = groups.to_numpy()
    return float((names[nearest] != names[:, None]).mean())


def plot_map(ax: "Axes", points: np.ndarray, groups: pd.Series, title: str = "", most: int = 6) -> "Axes":
    """Scatter `points` (N, 2); each group gets a colour and a marker, all past the `most` largest are "other"."""
    largest = groups.value_counts().index[:most]
    shown = groups.where(groups.isin(largest), "other").to_numpy()
    if (shown == "other").any():
        here = shown == "other"
        ax.scatter(*points[here].T, s=8, color="#c8c8c8", label="other", linewidths=0)
    for number, name in enumerate(largest):
        here = shown == name
        ax.scatter(
            *points[here].T,
            s=16,
            color=COLOURS[number],
            marker=MARKERS[number],
            label=str(name),
            alpha=0.8,
            linewidths=0,
        )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), borderaxespad=0, markerscale=1.6, frameon=False)
    return name_axes(ax, "first map axis (no unit)", "second map axis (no unit)", title)
