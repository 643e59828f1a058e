"""Vectors (N, D) laid out as points (N, 2) by UMAP or t-SNE, a cache of the maps, and the place of a query on a map.

A map shows neighbourhoods, not distances: read clusters, not the gaps between them.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from inspect import getsource
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.items import Vectors, check_columns, is_among, replacing
from mmlab.items.parameter_table import check_values
from mmlab.items.sentences import split_words
from mmlab.items.tables import TooFew

LIBRARIES = ("numpy", "scikit-learn", "umap-learn")  # another version may lay out another map
GAP = 0.2  # between maps side by side, each 1 wide

Layout = Callable[..., np.ndarray]  # of vectors (N, D) and settings: points (N, 2)


class QueryPlace(NamedTuple):
    """The place of a query on a map, and its nearest items there: item_id, x, y, score (cosine)."""

    x: float
    y: float
    nearest: pd.DataFrame


MIN_POINTS = 5  # of a map; fewer have no neighbourhoods to keep
MAX_POINTS = 100_000  # of a map; laid out in minutes, and drawn without delay


def check_points(count: int) -> None:
    """Raise TooFew for fewer points than make a map."""
    if count < MIN_POINTS:
        raise TooFew(f"a map needs {MIN_POINTS} items or more to have neighbourhoods, and there are {count}")


def map_umap(vectors: Vectors, neighbours: int = 15, seed: int = 0) -> np.ndarray:
    """Return the points of a UMAP map by cosine, float32 (N, 2) (McInnes, Healy, Melville 2018).

    `neighbours`: size of a neighbourhood, at most N - 1. The neighbours are exact: up to the sizes that fit a page
    this is faster than compiling umap's own search. Raises TooFew for fewer than MIN_POINTS vectors.
    """
    check_points(len(vectors))
    count = min(neighbours, len(vectors) - 1)
    search = load_sklearn().neighbors.NearestNeighbors(n_neighbors=count, metric="cosine").fit(vectors.array)
    distances, nearest = search.kneighbors(vectors.array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap warns that a seed keeps it on one core, as intended here
        known = (nearest, distances.astype(np.float32), None)
        reducer = load_umap().UMAP(
            n_neighbors=count, metric="cosine", precomputed_knn=known, random_state=seed, n_jobs=1
        )
        return reducer.fit_transform(vectors.array).astype(np.float32)


def map_tsne(vectors: Vectors, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Return the points of a t-SNE map by cosine, float32 (N, 2) (van der Maaten, Hinton 2008).

    `perplexity`: effective number of neighbours, at most (N - 1) / 3.

    >>> from mmlab.items import Space
    >>> vectors = Vectors(list("abcd"), np.eye(4, dtype=np.float32), Space("model", "1", "", "", "", 4))
    >>> map_tsne(vectors).shape
    (4, 2)
    """
    from threadpoolctl import threadpool_limits

    bounded = min(perplexity, max((len(vectors) - 1) / 3, 1.0))
    tsne = load_sklearn().manifold.TSNE
    reducer = tsne(perplexity=bounded, metric="cosine", init="random", random_state=seed)
    # One thread: its threads wait for each other busily, and two on a busy machine take six times as long.
    with threadpool_limits(1):
        return reducer.fit_transform(vectors.array).astype(np.float32)


@lru_cache(maxsize=1)
def load_umap() -> Any:
    """Return umap, which keeps what it compiles for the next process: 4 of the 5.6 s that a first map takes."""
    import umap
    from umap.umap_ import compute_membership_strengths, smooth_knn_dist

    for compiled in (smooth_knn_dist, compute_membership_strengths):
        compiled.enable_caching()  # as numba.njit(cache=True): beside umap, else in the user's cache folder
    return umap


def load_sklearn() -> Any:
    """Return scikit-learn with what maps need of it, which is loaded with the first map: it takes a second."""
    import sklearn.cluster
    import sklearn.manifold
    import sklearn.neighbors

    return sklearn


