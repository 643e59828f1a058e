"""From the images that rows name to one table: their files, what is known of each, and what becomes of it."""

import pandas as pd

from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.find import is_address
from mmlab.ingest.images.near_duplicates import near_duplicates
from mmlab.ingest.images.quality import measure_images, quality_flags
from mmlab.ingest.rules import DUPLICATE, NEAR_DUPLICATE, QUALITY_FLAGS, Rules, join_flags
from mmlab.ingest.web.fetch import count_new, fetch_images
from mmlab.ingest.web.responses import DownloadLimits

IMAGE_ITEM = "image item"
FILE_COLUMNS = ["file", "reason", "detail"]


def resolve_images(
    found: pd.DataFrame, rules: Rules, cache: FindingsCache, blobs: Blobs, progress: bool = True
) -> tuple[pd.DataFrame, int]:
    """Return the images as `assess_images` leaves them, one row per name, and how many were decoded now.

    `found` is as in `add_downloads`.
    """
    files = add_downloads(found, rules, cache, blobs, progress)
    facts, decoded = measure_images(files["file"].dropna().to_dict(), cache, progress)
    facts = facts.reindex(files.index)
    reasons = {name: files[name].fillna(facts[name]) for name in ("reason", "detail")}
    return assess_images(facts.assign(file=files["file"], **reasons), rules), decoded


def add_downloads(
    found: pd.DataFrame, rules: Rules, cache: FindingsCache, blobs: Blobs, progress: bool = True
) -> pd.DataFrame:
    """Return the images with the files of those that lie on the web, or why they could not be had.

    found: file, reason, detail, indexed by name. Raise ValueError, before anything is fetched, where more addresses
    are new than `rules.max_downloads`.
    """
    without_file = found.index[found["file"].isna()]
    remote = [name for name in without_file if is_address(name)]
    check_downloads(count_new(remote, blobs, cache), rules)
    limits = DownloadLimits(private_addresses=rules.private_addresses)
    fetched = fetch_images(remote, blobs, cache, limits, progress and bool(remote))
    here = found[~found.index.isin(remote)]
    files = pd.concat([part for part in (here, fetched) if len(part)] or [here])
    return files.reindex(found.index, columns=FILE_COLUMNS).astype("str")


def check_downloads(new: int, rules: Rules) -> None:
    """Raise ValueError where more images are to be fetched than `rules.max_downloads`."""
    if new > rules.max_downloads:
        raise ValueError(
            f"{new:,} images lie on the web, and no more than {rules.max_downloads:,} are fetched unasked: give "
            f"-p max_downloads={new} to fetch them all, or -p images_at=FOLDER where they are on disk"
        )


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
