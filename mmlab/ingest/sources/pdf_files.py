"""PDFs: each page is an image, and its text layer the text of it; a scan without one is read like any printed image.

Nothing in a document runs, and no form is filled in. Pages are drawn at a bounded size when they are kept, once for all
runs.
"""

import hashlib
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mmlab.ingest.dataset_files import open_given
from mmlab.ingest.findings_cache import Making
from mmlab.ingest.sources.records import Table
from mmlab.ingest.sources.rows import Row, malformed_row
from mmlab.items.limits import MAX_PIXELS

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
