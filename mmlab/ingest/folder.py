"""A folder of images with a captions.csv becomes items, skipped rows and changed texts."""

import hashlib
from pathlib import Path

import pandas as pd

from mmlab.ingest.book import keep_book, pair_up
from mmlab.ingest.images import image_name, read_pictures
from mmlab.ingest.ledger import DUPLICATE_IMAGE, NO_CAPTION, TEXT_ITEM, Ingested
from mmlab.ingest.sources import read_folder
from mmlab.items import ITEM_COLUMNS, SKIPPED_COLUMNS, item_id, resolve


def ingest_folder(dataset: str | Path, min_words: int = 5, progress: bool = True) -> Ingested:
    """Items, skipped rows and changed texts of a folder with images and captions.csv (image, caption).

    Image paths are relative to the folder. A caption of fewer than `min_words` words is skipped (0 switches
    this off; languages that write no spaces need 0); an empty caption stands for an image without text. Of
    files with the same bytes the first is kept, and the captions of the others are tied to it. The columns
    label, split and any further ones go to the items of their row; an image takes them from its first row.

    Raises FileNotFoundError or ValueError where the source as a whole cannot be read; anything smaller that
    is wrong costs its own rows only.
    """
    folder = resolve(dataset)
    rows = read_folder(folder)
    rows["image"] = rows["image"].map(image_name)
    pictures = pair_up(read_pictures(folder, rows["image"].unique().tolist(), progress))
    book = keep_book(rows, pictures, min_words)
    return Ingested(
        items=_items(book, rows.drop(columns=["image", "caption"])),
        skipped=_skipped(book, pictures),
        changes=_changes(book),
        outcomes=book.reset_index()[["row", "source", "outcome"]],
    )


def _items(book: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    images = book[book["reason"].isna()].drop_duplicates("pair_id")
    images = images.assign(modality="image", origin="image", image=images["path"], text=None)
    texts = book[book["outcome"] == TEXT_ITEM]
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts["text"]]
    texts = texts.assign(
        modality="text", origin="caption", image=None, width=None, height=None, content=hashes
    )
    items = pd.concat([images, texts.astype(images[["width", "height"]].dtypes)])
    items = items.sort_index(kind="stable")  # an image comes before its texts
    keys = zip(items["modality"], items["pair_id"], items["content"], strict=True)
    items["item_id"] = [item_id(*key) for key in keys]
    items = items[items.columns.intersection(ITEM_COLUMNS)].join(own)
    strings = items.columns.difference(["width", "height"])
    order = dict.fromkeys((*ITEM_COLUMNS, *own.columns))
    return items[list(order)].astype(dict.fromkeys(strings, "str")).reset_index(drop=True)


def _skipped(book: pd.DataFrame, pictures: pd.DataFrame) -> pd.DataFrame:
    rows = book[~book["outcome"].isin([TEXT_ITEM, NO_CAPTION])].reset_index()
    rows = rows.assign(text=rows["caption"], reason=rows["outcome"])
    images = pictures[pictures["pair_id"].notna() & (pictures["pair_id"] != pictures.index)]
    images = pd.DataFrame(
        {
            "row": None,
            "source": images.index,
            "text": None,
            "reason": DUPLICATE_IMAGE,
            "detail": "same bytes as " + images["pair_id"].to_numpy(dtype=object),
        }
    )
    skipped = pd.concat(
        [rows[list(SKIPPED_COLUMNS)].astype(object), images.astype(object)], ignore_index=True
    )
    return skipped.astype(dict.fromkeys(SKIPPED_COLUMNS, "str") | {"row": "Int64"})


def _changes(book: pd.DataFrame) -> pd.DataFrame:
    changed = book[(book["what"] != "") & (book["outcome"] != NO_CAPTION)].reset_index()
    return changed.rename(columns={"caption": "before", "text": "after"})[["row", "before", "after", "what"]]
