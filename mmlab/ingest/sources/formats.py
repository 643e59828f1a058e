"""Read any set of images and texts into one table of rows, as written: nothing is cleaned, opened or refused."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import pandas as pd

from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.sources.arrow_tables import read_huggingface, read_parquet
from mmlab.ingest.sources.caption_files import read_coco, read_flickr, read_karpathy
from mmlab.ingest.sources.dataset_files import unlisted_images
from mmlab.ingest.sources.folders import read_images, read_sidecar
from mmlab.ingest.sources.recognise import recognise
from mmlab.ingest.sources.records import parse_columns
from mmlab.ingest.sources.text_tables import read_delimited, read_json_lines
from mmlab.items import data

# Tables with any columns, one record for each image or for each caption: (path, columns, blobs) -> rows.
TABLES: dict[str, Callable[[Path, Mapping[str, str], Blobs], pd.DataFrame]] = {
    "csv": partial(read_delimited, delimiters=",;"),
    "tsv": partial(read_delimited, delimiters="\t"),
    "jsonl": read_json_lines,
    "parquet": read_parquet,
    "huggingface": read_huggingface,
}
# Formats with fixed fields, whose images lie where such datasets have them: (path, root) -> root, rows.
FIXED_FORMATS: dict[str, Callable[[Path, Path], tuple[Path, pd.DataFrame]]] = {
    "coco": read_coco,
    "karpathy": read_karpathy,
    "flickr": read_flickr,
    "sidecar": read_sidecar,
    "images": read_images,
}
KINDS = (*TABLES, *FIXED_FORMATS)


class Source(NamedTuple):
    """What was read of a dataset.

    kind: one of KINDS.
    root: the folder where relative names of images start.
    rows: one line per caption, or per image without one, indexed by `row` from 1 in the source's order:
        image: the name as written, a relative or absolute path or an address; "" where there is none.
        caption: as written; "" where there is none.
        origin: "caption", or "alt" where the captions are the alternative texts of a web page.
        label, split: text, missing where the source has none.
        file: the absolute path of an image whose bytes came inside the source, missing otherwise.
        problem, detail: "malformed row" and what was expected and found, where the entry could not be read. Such a
            row has the image and the caption that could be saved, else the raw text as caption.
        then the user's own columns: text, Int64, float64 or boolean.
    unlisted: the image files below root that a csv, tsv, jsonl or parquet table does not name, sorted; none for
        other kinds.
    """

    kind: str
    root: Path
    rows: pd.DataFrame
    unlisted: list[str]


def read_source(
    dataset: str | Path,
    kind: str = "auto",
    columns: Mapping[str, str] | Iterable[str] = (),
    blobs: Blobs | None = None,
) -> Source:
    """Read a folder, a file, or a dataset of Hugging Face by its id ("hf://owner/name").

    kind: one of KINDS, or "auto" to recognise it. columns: names that a table has for image, caption, label and
    split, as a dict or as texts like "image=url"; those that it does not mention are recognised by usual names.
    blobs: keeps the images whose bytes come inside the source, by default in data/cache/images.

    Raise FileNotFoundError or ValueError where the source as a whole cannot be read, saying what was expected, what
    was found and what to do; a single entry that cannot be read is a row with a `problem`.
    """
    if kind not in ("auto", *KINDS):
        raise ValueError(f"source: expected auto, {', '.join(KINDS)}; found {kind!r}")
    mapped = parse_columns(columns)
    found = recognise(dataset, kind)
    if found.kind in FIXED_FORMATS:
        if mapped:
            raise ValueError(
                f"dataset {dataset}: a source of the kind {found.kind} has fixed fields; leave columns out, "
                f"found {mapped}"
            )
        root, rows = FIXED_FORMATS[found.kind](Path(found.path), found.root)
        return Source(found.kind, root, rows, [])
    path = cast(Path, found.path)  # a text is the id of a dataset on the Hub, which its reader expects
    rows = TABLES[found.kind](path, mapped, blobs or Blobs(data() / "cache" / "images"))
    unlisted = [] if found.kind == "huggingface" else unlisted_images(found.root, rows["image"])
    return Source(found.kind, found.root, rows, unlisted)
