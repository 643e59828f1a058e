"""Folders of images, with a text file for each image or without any text, and the pages of PDFs."""

import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from mmlab.ingest.dataset_files import KIND_FOLDERS, open_given
from mmlab.ingest.findings_cache import Making
from mmlab.ingest.sources.cells import Part, Row, malformed_row, row_blocks, split_in
from mmlab.ingest.sources.column_names import map_columns
from mmlab.ingest.sources.records import NoBlobs, Table, read_records
from mmlab.ingest.sources.text_files import read_text
from mmlab.items.files import MAX_PIXELS, MAX_SIDECAR_BYTES

# of a file beside an image, the preferred first
TEXT_SUFFIXES = (".caption", ".txt", ".text", ".cap", ".json")
WRAPPED_CHARS = range(50, 131)  # of the longest line of a text whose lines an editor broke
SHARD = re.compile(r"\d{5}")  # as img2dataset numbers them, no label
NUMBERS_ONLY = re.compile(r"[\d\s.,;:eE+-]*")  # boxes and classes, no text


class FolderTags(NamedTuple):
    """What the names of the folders say about an image."""

    label: str | None
    split: str | None


def read_images(names: Sequence[str]) -> Part:
    """Return one row per image, without captions, tagged by `folder_tags`."""
    tagged = zip(names, folder_tags(names), strict=True)
    return Part(row_blocks(Row(name, **tags._asdict()) for name, tags in tagged))


def read_sidecars(names: Sequence[str], texts: Mapping[str, Path]) -> Part:
    """Return the rows of each image, by the texts of the file that belongs to it, if any.

    The paragraphs and lines of a text file are texts (`texts_in`); of a JSON file, those that a table would give.
    """
    rows = (
        row._replace(label=row.label or tags.label, split=row.split or tags.split)
        for name, tags in zip(names, folder_tags(names), strict=True)
        for row in (_rows_of(name, texts[name]) if name in texts else [Row(name)])
    )
    return Part(row_blocks(rows))


def match_texts(names: Sequence[str], others: Iterable[str]) -> dict[str, str]:
    """Return the text file of each image that has one: beside it, in a folder of texts, or anywhere by its name.

    >>> match_texts(["a/1.jpg", "images/2.png"], ["a/1.txt", "captions/2.TXT", "readme.txt"])
    {'a/1.jpg': 'a/1.txt', 'images/2.png': 'captions/2.TXT'}
    """
    beside: dict[str, str] = {}
    apart: dict[str, str] = {}
    rank = {suffix: number for number, suffix in enumerate(TEXT_SUFFIXES)}
    files = [name for name in others if _suffix(name) in rank]
    if not files:
        return {}
    for name in sorted(files, key=lambda name: rank[_suffix(name)], reverse=True):
        stem = os.path.splitext(name)[0]
        beside[stem] = name
        apart[_without_kind(stem)] = name
    found = {}
    for name in names:
        stem = os.path.splitext(name)[0]
        text = (
            beside.get(name)
            or beside.get(stem)
            or apart.get(_without_kind(name))
            or apart.get(_without_kind(stem))
        )
        if text:
            found[name] = text
    return found or _match_by_stem(list(names), files)


def _match_by_stem(names: list[str], files: list[str]) -> dict[str, str]:
    """Return the text file of each image by its name without folders, where most of several have one of their own."""
    images, texts = (
        {os.path.splitext(os.path.basename(name))[0]: name for name in some} for some in (names, files)
    )
    found = {images[stem]: texts[stem] for stem in images.keys() & texts.keys()}
    unique = len(images) == len(names) and len(texts) == len(files)
    return found if unique and len(found) > 1 and len(found) * 2 > len(names) else {}


def are_texts(paths: Iterable[Path]) -> bool:
    """Return whether any of these files holds more than numbers."""
    return any(not NUMBERS_ONLY.fullmatch(_content(path)) for path in paths)


