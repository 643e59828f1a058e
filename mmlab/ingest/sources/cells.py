"""What one cell of a table says: texts, an image, or a value of the user's."""

import json
from decimal import Decimal
from typing import Any

TEXT_FIELDS = ("raw", "text", "caption")  # the names that a text has inside an object
INT64 = range(-(2**63), 2**63)


def texts_of(cell: Any) -> list[str]:
    """The texts of a caption cell, a text or a list of them; [""] where it is empty.

    Raises ValueError for a list of lists and for an object without a text.
    """
    return [_text(one) for one in cell] or [""] if isinstance(cell, list) else [_text(cell)]


def image_of(cell: Any) -> tuple[str, bytes | None]:
    """The name and the bytes of an image cell: a text, bytes, or an object that has them as path and bytes.

    Raises ValueError for a list and for an object without path and bytes.
    """
    if isinstance(cell, bytes):
        return "", cell
    if isinstance(cell, dict) and cell.keys() & {"path", "bytes"}:
        name, content = cell.get("path") or "", cell.get("bytes")
        if isinstance(name, str) and isinstance(content, bytes | None):
            return name, content
    if isinstance(cell, dict | list):
        raise ValueError(f"expected an image's path, address or bytes, found {_told(cell)}")
    return as_text(plain(cell)) or "", None


def plain(cell: Any) -> bool | int | float | str | None:
    """A cell of the user's as one plain value; None where it is empty.

    Nested values become compact JSON text, points in time ISO text; of bytes only their number is told.
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
    return _compact(cell) if isinstance(cell, list | dict) else _word(cell)


def as_text(value: bool | int | float | str | None) -> str | None:
    """A plain value as text, as JSON writes it."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def storable(text: str) -> str:
    """The text with U+FFFD for halves of characters, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(cell: Any) -> str:
    if isinstance(cell, dict):
        cell = next((cell[name] for name in TEXT_FIELDS if isinstance(cell.get(name), str)), cell)
    if isinstance(cell, list | dict):
        raise ValueError(f"expected a text, or an object with raw, text or caption, found {_told(cell)}")
    return as_text(plain(cell)) or ""


def _word(cell: Any) -> str:
    if isinstance(cell, bytes):
        return f"{len(cell)} bytes"
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


def _compact(cell: list | dict) -> str:
    return json.dumps(cell, ensure_ascii=False, separators=(",", ":"), default=_word)


def _told(cell: list | dict) -> str:
    return f"a list of {len(cell)}" if isinstance(cell, list) else f"an object with {list(cell)[:10]}"
