"""What one cell of an entry says (a value, images, texts), and the rows that become one table."""

import ast
import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from mmlab.ingest.dataset_files import IMAGE_SUFFIXES
from mmlab.ingest.sources.text_files import replace_surrogates
from mmlab.items.vector_files import ROWS_PER_BLOCK

PlainValue = bool | int | float | str | None

# the names that a text has inside an object
TEXT_FIELDS = ("raw", "text", "caption", "value", "sentence", "phrase", "content", "description")
PATH_FIELDS = ("path", "file_name", "src", "url")  # the names that an image has inside an object
SPEAKER_FIELDS, QUESTIONERS = (
    ("from", "role"),
    ("human", "user", "system"),
)  # of what is no answer in a conversation
MAX_LIST_CHARS = 100_000  # of a cell that is read as a list
MAX_NAME_CHARS = 2000  # of an image; more is a text
MAX_NESTED_CHARS = 10_000  # of a user's nested value; of more only the size is kept
IMAGE_SEPARATORS = ("|", ";", ",", "\n")
SEVERAL = re.compile(r"[|;,\n\[{]")  # which one of several images has; few names have any
LISTED = re.compile(r"\s*[\[{]")
# between the texts of an array that was written as a text
NUMPY_LIST = re.compile(r"""(?<=['"])\s+(?=['"])""")
# name.jpg#0, as Flickr's lists write it, or name#zh#0, as those in other languages do
NUMBERED_CAPTION = re.compile(r"(.+?)#((?:en|zh|ja|de|fr)[a-z]?#?)?\d+", re.IGNORECASE)
# JPEG, PNG, GIF and WebP; after what a data URI puts before them
ENCODED_IMAGE = re.compile(r"\s*(?:data:image/[\w.+-]{1,20};base64,)?(?=/9j/|iVBORw0KGgo|R0lGOD|UklGR)")
MIN_ENCODED_CHARS = 60
INT64 = range(-(2**63), 2**63)


def texts_of(cell: Any) -> list[str]:
    """Return the texts of a cell: one, or those of a list, which may be written as text; [""] where it is empty.

    Raise ValueError for a list of lists and for an object without a text.

    >>> texts_of("['a mug', 'a cup']"), texts_of([{"raw": "a mug"}]), texts_of("[red] mug")
    (['a mug', 'a cup'], ['a mug'], ['[red] mug'])
    """
    if isinstance(cell, str) and not LISTED.match(cell):
        return [cell]
    cell = _listed(cell)
    if isinstance(cell, dict):
        cell = _texts_inside(cell)
    if not isinstance(cell, list):
        return [_one_text(cell)]
    return [_one_text(one) for one in cell if not _is_question(one)] or [""]


def _is_question(one: Any) -> bool:
    return isinstance(one, dict) and any(one.get(field) in QUESTIONERS for field in SPEAKER_FIELDS)


def _texts_inside(cell: dict[str, Any]) -> Any:
    """Return the list of texts that an object holds under a usual name, or by language; else the object."""
    inside = next((cell[name] for name in TEXT_FIELDS if isinstance(cell.get(name), list)), cell)
    by_language = cell and all(len(name) <= 3 and isinstance(text, str) for name, text in cell.items())
    return list(cell.values()) if by_language else inside


def images_of(cell: Any, is_image: Callable[[str], bool]) -> list[Any]:
    """Return the images of a cell, each for `image_of`: those of a list, or of a text that joins several.

    >>> images_of("a.png; b.png", is_image_name), images_of("a; b.png", is_image_name)
    (['a.png', 'b.png'], ['a; b.png'])
    """
    if isinstance(cell, str) and not SEVERAL.search(cell):
        return [cell]
    cell = _listed(cell)
    if isinstance(cell, list):
        return cell or [""]
    if isinstance(cell, str):
        for separator in filter(cell.__contains__, IMAGE_SEPARATORS):
            pieces = [piece.strip() for piece in cell.split(separator) if piece.strip()]
            if len(pieces) > 1 and all(map(is_image, pieces)):
                return pieces
    return [cell]


