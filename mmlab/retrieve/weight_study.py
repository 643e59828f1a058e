"""Study: how much each of several systems should weigh in a fusion, learned on some queries, evaluated on others."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import pandas as pd

from mmlab.evaluate import score_queries
from mmlab.index import Index
from mmlab.index.engines.bm25 import system_name
from mmlab.items import DIRECTIONS, MODALITIES, QREL_COLUMNS, Vectors, is_among
from mmlab.items.rankings import drop_self_matches, first_rows
from mmlab.items.tables import TooFew
from mmlab.retrieve.query.rank import (
    answering_through_pairs,
    have_joint_space,
    query_vectors,
    rank_exactly,
    rank_models,
    vectors_of_modality,
)
from mmlab.retrieve.scores.fuse import RRF_K, fuse
from mmlab.retrieve.scores.fusion_weights import learn_weights, weights_by_confidence
from mmlab.retrieve.scores.hubness import CENTRING, NONE, rescore
from mmlab.retrieve.scores.query_split import COMPARED_PAIRS, Split, split_queries

WEIGHT_COLUMNS = ["of", "system", "value", "low", "high", "difference", "difference_low", "difference_high"]


class WeightTrial(NamedTuple):
    """The learned weight of each system, the table they were read from, and rankings of the queries to evaluate on.

    rankings: the answers of "equal shares", of each system alone, of the learned weights where they differ from equal
    shares, and what else is compared; none where nothing could be learned, and `summary` says why.
    """

    weights: dict[str, float]
    table: pd.DataFrame
    rankings: dict[str, pd.DataFrame]
    qrels: pd.DataFrame
    summary: str

    @classmethod
    def nothing_learned(cls, reason: str) -> Self:
        """Return a trial without systems, and why there are none."""
        nothing = pd.DataFrame({"weights": [], "value": []})
        return cls({}, nothing, {}, pd.DataFrame(columns=list(QREL_COLUMNS)), reason)

    def scores(self) -> dict[str, pd.DataFrame]:
        """Return the reciprocal rank of every query by system: query_id, RR; as `compare_systems` takes them."""
        return {name: score_queries(found, self.qrels, ["RR"]) for name, found in self.rankings.items()}


def try_system_weights(
    systems: Mapping[str, pd.DataFrame],
    qrels: pd.DataFrame,
    judged: Split,
    fusion: str = "weighted_sum",
    seed: int = 0,
    rrf_k: float = RRF_K,
) -> WeightTrial:
    """Learn the weights of the systems' rankings in a fusion of FUSIONS, by the mean reciprocal rank.

    Learned on the queries to fit on (`split_queries`) and evaluated on those of the `judged` split. qrels: of the
    queries that were asked.
    """
    split = split_queries(judged, qrels["query_id"].unique(), seed)
    fitting = [split.fitting_rows(one) for one in systems.values()]
    learned = learn_weights(fitting, split.fitting_rows(qrels), fusion, rrf_k=rrf_k)
    others = {name: split.evaluation_rows(one) for name, one in systems.items()}
    rankings = {"equal shares": fuse(fusion, list(others.values()), rrf_k=rrf_k)}
    rankings |= {f"{name} alone": one for name, one in others.items()}
    if len(set(learned.weights)) > 1:  # equal ones are there already
        shown = " + ".join(f"{weight:.2g}" for weight in learned.weights)
        rankings[f"learned: {shown}"] = fuse(fusion, list(others.values()), learned.weights, rrf_k)
    weights = dict(zip(systems, learned.weights, strict=True))
    summary = split.summary + judged.drawing
    return WeightTrial(weights, learned.table, rankings, split.evaluation_rows(qrels), summary)


def try_query_weights(
    index: Index, vectors: Sequence[Vectors], judged: Split, k: int = 100, seed: int = 0
) -> WeightTrial:
    """Learn the weights of "text" and "image": a pair's first text and its image ask for the pair's other texts.

    Each is asked against the texts of its own split, by 2,000 pairs drawn by `seed` where there are more. See
    `try_system_weights`. Beside it stands the rule of 60% to the more confident of both. Raises TooFew unless two pairs
    of the judged split have two texts and an image.
    """
    by_part = [rank_by_both(index, vectors, part, k, seed) for part in judged.galleries]
    able = by_part[0][2]["query_id"].nunique()
    if able < 2:
        raise TooFew(f"it takes two pairs or more with two texts and an image, and there are {able}")
    text, image, qrels = map(pd.concat, zip(*by_part, strict=True))
    trial = try_system_weights({"text": text, "image": image}, qrels, judged, seed=seed)
    both = [one[is_among(one["query_id"], trial.qrels["query_id"])] for one in (text, image)]
    by_rule = fuse("weighted_sum", both, weights_by_confidence(both))
    return trial._replace(rankings={**trial.rankings, "60% to the more confident": by_rule})


def try_model_weights(
    index: Index,
    vectors: Sequence[Vectors],
    judged: Split,
    qrels: Mapping[str, pd.DataFrame],
    fusion: str = "none",
    k: int = 100,
    seed: int = 0,
    rrf_k: float = RRF_K,
) -> dict[str, WeightTrial]:
    """Learn the weights of the run's models, in each direction that several of them answer, by exact search.

    The queries are those of `Split.of_compared_pairs`. By a weighted sum where the run's `fusion` is "none". Where one
    model answers a direction alone, and the run has no other, its answers as embedded and centred are the systems.
    Siblings of the queries are left out: no weight is learned on them. See `try_system_weights`. Raises TooFew where
    there are too few pairs, no joint space, or items that do not differ and so cannot be centred.
    """
    known = pd.concat([judged.items, judged.others])
    if not have_joint_space(vectors, known):
        raise TooFew(
            "it takes texts and images in one space: without it a right answer is found by siblings of the query "
            "alone, and no weight is learned on them"
        )
    parts = judged.galleries
    by_part = [_by_model(index, vectors, part, k, seed) for part in parts]
    dense = [own for own in vectors if isinstance(own, Vectors)]
    if len(dense) == 1:
        by_part = [
            _as_embedded_and_centred(dense[0], part, k, seed) | own
            for part, own in zip(parts, by_part, strict=True)
        ]
    used = "weighted_sum" if fusion == "none" else fusion
    trials = {}
    for direction, ranked in by_part[0].items():
        systems = {name: _joined(by_part, direction, name) for name in ranked}
        right = pd.concat([_asked(part, qrels[direction], DIRECTIONS[direction][0], seed) for part in parts])
        trial = try_system_weights(systems, right, judged, used, seed, rrf_k)
        left_out = _left_out(vectors, known, DIRECTIONS[direction][0])
        trials[direction] = trial._replace(summary=trial.summary + left_out)
    return trials


def _joined(by_part: Sequence[dict[str, dict[str, pd.DataFrame]]], direction: str, name: str) -> pd.DataFrame:
    return pd.concat([one[direction][name] for one in by_part if direction in one])


def _left_out(vectors: Sequence[Vectors], items: pd.DataFrame, source: str) -> str:
    """Say which models find nothing right for want of siblings; "" where there are none."""
    names = [system_name(own.space) for own in answering_through_pairs(vectors, items, source)]
    if not names:
        return ""
    return (
        f"; {' + '.join(names)} answers through pairs, and siblings of the query are left out, so that it finds "
        "nothing right here: its weight says nothing about queries of your own"
    )


def _asked(part: Split, qrels: pd.DataFrame, source: str, seed: int) -> pd.DataFrame:
    """Return the rows of qrels within a split, of the queries of modality `source` that are asked."""
    right = part.within(qrels)
    return right[is_among(right["query_id"], part.comparing_items(source, seed)["item_id"])]


def _by_model(
    index: Index, vectors: Sequence[Vectors], part: Split, k: int, seed: int
) -> dict[str, dict[str, pd.DataFrame]]:
    """Return the rankings of each model by direction, where several answer it, in a split's own gallery."""
    found = {}
    for direction, (source, target) in DIRECTIONS.items():
        asking = part.comparing_items(source, seed)
        if len(query_vectors(vectors, asking, source)) > 1:
            found[direction] = rank_models(
                index, vectors, part.items, source, target, k, within=part.where, asking=asking
            )
    return found


