"""Keep the book: one line per row of the source, in which the row meets its image and gets its outcome."""

import hashlib

import pandas as pd

from mmlab.ingest.images.resolve import IMAGE_ITEM
from mmlab.ingest.rules import (
    DUPLICATE,
    LEAK,
    NEAR_DUPLICATE,
    REPEATED,
    UNLISTED,
    UNPAIRED,
    VAGUE,
    Rules,
    join_flags,
)

TEXT_ITEM = "text item"
NO_CAPTION = "no caption"
SHORT = "short caption"
MERGED = (IMAGE_ITEM, DUPLICATE, NEAR_DUPLICATE)  # outcomes of an image after which its rows live on


def keep_book(rows: pd.DataFrame, texts: pd.DataFrame, images: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """One line per row: name, caption, origin, split, text, what, pair_id, outcome, detail, flags, repetition.

    `texts` (text, what) are the cleaned captions; `images` as `settle_splits` leaves them. The first thing
    that is wrong with a row is its outcome; a row that is kept is a text item, or names an image only.
    """
    known = images[["pair_id", "leading", "outcome", "detail"]].add_prefix("image_")
    book = rows[["name", "caption", "origin", "split"]].join(texts).join(known, on="name")
    book["pair_id"] = book["image_pair_id"].fillna(_own_pair(book))
    book["outcome"], book["detail"] = rows["problem"], rows["detail"]
    unpaired, unlisted = book["name"] == "", ~rows["listed"]
    _close(book, unpaired & (UNPAIRED in rules.refused), UNPAIRED)
    _close(book, unlisted & (UNLISTED in rules.refused), UNLISTED, "the table does not name it")
    refused = ~unpaired & ~book["image_outcome"].isin(MERGED)
    _close(book, refused, book["image_outcome"], book["image_detail"])
    _close(book, book["caption"].str.strip() == "", NO_CAPTION)
    enough = max(rules.min_words, 1)
    words = book["text"].str.split().str.len()
    _close(book, words < enough, SHORT, words.map("{} words, expected at least".format) + f" {enough}")
    flags = {UNPAIRED: unpaired, UNLISTED: unlisted, **_judge_texts(book, rules)}
    book["outcome"] = book["outcome"].fillna(TEXT_ITEM)
    return book.assign(flags=join_flags(flags, book.index))


def _judge_texts(book: pd.DataFrame, rules: Rules) -> dict[str, pd.Series]:
    """Leaks, repetitions and vague captions among the rows still open; those that are refused are closed."""
    leak = book["split"].notna() & book["image_leading"].notna() & (book["split"] != book["image_leading"])
    _close(book, leak & (LEAK in rules.refused), LEAK, "its image in split " + book["image_leading"])
    said = book[book["outcome"].isna()].groupby(["pair_id", "text"])
    book["repetition"] = said.cumcount().reindex(book.index, fill_value=0)
    repeated = book["repetition"] > 0
    before = (
        book.index.to_series()[book["outcome"].isna()]
        .groupby([book["pair_id"], book["text"]])
        .transform("first")
    )
    _close(book, repeated & (REPEATED in rules.refused), REPEATED, before.map("said before in row {}".format))
    sharing = book[book["outcome"].isna()].groupby("text")["pair_id"].transform("nunique")
    sharing = sharing.reindex(book.index, fill_value=0)
    vague = sharing >= rules.vague_from
    _close(book, vague & (VAGUE in rules.refused), VAGUE, sharing.map("shared by {} images".format))
    return {LEAK: leak, REPEATED: repeated, VAGUE: vague}


def _close(
    book: pd.DataFrame, mask: pd.Series, outcome: str | pd.Series, detail: str | pd.Series | None = None
) -> None:
    """Give the rows of the mask their outcome, unless they have one already."""
    mask = mask & book["outcome"].isna()
    book["outcome"] = book["outcome"].mask(mask, outcome)
    book["detail"] = book["detail"].mask(mask, detail)


def _own_pair(book: pd.DataFrame) -> pd.Series:
    """The pair of a row whose image is unknown: its name, or the text's hash where it names none."""
    lone = book["name"] == ""
    hashes = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in book.loc[lone, "text"]]
    names = book["name"].copy()
    names[lone] = [f"text/{digest}" for digest in hashes]
    return names