def image_of(cell: Any) -> tuple[str, bytes | None]:
    """Return the name and the bytes of an image: a text, bytes or their base64, or an object with path and bytes.

    Raise ValueError for a list and for an object without path and bytes.
    """
    if isinstance(cell, bytes):
        return "", cell
    if isinstance(cell, dict) and cell.keys() & {*PATH_FIELDS, "bytes"}:
        name = next((cell[field] for field in PATH_FIELDS if cell.get(field)), "")
        content = cell.get("bytes")
        if isinstance(name, str) and isinstance(content, bytes | None):
            return name, content
    if isinstance(cell, dict | list):
        raise ValueError(f"expected an image's path, address or bytes, found {_describe(cell)}")
    name = cell if isinstance(cell, str) else to_text(to_plain(cell)) or ""
    if len(name) > MIN_ENCODED_CHARS and (content := _decoded(name)):
        return "", content
    numbered = NUMBERED_CAPTION.fullmatch(name.strip()) if "#" in name else None
    is_numbered = numbered and (is_image_name(numbered[1]) or numbered[2])
    return (numbered[1], None) if numbered and is_numbered else (name, None)


def _decoded(text: str) -> bytes | None:
    """Return the bytes of an image that is written in base64; None for any other text."""
    encoded = ENCODED_IMAGE.match(text)
    if not encoded:
        return None
    try:
        return base64.b64decode(
            text[encoded.end() :].strip(), b"-_" if {*text} & {*"-_"} else None, validate=True
        )
    except ValueError:
        return None


def is_address(cell: Any) -> bool:
    """Return whether a cell holds an address on the web."""
    return isinstance(cell, str) and re.match(r"\s*https?://\S", cell, re.IGNORECASE) is not None


def is_image_name(text: str) -> bool:
    """Return whether a text looks like the name of an image file, or an address.

    >>> is_image_name("a/b 1.JPG"), is_image_name("1.jpg#0"), is_image_name("https://x.org/1"), is_image_name("a mug.")
    (True, True, True, False)
    """
    text = text.strip()
    if not 0 < len(text) <= MAX_NAME_CHARS or "\n" in text or "\t" in text:
        return False
    return is_address(text) or is_image_file(text)


def is_image_file(text: str) -> bool:
    """Return whether a path or an address ends as image files do."""
    return os.path.splitext(re.split(r"[?#]", text.strip())[0])[1].lower() in IMAGE_SUFFIXES


def is_encoded_image(text: str) -> bool:
    """Return whether a text begins like an image in base64."""
    return len(text) > MIN_ENCODED_CHARS and ENCODED_IMAGE.match(text) is not None


def is_image_cell(cell: Any) -> bool:
    """Return whether a cell looks like an image or several: bytes, an object with a path, or names."""
    cells = cell[:3] if isinstance(cell, list) else images_of(cell, is_image_name)
    return bool(cells) and all(
        isinstance(one, bytes)
        or (isinstance(one, dict) and bool(one.keys() & {*PATH_FIELDS, "bytes"}))
        or (isinstance(one, str) and (is_image_name(one) or is_encoded_image(one)))
        for one in cells
    )


def is_text_cell(cell: Any) -> bool:
    """Return whether a cell may be a text or a list of texts: it has letters."""
    try:
        return not isinstance(cell, int | float) and any(
            any(map(str.isalpha, text)) and not text.startswith("[{") for text in texts_of(cell)
        )
    except (ValueError, RecursionError):
        return False


def words_in(cell: Any) -> float:
    """Return how many words with letters a cell holds; in a script without spaces, two characters count as one."""
    if not isinstance(cell, str) or not is_text_cell(cell):
        return 0
    unspaced = sum(char.isalpha() and char >= "\u0e00" for char in cell)
    return max(sum(map(_is_word, cell.split())), unspaced / 2)


def _is_word(word: str) -> bool:
    """Return whether a word has more letters than digits: no number, and no id of a class."""
    return sum(map(str.isalpha, word)) > sum(map(str.isdigit, word))


def to_plain(cell: Any) -> PlainValue:
    """Return a cell of the user's as one plain value; None where it is empty.

    Nested values become compact JSON, points in time ISO text; of bytes and of very large values
    only the size is kept.
    """
    if isinstance(cell, str):
        return cell or None
    if cell is None or cell != cell:  # NaN is the one value that differs from itself
        return None
    if isinstance(cell, bool | float):
        return cell
    if isinstance(cell, int):
        return cell if cell in INT64 else str(cell)
    if isinstance(cell, Decimal):
        return float(cell)
    if isinstance(cell, list | dict):
        text = json.dumps(cell, ensure_ascii=False, separators=(",", ":"), default=_leaf_text)
        return text if len(text) <= MAX_NESTED_CHARS else f"{len(text)} characters"
    return _leaf_text(cell)


