"""Turn any dataset into items: read it, clean its texts, check its images, and account for every row."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.first_look import Inspection, inspect_dataset
from mmlab.ingest.ingest_result import (
    IngestResult,
    image_rows,
    make_changes,
    make_images,
    make_items,
    make_places,
    make_skipped,
)
from mmlab.ingest.outcomes import (
    FILE_COLUMNS,
    TEXT_ITEM,
    assign_splits,
    decide_outcomes,
    name_images,
    resolve_images,
)
from mmlab.ingest.rules import UNLISTED, Rules
from mmlab.ingest.texts.captioner import GENERATED, OCR, OcrMissing, read_printed, write_captions
from mmlab.ingest.texts.cleaning import clean_texts, read_replacements
from mmlab.items import data, is_among
from mmlab.items.files import resolve
from mmlab.items.tables import in_blocks, is_first, on_disk, rows_where
from mmlab.items.vector_files import release_spare_memory

# What ingest reads of a source; the rest is the label and the user's columns, which go through as they are.
SOURCE_COLUMNS = [
    "image", "caption", "origin", "split", "file", "problem", "detail", "table", "address", "record",
]  # fmt: skip
# What is asked of an image once it is measured and compared with the others.
KEPT_FACTS = [
    "file", "content", "width", "height", "pair_id", "outcome", "detail", "duplicate_of", "flags", "split",
    "group_split",
]  # fmt: skip


def ingest_items(
    dataset: str | Path | Inspection,
    source: str = "auto",
    columns: str | Mapping[str, str] | Iterable[str] = (),
    rules: Rules = Rules(),  # noqa: B008 - frozen
    cache: str | Path | None = None,
    progress: bool = True,
    engine: str = "local",
) -> IngestResult:
    r"""Return the items of a dataset, with what was skipped, what was changed and why.

    dataset: a folder, a file, or the id of a Hugging Face dataset ("hf://owner/name"); a relative path starts at
        the project. Or what `inspect_dataset` returned, which is not read again; source and columns are its own then.
    source: "auto" (recognised by its files), or one of `sources.formats.KINDS`.
    columns: names that the table has for image, caption, label, split and id (see `parse_columns`), as a dict, as texts
        like "image=url", as one such text ("image=url,caption=alt"), or as JSON of these.
    cache: a folder, data/cache by default, that keeps downloaded images and all findings: a second time, or after a
        kill, nothing is done twice.
    engine: where images are opened and measured: "local", or "ray", the workers of a cluster.

    Where a source has ready vectors (see `mmlab.ingest.sources.ready_vectors`) no image is opened, and one that is not
    at hand is an item all the same.
    Of images with the same bytes the first is kept, and the captions of the others are tied to it. An image takes
    the label and the user's columns from its first row, and of the splits of its rows the one evaluated on.
    Raise FileNotFoundError or ValueError where the source as a whole cannot be read; anything smaller that is wrong
    costs its own rows only.

    >>> from tempfile import TemporaryDirectory
    >>> from PIL import Image
    >>> rows = "image,caption\na.png,<b>A ramp</b> from black to white\nb.png,a file that is missing here\n"
    >>> with TemporaryDirectory() as folder:
    ...     Image.linear_gradient("L").save(Path(folder, "a.png"))
    ...     _ = Path(folder, "captions.csv").write_text(rows)
    ...     result = ingest_items(folder, cache=folder, progress=False)
    >>> result
    IngestResult(1 images and 1 texts from 2 rows; 1 rows skipped, 1 texts cleaned)
    >>> result.skipped[["row", "source", "reason"]].values.tolist()
    [[2, 'b.png', 'missing file']]
    """
    cache = Path(cache or data() / "cache")
    replace = read_replacements(resolve(rules.replacements)) if rules.replacements else None
    looked = _look(dataset, source, columns, rules, cache)
    rules = looked.rules
    rows = _rows_to_ingest(looked)
    texts = on_disk(
        clean_texts(block.tolist(), replace, rules.max_chars).set_axis(block.index)
        for block in in_blocks(rows["caption"])
    )
    with FindingsCache(cache / "ingest.sqlite") as findings:
        images, decoded = _resolve(looked, rows, findings, cache, progress, engine)
        outcomes = on_disk(in_blocks(decide_outcomes(rows, texts, images, rules)))
        kept = image_rows(outcomes, images)
        added, notes = add_texts(_images_without_text(looked, kept, outcomes), rules, findings, progress)
    items = make_items(outcomes, kept, added, _own_columns(looked, rows.index))
    counts = _count_work(images, decoded, added)
    result = _make_result(looked, items, outcomes, images, rows, counts, notes)
    release_spare_memory()
    return result


def _make_result(
    looked: Inspection,
    items: pd.DataFrame,
    outcomes: pd.DataFrame,
    images: pd.DataFrame,
    rows: pd.DataFrame,
    counts: dict[str, int],
    notes: list[str],
) -> IngestResult:
    return IngestResult(
        items=items.reset_index(drop=True),
        skipped=make_skipped(outcomes, images),
        changes=make_changes(outcomes),
        outcomes=on_disk(map(_outcome_of_rows, in_blocks(outcomes))).reset_index(drop=True),
        images=make_images(outcomes, images),
        places=make_places(items, outcomes, rows),
        kind=looked.source.kind,
        counts=counts,
        guesses=looked.guesses,
        notes=looked.notes if looked.source.vectors else notes,
        vectors=looked.source.vectors,
    )


def _outcome_of_rows(outcomes: pd.DataFrame) -> pd.DataFrame:
    return outcomes.rename(columns={"name": "source"}).reset_index()[["row", "source", "outcome"]]


def _resolve(
    looked: Inspection, rows: pd.DataFrame, findings: FindingsCache, cache: Path, progress: bool, engine: str
) -> tuple[pd.DataFrame, int]:
    """Return what `assign_splits` says of the images, and how many were decoded: none beside ready vectors."""
    images, decoded = _named_images(looked), 0
    if looked.source.vectors:
        images = name_images(images)
    else:
        blobs = Blobs(cache / "images")
        images, decoded = resolve_images(images, looked.rules, findings, blobs, progress, engine)
    return on_disk(in_blocks(assign_splits(rows, images, looked.rules)[KEPT_FACTS])), decoded


def _own_columns(looked: Inspection, rows: pd.Index) -> pd.DataFrame:
    """Return the label and the user's columns of each row."""
    return looked.source.rows.drop(columns=SOURCE_COLUMNS).reindex(rows)


