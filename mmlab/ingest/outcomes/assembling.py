"""From the finished book to the tables that ingest returns: items, skipped rows, changed texts."""

import hashlib

import pandas as pd

from mmlab.ingest.images.resolve import IMAGE_ITEM
from mmlab.ingest.outcomes.row_outcomes import MERGED, NO_CAPTION, TEXT_ITEM
from mmlab.items import ITEM_COLUMNS, SKIPPED_COLUMNS, item_id

SIZES = {"width": "Int32", "height": "Int32"}


def make_items(
    book: pd.DataFrame, images: pd.DataFrame, added: pd.DataFrame, own: pd.DataFrame
) -> pd.DataFrame:
    """The items in the order of the rows, an image before its texts.

    `images` as `image_rows` gives them; `added` (text, origin by content) were found for images without text;
    `own` holds the label and the user's columns of each row: an image has those of its first row.
    """
    texts = book.loc[
        book["outcome"] == TEXT_ITEM, ["pair_id", "text", "origin", "split", "flags", "repetition"]
    ]
    found = images[["pair_id", "split", "content"]].join(added, on="content", how="inner")
    texts = pd.concat([texts, found.drop(columns="content").assign(repetition=0)])
    texts["content"] = [hashlib.sha256(text.encode()).hexdigest() for text in texts["text"]]
    items = pd.concat([images.assign(modality="image", origin="image"), texts.assign(modality="text")])
    items = items.sort_index(kind="stable").reindex(columns=[*ITEM_COLUMNS, "repetition"])
    items["item_id"] = _ids(items)
    items = items[list(ITEM_COLUMNS)].drop(columns="label").join(own)
    strings = dict.fromkeys(set(ITEM_COLUMNS) - set(SIZES), "str")
    order = [*ITEM_COLUMNS, *own.columns.drop("label")]
    return items.replace({"flags": {"": None}})[order].astype({**strings, **SIZES}).reset_index(drop=True)


def image_rows(book: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The images that are items, indexed by the first row that names them or a file that they stand for."""
    named = book[book["image_outcome"].isin(MERGED)].reset_index().drop_duplicates("pair_id")
    kept = images[images["outcome"] == IMAGE_ITEM].drop(columns="pair_id").rename(columns={"file": "image"})
    return named[["row", "pair_id"]].join(kept, on="pair_id", how="inner").set_index("row")


def make_skipped(book: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Every refused row, then every image that gave way to the one it repeats while its rows live on."""
    rows = book[~book["outcome"].isin([TEXT_ITEM, NO_CAPTION])].reset_index()
    rows = rows.rename(columns={"name": "source", "outcome": "reason"}).assign(text=rows["caption"])
    merged = images[images["outcome"].isin(MERGED) & (images["outcome"] != IMAGE_ITEM)]
    merged = (
        merged.rename_axis("source")
        .reset_index()
        .drop(columns="reason")
        .rename(columns={"outcome": "reason"})
    )
    skipped = pd.concat([table.reindex(columns=SKIPPED_COLUMNS).astype(object) for table in (rows, merged)])
    return skipped.astype(dict.fromkeys(SKIPPED_COLUMNS, "str") | {"row": "Int64"}).reset_index(drop=True)


def make_changes(book: pd.DataFrame) -> pd.DataFrame:
    """row, before, after, what: the captions that cleaning changed, and by which steps."""
    changed = book[(book["what"] != "") & (book["outcome"] != NO_CAPTION)].reset_index()
    return changed.rename(columns={"caption": "before", "text": "after"})[["row", "before", "after", "what"]]


def _ids(items: pd.DataFrame) -> list[str]:
    # A text said twice of one image, where it is kept, is an item of its own: the repetition tells them apart.
    again = items["repetition"].fillna(0).map(lambda time: f"#{time:.0f}" if time else "")
    keys = items["content"] + again
    return [item_id(*key) for key in zip(items["modality"], items["pair_id"], keys, strict=True)]
