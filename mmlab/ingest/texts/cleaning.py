"""Clean captions: markup, encoding, control characters, Unicode form, whitespace, length. Judges nothing."""

import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import ftfy
import pandas as pd

if TYPE_CHECKING:
    from mmlab.ingest.texts.replacements import Replacements

LONGEST = 20_000  # characters that are looked at: what is longer is no caption but a page or an attack
ROUNDS = 10  # more than any honest text needs: one thing that hides another is undone in one or two
# Both only decide whether the parser is asked: "I <3 cats & dogs" and "size <XL" are no markup.
TAG = re.compile(r"<(?:/?[a-z][^<>]*[>=]|!--|!\[|!doctype|\?\w)", re.IGNORECASE)
ENTITY = re.compile(r"&(?:#\w{1,20}|\w{1,32});")
BLOCKS = frozenset(
    ["br", "div", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "p", "td", "th", "title", "tr"]
)
HIDDEN = frozenset(("script", "style", "template"))
SURROGATE = re.compile(r"[\ud800-\udfff]")
JOINERS = "\u200c\u200d"  # invisible, but they decide how scripts and emoji are shaped
RUN = re.compile(rf"([{JOINERS}])[{JOINERS}]+")
STRAY = re.compile(rf"(?<!\S)[{JOINERS}]|[{JOINERS}](?!\S)")  # joins nothing


def clean_texts(
    texts: Sequence[str], replacements: "Replacements | None" = None, max_chars: int = 1000
) -> pd.DataFrame:
    """text, what: one line per text, in their order; each distinct text is cleaned once.

    `text` is cleaned, then its words are replaced, then it is cut to `max_chars` characters; `what` joins the
    names of the steps that changed it, "" where nothing did.
    """
    known = {text: _finish(text, replacements, max_chars) for text in dict.fromkeys(texts)}
    return pd.DataFrame([known[text] for text in texts], columns=["text", "what"], dtype="str")


def clean_text(text: str) -> tuple[str, list[str]]:
    """The cleaned text and the names of the steps that changed it, in the order of NAMES.

    Cleaning a cleaned text changes nothing: the steps are repeated until none finds work, so that nothing hides
    behind something else; a text that still changes after ROUNDS of them becomes "". Of a text of more than
    LONGEST characters only the beginning is read ("length").
    """
    if _is_plain(text):
        return text, []
    changed = set()
    for _ in range(ROUNDS):
        before = text
        for name, step in STEPS:
            last, text = text, step(text)
            if text != last:
                changed.add(name)
        if text == before:
            break
    else:
        text = ""
    return text, [name for name in NAMES if name in changed]


def first_characters(text: str) -> str:
    """The first LONGEST characters."""
    return text[:LONGEST]


def join_surrogates(text: str) -> str:
    """Halves of characters put together; a half without its other half goes."""
    if not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def strip_html(text: str) -> str:
    """The text that a browser would show; what was escaped comes back as markup, for the next round."""
    if TAG.search(text):
        return _visible(text).strip()
    return ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def drop_controls(text: str) -> str:
    """Without control, format and surrogate characters; whitespace stays, and joiners that join something."""
    if text.isprintable():
        return text
    kept = "".join(
        c for c in text if c.isspace() or c in JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )
    return STRAY.sub("", RUN.sub(r"\1", kept))


def normal_form(text: str) -> str:
    """Unicode normal form C, so that one word has one spelling."""
    return unicodedata.normalize("NFC", text)


def join_words(text: str) -> str:
    """Words joined by single spaces, no line breaks."""
    return " ".join(text.split())


def cut_text(text: str, max_chars: int) -> str:
    """The words that fit into `max_chars` characters; a single word that does not is cut between letters."""
    if len(text) <= max_chars:
        return text
    end = text.rfind(" ", 0, max_chars + 1)
    if end > 0:
        return text[:end]
    end = max_chars
    while end > 1 and (_clings(text[end]) or text[end - 1] in JOINERS):
        end -= 1
    return text[:end]


STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("length", first_characters),
    ("encoding", join_surrogates),  # the parser takes no halves
    ("html", strip_html),
    ("encoding", ftfy.fix_encoding),  # after html: an entity may hide half of a broken character
    ("control characters", drop_controls),  # after encoding: broken characters often end in one
    ("unicode", normal_form),
    ("whitespace", join_words),
)
NAMES = ("html", "encoding", "control characters", "unicode", "whitespace", "length")


def _finish(text: str, replacements: "Replacements | None", max_chars: int) -> tuple[str, str]:
    text, steps = clean_text(text)
    if replacements is not None:
        before, text = text, replacements(text)
        if text != before:
            steps.append("replacements")
    before, text = text, cut_text(text, max_chars)
    if text != before and "length" not in steps:
        steps.append("length")
    return text, ", ".join(steps)


def _is_plain(text: str) -> bool:
    """Whether no step can find work; most captions are so, and this costs a fraction of the steps."""
    return (
        text.isascii()
        and text.isprintable()
        and "<" not in text
        and "&" not in text
        and "  " not in text
        and text == text.strip()
        and len(text) <= LONGEST
    )


def _clings(character: str) -> bool:
    """Whether a character belongs to the one before it: an accent, a variant, a joiner."""
    return character in JOINERS or unicodedata.category(character).startswith("M")


def _visible(markup: str) -> str:
    from lxml import etree

    # The div keeps it from being taken for XML; a target hears of all text, however deep, and builds no tree.
    parser = etree.HTMLParser(target=_Visible(), huge_tree=True)
    return etree.HTML(f"<div>{markup.replace(chr(0), '')}</div>", parser)


class _Visible:
    """Hears a document from the parser and keeps the text that is shown; blocks are parted by spaces."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.hidden = 0  # how many scripts, styles and templates are open

    def start(self, tag: str, _: object) -> None:
        self.hidden += tag in HIDDEN
        self.parts.append(" " if tag in BLOCKS else "")

    def end(self, tag: str) -> None:
        self.hidden -= tag in HIDDEN
        self.parts.append(" " if tag in BLOCKS else "")

    def data(self, text: str) -> None:
        self.parts.append("" if self.hidden else text)

    def close(self) -> str:
        return "".join(self.parts)