def _as_embedded_and_centred(
    vectors: Vectors, part: Split, k: int, seed: int
) -> dict[str, dict[str, pd.DataFrame]]:
    """Return both answers of one model by direction; none where it has no joint space."""
    pairs = part.items.set_index("item_id")["pair_id"]
    ranked = {}
    for direction, (source, target) in DIRECTIONS.items():
        queries = vectors_of_modality(vectors, part.comparing_items(source, seed), source)
        gallery = vectors_of_modality(vectors, part.items, target)
        if len(queries) and len(gallery):
            ranked[direction] = {
                name: rescore(queries.asking(), gallery, pairs, rescoring, source, k).rankings
                for name, rescoring in (("as embedded", NONE), ("centred", CENTRING))
            }
    return ranked


def rank_by_both(
    index: Index, vectors: Sequence[Vectors], part: Split, k: int = 100, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rank texts by each pair's first text, and by its image, both with the text's id as query_id; and the qrels.

    Asking and asked are of the split `part`; of more than 2,000 such pairs so many ask, drawn by `seed`. Right are the
    other texts of the pair; the asking text itself is in neither ranking. Exact search.
    """
    items = part.items
    by_modality = {modality: query_vectors(vectors, items, modality)[0] for modality in MODALITIES}
    known = {side: items[is_among(items["item_id"], own.ids)] for side, own in by_modality.items()}
    several = known["text"][known["text"].duplicated("pair_id", keep=False)]
    pairs = several.drop_duplicates("pair_id").merge(
        known["image"].drop_duplicates("pair_id"), on="pair_id", suffixes=("_text", "_image")
    )[["pair_id", "item_id_text", "item_id_image"]]
    pairs = pairs.sample(min(len(pairs), COMPARED_PAIRS), random_state=seed).sort_index()
    ranked = []
    for modality in MODALITIES:
        queries = by_modality[modality].take(pairs[f"item_id_{modality}"])
        own = rank_exactly(index, vectors, items, queries, "text", k + 1, part.where)
        text_ids = dict(zip(pairs[f"item_id_{modality}"], pairs["item_id_text"], strict=True))
        named = own.assign(query_id=own["query_id"].map(text_ids))
        ranked.append(first_rows(drop_self_matches(named), k))
    return ranked[0], ranked[1], _other_texts(several, pairs)


def weight_table(compared: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the comparison of each trial's systems with equal shares, its columns that fit a page.

    `compared`: trial -> table of `compare_systems`. No rows without any.
    """
    tables = [table.assign(of=name) for name, table in compared.items()]
    joined = pd.concat(tables or [pd.DataFrame(columns=WEIGHT_COLUMNS)])
    return joined.filter([*WEIGHT_COLUMNS, "p_holm", "queries"])


def summarize_weights(trials: Mapping[str, WeightTrial], compared: Mapping[str, pd.DataFrame]) -> str:
    """Return sentences on what the learned weights of each trial are worth on queries they were not learned on."""
    parts = {name: _summarize_trial(trial, compared.get(name)) for name, trial in trials.items()}
    return " ".join(f"{name[0].upper()}{name[1:]}: {words}" for name, words in parts.items())


def _other_texts(texts: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the qrels in which the other texts of a pair answer its first one."""
    answers = (
        texts[["item_id", "pair_id"]].merge(pairs, on="pair_id").rename(columns={"item_id_text": "query_id"})
    )
    qrels = drop_self_matches(answers).assign(relevance=1)
    return qrels[["query_id", "item_id", "relevance"]].reset_index(drop=True)


def _summarize_trial(trial: WeightTrial, compared: pd.DataFrame | None) -> str:
    if compared is None or compared.empty:
        return f"no weight was learned: {trial.summary}."
    if len(set(trial.weights.values())) == 1:
        return f"the learned weights are equal shares; {trial.summary}."
    learned = compared[compared["system"].str.startswith("learned")].iloc[0]
    low, high = learned["difference_low"], learned["difference_high"]
    sure = (
        "which the interval does not separate from 0" if low <= 0 <= high else "and the interval excludes 0"
    )
    weights = ", ".join(f"{name} {weight:.2g}" for name, weight in trial.weights.items())
    return (
        f"the learned weights are {weights}; against equal shares they change the mean reciprocal rank by "
        f"{learned['difference']:+.3f} (95% {low:+.3f} to {high:+.3f}), {sure}; {trial.summary}."
    )
