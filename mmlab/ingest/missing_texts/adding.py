"""Texts for the images that have none: what is printed in them, else what a captioning model says of them."""

import pandas as pd

from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.missing_texts.captioning import write_captions
from mmlab.ingest.missing_texts.ocr import OcrMissing, read_printed
from mmlab.ingest.rules import Rules
from mmlab.ingest.texts.cleaning import clean_texts

OCR, GENERATED = "ocr", "generated"
ADDED = (OCR, GENERATED)  # origins of texts that the source does not have


def add_texts(
    silent: pd.Series, rules: Rules, memo: Memo, progress: bool = True
) -> tuple[pd.DataFrame, list[str]]:
    """Texts for images without one: text and origin, indexed by content; and notes.

    `silent` holds the images' files by their content. A note says what could not be done, such as reading
    print where Tesseract is missing; the rest goes on.
    """
    printed, notes = _read(silent, rules, memo, progress)
    written, more = _write(silent.drop(printed.index), rules, memo, progress)
    found = pd.concat([printed.assign(origin=OCR), written.assign(origin=GENERATED)])
    return found.astype("str"), notes + more


def _read(silent: pd.Series, rules: Rules, memo: Memo, progress: bool) -> tuple[pd.DataFrame, list[str]]:
    if not rules.ocr or silent.empty:
        return _kept(silent[:0], rules), []
    try:
        read = read_printed(silent.to_dict(), memo, rules.ocr_language, rules.ocr_confidence, progress)
    except OcrMissing as error:
        told = f"{len(silent):,} images without text were not searched for print: {error}"
        return _kept(silent[:0], rules), [told]
    return _kept(read["text"], rules), _failures(read["reason"], "searched for print")


def _write(silent: pd.Series, rules: Rules, memo: Memo, progress: bool) -> tuple[pd.DataFrame, list[str]]:
    if not rules.captioner or silent.empty:
        return _kept(silent[:0], rules), []
    written = write_captions(silent.to_dict(), rules.captioner, memo, progress=progress)
    return _kept(written["text"], rules), _failures(written["reason"], "captioned")


def _kept(texts: pd.Series, rules: Rules) -> pd.DataFrame:
    cleaned = clean_texts(texts.fillna("").tolist(), max_chars=rules.max_chars).set_axis(texts.index)
    return cleaned.loc[cleaned["text"] != "", ["text"]]


def _failures(reasons: pd.Series, done: str) -> list[str]:
    counts = reasons[reasons.fillna("") != ""].value_counts()
    return [f"{count:,} images could not be {done}: {reason}" for reason, count in counts.items()]
