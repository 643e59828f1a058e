"""How much each of several systems should weigh when they are fused: learned on some queries, judged on others."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from mmlab.evaluate import score_queries
from mmlab.index import Index
from mmlab.items import DIRECTIONS, Vectors, is_among
from mmlab.items.rankings import drop_self_matches, first_rows
from mmlab.retrieve.config import NONE
from mmlab.retrieve.query.model_rankings import askers, rank_models, search_exactly
from mmlab.retrieve.scores.fuse import fuse
from mmlab.retrieve.scores.fusion_weights import learn_weights, weights_by_confidence
from mmlab.retrieve.scores.query_split import fold_queries
from mmlab.retrieve.studies.trials import Tried


class WeightTrial(NamedTuple):
    """The learned weight of each system, the table they were read from, and rankings of the queries to judge on.

    `judged`: the answers of "equal shares", of each system alone, of the learned weights where they differ from equal
    shares, and what else is compared; none where nothing could be learned, and `says` tells why.
    """

    weights: dict[str, float]
    table: pd.DataFrame
    judged: dict[str, pd.DataFrame]
    qrels: pd.DataFrame
    says: str

    def scores(self) -> dict[str, pd.DataFrame]:
        """Of each judged system the reciprocal rank of every query: query_id, RR; as a comparison takes them."""
        return {
            name: score_queries(found, self.qrels, ["RR"], "as ranked") for name, found in self.judged.items()
        }


def weigh_systems(
    systems: Mapping[str, pd.DataFrame],
    qrels: pd.DataFrame,
    items: pd.DataFrame,
    fusion: str = "weighted_sum",
    seed: int = 0,
) -> WeightTrial:
    """The weights of the systems' rankings in a fusion of FUSIONS, by the mean reciprocal rank.

    Learned on the queries to fit on (`fold_queries`) and judged on the others.
    """
    names, rankings = list(systems), list(systems.values())
    fold = fold_queries(items, qrels["query_id"].unique(), seed)
    learned = learn_weights([fold.fit_on(one) for one in rankings], fold.fit_on(qrels), fusion)
    judging = [fold.judge_on(one) for one in rankings]
    told = " + ".join(f"{weight:.2g}" for weight in learned.weights)
    judged = {
        "equal shares": fuse(fusion, judging),
        **{f"{name} alone": one for name, one in zip(names, judging, strict=True)},
    }
    if len(set(learned.weights)) > 1:  # equal ones are judged already
        judged[f"learned: {told}"] = fuse(fusion, judging, learned.weights)
    weights = dict(zip(names, learned.weights, strict=True))
    return WeightTrial(weights, learned.table, judged, fold.judge_on(qrels), fold.says)


def try_weights(
    index: Index, spaces: Sequence[Vectors], items: pd.DataFrame, k: int = 100, seed: int = 0
) -> WeightTrial:
    """`weigh_systems` of "text" and "image": a pair's first text and its image ask for the pair's other texts.

    Judged beside it is the rule of 60 % to the more confident of both. No rows and no systems where no pair has two
    texts and an image.
    """
    text, image, qrels = rank_by_both(index, spaces, items, k)
    if qrels["query_id"].nunique() < 2:
        nothing = pd.DataFrame({"weights": [], "value": []})
        return WeightTrial({}, nothing, {}, qrels, "no pairs have two texts and an image")
    trial = weigh_systems({"text": text, "image": image}, qrels, items, seed=seed)
    both = [one[is_among(one["query_id"], trial.qrels["query_id"])] for one in (text, image)]
    trial.judged["60 % to the more confident"] = fuse("weighted_sum", both, weights_by_confidence(both))
    return trial


def try_model_weights(
    index: Index,
    spaces: Sequence[Vectors],
    items: pd.DataFrame,
    qrels: Mapping[str, pd.DataFrame],
    tried: Tried,
    fusion: str = NONE,
    k: int = 100,
    seed: int = 0,
) -> dict[str, WeightTrial]:
    """`weigh_systems` of the run's models, in each direction that several of them answer, by exact search; by a
    weighted sum where the run's `fusion` is "none".

    Where one model answers all, its answers as embedded and centred (of `tried`, see `try_rescorings`) are the systems.
    """
    several = {
        name: rank_models(index, spaces, items, *way, k)
        for name, way in DIRECTIONS.items()
        if len(askers(spaces, items, way[0])) > 1
    }
    how = "weighted_sum" if fusion == NONE else fusion
    systems = several or {
        name: {"as embedded": ways["none"], "centred": ways["centring"]} for name, ways in tried.items()
    }
    return {name: weigh_systems(ranked, qrels[name], items, how, seed) for name, ranked in systems.items()}


def rank_by_both(
    index: Index, spaces: Sequence[Vectors], items: pd.DataFrame, k: int = 100
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Texts ranked by each pair's first text, and by its image, both with the text's id as query_id; and the qrels.

    Right are the other texts of the pair; the asking text itself is in neither ranking. Exact search.
    """
    sides = {side: askers(spaces, items, side)[0] for side in ("text", "image")}
    known = {side: items[is_among(items["item_id"], vectors.ids)] for side, vectors in sides.items()}
    several = known["text"][known["text"].duplicated("pair_id", keep=False)]
    pairs = several.drop_duplicates("pair_id").merge(
        known["image"].drop_duplicates("pair_id"), on="pair_id", suffixes=("_text", "_image")
    )[["pair_id", "item_id_text", "item_id_image"]]
    ranked = []
    for side in ("text", "image"):
        asked = sides[side].take(pairs[f"item_id_{side}"])
        own = search_exactly(index, spaces, items, asked, "text", k + 1)
        names = dict(zip(pairs[f"item_id_{side}"], pairs["item_id_text"], strict=True))
        ranked.append(first_rows(drop_self_matches(own.assign(query_id=own["query_id"].map(names))), k))
    answers = (
        several[["item_id", "pair_id"]]
        .merge(pairs, on="pair_id")
        .rename(columns={"item_id_text": "query_id"})
    )
    qrels = drop_self_matches(answers).assign(relevance=1)
    return ranked[0], ranked[1], qrels[["query_id", "item_id", "relevance"]].reset_index(drop=True)
