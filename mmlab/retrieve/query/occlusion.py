"""Why this result: what the cosine loses where a part of the image is covered, or a word is left out.

Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (ECCV 2014), with one vector in place
of a class. A drop above 0 says that the part spoke for the match, one below 0 that it spoke against it.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.embed import Model
from mmlab.items import Vectors, open_image

if TYPE_CHECKING:
    from PIL import Image

BATCH = 32  # covered copies in memory at a time
MOST = 256  # pixels of the longer side: models see no more, and copies stay small


def occlude_image(
    model: Model, image: "str | Path | Image.Image", other: Vectors, grid: int = 7
) -> pd.DataFrame:
    """Cover each cell of a `grid` x `grid` with the image's mean colour, and see how the cosine with `other` drops.

    `other`: one unit row (1, D) of the model's space, mostly a text's. Returns row, column (from 1, top left), left,
    top, right, bottom (shares of width and height in [0, 1]), cosine, drop; `attrs["cosine"]` is that of the whole
    image. Raises SpaceMismatch for another space, ValueError for a grid below 1 or several rows.
    """
    row = _one(model, other)
    if not 1 <= grid <= 32:
        raise ValueError(f"grid: expected 1 to 32 cells each way, found {grid}")
    whole = open_image(image) if isinstance(image, str | Path) else image.convert("RGB")
    whole = whole.copy()
    whole.thumbnail((MOST, MOST))
    edges = np.linspace(0, 1, grid + 1)
    places = [(r, c) for r in range(grid) for c in range(grid)]
    cosines = [model.embed_images([whole])[0] @ row]
    for start in range(0, len(places), BATCH):
        covered = [_cover(whole, edges, r, c) for r, c in places[start : start + BATCH]]
        cosines += (model.embed_images(covered) @ row).tolist()
    table = pd.DataFrame(places, columns=["row", "column"]) + 1
    for name, index, step in (
        ("left", "column", 0),
        ("top", "row", 0),
        ("right", "column", 1),
        ("bottom", "row", 1),
    ):
        table[name] = edges[table[index] - 1 + step]
    return _with_drops(table, cosines)


def occlude_words(model: Model, text: str, other: Vectors) -> pd.DataFrame:
    """Leave out each word of a query, and see how the cosine with `other` drops: position, word, cosine, drop.

    `other`: one unit row (1, D) of the model's space, mostly an image's; `attrs["cosine"]` is that of the whole text.
    Words are what spaces part; the only word of a text is left out for "." in its place.
    """
    row = _one(model, other)
    words = re.findall(r"\S+", text)
    if not words:
        raise ValueError("the text is empty: there are no words to leave out")
    shorter = [" ".join(words[:i] + words[i + 1 :]) or "." for i in range(len(words))]
    cosines = (model.embed_queries([text, *shorter]) @ row).tolist()
    return _with_drops(pd.DataFrame({"position": range(1, len(words) + 1), "word": words}), cosines)


def _one(model: Model, other: Vectors) -> np.ndarray:
    model.space.check_same(other.space)
    if len(other) != 1:
        raise ValueError(f"expected the one vector to compare with, found {len(other)}")
    return other.array[0]


def _cover(image: "Image.Image", edges: np.ndarray, row: int, column: int) -> "Image.Image":
    mean = tuple(int(value) for value in np.asarray(image).reshape(-1, 3).mean(axis=0).round())
    x, y = (np.rint(edges * side).astype(int) for side in image.size)
    covered = image.copy()
    covered.paste(mean, (int(x[column]), int(y[row]), int(x[column + 1]), int(y[row + 1])))
    return covered


def _with_drops(table: pd.DataFrame, cosines: list[float]) -> pd.DataFrame:
    """The first cosine is the whole one's."""
    values = np.asarray(cosines, dtype=np.float64)
    told = table.assign(cosine=values[1:], drop=values[0] - values[1:])
    told.attrs["cosine"] = float(values[0])
    return told
