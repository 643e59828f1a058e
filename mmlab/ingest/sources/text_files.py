"""Text files: in which encoding they are written, and what a JSON file holds."""

import json
from pathlib import Path
from typing import Any

import ftfy

CHARS_PER_READ = 1 << 20
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def encoding_of(path: Path) -> str:
    """Return the encoding in which the whole file can be read: UTF-8, UTF-16 with its mark, or what Excel writes.

    Raise ValueError if the file is empty or broken UTF-16.
    """
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    with open(path, "rb") as file:
        utf16 = file.read(2) in UTF16_MARKS
    encoding = "utf-16" if utf16 else "utf-8-sig"
    if _can_decode(path, encoding):
        return encoding
    if utf16:
        raise ValueError(f"{path} is not UTF-16, though it begins with its mark: save it as UTF-8")
    return ftfy.guess_bytes(path.read_bytes())[1]


def read_json(path: Path) -> Any:
    """Return the value in a JSON file; raise ValueError with the path if it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error})") from error


def _can_decode(path: Path, encoding: str) -> bool:
    try:
        with open(path, encoding=encoding) as file:
            while file.read(CHARS_PER_READ):
                pass
    except UnicodeError:
        return False
    return True
