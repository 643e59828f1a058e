"""From the images that rows name to what is known of each: its file, its facts, its flags, its duplicates."""

from pathlib import Path

import pandas as pd

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.findings_cache import Memo
from mmlab.ingest.images.near_duplicates import near_duplicates
from mmlab.ingest.images.oddities import odd_flags
from mmlab.ingest.images.quality import image_name, locate, look_at
from mmlab.ingest.rules import DUPLICATE, NEAR_DUPLICATE, ODD, Rules, join_flags
from mmlab.ingest.web.limits import Limits
from mmlab.ingest.web.remote import fetch_images
from mmlab.items import ImageError

IMAGE_ITEM = "image item"
REMOTE = ("http://", "https://")


def entry_name(entry: str) -> str:
    """How an image is called: its address as it is, or its path inside the dataset in one spelling."""
    return entry.strip() if entry.strip().lower().startswith(REMOTE) else image_name(entry)


def find_files(
    named: pd.Series, root: Path, rules: Rules, memo: Memo, blobs: Blobs, progress: bool = True
) -> pd.DataFrame:
    """file, reason, detail: where each image lies, or why it cannot be had; one line per name.

    `named` is indexed by the images' names and holds the file of those that came with one.
    """
    elsewhere = named.index[named.isna()]
    remote = [name for name in elsewhere if name.lower().startswith(REMOTE)]
    limits = Limits(private_addresses=rules.private_addresses)
    fetched = fetch_images(remote, blobs, memo, limits, progress and bool(remote))
    local = elsewhere.difference(remote, sort=False)
    found = pd.DataFrame([_locate(root, name) for name in local], local, ["file", "reason", "detail"])
    parts = [named.dropna().to_frame("file"), fetched, found]
    files = pd.concat([part for part in parts if len(part)] or parts)
    return files.reindex(named.index, columns=found.columns).astype("str")


def look_over(files: pd.DataFrame, memo: Memo, progress: bool = True) -> tuple[pd.DataFrame, int]:
    """The files with what a look at each tells (see `images.Look`), and how many were decoded for it now."""
    looks, decoded = look_at(files["file"].dropna().to_dict(), memo, progress)
    looks = looks.reindex(files.index)
    told = {name: files[name].fillna(looks[name]) for name in ("reason", "detail")}
    return looks.assign(file=files["file"], **told), decoded


def judge_images(looks: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """The images with outcome, detail, flags, group, duplicate_of and pair_id.

    `group` names the first image that this one repeats, exactly or nearly, itself where there is none;
    `pair_id` the image that its texts go to: another one where the rules refuse this one as a duplicate.
    An outcome is "image item" or why the image is refused.
    """
    odd = odd_flags(looks)
    holds = {flag: odd.map(lambda found, flag=flag: flag in found).astype(bool) for flag in ODD}
    refused = [(holds[flag], flag) for flag in ODD if flag in rules.refused]
    reason = looks["reason"].case_when([(looks["reason"].notna(), looks["reason"]), *refused])
    images = _group(looks.assign(reason=reason), rules)
    repeats, resembles = images["first"] != images.index, images["group"] != images["first"]
    merged = images["pair_id"] != images.index
    exact, near = merged & repeats, merged & ~repeats
    cases = [(reason.notna(), reason), (exact, DUPLICATE), (near, NEAR_DUPLICATE)]
    details = [(exact, "same bytes as " + images["first"]), (near, "looks like " + images["group"])]
    holds |= {DUPLICATE: repeats & ~merged, NEAR_DUPLICATE: resembles & ~merged}
    return images.assign(
        outcome=pd.Series(IMAGE_ITEM, looks.index, dtype="str").case_when(cases),
        detail=looks["detail"].case_when(details),
        duplicate_of=images["first"].where(repeats, images["group"].where(resembles)),
        flags=join_flags(holds, looks.index),
    )


def _group(images: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """With `first` of the same bytes, `group` of the same look, and the `pair_id` that the rules lead to."""
    names, kept = images.index.to_series(), images["reason"].isna()
    first = names.groupby(images["content"].where(kept)).transform("first").fillna(names)
    near = near_duplicates(images[kept & (first == names)], rules.near_bits)
    group = first.map(near).astype("str").fillna(first)
    pair = names
    if NEAR_DUPLICATE in rules.refused:
        pair = names.where(group == first, group)
    if DUPLICATE in rules.refused:
        pair = first.map(pair)
    return images.assign(first=first, group=group, pair_id=pair)


def _locate(root: Path, name: str) -> tuple[str | None, str | None, str | None]:
    try:
        return str(locate(root, name)), None, None
    except ImageError as error:
        return None, str(error), str(error.__cause__) if error.__cause__ else None