def to_text(value: PlainValue) -> str | None:
    """Return a plain value as text, as JSON writes it."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _listed(cell: Any) -> Any:
    """Return the list that a text spells, as JSON, Python or numpy write it; any other cell as it is.

    An object with a list of texts or one, as Label Studio and VIA export them, is this list too.
    """
    text = cell.strip() if isinstance(cell, str) else ""
    if text[:1] + text[-1:] not in ("[]", "{}") or len(text) > MAX_LIST_CHARS:
        return cell
    for parse in (json.loads, lambda text: ast.literal_eval(NUMPY_LIST.sub(", ", text))):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, dict):
            found = next(
                (found[name] for name in TEXT_FIELDS if isinstance(found.get(name), list | str)), None
            )
            found = [found] if isinstance(found, str) else found
        if isinstance(found, list) and all(isinstance(one, str | dict) for one in found):
            return found
    return cell


def _one_text(cell: Any) -> str:
    if isinstance(cell, dict):
        cell = next((cell[name] for name in TEXT_FIELDS if isinstance(cell.get(name), str)), cell)
    if isinstance(cell, list | dict):
        raise ValueError(f"expected a text, or an object with raw, text or caption, found {_describe(cell)}")
    return to_text(to_plain(cell)) or ""


def _leaf_text(cell: Any) -> str:
    if isinstance(cell, bytes):
        return f"{len(cell)} bytes"
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


def _describe(cell: list | dict) -> str:
    return f"a list of {len(cell)}" if isinstance(cell, list) else f"an object with {list(cell)[:10]}"


MALFORMED = "malformed row"
MAX_RAW_CHARS = 1000  # that are kept of the raw text of a malformed row
NUMBERS = (  # whole numbers that fit into 64 bits, decimal numbers; "007", "+1" and "1e5" are names
    (r"(?:0|-?[1-9][0-9]{0,17})", int, "Int64"),
    (r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?", float, "float64"),
)
SPLIT_WORDS = {  # how a split is written, and what it is called
    "train": "train", "training": "train", "trn": "train", "test": "test", "testing": "test", "tst": "test",
    "validation": "validation", "val": "val", "valid": "valid", "dev": "dev", "devel": "dev",
}  # fmt: skip


class Row(NamedTuple):
    """One row of a source, as `Source.rows` describes it; `user_values` in their order, () where none was read.

    record: the number of its entry in its file, from 1.
    """

    image: str = ""
    caption: str = ""
    origin: str = "caption"
    label: str | None = None
    split: str | None = None
    file: str | None = None
    problem: str | None = None
    detail: str | None = None
    address: str | None = None
    user_values: tuple[PlainValue, ...] = ()
    record: int | None = None


class Part(NamedTuple):
    """The rows of one file of a source as `row_blocks` returns them, their user's columns, and what was guessed."""

    blocks: list[pd.DataFrame]
    user_names: list[str] = []  # noqa: RUF012 - never changed
    notes: list[str] = []  # noqa: RUF012


OUR_COLUMNS = (*Row._fields[:8], "table", "address", "record")


def malformed_row(raw: Any, detail: str, image: str = "") -> Row:
    """Return a row that could not be read, with what could be saved; `raw` is its caption, or the whole entry."""
    try:
        caption = to_text(to_plain(raw)) or ""
    except RecursionError:  # too deep to be written down
        caption = ""
    return Row(image, caption[:MAX_RAW_CHARS].strip(), problem=MALFORMED, detail=detail[:MAX_RAW_CHARS])


def usual_split(split: str | None) -> str | None:
    """Return the name of a split in small letters where it is a usual one, any other without blanks around it.

    >>> usual_split(" TEST"), usual_split("Validation"), usual_split("RestVal"), usual_split(" ")
    ('test', 'validation', 'RestVal', None)
    """
    name = (split or "").strip()
    return SPLIT_WORDS.get(name.casefold(), name) or None


