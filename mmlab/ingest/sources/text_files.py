"""Text files: packed or plain, in which encoding they are written, and what a JSON file holds."""

import codecs
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TextIO

import ftfy

from mmlab.ingest.dataset_files import open_given
from mmlab.items.files import MAX_JSON_BYTES, Unpacked, most_unpacked

PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
MAGIC = re.compile(
    rb"(?P<gzip>\x1f\x8b)|(?P<bz2>BZh[1-9]1AY)|(?P<zstd>\x28\xb5\x2f\xfd)|(?P<lz4>\x04\x22\x4d\x18)"
)
NUMBERED_SUFFIX = re.compile(r"^(\.[ct]sv)\d+$")  # .tsv000, the first of several
BYTES_PER_READ = 1 << 20
MAX_GUESSED_BYTES = 1 << 24  # that are looked at to guess an old encoding
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def plain_suffix(path: Path) -> str:
    """Return the suffix of a file in small letters, without that of its packing.

    >>> plain_suffix(Path("a/listings_0.JSON.gz")), plain_suffix(Path("b.tsv"))
    ('.json', '.tsv')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return NUMBERED_SUFFIX.sub(r"\1", suffixes[-1]) if suffixes else ""


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, unpacked where its first bytes or its name ask for it; ValueError where that fails, now or later."""
    with open_given(path) as file:
        magic = MAGIC.match(file.read(10))
        packing = magic.lastgroup if magic else PACKED.get(path.suffix.lower())
        if not packing:
            file.seek(0)
            yield file
            return
    import pyarrow as pa

    try:
        with open_given(path) as packed, pa.input_stream(packed, compression=packing) as unpacked:
            most = most_unpacked(os.fstat(packed.fileno()).st_size)
            yield io.BufferedReader(Unpacked(unpacked, most), BYTES_PER_READ)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} cannot be unpacked ({str(error)[:200]})") from error


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file in the encoding in which it can be read, its line ends as they are.

    What is broken in a file that is mostly UTF-8 becomes U+FFFD. Raise ValueError if the file is empty or
    broken UTF-16.
    """
    encoding = encoding_of(path)
    with open_bytes(path) as file, io.TextIOWrapper(file, encoding, "replace", newline="") as text:
        yield text


def read_text(path: Path, most: int) -> str:
    """Return a text file of at most so many bytes, unpacked; ValueError if it is larger, empty or broken."""
    with open_bytes(path) as file:
        is_larger = len(file.read(most + 1)) > most
    if is_larger:
        raise ValueError(f"expected at most {most:,} bytes in {path.name}, found more")
    with open_text(path) as text:
        return text.read()


def encoding_of(path: Path) -> str:
    """Return the encoding in which the whole file can be read: UTF-8, UTF-16, or what Excel writes.

    Raise ValueError if the file is empty or broken UTF-16.
    """
    known = path.stat()
    return _find_encoding(path, known.st_mtime_ns, known.st_size)


@lru_cache(maxsize=256)  # a table is opened to look at it and to read it; its encoding needs the whole of it
def _find_encoding(path: Path, modified_ns: int, size: int) -> str:
    with open_bytes(path) as file:
        head = file.read(BYTES_PER_READ)
    if not head:
        raise ValueError(f"{path} is empty")
    utf16 = _utf16(head)
    encoding = utf16 or "utf-8-sig"
    broken, others = _count_broken(path, encoding)
    if broken and utf16:
        raise ValueError(f"{path} is not UTF-16, though it begins with its mark: save it as UTF-8")
    if not broken or broken < others:
        return encoding
    with open_bytes(path) as file:
        return ftfy.guess_bytes(file.read(MAX_GUESSED_BYTES))[1]


def read_json(path: Path) -> Any:
    """Return the value in a JSON file; raise ValueError with the path if it cannot be read."""
    with open_bytes(path) as file:
        content = file.read(MAX_JSON_BYTES + 1)
    if len(content) > MAX_JSON_BYTES:
        raise ValueError(f"{path}: expected at most {MAX_JSON_BYTES:,} bytes of JSON: save it as JSON Lines")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error})") from error


def replace_surrogates(text: str) -> str:
    """Return the text with U+FFFD for halves of characters, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _utf16(head: bytes) -> str | None:
    """Return the form of UTF-16 that the file begins with, by its mark or by the zeros of plain letters."""
    if head[:2] in UTF16_MARKS:
        return "utf-16"
    even, odd = head[:1000:2].count(0), head[1:1000:2].count(0)
    half = len(head[:1000]) // 2
    if half > 1 and max(even, odd) > 0.7 * half and min(even, odd) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    return None


def _count_broken(path: Path, encoding: str) -> tuple[int, int]:
    """Return how many places cannot be read in this encoding, and how many letters beyond ASCII can."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    broken = others = 0
    with open_bytes(path) as file:
        while chunk := file.read(BYTES_PER_READ):
            text = decoder.decode(chunk)
            broken += text.count("\ufffd")
            others += 0 if text.isascii() else sum(char > "\x7f" for char in text) - text.count("\ufffd")
    return broken + decoder.decode(b"", True).count("\ufffd"), others