def map_spaces(
    vectors_by_space: Sequence[Vectors], layout: Layout, cache: Path | None = None, **settings: float
) -> np.ndarray:
    """Return one map, float32 (N, 2), of the vectors of all spaces; several spaces stand side by side.

    Vectors of two spaces have no distances between them, so each space is laid out on its own, scaled to a square.
    `layout`: `map_umap` or `map_tsne`, with its `settings`. `cache`: a folder for the maps, so that the same vectors
    are not laid out twice.
    """
    maps = [
        cached_map(cache, layout, vectors, **settings) if cache else layout(vectors, **settings)
        for vectors in vectors_by_space
    ]
    if len(maps) == 1:
        return maps[0]
    squares = [(points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-9) for points in maps]
    moved = [square + np.array([(1 + GAP) * number, 0]) for number, square in enumerate(squares)]
    return np.concatenate(moved).astype(np.float32)


def cached_map(folder: Path, layout: Layout, vectors: Vectors, **settings: float) -> np.ndarray:
    """Return the map (N, 2) that `layout` makes of the vectors, from `folder` where it was made before.

    Runs of a sweep mostly share their vectors, and a layout takes most of the time of 06_visualize. Of several
    processes that want the same map one makes it and the others wait. A damaged file is replaced.
    """
    from filelock import FileLock

    file = folder / f"{_map_key(layout, vectors, settings)}.npy"
    if (known := _load_map(file, len(vectors))) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if (known := _load_map(file, len(vectors))) is not None:
            return known
        points = layout(vectors, **settings)
        with replacing(file) as temporary:
            np.save(temporary, points, allow_pickle=False)
    return points


def query_on_map(query: Vectors, vectors: Vectors, points: pd.DataFrame, neighbours: int = 5) -> QueryPlace:
    """Return the estimated place of a query, one row, on a map that is laid out already.

    The place is the mean of the places of its nearest items. Each weighs as much as its cosine exceeds that of the
    first item left out. A query with neighbours in two clusters lies between them. `vectors` are those of the items,
    in the space of the query; `points`: item_id, x, y. Raises SpaceMismatch for another space, and ValueError where a
    column is missing or no item of the map has a vector.
    """
    query.space.check_same(vectors.space)
    check_columns(points, ("item_id", "x", "y"), "points")
    mapped = points[is_among(points["item_id"], vectors.ids)].reset_index(drop=True)
    if mapped.empty:
        raise ValueError(
            "none of the items on the map has a vector here; give the vectors that it was made of"
        )
    cosines = vectors.take(mapped["item_id"]).array @ query.array[0]
    order = np.argsort(-cosines, kind="stable")
    near, left_out = order[:neighbours], order[neighbours : neighbours + 1]
    weights = cosines[near] - (cosines[left_out[0]] if len(left_out) else cosines[near].min())
    weights = weights if weights.sum() > 0 else np.ones(len(near))
    x, y = np.average(mapped.loc[near, ["x", "y"]].to_numpy(dtype=float), axis=0, weights=weights)
    nearest = mapped.loc[near, ["item_id", "x", "y"]].assign(score=cosines[near])
    return QueryPlace(float(x), float(y), nearest.reset_index(drop=True))


def map_points(maps: pd.DataFrame, method: str = "umap") -> pd.DataFrame:
    """Return the points of one method of maps.parquet (umap_x, umap_y, ...) as item_id, x, y."""
    columns = {f"{method}_x": "x", f"{method}_y": "y"}
    return check_columns(maps, ("item_id", *columns), "maps")[["item_id", *columns]].rename(columns=columns)


def _map_key(layout: Layout, vectors: Vectors, settings: dict[str, float]) -> str:
    """Return a key of all that decides where the points lie; the ids of the items do not."""
    described = [
        getsource(layout),
        settings,
        vectors.array.shape,
        [version(library) for library in LIBRARIES],
    ]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    digest.update(vectors.array.data)
    return f"{layout.__name__}-{digest.hexdigest()[:32]}"


