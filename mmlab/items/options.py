"""What a parameter can be: the names that it can have, where these are few, and the kinds of values.

The rooms keep the functions behind the names; a test holds their registries against these. `parameter_table` says which
parameter is of which kind.
"""

import difflib
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

OPTIONS = {
    "source": (
        "auto", "csv", "tsv", "excel", "json", "jsonl", "parquet", "webdataset", "pdf", "lists", "coco", "karpathy",
        "flickr", "sidecar", "images", "huggingface", "vectors",
    ),
    "column": ("image", "caption", "label", "split", "id", "image_vector", "text_vector"),
    "finding": (
        "duplicate image", "near duplicate", "split leak", "tiny", "blurred", "dark", "blank", "extreme aspect",
        "unlisted image", "no image named", "repeated caption", "vague caption", "short text",
    ),
    "precision": ("float32", "bfloat16", "int8", "auto"),
    "layout": ("unified", "separate", "named"),
    "quantization": (
        "none", "scalar", "scalar-8", "product", "product-4", "product-8", "product-16", "product-32", "product-64",
        "binary", "binary-1", "turbo", "turbo-1", "turbo-2", "turbo-4", "turbo-8",
    ),
    "fusion": ("none", "weighted_sum", "rrf", "dbsf"),
    "retriever": ("dense", "bm25", "sparse", "late"),
    "bm25_language": (
        "english", "arabic", "danish", "dutch", "finnish", "french", "german", "greek", "hungarian", "italian",
        "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "turkish", "none",
    ),
    "siblings": ("leave_out", "keep"),
    "rescoring": ("none", "centring", "csls", "inverted_softmax", "qb_norm"),
    "calibration": ("none", "temperature", "logistic", "isotonic"),
}  # fmt: skip
VALIDATION = ("val", "valid", "validation", "dev")  # names of one split
MAX_CHARS = 4096  # of a text, as of a path in Linux
MAX_WHOLE, MAX_NUMBER = 2**63 - 1, sys.float_info.max  # that a file keeps as they are
MAX_SHOWN_CHARS = 80  # of a value, in a message
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class AsGiven:
    """What all kinds share: the value of a text, as typed in a shell, is the text itself."""

    def read(self, value: Any) -> Any:
        """Return what the value stands for, in the type of the kind; raise an error where it stands for nothing."""
        return value


@dataclass(frozen=True)
class Whole(AsGiven):
    """A whole number in [least, most]."""

    least: int = -MAX_WHOLE
    most: int = MAX_WHOLE
    type: ClassVar[str] = "int"

    @property
    def expected(self) -> str:
        """What is expected, in words."""
        least = f" from {self.least:,}" if self.least > -MAX_WHOLE else ""
        return f"a whole number{least}" + (f" to {self.most:,}" if self.most < MAX_WHOLE else "")

    def read(self, value: Any) -> Any:
        """Return the number that a text stands for; any other value as it is."""
        return int(value) if isinstance(value, str) else value

    def accepts(self, value: Any) -> bool:
        """Tell whether a parameter of this kind can have the value."""
        return (
            isinstance(value, Integral)
            and not isinstance(value, bool)
            and self.least <= int(value) <= self.most
        )


@dataclass(frozen=True)
class Number(AsGiven):
    """A finite number in [least, most], in (least, most] where it is `above` the least; or a `name` in its place."""

    least: float = -MAX_NUMBER
    most: float = MAX_NUMBER
    above: bool = False
    name: str = ""
    type: ClassVar[str] = "float"

    @property
    def expected(self) -> str:
        """What is expected, in words."""
        least = f" {'above' if self.above else 'from'} {self.least:g}" if self.least > -MAX_NUMBER else ""
        most = f"{' and up' if self.above else ''} to {self.most:g}" if self.most < MAX_NUMBER else ""
        return f"a number{least}{most}" + (f", or {self.name!r}" if self.name else "")

    def read(self, value: Any) -> Any:
        """Return the number as a float; what is none as it is."""
        return value if isinstance(value, bool) or not isinstance(value, str | Real) else float(value)

    def accepts(self, value: Any) -> bool:
        """Tell whether a parameter of this kind can have the value."""
        if isinstance(value, bool) or not isinstance(value, Real):
            return isinstance(value, str) and bool(value) and value == self.name
        number: Any = value
        return bool(self.least <= number <= self.most and not (self.above and number == self.least))


@dataclass(frozen=True)
class Truth(AsGiven):
    """True or False."""

    expected: str = "true or false"
    type: ClassVar[str] = "bool"

    def read(self, value: Any) -> Any:
        """Return True or False for "yes", "no" and the like; any other value as it is."""
        return TRUTHS[value.lower()] if isinstance(value, str) else value

    def accepts(self, value: Any) -> bool:
        """Tell whether a parameter of this kind can have the value."""
        return isinstance(value, bool)


