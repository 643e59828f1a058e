"""Why this result: the parts of the image and the words that speak for a hit, and how ranks change step by step.

Occlusions (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014) with one vector in place
of a class: what the cosine loses without a part of the image or a word. A drop above 0 means that the part spoke for
the match, one below 0 that it spoke against.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from mmlab.embed import Model, embed_queries
from mmlab.index import Index
from mmlab.items import Space, Vectors, open_image
from mmlab.items.options import Whole, check_value
from mmlab.items.sentences import split_words
from mmlab.retrieve.query.rank import rank
from mmlab.retrieve.query.retriever import Retriever

if TYPE_CHECKING:
    from PIL import Image

COVERED_PER_BATCH = 32  # covered copies that are in memory at a time
MAX_SIDE = 256  # pixels of the longer side: models see no more, and copies stay small
MAX_GRID = 32  # cells each way


class Occlusion(NamedTuple):
    """The parts that were left out, one a row with cosine and drop, and the cosine of the whole."""

    table: pd.DataFrame
    cosine: float


class HitExplanation(NamedTuple):
    """What a hit rests on: cells of the image, and words of the query."""

    cells: Occlusion
    words: Occlusion


def explain_hit(retrievers: Mapping[str, Retriever], query: str, hit: pd.Series) -> HitExplanation:
    """Occlude the image and the words of a text query and a found image, a row of a search's table.

    Without a joint space the words are held against the caption that stands for the image, and the image's parts
    against its own whole: what each vector rests on. `retrievers`: see `open_retrievers`.
    """
    reader, viewer = retrievers["text"], retrievers["image"]
    joint = reader.model.space == viewer.model.space
    with reader.index.session():
        found = reader.index.vectors([hit["item_id"]], viewer.model.space)
        near = found if joint else reader.index.vectors([hit["via"]], reader.model.space)
    reference = reader.embed(query) if joint else found
    cells = occlude_image(viewer.model, hit["image"], reference)
    return HitExplanation(cells, occlude_words(reader.model, query, near))


def occlude_image(
    model: Model, image: "str | Path | Image.Image", reference: Vectors, grid: int = 7
) -> Occlusion:
    """Cover each cell of a `grid` x `grid` with the image's mean colour, and see how the cosine drops.

    `reference`: one unit row (1, D) of the model's space to compare with, mostly a text's. The table has row, column
    (from 1, top left), left, top, right, bottom (shares of width and height in [0, 1]), cosine, drop. Raises
    SpaceMismatch for another space, ValueError for a grid below 1 or several rows.
    """
    vector = _one_row(model, reference)
    check_value("grid", grid, Whole(1, MAX_GRID))
    whole = (open_image(image) if isinstance(image, str | Path) else image.convert("RGB")).copy()
    whole.thumbnail((MAX_SIDE, MAX_SIDE))
    edges = np.linspace(0, 1, grid + 1)
    cells = [(row, column) for row in range(grid) for column in range(grid)]
    cosines = [embed_queries(model, [whole])[0] @ vector]
    for start in range(0, len(cells), COVERED_PER_BATCH):
        covered = [_cover(whole, edges, *cell) for cell in cells[start : start + COVERED_PER_BATCH]]
        cosines += (embed_queries(model, covered) @ vector).tolist()
    table = pd.DataFrame(cells, columns=["row", "column"]) + 1
    for name, index, step in (
        ("left", "column", 0),
        ("top", "row", 0),
        ("right", "column", 1),
        ("bottom", "row", 1),
    ):
        table[name] = edges[table[index] - 1 + step]
    return _with_drops(table, cosines)


def occlude_words(model: Model, text: str, reference: Vectors) -> Occlusion:
    """Leave out each word of a query, and see how the cosine with `reference` drops: position, word, cosine, drop.

    `reference`: one unit row (1, D) of the model's space, mostly an image's. Words: see `split_words`; the only word of
    a text is left out for "." in its place.
    """
    vector = _one_row(model, reference)
    words = split_words(text)
    if not words:
        raise ValueError("the text is empty: there are no words to leave out")
    shorter = [" ".join("".join(words[:i] + words[i + 1 :]).split()) or "." for i in range(len(words))]
    cosines = (embed_queries(model, [text, *shorter]) @ vector).tolist()
    shown = [word.strip() for word in words]
    return _with_drops(pd.DataFrame({"position": range(1, len(words) + 1), "word": shown}), cosines)


def nearest_captions(index: Index, item_ids: Sequence[str], space: Space, k: int = 3) -> pd.DataFrame:
    """Return the `k` texts nearest to each found item: item_id, rank, score (cosine), text, own (of its own pair).

    Says what the model sees in an image, in words of the collection; there are no rows where it has no texts. Raises
    KeyError for an item without a vector in `space`.
    """
    ids = list(dict.fromkeys(item_ids))
    with index.session():
        if not any("text" in index.modalities(one) for one in index.spaces):
            return pd.DataFrame(columns=["item_id", "rank", "score", "text", "own"])
        ranked = rank(index, index.vectors(ids, space), "text", k, exact=True)
        texts = index.fetch(ranked["item_id"].unique()).set_index("item_id")
        pair = index.fetch(ids).set_index("item_id")["pair_id"]
    found = ranked["item_id"]
    columns = {
        "item_id": ranked["query_id"],
        "rank": ranked["rank"],
        "score": ranked["score"],
        "text": found.map(texts["text"]),
        "own": found.map(texts["pair_id"]) == ranked["query_id"].map(pair),
    }
    return pd.DataFrame(columns)


def _one_row(model: Model, reference: Vectors) -> np.ndarray:
    model.space.check_same(reference.space)
    if len(reference) != 1:
        raise ValueError(f"expected the one vector to compare with, found {len(reference)}")
    return reference.array[0]


def _cover(image: "Image.Image", edges: np.ndarray, row: int, column: int) -> "Image.Image":
    mean = tuple(int(value) for value in np.asarray(image).reshape(-1, 3).mean(axis=0).round())
    x, y = (np.rint(edges * side).astype(int) for side in image.size)
    covered = image.copy()
    covered.paste(mean, (int(x[column]), int(y[row]), int(x[column + 1]), int(y[row + 1])))
    return covered


def _with_drops(table: pd.DataFrame, cosines: list[float]) -> Occlusion:
    """Add cosine and drop to the parts; the first cosine is the whole one's."""
    values = np.asarray(cosines, dtype=np.float64)
    return Occlusion(table.assign(cosine=values[1:], drop=values[0] - values[1:]), float(values[0]))


