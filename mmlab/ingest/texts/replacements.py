"""Replace words in captions by a table of the user's: synonyms, domain terms, words to leave out."""

import csv
import re
from functools import cached_property
from pathlib import Path

from mmlab.ingest.texts.cleaning import clean_text, join_words

COLUMNS = ("find", "replace")


class Replacements:
    """Replace whole words or phrases in a text by what the table has for them.

    Capitals do not matter, the longest entry wins, and what was put in is not replaced again. A word ends where no
    letter, digit or underscore follows. An entry whose replacement is "" is left out.

    >>> Replacements({"tv": "television", "stock photo": ""})("A stock photo of a TV")
    'A of a television'
    """

    def __init__(self, table: dict[str, str]) -> None:
        self.table = {find.lower(): replace for find, replace in table.items()}

    def __call__(self, text: str) -> str:
        """Return the text with its words replaced; its words are joined by single spaces if any was replaced."""
        if not self.table:
            return text
        replaced, count = self._pattern.subn(lambda found: self.table.get(found[0].lower(), found[0]), text)
        return join_words(replaced) if count else text

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Grouped by first letter: the engine tries what follows one letter, not the whole table. 10,000 captions and
        # 1,000 entries take 0.1 s so, and 1.5 s as one alternation.
        by_letter: dict[str, list[str]] = {}
        for find in sorted(self.table, key=len, reverse=True):
            by_letter.setdefault(find[0], []).append(re.escape(find[1:]))
        terms = "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in by_letter.items())
        return re.compile(rf"(?<!\w)(?:{terms})(?!\w)", re.IGNORECASE)

    def __repr__(self) -> str:
        return f"Replacements({len(self.table):,} entries)"


def read_replacements(path: str | Path) -> Replacements:
    """Read the replacements from a csv with the columns find and replace; both are cleaned like captions.

    Raise ValueError with the line for a file that is missing or not such a table, an empty find, or the same find
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
    if set(COLUMNS) - set(rows.fieldnames or ()):
        raise ValueError(
            f"replacements {path}, line 1: expected {_columns()}, found {rows.fieldnames or 'nothing'}"
        )
    table: dict[str, str] = {}
    lines: dict[str, int] = {}
    for row in rows:
        place = f"replacements {path}, line {rows.line_num}"
        if row["replace"] is None:
            raise ValueError(
                f"{place}: expected two cells, found {row['find']!r} alone: end the line with a comma to delete "
                "this word from captions"
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
