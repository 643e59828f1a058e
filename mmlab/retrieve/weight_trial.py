"""How much a text and how much a picture should weigh when both ask: learned on some pairs, judged on others."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from mmlab.index import Index
from mmlab.items import Vectors
from mmlab.retrieve.fold import fold_queries
from mmlab.retrieve.fuse import weighted_sum
from mmlab.retrieve.rank import rank
from mmlab.retrieve.stepwise import askers
from mmlab.retrieve.weigh import learn_weight, reciprocal_ranks, weights_by_confidence


class WeightTrial(NamedTuple):
    """The learned weight of the text, the table it was read from, and rankings of the queries to judge on by system."""

    weight: float
    table: pd.DataFrame
    judged: dict[str, pd.DataFrame]
    qrels: pd.DataFrame
    says: str


def try_weights(
    index: Index, spaces: Sequence[Vectors], items: pd.DataFrame, k: int = 100, seed: int = 0
) -> WeightTrial:
    """A pair's first text and its picture together ask for the pair's other texts: the weight of the text.

    Learned by the mean reciprocal rank on the queries to fit on (`fold_queries`); the rankings in `judged` are of the
    others: half each, text alone, picture alone, 60 % for the more confident, and the learned weight. No rows and no
    systems where no pair has two texts and a picture.
    """
    text, picture, qrels = rank_by_both(index, spaces, items, k)
    if qrels["query_id"].nunique() < 2:
        return WeightTrial(
            0.5, pd.DataFrame({"weight": [], "value": []}), {}, qrels, "no pairs have two texts and a picture"
        )
    fold = fold_queries(items, qrels["query_id"].unique(), seed)
    learned = learn_weight(fold.fit_on(text), fold.fit_on(picture), fold.fit_on(qrels), reciprocal_ranks)
    both = [fold.judge_on(text), fold.judge_on(picture)]
    weights = {
        "half each": 0.5,
        "text alone": 1.0,
        "picture alone": 0.0,
        f"learned, {learned.weight:g}": learned.weight,
    }
    judged = {name: weighted_sum(both, [weight, 1 - weight]) for name, weight in weights.items()}
    judged["60 % to the more confident"] = weighted_sum(both, weights_by_confidence(both))
    return WeightTrial(learned.weight, learned.table, judged, fold.judge_on(qrels), fold.says)


def rank_by_both(
    index: Index, spaces: Sequence[Vectors], items: pd.DataFrame, k: int = 100
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Texts ranked by each pair's first text, and by its picture, both with the text's id as query_id; and the qrels.

    Right are the other texts of the pair; the asking text itself is in neither ranking. Exact search.
    """
    sides = {side: askers(spaces, items, side)[0] for side in ("text", "image")}
    known = {side: items[items["item_id"].isin(vectors.ids)] for side, vectors in sides.items()}
    several = known["text"][known["text"].duplicated("pair_id", keep=False)]
    pairs = several.drop_duplicates("pair_id").merge(
        known["image"].drop_duplicates("pair_id"), on="pair_id", suffixes=("_text", "_image")
    )[["pair_id", "item_id_text", "item_id_image"]]
    ranked = []
    for side in ("text", "image"):
        own = rank(index, sides[side].take(pairs[f"item_id_{side}"]), "text", k + 1, exact=True)
        names = dict(zip(pairs[f"item_id_{side}"], pairs["item_id_text"], strict=True))
        own = own.assign(query_id=own["query_id"].map(names))
        others = own[own["query_id"] != own["item_id"]]
        place = others.groupby("query_id", sort=False).cumcount() + 1
        ranked.append(others.assign(rank=place)[place <= k].reset_index(drop=True))
    answers = (
        several[["item_id", "pair_id"]]
        .merge(pairs, on="pair_id")
        .rename(columns={"item_id_text": "query_id"})
    )
    qrels = answers[answers["item_id"] != answers["query_id"]].assign(relevance=1)
    return ranked[0], ranked[1], qrels[["query_id", "item_id", "relevance"]].reset_index(drop=True)