def split_in(name: str) -> str | None:
    """Return the split that the name of a file or a folder says; None where it says none or several.

    >>> split_in("captions_val2017"), split_in("train-00000-of-00002"), split_in("trainer"), split_in("train_test")
    ('val', 'train', None, None)
    """
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name))
    found = {SPLIT_WORDS[word.casefold()] for word in words if word.casefold() in SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def row_blocks(rows: Iterable[Row], user_names: Sequence[str] = ()) -> list[pd.DataFrame]:
    """Return rows as tables of some thousand lines: our columns, of which `table` is empty, then the user's.

    A user's column has the type of its values in this block, and is one of objects where they have several.
    """
    rows = iter(rows)
    blocks = iter(lambda: list(islice(rows, ROWS_PER_BLOCK)), [])
    return [_block(block, user_names) for block in blocks]


def _block(rows: list[Row], user_names: Sequence[str]) -> pd.DataFrame:
    cells = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
    cells["split"] = tuple(split or None for split in cells["split"])
    cells["table"] = (None,) * len(rows)
    ours: dict[str, Any] = {name: string_array(cells[name]) for name in OUR_COLUMNS[:-1]}
    unread = (None,) * len(user_names)
    values = zip(*(row.user_values or unread for row in rows), strict=True)
    users = {name: _array_of_block(list(one)) for name, one in zip(user_names, values, strict=True)}
    return pd.DataFrame({**ours, "record": pd.array(cells["record"], dtype="Int64"), **users})


def _array_of_block(values: list[PlainValue]) -> Any:
    several = len({type(value) for value in values if value is not None}) > 1
    return pd.Series(values, dtype=object) if several else typed_array(values)


def make_table(parts: Iterable[Part], numbers_in_text: bool = False) -> pd.DataFrame:
    """Return one line per row, indexed by `row` from 1: our columns, then the user's by their names.

    numbers_in_text: whether a user's column that holds nothing but numbers, written as text, becomes numeric.
    """
    parts = list(parts)
    blocks = [block for part in parts for block in part.blocks]
    no_rows = pd.DataFrame(
        {**dict.fromkeys(OUR_COLUMNS, string_array([])), "record": pd.array([], dtype="Int64")}
    )
    table = pd.concat([no_rows, *(block[list(OUR_COLUMNS)] for block in blocks)])
    names = dict.fromkeys(name for part in parts for name in part.user_names)
    users = {name: _joined_column([block.get(name, _nothing(block)) for block in blocks]) for name in names}
    table = pd.DataFrame({**table.reset_index(drop=True), **users})
    table.index = pd.RangeIndex(1, len(table) + 1, name="row")
    for name in names if numbers_in_text else ():
        table[name] = as_numbers(table[name])
    return table


def _nothing(block: pd.DataFrame) -> pd.Series:
    return pd.Series(None, block.index, dtype="str")


def _joined_column(columns: Sequence[pd.Series]) -> Any:
    """Return the columns of several blocks as one array, of the type that all values have."""
    types = {column.dtype for column in columns if column.notna().any()}
    dtype = types.pop() if len(types) == 1 else None
    if dtype is not None and not pd.api.types.is_object_dtype(dtype):
        return pd.concat(
            [column if column.dtype == dtype else column.astype(dtype) for column in columns]
        ).array
    return typed_array([value for column in columns for value in _plain_values(column)])


def _plain_values(column: pd.Series) -> list[PlainValue]:
    missing = column.isna()
    return [None if empty else value for value, empty in zip(column.tolist(), missing, strict=True)]


def typed_array(values: list[PlainValue]) -> pd.api.extensions.ExtensionArray:
    """Return an array of the one type that all values have, else of text."""
    types = {type(value) for value in values if value is not None}
    if types == {bool}:
        return pd.array(values, dtype="boolean")
    if types == {int}:
        return pd.array(values, dtype="Int64")
    if types and types <= {int, float}:
        return pd.array(values, dtype="float64")
    return string_array([to_text(value) for value in values])


def string_array(values: Sequence[str | None]) -> pd.api.extensions.ExtensionArray:
    """Return an array of texts; halves of characters, which no file can hold, become U+FFFD."""
    try:
        texts = pa.array(values, pa.large_string())  # faster than from a list
    except UnicodeEncodeError:  # JSON can spell half of a character
        texts = pa.array([value and replace_surrogates(value) for value in values], pa.large_string())
    return pd.array(texts, dtype="str")


def as_numbers(column: pd.Series) -> pd.Series:
    """Return the column as numbers if every cell that is not empty is one, written plainly."""
    present = column.dropna() if column.dtype == "str" else column[:0]
    for form, number, dtype in NUMBERS:
        if len(present) and present.str.fullmatch(form).all():
            cells = [number(cell) if isinstance(cell, str) else None for cell in column]
            return pd.Series(cells, column.index, dtype=dtype)
    return column
