"""From the pictures that rows name to what is known of each: its file, its facts, its flags, its duplicates."""

from pathlib import Path

import pandas as pd

from mmlab.ingest.blobs import Blobs
from mmlab.ingest.images import image_name, locate, look_at
from mmlab.ingest.limits import Limits
from mmlab.ingest.memo import Memo
from mmlab.ingest.near import near_duplicates
from mmlab.ingest.oddities import odd_flags
from mmlab.ingest.remote import fetch_pictures
from mmlab.ingest.rules import DUPLICATE, NEAR_DUPLICATE, ODD, Rules, join_flags
from mmlab.items import PictureError

IMAGE_ITEM = "image item"
REMOTE = ("http://", "https://")


def picture_name(entry: str) -> str:
    """How a picture is called: its address as it is, or its path inside the dataset in one spelling."""
    return entry.strip() if entry.strip().lower().startswith(REMOTE) else image_name(entry)


def find_files(
    named: pd.Series, root: Path, rules: Rules, memo: Memo, blobs: Blobs, progress: bool = True
) -> pd.DataFrame:
    """file, reason, detail: where each picture lies, or why it cannot be had; one line per name.

    `named` is indexed by the pictures' names and holds the file of those that came with one.
    """
    elsewhere = named.index[named.isna()]
    remote = [name for name in elsewhere if name.lower().startswith(REMOTE)]
    limits = Limits(private_addresses=rules.private_addresses)
    fetched = fetch_pictures(remote, blobs, memo, limits, progress and bool(remote))
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


def judge_pictures(looks: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """The pictures with outcome, detail, flags, group, duplicate_of and pair_id.

    `group` names the first picture that this one repeats, exactly or nearly, itself where there is none;
    `pair_id` the picture that its texts go to: another one where the rules refuse this one as a duplicate.
    An outcome is "image item" or why the picture is refused.
    """
    odd = odd_flags(looks)
    holds = {flag: odd.map(lambda found, flag=flag: flag in found).astype(bool) for flag in ODD}
    refused = [(holds[flag], flag) for flag in ODD if flag in rules.refused]
    reason = looks["reason"].case_when([(looks["reason"].notna(), looks["reason"]), *refused])
    pictures = _group(looks.assign(reason=reason), rules)
    repeats, resembles = pictures["first"] != pictures.index, pictures["group"] != pictures["first"]
    merged = pictures["pair_id"] != pictures.index
    exact, near = merged & repeats, merged & ~repeats
    cases = [(reason.notna(), reason), (exact, DUPLICATE), (near, NEAR_DUPLICATE)]
    details = [(exact, "same bytes as " + pictures["first"]), (near, "looks like " + pictures["group"])]
    holds |= {DUPLICATE: repeats & ~merged, NEAR_DUPLICATE: resembles & ~merged}
    return pictures.assign(
        outcome=pd.Series(IMAGE_ITEM, looks.index, dtype="str").case_when(cases),
        detail=looks["detail"].case_when(details),
        duplicate_of=pictures["first"].where(repeats, pictures["group"].where(resembles)),
        flags=join_flags(holds, looks.index),
    )


def _group(pictures: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """With `first` of the same bytes, `group` of the same look, and the `pair_id` that the rules lead to."""
    names, kept = pictures.index.to_series(), pictures["reason"].isna()
    first = names.groupby(pictures["content"].where(kept)).transform("first").fillna(names)
    near = near_duplicates(pictures[kept & (first == names)], rules.near_bits)
    group = first.map(near).astype("str").fillna(first)
    pair = names
    if NEAR_DUPLICATE in rules.refused:
        pair = names.where(group == first, group)
    if DUPLICATE in rules.refused:
        pair = first.map(pair)
    return pictures.assign(first=first, group=group, pair_id=pair)


def _locate(root: Path, name: str) -> tuple[str | None, str | None, str | None]:
    try:
        return str(locate(root, name)), None, None
    except PictureError as error:
        return None, str(error), str(error.__cause__) if error.__cause__ else None
