"""Clean captions: markup, encoding, control characters, Unicode form, whitespace, length, words to replace.

Nothing is refused here. A table of the user's lists the words to replace: synonyms, domain terms, words to leave out.
"""

import csv
import html
import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import ftfy
import pandas as pd
import pyarrow as pa

from mmlab.items.files import open_regular

MAX_REPLACEMENTS_BYTES = 50_000_000
MAX_READ_CHARS = 20_000  # what is longer is a page or an attack, not a caption; only its beginning is read
MAX_ROUNDS = 10  # more than any honest text needs: one thing that hides another is undone in one or two
# Both only decide whether the parser is asked: "I <3 cats & dogs" and "size <XL" are no markup.
TAG = re.compile(r"<(?:/?[a-z][^<>]*[>=]|!--|!\[|!doctype|\?\w)", re.IGNORECASE)
ENTITY = re.compile(r"&(?:#\w{1,20}|\w{1,32});")
BLOCK_TAGS = frozenset(
    ["br", "div", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "p", "td", "th", "title", "tr"]
)
HIDDEN_TAGS = frozenset(("script", "style", "template"))
SURROGATE = re.compile(r"[\ud800-\udfff]")
JOINERS = "\u200c\u200d"  # invisible, but they decide how scripts and emoji are shaped
REPEATED_JOINERS = re.compile(rf"([{JOINERS}])[{JOINERS}]+")
STRAY_JOINER = re.compile(rf"(?<!\S)[{JOINERS}]|[{JOINERS}](?!\S)")  # at the edge of a word: it joins nothing


def clean_texts(
    texts: Sequence[str], replace: Callable[[str], str] | None = None, max_chars: int = 1000
) -> pd.DataFrame:
    """Clean each text, replace words in it, then cut it; return the columns text and steps, in the texts' order.

    replace: called with the cleaned text, such as `Replacements`. max_chars: see `cut_text`.
    steps: the names of the steps that changed the text, comma-separated, "" where none did. Each distinct text is
    cleaned once.
    """
    known = {
        text: _clean_replace_cut(text, replace, max_chars)
        for text in dict.fromkeys(texts)
        if replace is not None or len(text) > max_chars or not _is_plain(text)
    }
    cleaned = [known[text][0] if text in known else text for text in texts]
    steps = [known[text][1] if text in known else "" for text in texts]
    columns = {"text": pa.array(cleaned, pa.large_string()), "steps": pa.array(steps, pa.large_string())}
    return pd.DataFrame({name: pd.array(column, dtype="str") for name, column in columns.items()})


def clean_text(text: str) -> tuple[str, list[str]]:
    """Return the cleaned text and the names of the steps that changed it, in the order of STEP_NAMES.

    The steps are repeated until none changes anything, so that nothing hides behind something else, and cleaning
    a cleaned text changes nothing. A text that still changes after MAX_ROUNDS becomes "".

    >>> clean_text("<b>Salt</b> &amp;  pepper")
    ('Salt & pepper', ['html', 'whitespace'])
    """
    if _is_plain(text):
        return text, []
    changed = set()
    for _ in range(MAX_ROUNDS):
        before = text
        for name, step in STEPS:
            last, text = text, step(text)
            if text != last:
                changed.add(name)
        if text == before:
            break
    else:
        text = ""
    return text, [name for name in STEP_NAMES if name in changed]


def keep_beginning(text: str) -> str:
    """Return the first MAX_READ_CHARS characters."""
    return text[:MAX_READ_CHARS]


def join_surrogates(text: str) -> str:
    """Put halves of characters together and drop a half without its other half."""
    if not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def strip_html(text: str) -> str:
    """Return the text that a browser would show; escaped markup becomes markup, for the next round."""
    if TAG.search(text):
        return _visible_text(text).strip()
    return ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def drop_controls(text: str) -> str:
    """Drop control, format and surrogate characters; keep whitespace and joiners that join something."""
    if text.isprintable():
        return text
    kept = "".join(
        c for c in text if c.isspace() or c in JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )
    return STRAY_JOINER.sub("", REPEATED_JOINERS.sub(r"\1", kept))


def normalize_unicode(text: str) -> str:
    """Return the text in Unicode normal form C, in which a word has one spelling."""
    return unicodedata.normalize("NFC", text)


def join_words(text: str) -> str:
    """Join the words by single spaces, without line breaks."""
    return " ".join(text.split())


def cut_text(text: str, max_chars: int) -> str:
    """Return the words that fit into `max_chars` characters; a single longer word is cut between letters.

    >>> cut_text("one two three", 9), cut_text("extraordinary", 5)
    ('one two', 'extra')
    """
    if len(text) <= max_chars:
        return text
    end = text.rfind(" ", 0, max_chars + 1)
    if end > 0:
        return text[:end]
    end = max_chars
    while end > 1 and (_belongs_to_previous(text[end]) or text[end - 1] in JOINERS):
        end -= 1
    return text[:end]


STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("length", keep_beginning),
    ("encoding", join_surrogates),  # the parser cannot read halves
    ("html", strip_html),
    ("encoding", ftfy.fix_encoding),  # after html: an entity may hide half of a broken character
    ("control characters", drop_controls),  # after encoding: broken characters often end in one
    ("unicode", normalize_unicode),
    ("whitespace", join_words),
)
STEP_NAMES = ("html", "encoding", "control characters", "unicode", "whitespace", "length")


def _clean_replace_cut(text: str, replace: Callable[[str], str] | None, max_chars: int) -> tuple[str, str]:
    text, steps = clean_text(text)
    if replace is not None:
        before, text = text, replace(text)
        if text != before:
            steps.append("replacements")
    before, text = text, cut_text(text, max_chars)
    if text != before and "length" not in steps:
        steps.append("length")
    return text, ", ".join(steps)


def _is_plain(text: str) -> bool:
    """Return whether no step can change the text.

    Most captions are plain: 10,000 captions of Flickr8k take 0.005 s with this check and 0.07 s without it.
    """
    return (
        text.isascii()
        and text.isprintable()
        and "<" not in text
        and "&" not in text
        and "  " not in text
        and text == text.strip()
        and len(text) <= MAX_READ_CHARS
    )


def _belongs_to_previous(character: str) -> bool:
    """Return whether a character belongs to the one before it: an accent, a variant, a joiner."""
    return character in JOINERS or unicodedata.category(character).startswith("M")


def _visible_text(markup: str) -> str:
    from lxml import etree

    # The div keeps the text from being taken for XML. The target receives all text, however deep, without a tree.
    parser = etree.HTMLParser(target=_VisibleText(), huge_tree=True)
    return etree.HTML(f"<div>{markup.replace(chr(0), '')}</div>", parser)


class _VisibleText:
    """Receive a document from the parser and keep the text that is shown, with spaces between blocks."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.hidden = 0  # how many scripts, styles and templates are open

    def start(self, tag: str, _: object) -> None:
        self.hidden += tag in HIDDEN_TAGS
        self.parts.append(" " if tag in BLOCK_TAGS else "")

    def end(self, tag: str) -> None:
        self.hidden -= tag in HIDDEN_TAGS
        self.parts.append(" " if tag in BLOCK_TAGS else "")

    def data(self, text: str) -> None:
        self.parts.append("" if self.hidden else text)

    def close(self) -> str:
        return "".join(self.parts)


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
        with io.TextIOWrapper(open_regular(path, MAX_REPLACEMENTS_BYTES), "utf-8-sig", newline="") as file:
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