def _look(
    dataset: str | Path | Inspection,
    source: str,
    columns: str | Mapping[str, str] | Iterable[str],
    rules: Rules,
    cache: Path,
) -> Inspection:
    if not isinstance(dataset, Inspection):
        return inspect_dataset(dataset, source, columns, rules, cache)
    if dataset.looks_only or dataset.rules != rules:
        raise ValueError(
            f"dataset {dataset.dataset}: expected what inspect_dataset finds with the same rules and without "
            "looks_only; inspect it again with these rules"
        )
    return dataset


def _count_work(images: pd.DataFrame, decoded: int, added: pd.DataFrame) -> dict[str, int]:
    with_file = int(images["file"].notna().sum())
    return {
        "images decoded": decoded,
        "images known from the cache": with_file - decoded,
        "texts found in images": len(added),
    }


def add_texts(
    images: pd.Series, rules: Rules, cache: FindingsCache, progress: bool = True
) -> tuple[pd.DataFrame, list[str]]:
    """Return text and origin, indexed by content, for images without text; and notes on what could not be done.

    images: files by content. What is printed in an image comes first; a captioning model describes the rest. Where
    Tesseract is missing, a note says so and the rest goes on.
    """
    printed, notes = _read_print(images, rules, cache, progress)
    written, more = _write_captions(images.drop(printed.index), rules, cache, progress)
    found = pd.concat([printed.assign(origin=OCR), written.assign(origin=GENERATED)])
    return found.astype("str"), notes + more


def _read_print(
    images: pd.Series, rules: Rules, cache: FindingsCache, progress: bool
) -> tuple[pd.DataFrame, list[str]]:
    if not rules.ocr or images.empty:
        return _clean_found(images[:0], rules), []
    try:
        read = read_printed(images.to_dict(), cache, rules.ocr_language, rules.ocr_confidence, progress)
    except OcrMissing as error:
        note = f"{len(images):,} images without text were not searched for printed text: {error}"
        return _clean_found(images[:0], rules), [note]
    return _clean_found(read["text"], rules), _note_failures(read["reason"], "searched for printed text")


def _write_captions(
    images: pd.Series, rules: Rules, cache: FindingsCache, progress: bool
) -> tuple[pd.DataFrame, list[str]]:
    if not rules.captioner or images.empty:
        return _clean_found(images[:0], rules), []
    written = write_captions(images.to_dict(), rules.captioner, cache, progress=progress)
    return _clean_found(written["text"], rules), _note_failures(written["reason"], "captioned")


def _clean_found(texts: pd.Series, rules: Rules) -> pd.DataFrame:
    cleaned = clean_texts(texts.fillna("").tolist(), max_chars=rules.max_chars).set_axis(texts.index)
    return cleaned.loc[cleaned["text"] != "", ["text"]]


def _note_failures(reasons: pd.Series, done: str) -> list[str]:
    counts = reasons[reasons.fillna("") != ""].value_counts()
    return [f"{count:,} images could not be {done}: {reason}" for reason, count in counts.items()]


def _rows_to_ingest(looked: Inspection) -> pd.DataFrame:
    """Return the rows, then one for each image file that none names; with name and listed."""
    files = pd.DataFrame({"image": list(looked.unlisted), "caption": "", "origin": "caption"}, dtype="str")
    files.index += len(looked.source.rows) + 1
    rows = looked.source.rows[SOURCE_COLUMNS].assign(name=looked.found["name"])
    files = files.assign(name=files["image"])
    rows = pd.concat([rows, files]) if len(files) else rows
    return rows.rename_axis("row").assign(listed=np.arange(len(rows)) < len(looked.source.rows))


def _named_images(looked: Inspection) -> pd.DataFrame:
    """Return file, reason and detail of the images to measure, indexed by name."""
    names = looked.found["name"]
    files = rows_where(looked.found, is_first(names) & (names != "")).set_index("name")[FILE_COLUMNS]
    if UNLISTED in looked.rules.refused or not looked.unlisted:
        return files
    paths, names = list(looked.unlisted.values()), pd.Index(list(looked.unlisted), dtype="str")
    unlisted = pd.DataFrame({"file": paths}, names, FILE_COLUMNS, dtype="str")
    return pd.concat([files, unlisted]).rename_axis("name")


def _images_without_text(looked: Inspection, images: pd.DataFrame, outcomes: pd.DataFrame) -> pd.Series:
    """Return the files of the images that no text belongs to, by content; none beside ready vectors."""
    images = images[:0] if looked.source.vectors else images
    with_text = outcomes.loc[outcomes["outcome"] == TEXT_ITEM, "pair_id"]
    without = images[~is_among(images["pair_id"], with_text)]
    return without.drop_duplicates("content").set_index("content")["image"]
