"""Any set of images and texts becomes one table of rows, as written: nothing is cleaned, opened or refused."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.sources.arrow_tables import read_parquet
from mmlab.ingest.sources.caption_files import read_coco
from mmlab.ingest.sources.dataset_files import unlisted_images
from mmlab.ingest.sources.flickr import read_flickr
from mmlab.ingest.sources.folders import read_images, read_sidecar
from mmlab.ingest.sources.huggingface import read_huggingface
from mmlab.ingest.sources.json_lines import read_json_lines
from mmlab.ingest.sources.karpathy import read_karpathy
from mmlab.ingest.sources.recognise import recognise
from mmlab.ingest.sources.rows import MALFORMED
from mmlab.ingest.sources.text_tables import read_delimited
from mmlab.items import data
from mmlab.items.options import OPTIONS

KINDS = OPTIONS["source"][1:]  # all but "auto"
TABLES = {  # (path, columns, blobs) -> rows: any columns, one record for each image or for each caption
    "csv": partial(read_delimited, delimiters=",;"),
    "tsv": partial(read_delimited, delimiters="\t"),
    "jsonl": read_json_lines,
    "parquet": read_parquet,
    "huggingface": read_huggingface,
}
LAYOUTS = {  # (path, root) -> root, rows: fixed fields, and the images lie where such datasets have them
    "coco": read_coco,
    "karpathy": read_karpathy,
    "flickr": read_flickr,
    "sidecar": read_sidecar,
    "images": read_images,
}

__all__ = ["KINDS", "MALFORMED", "Source", "read_source"]


class Source(NamedTuple):
    """What was read.

    kind: one of KINDS.
    root: the folder where relative image names start.
    rows: one line per caption, or per image without one, indexed by `row` from 1 in the source's order:
        image: the name as written, a relative or absolute path or an address; "" where there is none.
        caption: as written; "" where there is none.
        origin: "caption", or "alt" where the captions are the alternative texts of a web page.
        label, split: text, missing where not told.
        file: the absolute path of an image whose bytes came inside the source, missing otherwise.
        problem, detail: "malformed row" and what was expected and found, where the entry could not be read.
            Such a row has the image and the caption that could be saved, else the raw text as caption.
        then the user's own columns: text, Int64, float64 or boolean.
    unlisted: the image files below root that a csv, tsv, jsonl or parquet table does not name, sorted; of
        other kinds none.
    """

    kind: str
    root: Path
    rows: pd.DataFrame
    unlisted: list[str]


def read_source(
    dataset: str | Path,
    kind: str = "auto",
    columns: Mapping[str, str] | None = None,
    blobs: Blobs | None = None,
) -> Source:
    """Read a folder, a file, or a dataset of Hugging Face by its id ("hf://owner/name").

    `kind` is one of KINDS, or "auto": recognised by looking. `columns` maps image, caption, label and split to
    a table's own names for them; those that it does not mention are recognised by their usual names. `blobs`
    keeps the images whose bytes come inside the source, by default in data/cache/images.

    Raises FileNotFoundError or ValueError, saying what was expected, what was found and what to do, where the
    source as a whole cannot be read; a single entry that cannot be read is a row with a `problem`.
    """
    if kind not in ("auto", *KINDS):
        raise ValueError(f"source: the kinds are auto, {', '.join(KINDS)}; found {kind!r}")
    found = recognise(dataset, kind)
    if columns and found.kind in LAYOUTS:
        raise ValueError(
            f"dataset {dataset}: a source of the kind {found.kind} has fixed fields; leave columns out, "
            f"found {dict(columns)}"
        )
    if found.kind in LAYOUTS:
        root, rows = LAYOUTS[found.kind](found.path, found.root)
        return Source(found.kind, root, rows, [])
    blobs = blobs or Blobs(data() / "cache" / "images")
    rows = TABLES[found.kind](found.path, columns or {}, blobs)
    files = [] if found.kind == "huggingface" else unlisted_images(found.root, rows["image"])
    return Source(found.kind, found.root, rows, files)
