"""Where a query lands on a map of items: beside its neighbours, without drawing the map again."""

import numpy as np
import pandas as pd

from mmlab.items import Vectors, check_columns, is_among

NEIGHBOURS = 5


def landing(
    query: Vectors, vectors: Vectors, points: pd.DataFrame, neighbours: int = NEIGHBOURS
) -> tuple[float, float, pd.DataFrame]:
    """The place (x, y) of one query row on the map, and its nearest mapped items: item_id, score (cosine), x, y.

    The place is the mean of the nearest items' places, each weighted by how much nearer it is than the first one
    left out: an estimate, which lies between two clusters where the query has neighbours in both. `points`:
    item_id, x, y; `vectors` of the same space. Raises SpaceMismatch, and ValueError without a mapped item.
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
    return float(x), float(y), nearest.reset_index(drop=True)


def map_points(maps: pd.DataFrame, method: str = "umap") -> pd.DataFrame:
    """The points of one method of maps.parquet (umap_x, umap_y, ...) as item_id, x, y."""
    columns = {f"{method}_x": "x", f"{method}_y": "y"}
    return check_columns(maps, ("item_id", *columns), "maps")[["item_id", *columns]].rename(columns=columns)


def listed_items(ids: list[str], items: pd.DataFrame, most: int = 24) -> pd.DataFrame:
    """The first `most` of these items, in their order, as the map's selection lists them."""
    return items.set_index("item_id").loc[ids[:most]].reset_index()
