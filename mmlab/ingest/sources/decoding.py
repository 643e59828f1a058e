"""Text files as people have them: UTF-8 with or without its mark, UTF-16 with it, or what Excel writes."""

import json
from pathlib import Path
from typing import Any

import ftfy

CHUNK = 1 << 20  # characters
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def encoding_of(path: Path) -> str:
    """The encoding in which the whole file can be read; ValueError if it is empty or broken UTF-16."""
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty")
    with open(path, "rb") as file:
        utf16 = file.read(2) in UTF16_MARKS
    encoding = "utf-16" if utf16 else "utf-8-sig"
    if _decodes(path, encoding):
        return encoding
    if utf16:
        raise ValueError(f"{path} is not UTF-16, though it begins with its mark: save it as UTF-8")
    return ftfy.guess_bytes(path.read_bytes())[1]


def read_json(path: Path) -> Any:
    """The value in a JSON file; ValueError names the file if it is not sound."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not sound JSON ({error})") from error


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with open(path, encoding=encoding) as file:
            while file.read(CHUNK):
                pass
    except UnicodeError:
        return False
    return True
