"""Replace words in captions by a table of the user's: synonyms, terms of the trade, words to leave out."""

import csv
import hashlib
import json
import re
from functools import cached_property
from pathlib import Path

from mmlab.ingest.texts.cleaning import clean_text, join_words

COLUMNS = ("find", "replace")


class Replacements:
    """Whole words or phrases and what stands for them; calling it with a text replaces them in it.

    Capitals do not matter, the longest entry wins, and what was put in is not replaced again. A word ends where no
    letter, digit or underscore follows. An entry replaced by "" is left out.
    """

    def __init__(self, table: dict[str, str]) -> None:
        self.table = {find.lower(): replace for find, replace in table.items()}

    def __call__(self, text: str) -> str:
        """The text with its words replaced, joined by single spaces if there was anything to replace."""
        if not self.table:
            return text
        replaced, count = self._pattern.subn(lambda found: self.table.get(found[0].lower(), found[0]), text)
        return join_words(replaced) if count else text

    @property
    def digest(self) -> str:
        """The sha256 of the entries, in whatever order they were listed."""
        return hashlib.sha256(json.dumps(sorted(self.table.items())).encode()).hexdigest()

    @cached_property
    def _pattern(self) -> re.Pattern:
        longest_first = sorted(self.table, key=len, reverse=True)
        by_letter = {}  # the engine tries what follows one letter, not the whole table: tens of times faster
        for find in longest_first:
            by_letter.setdefault(find[0], []).append(re.escape(find[1:]))
        terms = "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in by_letter.items())
        return re.compile(rf"(?<!\w)(?:{terms})(?!\w)", re.IGNORECASE)

    def __repr__(self) -> str:
        return f"Replacements({len(self.table):,} entries)"


def read_replacements(path: str | Path) -> Replacements:
    """The replacements of a csv with the columns find and replace; both are cleaned as captions are.

    Raises ValueError, with the line, for a file that is missing or no such table, an empty find, or the same find
    twice.
    """
    path = Path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return Replacements(_read_table(csv.DictReader(file), path))
    except FileNotFoundError as error:
        raise ValueError(f"replacements {path}: expected a csv with {_columns()}, found no file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"replacements {path}: expected a csv in UTF-8 with {_columns()}: {error}"
        ) from error


def _read_table(rows: csv.DictReader, path: Path) -> dict[str, str]:
    missing = set(COLUMNS) - set(rows.fieldnames or ())
    if missing:
        raise ValueError(
            f"replacements {path}, line 1: expected {_columns()}, found {rows.fieldnames or 'nothing'}"
        )
    table, lines = {}, {}
    for row in rows:
        place = f"replacements {path}, line {rows.line_num}"
        if row["replace"] is None:
            raise ValueError(
                f"{place}: expected two cells, found {row['find']!r} alone: end it with a comma to delete it"
            )
        find, replace = (clean_text(row[column])[0] for column in COLUMNS)
        if not find:
            raise ValueError(f"{place}: find is empty: name the word or phrase to replace")
        first = lines.setdefault(find.lower(), rows.line_num)
        if first != rows.line_num:
            raise ValueError(f"{place}: {find!r} is already in line {first}: keep one of them")
        table[find.lower()] = replace
    return table


def _columns() -> str:
    return "the columns " + " and ".join(COLUMNS)
