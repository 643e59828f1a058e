"""From the images that rows name to one table: where each file lies, what is known of it, and what becomes of it."""

import os
from pathlib import Path

import pandas as pd

from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.near_duplicates import near_duplicates
from mmlab.ingest.images.quality import measure_images, quality_flags
from mmlab.ingest.rules import DUPLICATE, NEAR_DUPLICATE, QUALITY_FLAGS, Rules, join_flags
from mmlab.ingest.web.fetch import fetch_images
from mmlab.ingest.web.responses import DownloadLimits
from mmlab.items import ImageError

IMAGE_ITEM = "image item"
WEB_SCHEMES = ("http://", "https://")
FILE_COLUMNS = ["file", "reason", "detail"]


def resolve_images(
    named: pd.Series, root: Path, rules: Rules, cache: FindingsCache, blobs: Blobs, progress: bool = True
) -> tuple[pd.DataFrame, int]:
    """Return the images as `assess_images` leaves them, one row per name, and how many were decoded now.

    `named` is as in `find_files`; its names start at `root`.
    """
    files = find_files(named, root, rules, cache, blobs, progress)
    facts, decoded = measure_images(files["file"].dropna().to_dict(), cache, progress)
    facts = facts.reindex(files.index)
    reasons = {name: files[name].fillna(facts[name]) for name in ("reason", "detail")}
    return assess_images(facts.assign(file=files["file"], **reasons), rules), decoded


def normalize_name(entry: str) -> str:
    r"""Return an address as it is, and a path in one spelling: forward slashes, no "./" and no "a/../".

    >>> normalize_name(" photos\\.\\a.jpg "), normalize_name("https://example.org/a//b.jpg")
    ('photos/a.jpg', 'https://example.org/a//b.jpg')
    """
    entry = entry.strip()
    if not entry or entry.lower().startswith(WEB_SCHEMES):
        return entry
    return os.path.normpath(entry.replace("\\", "/"))


def find_files(
    named: pd.Series, root: Path, rules: Rules, cache: FindingsCache, blobs: Blobs, progress: bool = True
) -> pd.DataFrame:
    """Return file, reason, detail: where each image lies, or why it cannot be had; one row per name.

    named: indexed by the names of the images; its values are the files of those that came with one.
    """
    without_file = named.index[named.isna()]
    remote = [name for name in without_file if name.lower().startswith(WEB_SCHEMES)]
    limits = DownloadLimits(private_addresses=rules.private_addresses)
    fetched = fetch_images(remote, blobs, cache, limits, progress and bool(remote))
    local = without_file.difference(remote, sort=False)
    located = pd.DataFrame([_locate_or_reason(root, name) for name in local], local, FILE_COLUMNS)
    parts = [named.dropna().to_frame("file"), fetched, located]
    files = pd.concat([part for part in parts if len(part)] or parts)
    return files.reindex(named.index, columns=FILE_COLUMNS).astype("str")


def locate(root: Path, name: str) -> Path:
    """Return the file that `name` (relative to `root`, or absolute) stands for; open nothing.

    root: resolved. Raise ImageError with one of: no image named, path leaves the dataset, missing file. Folders,
    pipes and devices count as missing, since opening them could block.
    """
    if not name:
        raise ImageError("no image named")
    path = root / name.replace("\0", "?")
    if not Path(os.path.realpath(path)).is_relative_to(root):
        raise ImageError("path leaves the dataset")
    if not os.path.isfile(path):  # Path.is_file raises where a name is too long
        raise ImageError("missing file")
    return path


def _locate_or_reason(root: Path, name: str) -> tuple[str | None, str | None, str | None]:
    try:
        return str(locate(root, name)), None, None
    except ImageError as error:
        return None, str(error), None


def assess_images(facts: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Return the facts with outcome, detail, flags, group, duplicate_of and pair_id.

    group: the first image that this one repeats, exactly or nearly; itself where there is none.
    pair_id: the image that its texts belong to: another one where the rules refuse this one as a duplicate.
    outcome: "image item", or why the image is refused.
    """
    quality = quality_flags(facts)
    masks = {flag: quality.map(lambda flags, flag=flag: flag in flags).astype(bool) for flag in QUALITY_FLAGS}
    refused = [(masks[flag], flag) for flag in QUALITY_FLAGS if flag in rules.refused]
    reason = facts["reason"].case_when([(facts["reason"].notna(), facts["reason"]), *refused])
    images = _group_duplicates(facts.assign(reason=reason), rules)
    repeats, resembles = images["first"] != images.index, images["group"] != images["first"]
    merged = images["pair_id"] != images.index
    exact, near = merged & repeats, merged & ~repeats
    outcomes = [(reason.notna(), reason), (exact, DUPLICATE), (near, NEAR_DUPLICATE)]
    details = [(exact, "same bytes as " + images["first"]), (near, "looks like " + images["group"])]
    masks |= {DUPLICATE: repeats & ~merged, NEAR_DUPLICATE: resembles & ~merged}
    return images.assign(
        outcome=pd.Series(IMAGE_ITEM, facts.index, dtype="str").case_when(outcomes),
        detail=facts["detail"].case_when(details),
        duplicate_of=images["first"].where(repeats, images["group"].where(resembles)),
        flags=join_flags(masks, facts.index),
    )


def _group_duplicates(images: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Add `first` of the same bytes, `group` of those that look the same, and the `pair_id` that the rules imply."""
    names, kept = images.index.to_series(), images["reason"].isna()
    first = names.groupby(images["content"].where(kept)).transform("first").fillna(names)
    near = near_duplicates(images[kept & (first == names)], rules.near_bits)
    group = first.map(near).astype("str").fillna(first)
    pair_id = names
    if NEAR_DUPLICATE in rules.refused:
        pair_id = names.where(group == first, group)
    if DUPLICATE in rules.refused:
        pair_id = first.map(pair_id)
    return images.assign(first=first, group=group, pair_id=pair_id)