def _load_map(file: Path, count: int) -> np.ndarray | None:
    """Return the points in the file, or None where it is missing or not a map of `count` points."""
    try:
        points = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_map = points.shape == (count, 2) and points.dtype == np.float32 and np.isfinite(points).all()
    return points if is_map else None


NO_GROUP = "(none)"
FOUND_FIRST, MISSED, NOT_JUDGED = "found first", "missed", "not judged"


def sample_pairs(items: pd.DataFrame, count: int, by: str = "label", seed: int = 0) -> pd.DataFrame:
    """Return at most `count` pairs, one text and one image of each: all texts first, then the images in the same order.

    The sample is stratified: each value of the column `by` has its share, to within one pair. `items` without a
    partner are left out. Where fewer than half of the images have one (`has_pairs`), as in a collection of photos, at
    most `count` texts and `count` images are drawn instead. Raises ValueError for a count below 1 and where a column is
    missing.

    >>> items = pd.DataFrame({"item_id": ["t", "i"], "modality": ["text", "image"], "pair_id": "p", "label": "mug"})
    >>> sample_pairs(items, 10)["item_id"].tolist()
    ['t', 'i']
    """
    check_values(sample=count)
    check_columns(items, ("item_id", "modality", "pair_id", by), "items")
    first = items.drop_duplicates(["pair_id", "modality"]).set_index("pair_id", drop=False)
    texts, images = first[first["modality"] == "text"], first[first["modality"] == "image"]
    pairs = images.loc[is_among(images.index, texts.index)]
    if not has_pairs(items):
        return pd.concat(
            [_draw_by_group(part, count, by, seed) for part in (texts, images)], ignore_index=True
        )
    chosen = _draw_by_group(pairs, count, by, seed).index
    return pd.concat([texts.loc[chosen], images.loc[chosen]], ignore_index=True)


def all_items(items: pd.DataFrame, by: str = "label", seed: int = 0) -> pd.DataFrame:
    """Return all texts, then all images; of more than MAX_POINTS as many, each value of `by` with its share.

    >>> items = pd.DataFrame({"item_id": ["i", "t", "u"], "modality": ["image", "text", "text"], "label": "mug"})
    >>> all_items(items)["item_id"].tolist()
    ['t', 'u', 'i']
    """
    check_columns(items, ("item_id", "modality", by), "items")
    drawn = items if len(items) <= MAX_POINTS else _draw_by_group(items, MAX_POINTS, by, seed).sort_index()
    return drawn.sort_values("modality", ascending=False, kind="stable", ignore_index=True)


def _draw_by_group(rows: pd.DataFrame, count: int, by: str, seed: int) -> pd.DataFrame:
    """Return at most `count` of the rows, of each value of the column `by` its share."""
    shuffled = rows.sample(frac=1, random_state=seed)
    strata = name_groups(shuffled, by)
    place = (strata.groupby(strata).cumcount() + 0.5) / strata.groupby(strata).transform("size")
    order = np.argsort(place.to_numpy(), kind="stable")  # the first of every group, then the second ...
    return shuffled.iloc[np.sort(order[:count])]


def has_pairs(items: pd.DataFrame) -> bool:
    """Return whether there are images of which at least half have a text."""
    texts, images = (items.loc[items["modality"] == one, "pair_id"].unique() for one in ("text", "image"))
    return len(images) > 0 and 2 * int(is_among(images, texts).sum()) >= len(images)


def is_paired(shown: pd.DataFrame) -> bool:
    """Return whether a sample consists of pairs: texts, then the images of their pairs in the same order."""
    texts, images = (shown.loc[shown["modality"] == one, "pair_id"].tolist() for one in ("text", "image"))
    return bool(texts) and texts == images


def name_groups(items: pd.DataFrame, column: str) -> pd.Series:
    """Return the values of a column as text, "(none)" where there is none."""
    return items[column].astype("str").where(items[column].notna(), NO_GROUP)


