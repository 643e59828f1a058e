"""The settings of one ingest, how its columns are named, and the names of what it can find in a dataset."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmlab.items.options import OPTIONS, Kind, Text, Whole, check_value, entries_of
from mmlab.items.parameter_table import check_together, check_values

DUPLICATE, NEAR_DUPLICATE, LEAK = "duplicate image", "near duplicate", "split leak"
TINY, BLURRED, DARK, BLANK, ASPECT = "tiny", "blurred", "dark", "blank", "extreme aspect"
UNLISTED, UNPAIRED = "unlisted image", "no image named"
REPEATED, VAGUE, SHORT = "repeated caption", "vague caption", "short text"

OURS = OPTIONS["column"]  # columns; see `parse_columns`
QUALITY_FLAGS = (TINY, BLURRED, DARK, BLANK, ASPECT)
# The settings that are no parameters of 01_ingest.
KINDS: dict[str, Kind] = {"vague_from": Whole(2), "near_bits": Whole(0, 16), "ocr_language": Text()}
# A finding leaves an item usable: its name becomes one of the item's flags, or the reason why the item is refused.
FINDINGS = (DUPLICATE, NEAR_DUPLICATE, LEAK, *QUALITY_FLAGS, UNLISTED, UNPAIRED, REPEATED, VAGUE, SHORT)
# The findings that are refused unless `Rules.keep` names them.
REFUSED = (DUPLICATE, REPEATED, TINY, UNPAIRED, UNLISTED)


@dataclass(frozen=True)
class Rules:
    """Say what one ingest cleans, refuses, flags and adds.

    min_words: texts of fewer words are marked as "short text", or refused where `refuse` names that; 0 marks none.
        Words are counted by Unicode's rules, in Chinese, Japanese and Thai too (`mmlab.items.sentences`).
    max_chars: longer texts are cut after the last word that fits.
    replacements: path of a csv with the columns find and replace, applied to whole words; "" for none.
    refuse: findings (of `FINDINGS`) to refuse in addition to the usual ones (`REFUSED`).
    keep: findings to keep and flag although they are usually refused.
    vague_from: a caption shared by at least this many images is vague.
    near_bits: near duplicates differ in at most this many (0 to 16) of the 64 bits of their perceptual hash.
    ocr: read the text printed in images that have no other text (needs Tesseract).
    ocr_language: Tesseract's name of the language or languages, such as "eng" or "eng+deu".
    ocr_confidence: words of a lower confidence (0 to 100) are dropped.
    captioner: id or folder of a BLIP captioning model for images that still have no text; "" for none.
    private_addresses: download images from private and loopback addresses too.
    max_downloads: where more images than this lie on the web, nothing is downloaded and ingest raises ValueError.
    images_at: a further folder to find images in, anywhere; a relative path starts at the dataset, else at the
        project; "" for none.
    follow_links: use images and texts behind links that lead out of the dataset.

    Raise ValueError for an unknown finding, a finding that is both refused and kept, and a number out of range.

    >>> rules = Rules(min_words=3, refuse=["blurred"], keep=["tiny"])
    >>> sorted(rules.refused)
    ['blurred', 'duplicate image', 'no image named', 'repeated caption', 'unlisted image']
    """

    min_words: int = 5
    max_chars: int = 1000
    replacements: str | Path = ""
    refuse: Iterable[str] = ()
    keep: Iterable[str] = ()
    vague_from: int = 5
    near_bits: int = 8
    ocr: bool = True
    ocr_language: str = "eng"
    ocr_confidence: int = 60
    captioner: str = ""
    private_addresses: bool = False
    max_downloads: int = 300
    images_at: str | Path = ""
    follow_links: bool = False

    def __post_init__(self) -> None:
        for name in ("refuse", "keep"):
            object.__setattr__(self, name, entries_of(getattr(self, name)))
        for name, kind in KINDS.items():
            check_value(name, getattr(self, name), kind)
        paths = {name: str(getattr(self, name)) for name in ("replacements", "images_at")}
        check_values(**{name: one for name, one in vars(self).items() if name not in KINDS} | paths)
        check_together(vars(self))

    @property
    def refused(self) -> frozenset[str]:
        """Return all findings that these rules refuse."""
        return frozenset(REFUSED).difference(self.keep).union(self.refuse)


def join_flags(masks: Mapping[str, pd.Series | np.ndarray], index: pd.Index) -> pd.Series:
    """Return for each line the names of the findings whose mask is true, comma-separated; "" where none is."""
    codes = np.zeros(len(index), np.int64)
    for number, mask in enumerate(masks.values()):
        codes |= np.asarray(mask, dtype=np.int64) << number
    found, places = np.unique(codes, return_inverse=True)
    names = [
        ", ".join(name for number, name in enumerate(masks) if code >> number & 1) for code in found.tolist()
    ]
    return pd.Series(pd.array(names, dtype="str").take(places), index)


def parse_columns(columns: str | Mapping[str, Any] | Iterable[str]) -> dict[str, list[str]]:
    """Return the table's names for each of ours, from a dict, texts like "image=url", one such text, or either as JSON.

    Several names may be given for the image and the caption, as a list, or by naming it again. `id` is the column that
    joins a table of texts with one of images; where it has two names, that of the texts comes first. `image_vector` and
    `text_vector` are columns, or arrays of a .npz, of ready vectors.

    >>> parse_columns("image=photo,caption=title") == parse_columns('{"image": "photo", "caption": "title"}')
    True
    >>> parse_columns(["caption=title", "caption=description"])
    {'caption': ['title', 'description']}
    """
    if isinstance(columns, str):
        columns = _parsed_text(columns)
    if isinstance(columns, Mapping):
        pairs = [(ours, theirs) for ours, given in columns.items() for theirs in _listed(given)]
    else:
        pairs = [_parsed_pair(pair) for text in columns for pair in _pairs_in(text)]
    found: dict[str, list[str]] = {}
    for ours, theirs in pairs:
        found.setdefault(ours, []).append(theirs)
    unknown = [ours for ours in found if ours not in OURS]
    if unknown:
        raise ValueError(f"columns: {unknown} cannot be mapped; expected some of {list(OURS)}")
    return found


def _listed(given: Any) -> list[str]:
    names = [given] if isinstance(given, str) else given
    if (
        not isinstance(names, Sequence)
        or not names
        or not all(isinstance(name, str) and name for name in names)
    ):
        raise ValueError(f"columns: expected the name of a column, or a list of names, found {given!r}")
    return list(names)


def _parsed_text(text: str) -> Any:
    text = text.strip()
    if text[:1] in ("{", "["):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(
                f'columns: expected JSON such as {{"image": "photo"}}, found {text!r}'
            ) from error
    return [text] if text else []


def _pairs_in(text: Any) -> list[Any]:
    """Return the pairs of a text such as "image=photo, caption=title; label=kind"."""
    return re.split(rf"[,;]\s*(?=(?:{'|'.join(OURS)})\s*=)", text) if isinstance(text, str) else [text]


def _parsed_pair(text: Any) -> tuple[str, str]:
    ours, _, theirs = text.partition("=") if isinstance(text, str) else ("", "", "")
    if not (ours.strip() and theirs.strip()):
        raise ValueError(f"columns: expected texts like 'image=url', found {text!r}")
    return ours.strip(), theirs.strip()
