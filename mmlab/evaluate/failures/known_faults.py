"""The demo catalogue knows what is wrong in it: how much of that the lists of suspects find.

Its folder holds `faults.csv` (each planted fault) and `truth.csv` (what each image shows); a dataset of one's own
has neither, and then there is nothing to hold the lists against.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.evaluate.failures.false_negatives import alike
from mmlab.items import is_among

FAULTS, TRUTH = "faults.csv", "truth.csv"
SWAPPED = "swapped captions"
SHOWN = ("category", "colour", "pattern", "background", "companion")  # what a caption may tell of a product
COLUMNS = ["list", "listed", "right", "planted", "precision", "recall"]


@dataclass(frozen=True)
class Planted:
    """item_ids of the texts that stand beside a wrong image, and for each pair_id a number of what it shows."""

    wrong_texts: frozenset[str]
    product: pd.Series


def read_planted(items: pd.DataFrame) -> Planted | None:
    """The truth beside the images of `items`, None where their folder has none (or it is not readable)."""
    folder = _folder(items)
    if folder is None or not ((folder / FAULTS).is_file() and (folder / TRUTH).is_file()):
        return None
    try:
        faults = pd.read_csv(folder / FAULTS, usecols=["fault", "image"])
        truth = pd.read_csv(folder / TRUTH, keep_default_na=False, usecols=["image", *SHOWN])
    except ValueError:  # files of these names that are not ours
        return None
    swapped = set(faults.loc[faults["fault"] == SWAPPED, "image"])
    texts = items[(items["modality"] == "text") & is_among(items["pair_id"], swapped)]
    product = truth.groupby(list(SHOWN), sort=False).ngroup().set_axis(truth["image"])
    return Planted(frozenset(texts["item_id"]), product)


def judge_suspects(wrong: pd.DataFrame, above: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Both lists against the planted truth: list, listed, right, planted, precision, recall; no rows without a truth.

    `wrong`: `suspected_wrong_pairs`. `above`: `suspected_false_negatives` with a threshold of -1, all hits above the
    right answer, of which those that are alike count as listed. `items`: those judged.
    """
    planted = read_planted(items)
    if planted is None:
        return pd.DataFrame(columns=COLUMNS)
    rows = [judge_wrong_pairs(wrong, planted), judge_false_negatives(alike(above), above, items, planted)]
    return pd.concat(rows, ignore_index=True)


def judge_wrong_pairs(suspects: pd.DataFrame, planted: Planted) -> pd.DataFrame:
    """One row for `suspected_wrong_pairs`: list, listed, right, planted, precision, recall; NaN where none."""
    right = int(is_among(suspects["text_id"], planted.wrong_texts).sum())
    return _row("wrong pairs", len(suspects), right, len(planted.wrong_texts))


def judge_false_negatives(
    suspects: pd.DataFrame, possible: pd.DataFrame, items: pd.DataFrame, planted: Planted
) -> pd.DataFrame:
    """The same for `suspected_false_negatives`: right are those whose image shows the same product in the same place.

    `possible`: the list for a threshold of -1, all hits above the right answer.
    """
    right, planted_rows = (int(_same_product(table, items, planted).sum()) for table in (suspects, possible))
    return _row("false negatives", len(suspects), right, planted_rows)


def _row(name: str, listed: int, right: int, planted: int) -> pd.DataFrame:
    precision = right / listed if listed else np.nan
    recall = right / planted if planted else np.nan
    return pd.DataFrame([(name, listed, right, planted, precision, recall)], columns=COLUMNS)


def _same_product(table: pd.DataFrame, items: pd.DataFrame, planted: Planted) -> np.ndarray:
    pair = items.set_index("item_id")["pair_id"]
    first, second = (planted.product.reindex(pair.reindex(table[name])) for name in ("query_id", "item_id"))
    return first.to_numpy() == second.to_numpy()  # NaN, an image unknown, equals nothing


def _folder(items: pd.DataFrame) -> Path | None:
    """The dataset's folder: what stands before the pair_id in the path of an image."""
    images = items[items["modality"] == "image"]
    if images.empty:
        return None
    path, name = str(images["image"].iloc[0]), str(images["pair_id"].iloc[0])
    return Path(path.removesuffix(name)) if path.endswith(name) and path != name else None