def texts_in(content: str) -> list[str]:
    r"""Return the texts in a file that belongs to one image.

    Each line is a text of its own, but lines that an editor broke are one: where each is filled, so that the first
    word of the next has no room in it, and goes on in the next, which begins with a small letter, or does not end
    there, in scripts without them. A paragraph never goes on after an empty line.

    >>> texts_in("A dog runs.\nA brown dog on grass.\n")
    ['A dog runs.', 'A brown dog on grass.']
    """
    paragraphs = re.split(r"\n[ \t\r]*\n", content.replace("\r\n", "\n").replace("\r", "\n"))
    texts: list[str] = []
    for paragraph in paragraphs:
        lines = [line.strip() for line in paragraph.split("\n") if line.strip()]
        texts += [" ".join(lines)] if _is_wrapped(lines) else lines
    return texts


def _is_wrapped(lines: list[str]) -> bool:
    pairs = list(pairwise(lines))
    width = max(map(len, lines), default=0)
    if not pairs or width not in WRAPPED_CHARS:
        return False
    filled = all(len(line) + 1 + len(after.split()[0]) > width for line, after in pairs)
    return filled and any(after[0].islower() and line[-1] not in ".!?" for line, after in pairs)


def folder_tags(names: Sequence[str]) -> list[FolderTags]:
    """Return label and split of each image: where all images lie in subfolders, the first of these is the label.

    Where the first subfolders are all named train, val, test or alike, they are the split and the second is the
    label. Folders that hold everything, and those named images or alike, are no label.

    >>> folder_tags(["train/cats/1.jpg", "test/dogs/2.jpg"])
    [FolderTags(label='cats', split='train'), FolderTags(label='dogs', split='test')]
    """
    above = _folders_of_all(names)
    folders = [name.split("/")[above:-1] for name in names]
    folders = [[part for part in parts if part.lower() not in KIND_FOLDERS] for parts in folders]
    splits: list[str | None] = [None] * len(names)
    if folders and all(parts and split_in(parts[0]) for parts in folders):
        splits = [split_in(parts[0]) for parts in folders]
        folders = [parts[1:] for parts in folders]
    several = all(folders) and len({parts[0] for parts in folders}) > 1
    labels = [parts[0] if several and not SHARD.fullmatch(parts[0]) else None for parts in folders]
    return [FolderTags(label, split) for label, split in zip(labels, splits, strict=True)]


def _folders_of_all(names: Sequence[str]) -> int:
    """Return how many folders hold everything, one inside the other, without the last if they name a split."""
    common = os.path.commonpath([os.path.dirname(name) for name in (min(names), max(names))]) if names else ""
    above = common.split("/") if common else []
    while above and split_in(above[-1]):
        above.pop()
    return len(above)


def _rows_of(name: str, path: Path) -> list[Row]:
    if not path.is_file() or not path.stat().st_size:
        return [Row(name)]
    try:
        content = read_text(path, MAX_SIDECAR_BYTES)
        if path.suffix.lower() == ".json":
            return _rows_of_json(name, json.loads(content))
        return [Row(name, one) for one in texts_in(content)] or [Row(name)]
    except (ValueError, RecursionError) as error:
        return [malformed_row("", str(error), name)]


def _rows_of_json(name: str, entry: Any) -> list[Row]:
    """Return the rows of a JSON file beside an image: an object, a list of texts, or one text."""
    fields = (
        {
            "image": name,
            **entry,
        }
        if isinstance(entry, dict)
        else {"image": name, "caption": entry}
    )
    fields["image"] = name
    columns = map_columns(list(fields), {"image": ["image"]}, name, [list(fields.values())])
    table = Table(columns.names, iter(()))
    rows = read_records([list(fields.values())], columns, NoBlobs(), table)
    return [row._replace(user_values=()) for row in rows]


def _content(path: Path) -> str:
    try:
        return read_text(path, MAX_SIDECAR_BYTES)
    except (ValueError, OSError):
        return ""


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _without_kind(stem: str) -> str:
    return "/".join(part for part in stem.split("/") if part.lower() not in KIND_FOLDERS)


COLUMNS = ("image", "caption", "pdf", "page")
PAGE_SIDE, DOTS_PER_POINT = 2000, 200 / 72  # pixels of the longer side at most, and 200 dots per inch
MAX_PAGES = 2000  # of a document
MAX_TEXT_CHARS = 100_000  # of a page
MAX_OBJECTS = 20_000  # of a page, that are looked at for images
BYTES_PER_READ = 1 << 20


