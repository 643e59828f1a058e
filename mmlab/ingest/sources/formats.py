"""Read a folder, a file or a Hugging Face dataset into one table of rows, as written.

Nothing is cleaned, opened as an image or refused here.
"""

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from mmlab.ingest.dataset_files import FileTree, inside_folders, is_inside, reading
from mmlab.ingest.findings_cache import Blobs
from mmlab.ingest.rules import parse_columns
from mmlab.ingest.sources.caption_files import FLICKR_FOLDERS, flickr_splits
from mmlab.ingest.sources.cells import OUR_COLUMNS, Part, as_numbers, make_table
from mmlab.ingest.sources.folders import read_images, read_sidecars
from mmlab.ingest.sources.joins import open_file
from mmlab.ingest.sources.kinds import FIXED, FOLDERS, VECTORS, DataFile
from mmlab.ingest.sources.ready_rows import make_rows
from mmlab.ingest.sources.ready_vectors import ROW, ReadyVectors, Recognised, find_vectors, read_columns
from mmlab.ingest.sources.recognition import Choice, choose, choose_file, snapshot_of
from mmlab.ingest.sources.records import TableImages, glance, read_table
from mmlab.items import data
from mmlab.items.files import resolve
from mmlab.items.parameter_table import check_values
from mmlab.items.tables import in_blocks, on_disk

HUB_ADDRESS = re.compile("hf:/+")  # a Path joins the two slashes into one
TEXT_KINDS = ("csv", "tsv", "flickr")  # in which numbers are written as text


class Source(NamedTuple):
    """What was read of a dataset. No image file was looked for.

    kind: one of KINDS.
    root: the folder where relative names start.
    rows: one line per caption, or per image without one, indexed by `row` from 1 in the source's order:
        image: the name as written, a relative or absolute path or an address; "" where there is none.
        caption: as written; "" where there is none.
        origin: "caption"; "alt" where the text is the alternative text of a web page; the name of its column where a
            table has several columns of texts; "negative" for a text that is made to be wrong for the image of its
            entry, which is a row without an image.
        label, split: text, missing where the source has none; the usual names of splits in small letters.
        file: the absolute path of an image whose bytes came inside the source, missing otherwise.
        problem, detail: "malformed row" and what was expected and found, where the entry could not be read. Such a
            row has the image and the caption that could be saved, else the raw text as caption.
        table: the file that the row was read from, relative to root with forward slashes; missing where there is none.
        record: the number of the row's entry in this file, from 1 below the header; missing where texts and images
            were joined from two files, and in formats with fixed fields.
        address: where the image lies on the web, for where the file of the name `image` is not at hand; missing where
            the source has none.
        then the user's own columns: text, Int64, float64 or boolean; language where the names of columns say it.
    image_folders: the folders where the images of this format usually lie, relative to root, the preferred first.
    tables: the files that were read, as in the column table.
    unread: the files below root that look like data and were passed over: why, and what to do.
    notes: what was guessed, in sentences.
    tree: the files below root, where they were looked through.
    vectors: the ready vectors that stand beside the rows, where these are not to be embedded.
    """

    kind: str
    root: Path
    rows: pd.DataFrame
    image_folders: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    unread: Mapping[str, str] = MappingProxyType({})
    notes: tuple[str, ...] = ()
    tree: FileTree | None = None
    vectors: ReadyVectors | None = None


def read_source(
    dataset: str | Path,
    kind: str = "auto",
    columns: str | Mapping[str, str] | Iterable[str] = (),
    blobs: Blobs | None = None,
    follow_links: bool = False,
) -> Source:
    """Read a folder, a file, or a dataset of Hugging Face by its id ("hf://owner/name").

    kind: one of KINDS, or "auto" to recognise it. columns: names that a table has for image, caption, label, split
    and id, in one of the forms that `parse_columns` takes; those that it does not mention are recognised.
    blobs: keeps the images whose bytes come inside the source, by default in data/cache/images.
    follow_links: read texts and tables behind links that lead out of the dataset too; otherwise these are `unread`.

    Raise FileNotFoundError or ValueError where the source as a whole cannot be read, saying what was expected, what
    was found and what to do; a single entry that cannot be read is a row with a `problem`.
    """
    check_values(dataset=str(dataset), source=kind)
    mapped = parse_columns(columns)
    path = find_dataset(str(dataset))
    with reading(path, follow_links):
        path = snapshot_of(path) if path.is_dir() else path
        ready = find_vectors(path, kind, mapped) if path.exists() else None
        if ready:
            read = _read_beside(path, ready, mapped)
        else:
            blobs = blobs or Blobs(data() / "cache" / "images")
            read = _read(recognise(dataset, kind, mapped), mapped, blobs)
    return read._replace(rows=on_disk(in_blocks(read.rows)))


def _read_beside(path: Path, ready: Recognised, columns: Mapping[str, list[str]]) -> Source:
    """Return the rows of the tables that stand beside ready vectors."""
    with _no_collections():
        tables = {name: read_columns(file) for name, file in ready.tables.items()}
        rows, notes = make_rows(tables, columns, by_modality=ROW in ready.vectors.shards)
    numbers = [name for name in rows.columns.difference(OUR_COLUMNS) if rows[name].dtype == "str"]
    if any(Path(name).suffix in (".csv", ".tsv") for name in tables):
        rows = rows.assign(**{name: as_numbers(rows[name]) for name in numbers})
    root = path if path.is_dir() else path.parent
    return Source(VECTORS, root, rows, tables=tuple(tables), notes=tuple(notes), vectors=ready.vectors)


