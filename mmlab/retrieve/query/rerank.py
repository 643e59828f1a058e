"""Rank the first hits again by a model that reads query and item together: slower than vectors, and more exact."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mmlab.embed import Model, embed_queries, load_for
from mmlab.items import ImageError, Vectors, open_image
from mmlab.items.options import Whole, check_value
from mmlab.items.rankings import rank_by_score

if TYPE_CHECKING:
    from PIL import Image

    Opened = str | Image.Image

PAIRS_PER_BATCH = 16  # that are read in one call
CROP_SHARE = 0.6  # of each side of an image
Match = Callable[[list[Any], list[Any]], Sequence[float] | np.ndarray]


def rerank(
    rankings: pd.DataFrame,
    match: Match,
    contents: Mapping[str, Any],
    n: int = 20,
    batch: int = PAIRS_PER_BATCH,
) -> pd.DataFrame:
    """Put the first `n` items of every query in the order of `match`, equal ones as before; the rest stay below.

    `match(texts, images)` gives one finite score for each pair (N,), higher is better: a `Matcher.match` of
    mmlab.embed, or any cross-encoder as a function; where query and item are both texts or both images, it is given the
    queries' and the items'. `contents`: id -> text, or image (a Path or a PIL image); see `contents_of`. Scores become
    those of `match`; the rest are shifted below them by the gaps that they had. The column `before` holds the rank
    before. Raises KeyError for an id without content, ImageError with the path for an image that cannot be opened,
    ValueError for an `n` below 1 and for wrong scores.

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [0.9, 0.8]})
    >>> longer = lambda queries, items: [float(len(item)) for item in items]
    >>> rerank(rankings, longer, {"q": "mug", "a": "mug", "b": "red mug"})["item_id"].tolist()
    ['b', 'a']
    """
    check_value("n", n, Whole(1))
    ranked = rank_by_score(rankings)
    ranked = ranked.assign(before=ranked["rank"], score=ranked["score"].astype(np.float64))
    first = (ranked["rank"] <= n).to_numpy()
    scores = ranked["score"].to_numpy().copy()
    scores[first] = _match_scores(ranked[first], match, contents, batch)
    scores[~first] = _scores_below(ranked, scores, first)
    order = np.lexsort((ranked["before"], -scores, pd.factorize(ranked["query_id"])[0]))
    moved = ranked.assign(score=scores).iloc[order]
    rank = moved.groupby("query_id", sort=False).cumcount() + 1
    return moved.assign(rank=rank).reset_index(drop=True)


def contents_of(items: pd.DataFrame) -> dict[str, Any]:
    """Return the content of each item by its id: the text of a text, the Path of an image."""
    is_text = items["modality"] == "text"
    texts = dict(zip(items.loc[is_text, "item_id"], items.loc[is_text, "text"], strict=True))
    return texts | {
        item: Path(image) for item, image in items.loc[~is_text, ["item_id", "image"]].itertuples(index=False)
    }


def find_matcher(vectors: Iterable[Vectors], n: int, loaded: Iterable[Model] = ()) -> Match | None:
    """Return the matching head of the first model of these vectors that has one; None without one, or where n is 0.

    Models that are `loaded` already, such as those of retrievers, are not loaded again.
    """
    known = {model.space: model for model in loaded}
    models = (known.get(own.space) or load_for(own.space) for own in vectors if n)
    return next((model.match for model in models if hasattr(model, "match")), None)


def match_by_crops(model: Model) -> Match:
    """Return a function for `rerank`: the best cosine of a text with an image or one of its four overlapping quarters.

    Finds what is small in an image, five times as slowly; for a model of texts and images without a matching head.
    """

    def match(texts: list[str], images: "list[Image.Image]") -> np.ndarray:
        parts = [part for image in images for part in (image, *_quarters(image))]
        rows = embed_queries(model, parts).reshape(len(images), -1, model.space.dimension)
        return np.einsum("npd,nd->np", rows, embed_queries(model, texts)).max(axis=1)

    return match


def _quarters(image: "Image.Image") -> "list[Image.Image]":
    """Return three fifths of each side, from each corner."""
    width, height = image.size
    x, y = max(round(CROP_SHARE * width), 1), max(round(CROP_SHARE * height), 1)
    return [image.crop((left, top, left + x, top + y)) for left in (0, width - x) for top in (0, height - y)]


def _match_scores(pairs: pd.DataFrame, match: Match, contents: Mapping[str, Any], batch: int) -> np.ndarray:
    found = [np.empty(0)]
    ids = pairs[["query_id", "item_id"]].to_numpy(dtype=object)
    for start in range(0, len(ids), batch):
        part = ids[start : start + batch]
        opened = {item: _open(contents, item) for item in dict.fromkeys(part.ravel())}
        queries, items = ([opened[item] for item in column] for column in part.T)
        if isinstance(items[0], str) and not isinstance(queries[0], str):
            queries, items = items, queries
        scores = np.asarray(match(queries, items), dtype=np.float64)
        if scores.shape != (len(part),) or not np.isfinite(scores).all():
            raise ValueError(f"match: expected {len(part)} finite scores, found {scores.tolist()[:5]}")
        found.append(scores)
    return np.concatenate(found)


def _scores_below(ranked: pd.DataFrame, scores: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the scores of the rest: as far below the lowest new one as they were below the last of the first."""
    lowest = pd.Series(scores[first]).groupby(ranked.loc[first, "query_id"].to_numpy()).min()
    last = ranked[first].groupby("query_id")["score"].min()
    query = ranked.loc[~first, "query_id"]
    gap = query.map(last).to_numpy() - ranked.loc[~first, "score"].to_numpy()
    return query.map(lowest).to_numpy() - gap - 1e-6  # below also where the gap was none


def _open(contents: Mapping[str, Any], item: str) -> "Opened":
    if item not in contents:
        raise KeyError(f"no text or image for {item}: give the contents of all queries and items")
    found = contents[item]
    if isinstance(found, Path):
        try:
            return open_image(found)
        except ImageError as error:
            raise ImageError(f"{found}: {error}; it is to be ranked again and cannot be read") from error
    return found if isinstance(found, str) else found.convert("RGB")