def open_pdf(path: Path) -> Table:
    """Open a PDF: a record for each of its first 2,000 pages, with the file's name and the page's number from 1.

    A document that cannot be read is one broken row, and so is the rest of a longer one. Raises ModuleNotFoundError
    where pypdfium2 is missing.
    """
    _pdfium(path)  # before a first row is asked for
    return Table(list(COLUMNS), _records(path))


def _pdfium(path: Path) -> Any:
    try:
        import pypdfium2
    except ImportError as error:
        raise ModuleNotFoundError(f'{path.name}: to read it, pip install "mmlab[pdf]"') from error
    return pypdfium2


def _records(path: Path) -> Iterator[list[Any] | Row]:
    errors = (_pdfium(path).PdfiumError, OSError, ValueError)
    try:
        document = _Document(path)
    except errors as error:
        yield _broken(path, _reason(error))
        return
    for number in range(min(document.pages, MAX_PAGES)):
        try:
            yield [document.page(number), document.text(number), path.name, number + 1]
        except errors as error:
            yield _broken(path, f"page {number + 1}, {_reason(error)}")
    if document.pages > MAX_PAGES:
        yield _broken(
            path, f"{document.pages:,} pages, of which the first {MAX_PAGES:,} are read: split the file"
        )


def _broken(path: Path, detail: str) -> Row:
    return malformed_row(path.name, f"{path.name}: {detail}")


def _reason(error: Exception) -> str:
    """Return what is wrong with a document, in a sentence that says what to do."""
    if "password" in str(error).lower():  # which PDFium also says where there is no page
        return "encrypted, or without a page: save it without its password"
    return f"not a PDF that can be read ({str(error).rstrip('.')}): save it anew"


class _Document:
    """An open document; pages are counted from 0. It is closed when nothing refers to it any more."""

    def __init__(self, path: Path) -> None:
        self.path, self._hash, self._pdfium = path, "", _pdfium(path)
        self._pdf = self._pdfium.PdfDocument(open_given(path), autoclose=True)
        self.pages = len(self._pdf)

    def page(self, number: int) -> Making:
        """Return the image of a page, to be drawn; raise ValueError for one that has no size."""
        width, height = self._pdf.get_page_size(number)
        if not (0 < width < float("inf") and 0 < height < float("inf")):
            raise ValueError(f"it has a size of {width:g} x {height:g}")
        scale = min(DOTS_PER_POINT, PAGE_SIDE / max(width, height))
        return Making(lambda: f"{self.hash} page {number} at {scale:.6f}", lambda: self._draw(number, scale))

    def text(self, number: int) -> str:
        """Return the text layer of a page, "" where it has none."""
        page = self._pdf[number]
        layer = page.get_textpage()
        try:
            return layer.get_text_range(0, min(layer.count_chars(), MAX_TEXT_CHARS)).replace("\ufffe", "")
        finally:
            layer.close()
            page.close()

    @property
    def hash(self) -> str:
        """The sha256 of the file, in hexadecimal."""
        if not self._hash:
            digest = hashlib.sha256()
            with open_given(self.path) as file:
                while chunk := file.read(BYTES_PER_READ):
                    digest.update(chunk)
            self._hash = digest.hexdigest()
        return self._hash

    def _draw(self, number: int, scale: float) -> bytes:
        """Return a page as PNG; raise ValueError where it cannot be drawn."""
        page, buffer = self._pdf[number], io.BytesIO()
        try:
            self._check_images(page)
            page.render(scale=scale).to_pil().convert("RGB").save(buffer, "PNG")
        except (self._pdfium.PdfiumError, MemoryError) as error:
            raise ValueError(f"page {number + 1} cannot be drawn ({error}): save it anew") from error
        finally:
            page.close()
        return buffer.getvalue()

    def _check_images(self, page: Any) -> None:
        """Raise ValueError for a page with an image that takes too much memory to be drawn."""
        for found in islice(page.get_objects(), MAX_OBJECTS):
            if found.type == self._pdfium.raw.FPDF_PAGEOBJ_IMAGE:
                width, height = found.get_px_size()
                if width * height > MAX_PIXELS:
                    raise ValueError(f"it holds an image of {width:,} x {height:,} pixels: make it smaller")
