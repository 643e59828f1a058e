"""Clean one caption: markup, encoding, control characters, Unicode form, whitespace. Judges nothing."""

import re
import unicodedata

import ftfy

MARKUP = re.compile(
    r"<[a-zA-Z/!?]|&#?\w+;"
)  # only decides whether the parser is asked; "I <3 cats & dogs" is not
BLOCKS = ("br", "div", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "p", "td", "th", "tr")
JOINERS = {"\u200c", "\u200d"}  # invisible, but they decide how scripts and emoji are shaped


def clean_text(text: str) -> tuple[str, list[str]]:
    """The cleaned text and the names of the steps that changed it, in the order of STEPS."""
    changed = []
    for name, step in STEPS.items():
        before, text = text, step(text)
        if text != before:
            changed.append(name)
    return text, changed


def strip_html(text: str) -> str:
    """The text that a browser would show; markup that was escaped once or twice is stripped too."""
    for _ in range(3):
        if not MARKUP.search(text):
            break
        text = _visible(text)
    return text


def drop_controls(text: str) -> str:
    """Without control, format and surrogate characters; whitespace and the two joiners stay."""
    if text.isprintable():
        return text
    return "".join(
        c for c in text if c.isspace() or c in JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )


def normal_form(text: str) -> str:
    """Unicode normal form C, so that one word has one spelling."""
    return unicodedata.normalize("NFC", text)


def join_words(text: str) -> str:
    """Words joined by single spaces, no line breaks."""
    return " ".join(text.split())


def _visible(markup: str) -> str:
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(
        f"<div>{markup}</div>", "lxml"
    )  # the div keeps it from being taken for XML or an address
    for tag in soup.find_all(BLOCKS):
        tag.insert_before(" ")
        tag.append(" ")
    return soup.get_text().strip()


STEPS = {
    "html": strip_html,
    "encoding": ftfy.fix_encoding,  # after html: an entity may hide half of a broken character
    "control characters": drop_controls,  # after encoding: broken characters often end in one
    "unicode": normal_form,
    "whitespace": join_words,
}
