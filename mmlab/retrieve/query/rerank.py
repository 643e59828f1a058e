"""Rank the first hits again by a model that reads query and item together: slower than vectors, and more exact.

A model that reads no images reads an image by its words, the texts of its pair. An item that has no words to be read
keeps its place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.embed import Model, embed_queries, load_for, load_pair_scorer
from mmlab.items import ImageError, Vectors, open_image
from mmlab.items.options import Whole, check_value
from mmlab.items.rankings import rank_by_score

if TYPE_CHECKING:
    from PIL import Image

    from mmlab.embed.models.sentence_encoder import PairScorer

    Opened = str | Image.Image

PAIRS_PER_BATCH = 16  # that are read in one call
CROP_SHARE = 0.6  # of each side of an image
SCORE_STEP = 1e-6  # between scores that nothing else tells apart
Match = Callable[[list[Any], list[Any]], Sequence[float] | np.ndarray]


@dataclass(frozen=True)
class CrossEncoderMatch:
    """A `Match` by a cross-encoder of sentence-transformers, loaded when it is first needed.

    model: its Hugging Face id or folder; items: those whose texts are the words of their images.
    """

    model: str
    items: pd.DataFrame

    @cached_property
    def scorer(self) -> "PairScorer":
        """The model; raises ModelError where it cannot be read or scores no pairs."""
        return load_pair_scorer(self.model)

    def __call__(self, texts: list[Any], others: list[Any]) -> np.ndarray:
        """Return the scores, float32 (N,), of text i with the text or the image i."""
        return self.scorer.match(texts, others)

    @cached_property
    def words(self) -> dict[str, dict[str, str]] | None:
        """The texts of each image's pair by their ids, by the image's id; None where the model reads images."""
        return None if self.scorer.reads_images else words_of_images(self.items)


class CrossEncoders(dict[str, CrossEncoderMatch]):
    """The cross-encoders that were asked for by their names, each made once."""

    def __init__(self, items: pd.DataFrame) -> None:
        super().__init__()
        self.items_read = items

    def __missing__(self, model: str) -> CrossEncoderMatch:
        """Make the one of this name."""
        self[model] = CrossEncoderMatch(model, self.items_read)
        return self[model]


def rerank(
    rankings: pd.DataFrame,
    match: Match,
    contents: Mapping[str, Any],
    n: int = 20,
    batch: int = PAIRS_PER_BATCH,
    own_pairs: pd.Series | None = None,
) -> pd.DataFrame:
    """Put the first `n` items of every query in the order of `match`, equal ones as before; the rest stay below.

    `match(texts, images)` gives one finite score for each pair (N,), higher is better: a `Matcher.match` of
    mmlab.embed, or any cross-encoder as a function; where query and item are both texts or both images, it is given the
    queries' and the items'. `contents`: id -> text, image (a Path or a PIL image), or the words that stand for an
    image, {id: text}, of which the best counts; see `contents_of`. `own_pairs`: the pair_id of queries and items, by
    id, where words of the query's own pair are not read; the query itself never is.

    Scores become those of `match`; the rest are shifted below them by the gaps that they had. An item without words to
    read keeps its place, and its score lies between those of its neighbours. Two more columns: `before`, the rank
    before, and `read`, whether the item was scored. Raises KeyError for an id without content, ImageError with the path
    for an image that cannot be opened, ValueError for an `n` below 1 and for wrong scores.

    >>> rankings = pd.DataFrame({"query_id": "q", "item_id": ["a", "b"], "rank": [1, 2], "score": [0.9, 0.8]})
    >>> longer = lambda queries, items: [float(len(item)) for item in items]
    >>> rerank(rankings, longer, {"q": "mug", "a": "mug", "b": "red mug"})["item_id"].tolist()
    ['b', 'a']
    """
    check_value("n", n, Whole(1))
    ranked = rank_by_score(rankings)
    ranked = ranked.assign(before=ranked["rank"], score=ranked["score"].astype(np.float64))
    first = (ranked["rank"] <= n).to_numpy()
    found = np.full(len(ranked), np.nan)
    found[first] = _match_scores(ranked[first], match, contents, batch, own_pairs)
    order, scores = np.arange(len(ranked)), ranked["score"].to_numpy().copy()
    for rows in ranked[first].groupby("query_id", sort=False).indices.values():
        rows = np.flatnonzero(first)[rows]
        places, settled = _settle(found[rows], scores[rows])
        order[rows], scores[rows] = rows[places], settled
    scores[~first] = _scores_below(ranked, scores, first)
    moved = ranked.iloc[order].assign(rank=ranked["rank"].to_numpy(), score=scores)
    return moved.assign(read=~np.isnan(found[order])).reset_index(drop=True)


def contents_of(items: pd.DataFrame, match: Match | None = None, query: str = "") -> dict[str, Any]:
    """Return the content of each item by its id: the text of a text, the Path of an image.

    Where `match` reads no images, the words of an image stand for it, without those that read as the `query` does.
    """
    is_text = items["modality"] == "text"
    texts = dict(zip(items.loc[is_text, "item_id"], items.loc[is_text, "text"], strict=True))
    words = match.words if isinstance(match, CrossEncoderMatch) else None
    if words is not None:
        named = {item: words.get(item, {}) for item in items.loc[~is_text, "item_id"]}
        return texts | {
            item: {key: text for key, text in own.items() if text != query} for item, own in named.items()
        }
    return texts | {
        item: Path(image) for item, image in items.loc[~is_text, ["item_id", "image"]].itertuples(index=False)
    }


def words_of_images(items: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the texts of each image's pair by their ids, by the image's id; {} where its pair has none.

    >>> items = pd.DataFrame({"item_id": ["t", "i"], "modality": ["text", "image"], "pair_id": "a", "text": "mug"})
    >>> words_of_images(items)
    {'i': {'t': 'mug'}}
    """
    by_pair: dict[str, dict[str, str]] = {}
    texts = items[items["modality"] == "text"]
    for pair, item, text in zip(texts["pair_id"], texts["item_id"], texts["text"], strict=True):
        by_pair.setdefault(pair, {})[item] = text
    images = items[items["modality"] == "image"]
    return {
        item: by_pair.get(pair, {}) for item, pair in zip(images["item_id"], images["pair_id"], strict=True)
    }


