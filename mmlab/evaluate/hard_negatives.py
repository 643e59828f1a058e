"""Hard negatives: captions that are wrong for an image by a word or by their order, told from the right one by cosine.

Two forms are known by the records of the dataset. Of a wrong caption beside the right one (SugarCrepe) the share of
pairs is measured in which the right caption scores higher. Of two images and two captions of one record (Winoground),
with s(c, i) the cosine of caption c with image i:

    text score   both images have a higher cosine with their own caption than with the other
    image score  both captions have a higher cosine with their own image than with the other
    group score  both

Equal cosines are no win. By chance the right caption wins in half of all pairs, text and image score are 1/4, and the
group score is 1/6.

Sources: Hsieh et al., SugarCrepe (NeurIPS 2023); Thrush et al., Winoground (CVPR 2022).
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mmlab.evaluate.measures.geometry import share_space
from mmlab.evaluate.resampling import mean_measures
from mmlab.items import Vectors, is_among
from mmlab.items.rankings import SCORE_TOLERANCE
from mmlab.items.sentences import count, of_100_interval
from mmlab.items.tables import NEGATIVE, TooFew, places_among

RECORD = ["file", "record"]
WRONG_CAPTION, TWO_AND_TWO = "a wrong caption", "two captions, two images"
RIGHT_WINS = "right caption wins"
CHANCE = {RIGHT_WINS: 1 / 2, "text score": 1 / 4, "image score": 1 / 4, "group score": 1 / 6}
REPEATS = re.compile(
    r"same caption as row (\d+)"
)  # the detail of a refused row whose text is an item already
ALL_FILES = "all"
HARD_COLUMNS = ["form", "file", "measure", "value", "low", "high", "chance", "tests", "pairs"]
NONE_THERE = (
    "no text is known to be wrong for an image: there is no column of wrong captions (such as negative_caption) beside "
    "the right ones, and no record with two images and two captions (image_0, caption_0, image_1, caption_1)"
)
NO_COSINE = "a hard negative needs the cosine of a text with an image, and here they lie in two spaces"


def texts_of_records(items: pd.DataFrame, places: pd.DataFrame, skipped: pd.DataFrame) -> pd.DataFrame:
    """Return the texts of the records that hold several: file, record, item_id, pair_id, text, origin.

    `places`, `skipped`: as 01_ingest wrote them. A row that was refused because its text is an item already counts as
    this item. Without places there are no rows.

    >>> items = pd.DataFrame({"item_id": ["t", "u"], "modality": "text", "pair_id": "p", "text": ["a", "b"]})
    >>> places = pd.DataFrame({"row": [1, 2, 3], "item_id": ["t", None, "u"], "file": "f.csv", "record": [1, 2, 2]})
    >>> skipped = pd.DataFrame({"row": [2], "detail": ["same caption as row 1"]})
    >>> texts_of_records(items.assign(origin="caption"), places, skipped)[["record", "item_id"]].to_numpy().tolist()
    [[2, 'u'], [2, 't']]
    """
    texts = items.loc[items["modality"] == "text", ["item_id", "pair_id", "text", "origin"]]
    places = _as_types(places, {"row": "float64", "item_id": "str", "file": "str", "record": "Int64"})
    places = places[is_among(places["item_id"], texts["item_id"]) | places["item_id"].isna()].dropna(
        subset=RECORD
    )
    shared = places[places.duplicated(RECORD, keep=False)]
    refused = _as_types(skipped, {"row": "float64", "detail": "str"}).dropna()
    first = refused["detail"].str.extract(REPEATS, expand=False).astype(float)
    known = places[places["row"].isin(first)].drop_duplicates("row").set_index("row")["item_id"]
    repeated = refused[["row"]].assign(item_id=first.map(known)).dropna()
    again = repeated.merge(shared.drop(columns="item_id"), on="row")
    columns = [*RECORD, "item_id"]
    return pd.concat([shared[columns].dropna(), again[columns]]).merge(texts, on="item_id")


def _as_types(table: pd.DataFrame, types: Mapping[str, str]) -> pd.DataFrame:
    """Return these columns in these types; those that a table without rows lacks are empty."""
    return table.reindex(columns=list(types)).astype(dict(types))


def wrong_captions(images: pd.DataFrame, texts: pd.DataFrame) -> pd.DataFrame:
    """Return each image with its caption and a wrong one of the same record: file, image, right, wrong (item ids).

    `images`: item_id, pair_id. `texts`: as `texts_of_records` returns them.
    """
    is_wrong = texts["origin"] == NEGATIVE
    right = texts[~is_wrong].merge(images.rename(columns={"item_id": "image"}), on="pair_id")
    both = right.merge(texts.loc[is_wrong, [*RECORD, "item_id"]], on=RECORD, suffixes=("", "_wrong"))
    named = both.rename(columns={"item_id": "right", "item_id_wrong": "wrong"})
    return named[["file", "image", "right", "wrong"]].drop_duplicates().reset_index(drop=True)


def crossed_captions(images: pd.DataFrame, texts: pd.DataFrame) -> pd.DataFrame:
    """Return each record of two images and two captions that differ: file, image_0, text_0, image_1, text_1 (item ids).

    `images`, `texts`: as of `wrong_captions`. A record with a wrong caption is none.
    """
    own = texts.merge(images.rename(columns={"item_id": "image"}), on="pair_id", how="left")
    own = own.assign(wrong=own["origin"] == NEGATIVE).sort_values(RECORD, kind="stable")
    groups = own.groupby(RECORD, sort=False)
    fits = (groups["item_id"].transform("size") == 2) & ~groups["wrong"].transform("any")
    for name in ("image", "text"):
        fits &= groups[name].transform("nunique") == 2
    two = own[fits]
    first, second = two.iloc[::2].reset_index(drop=True), two.iloc[1::2].reset_index(drop=True)
    return pd.DataFrame({
        "file": first["file"], "image_0": first["image"], "text_0": first["item_id"],
        "image_1": second["image"], "text_1": second["item_id"],
    })  # fmt: skip


def measure_hard_negatives(
    items: pd.DataFrame, texts: pd.DataFrame, by_modality: Mapping[str, Vectors]
) -> pd.DataFrame:
    """Return the measures of both forms: form, file, measure, value, low, high, chance, tests, pairs.

    `items`: item_id and pair_id. `texts`: see `texts_of_records`. `by_modality`: the vectors of the texts and of the
    images that are judged, in one space; a text that selects an image does so as a query. The file is "all", and each
    file where there are several. Intervals are 95%, counted by image, or by record of two. Raises TooFew where there is
    no text that is known to be wrong, or texts and images lie in two spaces.
    """
    images = items.loc[is_among(items["item_id"], by_modality["image"].ids), ["item_id", "pair_id"]]
    texts = texts[is_among(texts["item_id"], by_modality["text"].ids)]
    one, two = wrong_captions(images, texts), crossed_captions(images, texts)
    if not len(one) and not len(two):
        raise TooFew(NONE_THERE)
    if not share_space(by_modality):
        raise TooFew(NO_COSINE)
    parts = [
        *_means(WRONG_CAPTION, score_wrong_captions(one, by_modality), one["file"], one["image"]),
        *_means(TWO_AND_TWO, score_crossed_captions(two, by_modality), two["file"], two["image_0"]),
    ]
    return pd.concat(parts, ignore_index=True)[HARD_COLUMNS]


def score_wrong_captions(table: pd.DataFrame, by_modality: Mapping[str, Vectors]) -> pd.DataFrame:
    """Return whether the right caption wins, 1.0 or 0.0 in a row for each of `wrong_captions`."""
    right, wrong = (_cosines(by_modality["text"], table[name], by_modality, table["image"]) for name in
                    ("right", "wrong"))  # fmt: skip
    return pd.DataFrame({RIGHT_WINS: _exceeds(right, wrong)})


def score_crossed_captions(table: pd.DataFrame, by_modality: Mapping[str, Vectors]) -> pd.DataFrame:
    """Return text, image and group score and the share of images whose caption wins, in a row for each record."""
    found, asking = by_modality["text"], by_modality["text"].asking()
    text, image = (
        {
            (c, i): _cosines(side, table[f"text_{c}"], by_modality, table[f"image_{i}"])
            for c in "01"
            for i in "01"
        }
        for side in (found, asking)
    )
    first, second = _exceeds(text["0", "0"], text["1", "0"]), _exceeds(text["1", "1"], text["0", "1"])
    own = _exceeds(image["0", "0"], image["0", "1"]) * _exceeds(image["1", "1"], image["1", "0"])
    both = first * second
    return pd.DataFrame({
        "text score": both, "image score": own, "group score": both * own, RIGHT_WINS: (first + second) / 2,
    })  # fmt: skip


def _cosines(
    side: Vectors, texts: pd.Series, by_modality: Mapping[str, Vectors], images: pd.Series
) -> np.ndarray:
    """Return the cosine of each text, on this side, with the image in the same place (T,)."""
    gallery = by_modality["image"]
    asked, found = places_among(texts, side.ids), places_among(images, gallery.ids)
    return np.einsum("nd,nd->n", side.array[asked], gallery.array[found])


def _exceeds(higher: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return (higher - lower > SCORE_TOLERANCE).astype(float)


def _means(form: str, scores: pd.DataFrame, files: pd.Series, clusters: pd.Series) -> list[pd.DataFrame]:
    """Return the means of the scores of a form, of all files and, where there are several, of each."""
    groups = {ALL_FILES: np.full(len(files), True)}
    if files.nunique() > 1:
        groups |= {str(name): (files == name).to_numpy() for name in sorted(files.unique())}
    numbers = scores.index.astype(str)
    pairs = pd.DataFrame({"item_id": numbers, "pair_id": clusters})
    rows = []
    for name, own in groups.items():
        means = mean_measures(scores.assign(query_id=numbers)[own], pairs).rename(
            columns={"queries": "tests"}
        )
        rows.append(means.assign(form=form, file=name, chance=means["measure"].map(CHANCE)))
    return rows


def summarize_hard_negatives(table: pd.DataFrame) -> str:
    """Say how often the right caption wins and what the scores are; `table`: `measure_hard_negatives`."""
    own = table[table["file"] == ALL_FILES]
    wrong, crossed = own[own["form"] == WRONG_CAPTION], own[own["form"] == TWO_AND_TWO]
    sentences = [
        f"Of {count(row['tests'], 'pair')} of right and wrong caption the right one scores higher in {_share(row)}."
        for row in wrong.to_dict("records")
    ]
    scores = [
        f"{row['measure']} {_share(row)}"
        for row in crossed.to_dict("records")
        if row["measure"] != RIGHT_WINS
    ]
    if scores:
        records = count(int(crossed["tests"].iloc[0]), "record")
        sentences.append(f"Of {records} of two images and two captions: {'; '.join(scores)}.")
    return " ".join(sentences)


def _share(row: Mapping[str, Any]) -> str:
    share = of_100_interval(row["value"], row["low"], row["high"])
    return f"{share}, where chance gives {100 * row['chance']:.0f}"