def order_groups(groups: pd.Series, max_groups: int) -> list[str]:
    """Return the first `max_groups` groups: categories in their order, other values by size, the largest first."""
    if isinstance(groups.dtype, pd.CategoricalDtype):
        return [name for name in groups.cat.categories if (groups == name).any()][:max_groups]
    return groups.value_counts().index[:max_groups].tolist()


def name_clusters(points: np.ndarray, texts: pd.Series, clusters: int = 15, words: int = 2) -> pd.Series:
    """Return the name of each point's cluster: the `words` that its texts have more often than all texts.

    points (N, 2) are divided by k-means; texts (N,), missing where there is none. A word counts once a text and scores
    its term of the Kullback-Leibler divergence, p log(p / q), for shares p in the cluster and q in all. A cluster
    without texts, or whose texts are as all others, is "(none)".

    >>> texts = pd.Series(["a red mug", "a red cup", "a blue car", "a blue van"])
    >>> name_clusters(np.array([[0, 0], [0, 1], [9, 0], [9, 1]]), texts, clusters=2, words=1).tolist()
    ['red', 'red', 'blue', 'blue']
    """
    count = min(clusters, len(np.unique(points, axis=0)))
    found = load_sklearn().cluster.KMeans(n_clusters=count, random_state=0, n_init=3).fit_predict(points)
    in_texts = texts.dropna().map(_words_of)
    pairs = pd.DataFrame({"word": in_texts, "cluster": found[in_texts.index]}).explode("word")
    inside = pairs.value_counts().reset_index(name="texts")
    sizes = pd.Series(found[in_texts.index]).value_counts()
    share = inside["texts"] / inside["cluster"].map(sizes)
    everywhere = inside.groupby("word")["texts"].transform("sum") / max(len(in_texts), 1)
    inside["score"] = share * np.log(share / everywhere)
    best = inside[inside["score"] > 0].sort_values(["score", "word"], ascending=[False, True])
    names = best.groupby("cluster").head(words).groupby("cluster")["word"].agg(" ".join)
    return pd.Series(found).map(names).fillna(NO_GROUP).astype("str")


def _words_of(text: str) -> list[str]:
    """Return the different words of a text in small letters, without marks."""
    bare = (re.sub(r"^\W+|\W+$", "", word).casefold() for word in split_words(text))
    return sorted({word for word in bare if word})


def sampled_vectors(vectors_by_modality: Mapping[str, Vectors], shown: pd.DataFrame) -> list[Vectors]:
    """Return the vectors of the sample `shown`, one `Vectors` for each space, in the order of the sample.

    `vectors_by_modality`: "text" and "image" -> their vectors. If both lie in one space, or the sample is of one
    modality, the result has one element, else two: the texts and the images.
    """
    parts = [
        vectors.take(shown.loc[shown["modality"] == modality, "item_id"])
        for modality, vectors in vectors_by_modality.items()
        if (shown["modality"] == modality).any()
    ]
    if len({part.space for part in parts}) > 1:
        return parts
    ids, rows = np.concatenate([part.ids for part in parts]), np.concatenate([part.array for part in parts])
    return [Vectors(ids, rows, parts[0].space)]


def found_first(shown: pd.DataFrame, *per_query: pd.DataFrame) -> pd.Series:
    """Return for each item of `shown` whether its right answer ranks first: found first, missed or not judged.

    `per_query`: scores with the columns query_id and RR or RR@k, the reciprocal rank, of one direction or both.
    """
    scores = pd.concat(
        [table.set_index("query_id").filter(regex="^RR(@|$)").max(axis=1) for table in per_query]
    )
    of_items = scores.reindex(shown["item_id"]).to_numpy()
    results = np.where(np.isnan(of_items), NOT_JUDGED, np.where(of_items == 1, FOUND_FIRST, MISSED))
    return pd.Series(pd.Categorical(results, categories=[FOUND_FIRST, MISSED, NOT_JUDGED]))