def count_unread(reranked: pd.DataFrame, n: int) -> int:
    """Return how many of the first `n` items of all queries kept their place, for want of words to read."""
    return int((~reranked["read"] & (reranked["before"] <= n)).sum())


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


class _Reading(NamedTuple):
    """Two contents that are scored together, by their keys; row: of the hit that the score counts for."""

    row: int
    query: str
    item: str


def _match_scores(
    pairs: pd.DataFrame, match: Match, contents: Mapping[str, Any], batch: int, own_pairs: pd.Series | None
) -> np.ndarray:
    """Return the best score of each hit (R,), NaN where nothing of it may be read."""
    readings, plain = list(_readings(pairs, contents, own_pairs)), _by_key(contents)
    scores = np.full(len(pairs), np.nan)
    for start in range(0, len(readings), batch):
        part = readings[start : start + batch]
        keys = dict.fromkeys(key for reading in part for key in (reading.query, reading.item))
        opened = {key: _open(plain, key) for key in keys}
        queries, items = [opened[one.query] for one in part], [opened[one.item] for one in part]
        if isinstance(items[0], str) and not isinstance(queries[0], str):
            queries, items = items, queries
        found = np.asarray(match(queries, items), dtype=np.float64)
        if found.shape != (len(part),) or not np.isfinite(found).all():
            raise ValueError(f"match: expected {len(part)} finite scores, found {found.tolist()[:5]}")
        np.fmax.at(scores, [one.row for one in part], found)
    return scores


def _readings(
    pairs: pd.DataFrame, contents: Mapping[str, Any], own_pairs: pd.Series | None
) -> Iterator[_Reading]:
    """Yield what is read of each hit: query and item, or each word of one that words stand for.

    All words of an image that asks are of the query's own pair.
    """
    pair = {} if own_pairs is None else own_pairs.to_dict()
    for row, (query, item) in enumerate(pairs[["query_id", "item_id"]].itertuples(index=False)):
        asks, answers = contents.get(query), contents.get(item)
        if not isinstance(asks, Mapping) and not isinstance(answers, Mapping):
            yield _Reading(row, query, item)
        elif query not in pair or (pair[query] != pair.get(item) and not isinstance(asks, Mapping)):
            asking, answering = (
                list(content) if isinstance(content, Mapping) else [key]
                for content, key in ((asks, query), (answers, item))
            )
            yield from (_Reading(row, *keys) for keys in product(asking, answering) if keys[0] != keys[1])


def _by_key(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents with the words that stand for images by their own ids."""
    plain = {key: content for key, content in contents.items() if not isinstance(content, Mapping)}
    words = (content for content in contents.values() if isinstance(content, Mapping))
    return plain | {key: text for own in words for key, text in own.items()}


def _settle(found: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the new order (R,) of the first items of a query, and their scores in it; NaN: keeps its place."""
    read = ~np.isnan(found)
    order = np.arange(len(found))
    if not read.any():
        return order, before
    order[read] = np.flatnonzero(read)[np.argsort(-found[read], kind="stable")]
    known = np.flatnonzero(read)
    place = np.arange(len(found))
    beyond = place - np.clip(place, known[0], known[-1])  # above the first that was read, and below the last
    return order, np.interp(place, known, found[order][known]) - SCORE_STEP * beyond


def _scores_below(ranked: pd.DataFrame, scores: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the scores of the rest: as far below the lowest new one as they were below the last of the first."""
    lowest = pd.Series(scores[first]).groupby(ranked.loc[first, "query_id"].to_numpy()).min()
    last = ranked[first].groupby("query_id")["score"].min()
    query = ranked.loc[~first, "query_id"]
    gap = query.map(last).to_numpy() - ranked.loc[~first, "score"].to_numpy()
    return query.map(lowest).to_numpy() - gap - SCORE_STEP  # below also where the gap was none


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