def rank_changes(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return how each item of two answers to one query changed its rank, the furthest first.

    Columns: item_id; before, after: its ranks, and score_before, score_after: its scores, missing where it was not
    found; change: the ranks it gained, missing where it is in one answer only; passed: how many items stand above it
    before only, passed_by: after only. For an item of both, change = passed - passed_by.

    >>> before = pd.DataFrame({"item_id": ["a", "b", "c"], "rank": [1, 2, 3], "score": [0.9, 0.8, 0.7]})
    >>> changes = rank_changes(before, before.assign(item_id=["c", "a", "b"]))
    >>> changes[["item_id", "change", "passed"]].values.tolist()
    [['c', 2, 2], ['a', -1, 0], ['b', -1, 0]]
    """
    ids = pd.Index(before["item_id"]).union(after["item_id"], sort=False)
    ranks = [hits.set_index("item_id")["rank"].reindex(ids).astype("Int64") for hits in (before, after)]
    scores = [hits.set_index("item_id")["score"].reindex(ids) for hits in (before, after)]
    old, new = (rank.to_numpy(dtype=float, na_value=np.inf) for rank in ranks)
    was_above, is_above = old[None, :] < old[:, None], new[None, :] < new[:, None]
    found = pd.DataFrame(
        {
            "item_id": ids,
            "before": ranks[0].to_numpy(),
            "after": ranks[1].to_numpy(),
            "score_before": scores[0].to_numpy(dtype=float),
            "score_after": scores[1].to_numpy(dtype=float),
            "change": (ranks[0] - ranks[1]).to_numpy(),
            "passed": (was_above & ~is_above).sum(axis=1),
            "passed_by": (is_above & ~was_above).sum(axis=1),
        }
    )
    distance = np.abs(np.minimum(old, len(ids) + 1) - np.minimum(new, len(ids) + 1))
    return found.iloc[np.lexsort((np.minimum(old, new), -distance))].reset_index(drop=True)


def describe_change(change: Mapping[str, Any]) -> str:
    """Return why an item changed its rank, a row of `rank_changes`: its scores, what it passed, and what passed it."""
    if pd.isna(change["before"]):
        return f"found on the right only, score {change['score_after']:.3f}"
    if pd.isna(change["after"]):
        return f"found on the left only, score {change['score_before']:.3f}"
    scores = [f"{change[name]:.3f}" for name in ("score_before", "score_after")]
    parts = [f"score {' → '.join(scores)}" if scores[0] != scores[1] else f"score still {scores[0]}"]
    parts += [f"passed {change['passed']}"] if change["passed"] else []
    return ", ".join([*parts, f"passed by {change['passed_by']}"] if change["passed_by"] else parts)


def ranks_by_step(
    steps: Mapping[str, pd.DataFrame],
    query_id: str,
    item_ids: Sequence[str],
    names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return the rank of each item after every step, for one query: item, then a column per step.

    `steps`: name -> rankings, in their order. An item that a step has not among its ranked ones has no rank (<NA>).
    `names`: item_id -> what to call it. Raises ValueError where no step has ranked anything for the query.
    """
    known = {name: ranked[ranked["query_id"] == query_id] for name, ranked in steps.items()}
    if all(found.empty for found in known.values()):
        raise ValueError(
            f"no step has ranked anything for query {query_id}; known are the queries of the rankings"
        )
    table = pd.DataFrame({"item": [(names or {}).get(item, item) for item in item_ids]})
    for name, found in known.items():
        table[name] = found.set_index("item_id")["rank"].reindex(item_ids).astype("Int64").to_numpy()
    return table.astype(dict.fromkeys(known, "Int64"))


def ranks_of_query(
    query_id: str, steps: Mapping[str, pd.DataFrame], answer: pd.DataFrame, items: pd.DataFrame, n: int = 8
) -> pd.DataFrame:
    """Return `ranks_by_step` of one query's first `n` answers in a run's own steps; items are called by their pair."""
    first = answer.loc[answer["query_id"] == query_id, "item_id"].head(n)
    pairs = items.set_index("item_id")["pair_id"].to_dict()
    return ranks_by_step(steps, query_id, first.tolist(), pairs)
