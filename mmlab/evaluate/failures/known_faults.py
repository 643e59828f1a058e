"""How many of the demo catalogue's known faults the lists of suspects contain.

The folder of its images holds `faults.csv` (each fault) and `truth.csv` (what each image shows). A dataset of one's
own has neither, and then there is nothing to compare the lists with.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.evaluate.failures.suspected import above_threshold
from mmlab.items import is_among

FAULTS_FILE, TRUTH_FILE = "faults.csv", "truth.csv"
SWAPPED = "swapped captions"
PRODUCT_COLUMNS = ("category", "colour", "pattern", "background", "companion")  # what a caption may name
COLUMNS = ["list", "listed", "right", "known", "precision", "recall"]


@dataclass(frozen=True)
class KnownFaults:
    """The item_ids of the texts that belong to another image, and for each pair_id the number of its product."""

    wrong_texts: frozenset[str]
    product: pd.Series


def read_known_faults(items: pd.DataFrame) -> KnownFaults | None:
    """Read the faults beside the images of `items`; return None where their folder has none that can be read."""
    folder = _folder(items)
    if folder is None or not ((folder / FAULTS_FILE).is_file() and (folder / TRUTH_FILE).is_file()):
        return None
    try:
        faults = pd.read_csv(folder / FAULTS_FILE, usecols=["fault", "image"])
        shown = pd.read_csv(folder / TRUTH_FILE, keep_default_na=False, usecols=["image", *PRODUCT_COLUMNS])
    except ValueError:  # files of these names from elsewhere
        return None
    swapped = set(faults.loc[faults["fault"] == SWAPPED, "image"])
    texts = items[(items["modality"] == "text") & is_among(items["pair_id"], swapped)]
    product = shown.groupby(list(PRODUCT_COLUMNS), sort=False).ngroup().set_axis(shown["image"])
    return KnownFaults(frozenset(texts["item_id"]), product)


def score_suspects(wrong: pd.DataFrame, above: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Compare both lists with the known faults: list, listed, right, known, precision, recall.

    `wrong`: `suspected_wrong_pairs`. `above`: `suspected_false_negatives` with a threshold of -1, so all hits above the
    right answer, of which those with close captions count as listed. `items`: those evaluated. No rows where no fault
    is known.
    """
    faults = read_known_faults(items)
    if faults is None:
        return pd.DataFrame(columns=COLUMNS)
    closer = above_threshold(above)
    rows = [score_wrong_pairs(wrong, faults), score_false_negatives(closer, above, items, faults)]
    return pd.concat(rows, ignore_index=True)


def score_wrong_pairs(suspects: pd.DataFrame, faults: KnownFaults) -> pd.DataFrame:
    """Return one row for `suspected_wrong_pairs`: list, listed, right, known, precision, recall; NaN where none."""
    right = int(is_among(suspects["text_id"], faults.wrong_texts).sum())
    return _row("wrong pairs", len(suspects), right, len(faults.wrong_texts))


def score_false_negatives(
    suspects: pd.DataFrame, possible: pd.DataFrame, items: pd.DataFrame, faults: KnownFaults
) -> pd.DataFrame:
    """Return one row for `suspected_false_negatives`: right are those whose image shows the same product.

    `possible`: the list for a threshold of -1, all hits above the right answer.
    """
    right, known = (int(_same_product(table, items, faults).sum()) for table in (suspects, possible))
    return _row("false negatives", len(suspects), right, known)


def _row(name: str, listed: int, right: int, known: int) -> pd.DataFrame:
    precision = right / listed if listed else np.nan
    recall = right / known if known else np.nan
    return pd.DataFrame([(name, listed, right, known, precision, recall)], columns=COLUMNS)


def _same_product(table: pd.DataFrame, items: pd.DataFrame, faults: KnownFaults) -> np.ndarray:
    pair = items.set_index("item_id")["pair_id"]
    first, second = (faults.product.reindex(pair.reindex(table[name])) for name in ("query_id", "item_id"))
    return first.to_numpy() == second.to_numpy()  # NaN, an unknown image, equals nothing


def _folder(items: pd.DataFrame) -> Path | None:
    """Return the folder of the dataset, the path of an image without its pair_id; None where they do not fit."""
    images = items[items["modality"] == "image"]
    if images.empty:
        return None
    path, name = str(images["image"].iloc[0]), str(images["pair_id"].iloc[0])
    return Path(path.removesuffix(name)) if path.endswith(name) and path != name else None