@dataclass(frozen=True)
class Choice(AsGiven):
    """One of a few names."""

    names: tuple[str, ...]
    type: ClassVar[str] = "str"

    @property
    def expected(self) -> str:
        """What is expected, in words."""
        return f"one of {', '.join(self.names)}"

    def accepts(self, value: Any) -> bool:
        """Tell whether a parameter of this kind can have the value."""
        return isinstance(value, str) and value in self.names


@dataclass(frozen=True)
class Text(AsGiven):
    """A text without control characters that `holds`; `expected` says in words which ones do."""

    expected: str = "a text"
    holds: Callable[[str], object] = lambda text: True
    type: ClassVar[str] = "str"

    def accepts(self, value: Any) -> bool:
        """Tell whether a parameter of this kind can have the value."""
        return isinstance(value, str) and is_plain(value) and bool(self.holds(value))


@dataclass(frozen=True)
class Many(AsGiven):
    """A list of `least` to `most` different values of one kind, of any where it is None."""

    of: "Kind | None" = None
    least: int = 1
    most: int = 100

    @property
    def type(self) -> str:
        """The type as a notebook writes it, such as "list[int]"."""
        return f"list[{self.of.type}]" if self.of else "list"

    @property
    def expected(self) -> str:
        """What is expected, in words."""
        each = f", each {self.of.expected}" if self.of else ""
        return f"a list of {self.least} to {self.most} different values{each}"

    def read(self, value: Any) -> Any:
        """Return the list that JSON, or texts between commas, stand for; of an object each name and value as one."""
        entries = _entries(value) if isinstance(value, str) else value
        if isinstance(entries, Mapping) and self.type == "list[str]":
            pairs = [(name, one if isinstance(one, list) else [one]) for name, one in entries.items()]
            entries = [f"{name}={one}" for name, ones in pairs for one in ones]
        if not isinstance(entries, list | tuple):
            raise TypeError
        return [self.of.read(entry) if self.of else entry for entry in entries]

    def accepts(self, value: Any) -> bool:
        """Tell whether a parameter of this kind can have the value."""
        if not isinstance(value, list | tuple) or not self.least <= len(value) <= self.most:
            return False
        each = all(self.of.accepts(entry) for entry in value) if self.of else True
        return each and all(entry not in value[:place] for place, entry in enumerate(value))


Kind = Whole | Number | Truth | Choice | Text | Many


def _entries(text: str) -> Any:
    """Return the JSON of a text, else its parts between commas: "{}" is a part, as in a template for prompts."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if found or found == []:
            return found
    return [part.strip() for part in text.split(",") if part.strip()]


def entries_of(value: Any) -> Any:
    """Return the entries of a collection as a tuple; a text, and what is no collection, as it is.

    >>> entries_of([1, 5]), entries_of("RR")
    ((1, 5), 'RR')
    """
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else value


def is_plain(text: str) -> bool:
    """Tell whether a text has no control characters, is valid Unicode, and is no longer than MAX_CHARS."""
    return len(text) <= MAX_CHARS and not any(unicodedata.category(one) in ("Cc", "Cs") for one in text)


def check_value(name: str, value: Any, kind: Kind | None) -> Any:
    """Return the value of the parameter `name`; raise ValueError, saying what is expected, unless its kind accepts it.

    A parameter of no kind can have any value.

    >>> check_value("k", 3, Whole(1, 100))
    3
    """
    if kind is None or kind.accepts(value):
        return value
    texts = value if isinstance(value, list | tuple) else [value]
    limits = (
        ""
        if all(is_plain(text) for text in texts if isinstance(text, str))
        else (f" of at most {MAX_CHARS:,} characters, none of them a control character")
    )
    raise ValueError(
        f"parameter {name}: expected {kind.expected}{limits}, found {_shown(value)}{_hint(value, kind)}"
    )


def read_value(name: str, value: Any, kind: Kind | None) -> Any:
    """Return what a value, such as a text that was typed, stands for; raise ValueError as `check_value` does.

    >>> read_value("k_values", "[10, 20]", Many(Whole(1, 100)))
    [10, 20]
    """
    # of no kind, such as one that a command line cannot write: taken as it is
    try:
        read = kind.read(value) if kind else value
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        read = value
    return check_value(name, read, kind)


def _shown(value: Any) -> str:
    try:
        shown = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return shown if len(shown) <= MAX_SHOWN_CHARS else f"{shown[: MAX_SHOWN_CHARS - 1]}…"


def _hint(value: Any, kind: Kind) -> str:
    if isinstance(kind, Many) and kind.of and isinstance(value, list | tuple):
        value, kind = next((entry for entry in value if not kind.of.accepts(entry)), None), kind.of
    if not isinstance(kind, Choice) or not isinstance(value, str):
        return ""
    close = difflib.get_close_matches(value[:MAX_SHOWN_CHARS], kind.names, n=1)
    return f"; did you mean {close[0]}?" if close else ""
