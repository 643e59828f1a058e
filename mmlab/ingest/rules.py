"""What ingest cleans, refuses, marks and adds: the settings of one ingest, and the names of its findings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

# Findings leave an item usable: they are marked in its `flags`, or refused where the rules say so.
DUPLICATE, NEAR_DUPLICATE, LEAK = "duplicate image", "near duplicate", "split leak"
TINY, BLURRED, DARK, BLANK, ASPECT = "tiny", "blurred", "dark", "blank", "extreme aspect"
UNLISTED, UNPAIRED = "unlisted image", "no image named"
REPEATED, VAGUE = "repeated caption", "vague caption"
ODD = (TINY, BLURRED, DARK, BLANK, ASPECT)
FINDINGS = (DUPLICATE, NEAR_DUPLICATE, LEAK, *ODD, UNLISTED, UNPAIRED, REPEATED, VAGUE)
REFUSED = (DUPLICATE, REPEATED, TINY, UNPAIRED, UNLISTED)


@dataclass(frozen=True)
class Rules:
    """The settings of one ingest.

    min_words: captions with fewer words are refused; 0 keeps all (languages that write no spaces need 0).
    max_chars: longer texts are cut at the last word that fits.
    replacements: a csv with the columns find and replace, applied to whole words; "" for none.
    refuse: findings (of `FINDINGS`) that are refused beside the usual ones (`REFUSED`); others are only marked.
    keep: findings that are marked and kept, though they are usually refused.
    vague_from: a caption that this many images share is vague.
    near_bits: near duplicates differ in at most this many (0 to 16) of the 64 bits of their perceptual hash.
    ocr: read the text printed in images that have no other (needs Tesseract).
    ocr_language: Tesseract's name of the language(s), such as "eng" or "eng+deu".
    ocr_confidence: words that Tesseract is less sure of are dropped, 0 to 100.
    captioner: id or folder of a BLIP captioning model for the images still without text; "" for none.
    private_addresses: fetch images from private and loopback addresses too.
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

    def __post_init__(self) -> None:
        for name in ("refuse", "keep"):
            found = tuple(getattr(self, name))
            object.__setattr__(self, name, found)
            if unknown := sorted(set(found) - set(FINDINGS)):
                raise ValueError(f"{name}: {unknown} are no findings; the findings are {list(FINDINGS)}")
        if both := sorted(set(self.refuse) & set(self.keep)):
            raise ValueError(f"{both} are to be refused and to be kept: name each finding once")
        for name, least in (("min_words", 0), ("max_chars", 1), ("vague_from", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, found {getattr(self, name)}")
        for name, most in (("near_bits", 16), ("ocr_confidence", 100)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} lies from 0 to {most}, found {getattr(self, name)}")

    @property
    def refused(self) -> frozenset[str]:
        """The findings that are refused, all told."""
        return frozenset(REFUSED).difference(self.keep).union(self.refuse)


def join_flags(holds: Mapping[str, pd.Series], index: pd.Index) -> pd.Series:
    """The names of the findings that hold in each line, comma-separated; "" where none does."""
    joined = pd.Series("", index, dtype="str")
    for name, mask in holds.items():
        joined = joined.mask(mask, joined + ", " + name)
    return joined.str.removeprefix(", ")
