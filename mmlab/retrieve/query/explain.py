"""Why this result: the captions nearest to what was found, and the ranks that each step gave it."""

from collections.abc import Mapping, Sequence

import pandas as pd

from mmlab.index import Index
from mmlab.items import Space
from mmlab.items.rankings import rank_by_score
from mmlab.retrieve.query.occlusion import occlude_image, occlude_words
from mmlab.retrieve.query.rank import rank
from mmlab.retrieve.query.rerank import Match, contents_of, rerank
from mmlab.retrieve.query.retriever import Retriever
from mmlab.retrieve.scores.fitted_calibration import Fitted
from mmlab.retrieve.scores.fuse import rrf
from mmlab.retrieve.scores.rescore import PLAIN


def nearest_captions(index: Index, item_ids: Sequence[str], space: Space, k: int = 3) -> pd.DataFrame:
    """The `k` texts nearest to each found item: item_id, rank, score (cosine), text, own (of the item's own pair).

    Says what the model sees in an image, in words of the collection. Raises KeyError for an item without a vector
    in `space`.
    """
    ids = list(dict.fromkeys(item_ids))
    with index.session():
        ranked = rank(index, index.vectors(ids, space), "text", k, exact=True)
        texts = index.fetch(ranked["item_id"].unique()).set_index("item_id")
        pair = index.fetch(ids).set_index("item_id")["pair_id"]
    found = ranked["item_id"]
    told = {
        "item_id": ranked["query_id"],
        "rank": ranked["rank"],
        "score": ranked["score"],
        "text": found.map(texts["text"]),
        "own": found.map(texts["pair_id"]) == ranked["query_id"].map(pair),
    }
    return pd.DataFrame(told)


def ranks_by_step(
    steps: Mapping[str, pd.DataFrame],
    query_id: str,
    item_ids: Sequence[str],
    names: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The rank of each item before and after every step, for one query: item, then a column per step.

    `steps`: name -> rankings, in their order. An item that a step has not among its ranked ones has no rank (<NA>).
    `names`: item_id -> what to call it. Raises ValueError where no step knows the query.
    """
    asked = {name: ranked[ranked["query_id"] == query_id] for name, ranked in steps.items()}
    if all(found.empty for found in asked.values()):
        raise ValueError(
            f"no step has ranked anything for query {query_id}; known are the queries of the rankings"
        )
    table = pd.DataFrame({"item": [(names or {}).get(item, item) for item in item_ids]})
    for name, found in asked.items():
        table[name] = found.set_index("item_id")["rank"].reindex(item_ids).astype("Int64").to_numpy()
    return table.astype(dict.fromkeys(asked, "Int64"))


def explain_hit(
    retrievers: Mapping[str, Retriever], query: str, hit: pd.Series
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`occlude_image` and `occlude_words` for a text query and a found image, a row of `search` with its payload.

    Without a joint space the words are held against the caption that stands for the image, and the image's parts
    against its own whole: what each vector rests on. `retrievers`: see `open_retrievers`.
    """
    reader, viewer = retrievers["text"], retrievers["image"]
    joint = reader.model.space == viewer.model.space
    with reader.index.session():
        found = reader.index.vectors([hit["item_id"]], viewer.model.space)
        near = found if joint else reader.index.vectors([hit["via"]], reader.model.space)
    other = reader.embed(query) if joint else found
    return occlude_image(viewer.model, hit["image"], other), occlude_words(reader.model, query, near)


def judged_again(
    query_id: str,
    exact: pd.DataFrame,
    match: Match | None,
    qrels: pd.DataFrame,
    items: pd.DataFrame,
    n: int = 10,
) -> pd.DataFrame:
    """The first `n` exact hits of one query as `match` orders them, see `rerank`; no rows without a match.

    query_id, item_id, rank, before, score (of `match`), cosine, item (its pair), right (in `qrels`).
    """
    first = exact[(exact["query_id"] == query_id) & (exact["rank"] <= n)]
    if match is None:
        return first.head(0).assign(before=0, cosine=0.0, item="", right=False)
    again = rerank(first, match, contents_of(items), n)
    found, right = again["item_id"], qrels.loc[qrels["query_id"] == query_id, "item_id"]
    return again.assign(
        cosine=found.map(first.set_index("item_id")["score"]),
        item=found.map(items.set_index("item_id")["pair_id"]),
        right=found.isin(right),
    )


def ranks_of_query(
    query_id: str,
    steps: Mapping[str, pd.DataFrame],
    answer: pd.DataFrame,
    tried: Mapping[str, pd.DataFrame],
    items: pd.DataFrame,
    calibration: Fitted | None = None,
    again: pd.DataFrame | None = None,
    n: int = 8,
) -> pd.DataFrame:
    """`ranks_by_step` of one query's first `n` answers: in the run's own steps, and in what it did not ask for.

    Beside `steps` stand the rescorings that were `tried` and their reciprocal rank fusion ("fused by
    rank"), the exact answer calibrated (which keeps every rank) and reranked (`judged_again`). Items are called by
    their pair.
    """
    asked = {name: found for name, found in {**steps, **tried}.items() if name != PLAIN}
    asked = {name: found[found["query_id"] == query_id] for name, found in asked.items()}
    if tried:
        asked["fused by rank"] = rrf([found[found["query_id"] == query_id] for found in tried.values()])
    if calibration and "calibrated" not in asked:
        asked["calibrated"] = rank_by_score(calibration.apply(asked["exact"]))
    if again is not None and len(again) and "reranked" not in asked:
        asked["reranked"] = again
    first = answer.loc[answer["query_id"] == query_id, "item_id"].head(n)
    pairs = items.set_index("item_id")["pair_id"].to_dict()
    return ranks_by_step(asked, query_id, first.tolist(), pairs).rename(
        columns=lambda name: name.replace("_", " ")
    )
