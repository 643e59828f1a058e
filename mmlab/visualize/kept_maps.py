"""Maps that were laid out once, kept in a folder: vectors x method x settings -> points.

The runs of a sweep mostly have the same vectors, and so the same maps; laying them out is nearly all that
06_visualize takes its time for.
"""

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.items import Vectors, replacing

LIBRARIES = ("numpy", "scikit-learn", "umap-learn")  # another version may lay out another map


def keep_map(
    folder: Path, project: Callable[..., np.ndarray], vectors: Vectors, **settings: Any
) -> np.ndarray:
    """The map (N, 2) of vectors (N, D) that `project` lays out with these settings, or has laid out before.

    Of several processes that want the same map one lays it out, and the others wait for it. A file that is not
    a map of N points is made anew.
    """
    from filelock import FileLock

    file = folder / f"{_map_key(project, vectors, settings)}.npy"
    if (known := _load(file, len(vectors))) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_suffix(".lock")):
        if (known := _load(file, len(vectors))) is not None:
            return known
        points = project(vectors, **settings)
        with replacing(file) as temporary:
            np.save(temporary, points, allow_pickle=False)
    return points


def _map_key(project: Callable[..., np.ndarray], vectors: Vectors, settings: dict[str, Any]) -> str:
    """All that decides where the points lie; the names of the items do not."""
    told = [getsource(project), settings, vectors.array.shape, [version(name) for name in LIBRARIES]]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update(vectors.array)
    return f"{project.__name__}-{digest.hexdigest()[:32]}"


def _load(file: Path, count: int) -> np.ndarray | None:
    """The points in the file, or None if it is not there or is no map of `count` points."""
    try:
        points = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = points.shape == (count, 2) and points.dtype == np.float32 and np.isfinite(points).all()
    return points if whole else None
