"""Anything -> items: read the source, clean its texts, look at its images, keep the book of every row."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.images.resolve import entry_name, find_files, judge_images, look_over
from mmlab.ingest.missing_texts.adding import add_texts
from mmlab.ingest.outcomes.assembling import image_rows, make_changes, make_items, make_skipped
from mmlab.ingest.outcomes.result import Ingested
from mmlab.ingest.outcomes.row_outcomes import TEXT_ITEM, keep_book
from mmlab.ingest.outcomes.splits import settle_splits
from mmlab.ingest.rules import UNLISTED, Rules
from mmlab.ingest.sources import Source, read_source
from mmlab.ingest.texts.cleaning import clean_texts
from mmlab.ingest.texts.replacements import read_replacements
from mmlab.items import data, is_among, resolve

OURS = ["image", "caption", "origin", "split", "file", "problem", "detail"]  # beside label and the user's own


def ingest_items(
    dataset: str | Path,
    source: str = "auto",
    columns: Mapping[str, str] | Iterable[str] = (),
    rules: Rules = Rules(),  # noqa: B008 - frozen
    cache: str | Path | None = None,
    progress: bool = True,
) -> Ingested:
    """Items, skipped rows and changed texts of a dataset: a folder, a file or a Hugging Face id.

    `source` is "auto" (recognised by looking) or one of `sources.KINDS`; `columns` maps image, caption, label
    and split to the names that the table has for them, as a dict or as texts like "image=url". `cache` is a
    folder, data/cache by default, that keeps fetched images and all that was found out: a second time, or
    after a kill, nothing is done twice.
    Of images with the same bytes the first is kept, and the captions of the others are tied to it. An image
    takes label and the user's columns from its first row, and of its rows' splits the one evaluated on.

    Raises FileNotFoundError or ValueError where the source as a whole cannot be read; anything smaller that
    is wrong costs its own rows only.
    """
    cache = Path(cache) if cache else data() / "cache"
    replacements = read_replacements(resolve(rules.replacements)) if rules.replacements else None
    blobs = Blobs(cache / "images")
    found = read_source(_located(dataset, source), source, _mapped(columns), blobs)
    rows = _with_unlisted(found)
    texts = clean_texts(rows["caption"].tolist(), replacements, rules.max_chars).set_axis(rows.index)
    with Memo(cache / "ingest.sqlite") as memo:
        files = find_files(_named(rows, rules), found.root, rules, memo, blobs, progress)
        looks, decoded = look_over(files, memo, progress)
        images = settle_splits(rows, judge_images(looks, rules), rules)
        book = keep_book(rows, texts, images, rules)
        kept = image_rows(book, images)
        added, notes = add_texts(_silent(kept, book), rules, memo, progress)
    return Ingested(
        items=make_items(book, kept, added, found.rows.drop(columns=OURS).reindex(rows.index)),
        skipped=make_skipped(book, images),
        changes=make_changes(book),
        outcomes=book.rename(columns={"name": "source"}).reset_index()[["row", "source", "outcome"]],
        images=_told(images, book),
        kind=found.kind,
        worked={
            "images decoded": decoded,
            "known from before": int(files["file"].notna().sum()) - decoded,
            "texts found in images": len(added),
        },
        notes=notes,
    )


def _with_unlisted(source: Source) -> pd.DataFrame:
    """The rows, then one for each image file that the table does not name; with name and listed."""
    files = pd.DataFrame({"image": source.unlisted, "caption": "", "origin": "caption"}, dtype="str")
    files.index += len(source.rows) + 1
    rows = pd.concat([source.rows[OURS], files]) if len(files) else source.rows[OURS]
    rows = rows.rename_axis("row").assign(listed=~rows.index.isin(files.index))
    names = rows["image"].map(entry_name).astype("str")
    return rows.assign(name=names.where(rows["problem"].isna(), ""))  # a broken row names nothing for sure


def _named(rows: pd.DataFrame, rules: Rules) -> pd.Series:
    """The file that each image came with, or missing, indexed by the names of the images to look at."""
    asked = rows[(rows["name"] != "") & (rows["listed"] | (UNLISTED not in rules.refused))]
    return asked.drop_duplicates("name").set_index("name")["file"]


def _silent(images: pd.DataFrame, book: pd.DataFrame) -> pd.Series:
    """The files of the images that no text belongs to, by content."""
    spoken = book.loc[book["outcome"] == TEXT_ITEM, "pair_id"]
    silent = images[~is_among(images["pair_id"], spoken)]
    return silent.drop_duplicates("content").set_index("content")["image"]


def _told(images: pd.DataFrame, book: pd.DataFrame) -> pd.DataFrame:
    """Every image that a row names, with its outcome, also those that were not looked at."""
    columns = ["file", "outcome", "detail", "width", "height", "flags", "duplicate_of"]
    unseen = book[(book["name"] != "") & ~is_among(book["name"], images.index)].drop_duplicates("name")
    unseen = unseen.set_index("name").reindex(columns=columns)
    told = pd.concat([images[columns], unseen.astype(images[columns].dtypes)])
    return told.rename_axis("source").reset_index()


def _located(dataset: str | Path, source: str) -> str | Path:
    """The absolute path of a dataset; the id of one on the Hugging Face hub stays as it is."""
    path = resolve(dataset)
    on_hub = str(dataset).startswith("hf://") or (source == "huggingface" and not path.exists())
    return dataset if on_hub else path


def _mapped(columns: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    if isinstance(columns, Mapping):
        return dict(columns)
    pairs = {text: text.partition("=") for text in columns}
    for text, (ours, _, theirs) in pairs.items():
        if not (ours and theirs):
            raise ValueError(f"columns are given like 'image=url', found {text!r}")
    return {ours: theirs for ours, _, theirs in pairs.values()}