def _read(choice: Choice, columns: Mapping[str, list[str]], blobs: Blobs) -> Source:
    if columns and choice.kind in (*FIXED, *FOLDERS):
        raise ValueError(
            f"dataset {choice.root}: a source of the kind {choice.kind} has fixed fields; leave columns out, "
            f"found {dict(columns)}"
        )
    if choice.kind in FOLDERS:
        return _read_folder(choice)
    return _read_files(choice, columns, blobs)


def recognise(
    dataset: str | Path, kind: str = "auto", columns: Mapping[str, list[str]] = MappingProxyType({})
) -> Choice:
    """Return what is read of a dataset.

    kind: "auto", or the only kind to look for. Raise FileNotFoundError where nothing usable lies there, ValueError
    where it is not clear what is meant.
    """
    name = str(dataset)
    path = find_dataset(name)
    if HUB_ADDRESS.match(name) or (kind == "huggingface" and not path.exists()):
        return _hub_dataset(HUB_ADDRESS.sub("", name, count=1), kind, path)
    if path.is_file():
        return choose_file(path, kind, columns)
    if not path.is_dir():
        raise FileNotFoundError(f"dataset {path}: expected a folder or a file, found nothing there")
    return choose(path, kind, columns)


def find_dataset(name: str) -> Path:
    """Return the absolute path; a link stays as it is where it leads to the blobs of its Hugging Face cache."""
    path = resolve(name)
    link = resolve(Path(name).expanduser().parent) / Path(name).name
    return link if path.is_file() and is_inside(str(path), inside_folders(link.parent)) else path


def _hub_dataset(name: str, kind: str, path: Path) -> Choice:
    if kind not in ("auto", "huggingface"):
        raise ValueError(f"dataset hf://{name} is of the kind huggingface, found source={kind!r}")
    if not all(name.split("/")) or name.count("/") > 1:
        raise ValueError(f"dataset {name}: expected the id of a Hugging Face dataset, as hf://owner/name")
    file = DataFile("huggingface", Path(name), "")
    return Choice("huggingface", path, [file], [], {}, {}, lambda _: False)  # its images come as bytes


def _read_folder(choice: Choice) -> Source:
    texts = choice.texts if choice.kind == "sidecar" else {}
    part = read_sidecars(choice.images, texts) if texts else read_images(choice.images)
    rows = make_table([part])
    return Source(
        choice.kind, choice.root, rows, unread=choice.unread, notes=tuple(part.notes), tree=choice.tree
    )


def _read_files(choice: Choice, columns: Mapping[str, list[str]], blobs: Blobs) -> Source:
    images, parts, unread = TableImages(blobs), dict[DataFile, Part](), dict(choice.unread)
    failed: Exception | None = None
    with _no_collections():
        for file in choice.files:
            try:
                parts[file] = _tagged(_read_file(file, columns, images, choice.on_disk), file)
            except (ValueError, ModuleNotFoundError) as error:
                unread[file.name], failed = str(error), error
        if failed and not parts:
            raise failed
        if not any(part.blocks for part in parts.values()):
            raise ValueError(f"{_named(choice)} has no rows: add one row per caption")
        rows = make_table(parts.values(), numbers_in_text=choice.kind in TEXT_KINDS)
    notes = dict.fromkeys(f"{file.name}: {note}" for file, part in parts.items() for note in part.notes)
    joined = (name for file in parts if file.join for name in file.join.names)
    tables = tuple(dict.fromkeys([*joined, *(file.name for file in parts if file.name)]))
    folders = _image_folders(parts)
    return Source(choice.kind, choice.root, rows, folders, tables, unread, tuple(notes), choice.tree)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Collect no garbage: the rows of a large source hold none, and to look for some takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _named(choice: Choice) -> str:
    return ", ".join(str(file.path) for file in choice.files[:3])


def _read_file(
    file: DataFile, columns: Mapping[str, list[str]], images: TableImages, on_disk: Callable[[str], bool]
) -> Part:
    if file.kind in FIXED:
        return FIXED[file.kind](file.path)
    images.table = file.name or file.path.name
    return read_table(glance(open_file(file), columns, file.path, on_disk), images)


def _tagged(part: Part, file: DataFile) -> Part:
    """Return the rows with the name of their file, and the split that a list or this name says."""
    listed = flickr_splits(file.path.parent) if file.kind in TEXT_KINDS else {}
    return part._replace(blocks=[_tagged_block(block, file, listed) for block in part.blocks])


def _tagged_block(block: pd.DataFrame, file: DataFile, listed: Mapping[str, str]) -> pd.DataFrame:
    split = block["split"].fillna(block["image"].map(listed).astype("str")) if listed else block["split"]
    table = pd.Series(file.name or None, block.index, dtype="str")
    block = block.assign(table=table, split=split.fillna(file.split) if file.split else split)
    return block.assign(record=pd.array([None] * len(block), "Int64")) if file.join else block


def _image_folders(files: Iterable[DataFile]) -> tuple[str, ...]:
    """Return the folders where the images of these files usually lie: val2017 for captions_val2017.json."""
    folders: list[str] = []
    files = [file for file in files if file.kind in (*FIXED, "flickr")]
    for file in files:
        stem = file.name.rpartition("/")[2].partition(".")[0]
        for name in filter(None, (re.sub(r"^captions_", "", stem), file.split)):
            folders += [name, f"images/{name}", f"{name}_images"]
    return tuple(dict.fromkeys([*folders, *FLICKR_FOLDERS, "data"] if files else []))
