"""Keep the book: one line per row of the source, in which the row meets its picture and gets its outcome."""

import pandas as pd

from mmlab.ingest.ledger import NO_CAPTION, REPEATED_CAPTION, SHORT_CAPTION, TEXT_ITEM
from mmlab.ingest.texts import clean_text


def keep_book(rows: pd.DataFrame, pictures: pd.DataFrame, min_words: int) -> pd.DataFrame:
    """source, caption, the picture's fields, pair_id, text, what, outcome, detail: one line per row.

    `pair_id` names the first image with the same bytes, `text` is the cleaned caption and `what` the steps
    that changed it. The first thing that is wrong with a row is its outcome.
    """
    book = rows[["image", "caption"]].rename(columns={"image": "source"}).join(pictures, on="source")
    cleaned = [clean_text(caption) for caption in book["caption"]]
    book["text"] = pd.Series([text for text, _ in cleaned], book.index, dtype="str")
    book["what"] = pd.Series([", ".join(steps) for _, steps in cleaned], book.index, dtype="str")
    first = book.index.to_series().groupby([book["pair_id"], book["text"]]).transform("first")
    words = book["text"].str.split().str.len()
    enough = max(min_words, 1)
    cases = [  # condition, outcome, detail
        (book["reason"].notna(), book["reason"], book["detail"]),
        (book["caption"].str.strip() == "", NO_CAPTION, None),
        (words < enough, SHORT_CAPTION, words.map("{} words, expected at least".format) + f" {enough}"),
        (first < book.index, REPEATED_CAPTION, first.map("said before in row {:.0f}".format)),
    ]
    unset = pd.Series(None, book.index, dtype="str")
    book["detail"] = unset.case_when([(condition, detail) for condition, _, detail in cases])
    book["outcome"] = unset.fillna(TEXT_ITEM).case_when(
        [(condition, outcome) for condition, outcome, _ in cases]
    )
    return book


def pair_up(pictures: pd.DataFrame) -> pd.DataFrame:
    """The pictures with `pair_id`: the name of the first one with the same bytes; missing where refused."""
    names = pictures.index.to_series()
    return pictures.assign(pair_id=names.groupby(pictures["content"]).transform("first"))
