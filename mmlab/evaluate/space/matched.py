"""Do matched pairs stand apart from mismatched ones: asked of every space for what it holds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.qrels import qrels_from_pairs
from mmlab.evaluate.space.geometry import modality_gap
from mmlab.evaluate.space.separation import pair_cosines, separation
from mmlab.items import MODALITIES, QREL_COLUMNS, Vectors, is_among

PICTURES, TEXTS, NOTHING = "texts with images", "texts of a pair", "not comparable"
COLUMNS = ("space", "compared", "pairs", "matched mean", "mismatched mean", "AUC", "modality gap")


def matched_cosines(vectors: Vectors, items: pd.DataFrame, seed: int = 0) -> tuple[str, pd.DataFrame]:
    """What is compared in this space, and `pair_cosines` of it.

    Where it holds both, each text is compared with its own image and with one drawn from the others; where it
    holds texts alone, each further text of a pair with the first one of its own and of another pair. Where
    there are not two pairs of either kind it is "not comparable", without rows.
    """
    held = items[is_among(items["item_id"], vectors.ids)]
    for compared, qrels in (
        (PICTURES, qrels_from_pairs(held, "text", "image")),
        (TEXTS, _between_texts(held)),
    ):
        if qrels["item_id"].nunique() > 1:
            return compared, pair_cosines(vectors, qrels, seed)
    return NOTHING, pd.DataFrame(columns=["query_id", "item_id", "positive", "negative"])


def compare_spaces(spaces: Sequence[Vectors], items: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A row per space: what is compared, how many pairs, mean cosines, AUC in [0, 1], modality gap in [0, 2].

    NaN where there is nothing to compare; the gap is that between texts and images.
    """
    rows = []
    for vectors in spaces:
        compared, cosines = matched_cosines(vectors, items, seed)
        figures = (np.nan, np.nan, np.nan)
        if len(cosines):
            apart = separation(cosines["positive"], cosines["negative"])
            figures = (apart.positive_mean, apart.negative_mean, apart.auc)
        rows.append((vectors.space.key, compared, len(cosines), *figures, _gap(vectors, items)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def say_matched(compared: pd.DataFrame) -> str:
    """The sentence of `compare_spaces`."""
    return " ".join(
        f"In {row['space']} a matched pair ({row['compared']}) has the higher cosine in {row['AUC']:.1%} of all "
        f"comparisons (AUC), {row['matched mean']:z.2f} against {row['mismatched mean']:z.2f} in the mean."
        if row["pairs"]
        else f"{row['space']} holds no two of a pair: not comparable."
        for row in compared.to_dict("records")
    )


def _between_texts(items: pd.DataFrame) -> pd.DataFrame:
    texts = items.loc[items["modality"] == "text", ["item_id", "pair_id"]]
    further = texts["pair_id"].duplicated()
    both = texts[further].rename(columns={"item_id": "query_id"}).merge(texts[~further], on="pair_id")
    return both.assign(relevance=1)[list(QREL_COLUMNS)]


def _gap(vectors: Vectors, items: pd.DataFrame) -> float:
    kinds = items.set_index("item_id")["modality"].loc[vectors.ids].to_numpy()
    text, image = (vectors.take(vectors.ids[kinds == kind]) for kind in MODALITIES)
    return modality_gap(text, image) if len(text) and len(image) else float("nan")
