"""Decide what becomes of each image, once it is measured, and of each row, once its text is cleaned too."""

import hashlib

import numpy as np
import pandas as pd

from mmlab.ingest.findings_cache import Blobs, FindingsCache
from mmlab.ingest.images.addresses import DownloadLimits
from mmlab.ingest.images.fetch import check_downloads, count_new, fetch_images
from mmlab.ingest.images.find import is_address
from mmlab.ingest.images.quality import measure_images, near_duplicates, quality_flags
from mmlab.ingest.rules import (
    DUPLICATE,
    LEAK,
    NEAR_DUPLICATE,
    QUALITY_FLAGS,
    REPEATED,
    SHORT,
    UNLISTED,
    UNPAIRED,
    VAGUE,
    Rules,
    join_flags,
)
from mmlab.ingest.sources.column_names import NEGATIVE
from mmlab.items.sentences import count_words
from mmlab.items.tables import first_places, in_blocks, on_disk, places_among
from mmlab.items.vector_files import text_keys

NAMED = "named:"  # before the name of an image, as the content of one that was not opened
WITH_LETTER = r"[^\s]*[A-Za-z0-9][^\s]*"  # a part of a text between spaces, with a letter or a digit
IMAGE_ITEM = "image item"
FILE_COLUMNS = ["file", "reason", "detail"]
TEXT_ITEM = "text item"
NO_CAPTION = "no caption"
MERGED = (IMAGE_ITEM, DUPLICATE, NEAR_DUPLICATE)  # outcomes of an image whose rows stay usable
# Test data come first, then data that settings are fitted on, then all other splits.
EVALUATION_ORDER = {"test": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1}


def resolve_images(
    found: pd.DataFrame,
    rules: Rules,
    cache: FindingsCache,
    blobs: Blobs,
    progress: bool = True,
    engine: str = "local",
) -> tuple[pd.DataFrame, int]:
    """Return the images as `assess_images` leaves them, one row per name, and how many were decoded now.

    `found` is as in `add_downloads`, `engine` as in `measure_images`.
    """
    files = add_downloads(found, rules, cache, blobs, progress)
    facts, decoded = measure_images(files["file"].dropna(), cache, progress, engine)
    facts = facts if len(facts) == len(files) else facts.reindex(files.index)
    reasons = {name: files[name].fillna(facts[name]) for name in ("reason", "detail")}
    return assess_images(facts.assign(file=files["file"], **reasons), rules), decoded


def name_images(found: pd.DataFrame) -> pd.DataFrame:
    """Return images that are not opened, as `assess_images` would: each is an item, and known by its name alone.

    found: file, reason, detail, indexed by name.
    """
    names = found.index.to_series()
    empty = pd.DataFrame({"width": pd.NA, "height": pd.NA}, found.index, dtype="Int32")
    nothing = pd.Series(None, found.index, dtype="str")
    return empty.assign(
        file=found["file"], reason=nothing, content=NAMED + names, group=range(len(names)), pair_id=names,
        outcome=pd.Series(IMAGE_ITEM, found.index, dtype="str"), detail=nothing, duplicate_of=nothing,
        flags=pd.Series("", found.index, dtype="str"),
    )  # fmt: skip


def add_downloads(
    found: pd.DataFrame, rules: Rules, cache: FindingsCache, blobs: Blobs, progress: bool = True
) -> pd.DataFrame:
    """Return the images with the files of those that lie on the web, or why they could not be had.

    found: file, reason, detail, indexed by name. Raise ValueError, before anything is fetched, where more addresses
    are new than `rules.max_downloads`.
    """
    without_file = found.index[found["file"].isna()]
    remote = [name for name in without_file if is_address(name)]
    if not remote:
        return found
    check_downloads(count_new(remote, blobs, cache), rules.max_downloads)
    limits = DownloadLimits(private_addresses=rules.private_addresses)
    fetched = fetch_images(remote, blobs, cache, limits, progress)
    here = found[~found.index.isin(remote)]
    files = pd.concat([part for part in (here, fetched) if len(part)] or [here])
    return files.reindex(found.index, columns=FILE_COLUMNS).astype("str")


def assess_images(facts: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Return the facts with outcome, detail, flags, group, duplicate_of and pair_id.

    group: the place of the first image that this one repeats, exactly or nearly; its own where there is none.
    pair_id: the image that its texts belong to: another one where the rules refuse this one as a duplicate.
    outcome: "image item", or why the image is refused.
    """
    masks = quality_flags(facts)
    refused = [(masks[flag], flag) for flag in QUALITY_FLAGS if flag in rules.refused]
    reason = facts["reason"].case_when([(facts["reason"].notna(), facts["reason"]), *refused])
    images = facts.assign(reason=reason)
    groups = _group_duplicates(images, rules)
    blocks = zip(in_blocks(images), in_blocks(masks), in_blocks(groups), strict=True)
    return on_disk(_assess_block(*block, facts.index) for block in blocks)


def _assess_block(
    images: pd.DataFrame, masks: pd.DataFrame, groups: pd.DataFrame, names: pd.Index
) -> pd.DataFrame:
    """Return some images as `assess_images` does; `names` are those of all, in whose places `groups` are given."""
    reason, index = images["reason"], images.index
    repeats, resembles = groups["first"] != groups["own"], groups["group"] != groups["first"]
    merged = groups["pair"] != groups["own"]
    exact, near = merged & repeats, merged & ~repeats
    named = {name: pd.Series(names.array.take(groups[name]), index) for name in ("first", "group", "pair")}
    outcomes = [(reason.notna(), reason), (exact, DUPLICATE), (near, NEAR_DUPLICATE)]
    same, alike = (named[name].where(mask) for name, mask in (("first", exact), ("group", near)))
    details = [(exact, "same bytes as " + same), (near, "looks like " + alike)]
    marks = {**masks, DUPLICATE: repeats & ~merged, NEAR_DUPLICATE: resembles & ~merged}
    return images.assign(
        outcome=pd.Series(IMAGE_ITEM, index, dtype="str").case_when(outcomes),
        detail=images["detail"].case_when(details),
        duplicate_of=named["first"].where(repeats, named["group"].where(resembles)),
        flags=join_flags(marks, index),
        group=groups["group"],
        pair_id=named["pair"],
    )


def _group_duplicates(images: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Return for each image four places: own, first, group, pair.

    They are its own, that of the first with the same bytes, of the first that looks the same, and of the one that the
    rules merge it into.
    """
    own = np.arange(len(images), dtype=np.int32)
    kept = own[images["reason"].isna()]
    first, near, pair = own.copy(), own.copy(), own
    first[kept] = kept[first_places(text_keys(images["content"])[kept])]
    heads = kept[first[kept] == kept]
    looks = images[["phash", "signature"]]
    compared = on_disk(looks.take(block) for block in in_blocks(pd.Series(heads)))
    near[heads] = heads[near_duplicates(compared, rules.near_bits)]
    group = near[first]
    if NEAR_DUPLICATE in rules.refused:
        pair = np.where(group == first, own, group)
    if DUPLICATE in rules.refused:
        pair = pair[first]
    return pd.DataFrame({"own": own, "first": first, "group": group, "pair": pair}, images.index)


def evaluation_split(splits: pd.Series, groups: pd.Series) -> pd.Series:
    """Return for each line the split of its group that is evaluated on: test, else validation, else the first.

    The result is aligned with `splits`, and missing where no member of the group has a split.
    """
    if splits.isna().all():
        return splits
    rank = splits.str.lower().map(EVALUATION_ORDER).fillna(2).where(splits.notna(), 3)
    order = rank.sort_values(kind="stable").index
    return splits[order].groupby(groups[order], sort=False).transform("first")[splits.index]


def assign_splits(rows: pd.DataFrame, images: pd.DataFrame, rules: Rules) -> pd.DataFrame:
    """Return the images with `split`, that of their pair, and `group_split`, that of all that look the same.

    An image whose split is not that of its group is a leak. It is flagged, or refused with its rows, so that the
    split that is evaluated on stays whole. `rows` has the columns name and split.
    """
    places = places_among(rows["name"], images.index)
    splits, places = rows["split"][places >= 0], places[places >= 0]
    row_of_image = np.full(len(images), -1)
    row_of_image[places[::-1]] = np.arange(len(places))[::-1]
    split, group_split = (
        _taken(evaluation_split(splits, pd.Series(groups[places], splits.index)), row_of_image, images.index)
        for groups in (text_keys(images["pair_id"]), images["group"].to_numpy())
    )
    leak = split.notna() & (split != group_split) & (images["outcome"] == IMAGE_ITEM)
    images = images.assign(split=split, group_split=group_split)
    if LEAK in rules.refused:
        detail = images["detail"].mask(leak, "a near duplicate is in split " + group_split[leak])
        return images.assign(outcome=images["outcome"].mask(leak, LEAK), detail=detail)
    flags = images["flags"].mask(leak, images["flags"] + ", " + LEAK)
    return images.assign(flags=flags.str.removeprefix(", "))


def decide_outcomes(
    rows: pd.DataFrame, texts: pd.DataFrame, images: pd.DataFrame, rules: Rules
) -> pd.DataFrame:
    """Return one line per row with its outcome.

    Columns: name, caption, origin, split, text, steps, pair_id, outcome, detail, flags, repetition, and image_pair_id,
    image_group_split, image_outcome and image_detail of its image.
    texts: the cleaned captions (text, steps). images: as `assign_splits` leaves them. The first thing that is wrong
    with a row is its outcome; a row that is kept is a text item, or names an image only ("no caption").
    """
    known = images[["pair_id", "group_split", "outcome", "detail"]].add_prefix("image_")
    places = places_among(rows["name"], images.index)
    of_image = on_disk(_rows_at(known, block) for block in in_blocks(pd.Series(places, rows.index)))
    table = rows[["name", "caption", "origin", "split"]].join(texts).join(of_image)
    table["pair_id"] = table["image_pair_id"].fillna(_own_pair(table))
    table["outcome"], table["detail"] = rows["problem"], rows["detail"]
    # a text that is made to be wrong has no image by intention
    unpaired, unlisted = (table["name"] == "") & (table["origin"] != NEGATIVE), ~rows["listed"]
    _set_outcome(table, unpaired & (UNPAIRED in rules.refused), UNPAIRED)
    _set_outcome(table, unlisted & (UNLISTED in rules.refused), UNLISTED, "no row of the table names it")
    unusable = (table["name"] != "") & ~table["image_outcome"].isin(MERGED)
    _set_outcome(table, unusable, table["image_outcome"], table["image_detail"])
    _set_outcome(table, table["text"] == "", NO_CAPTION)
    short = _flag_short(table, rules)
    flags = {UNPAIRED: unpaired, UNLISTED: unlisted, **_flag_texts(table, rules), SHORT: short}
    table["outcome"] = table["outcome"].fillna(TEXT_ITEM)
    return table.assign(flags=join_flags(flags, table.index))


def _rows_at(table: pd.DataFrame, places: pd.Series) -> pd.DataFrame:
    """Return the rows of a table at these places, missing at -1, indexed as the places."""
    found = {name: _taken(column, places.to_numpy(), places.index) for name, column in table.items()}
    return pd.DataFrame(found, places.index)


def _taken(column: pd.Series, places: np.ndarray, index: pd.Index) -> pd.Series:
    """Return what the column has at these places, missing at -1."""
    return pd.Series(column.array.take(places, allow_fill=True), index)


def _flag_short(table: pd.DataFrame, rules: Rules) -> pd.Series:
    """Return which rows have a text of too few words; give them their outcome if refused."""
    chunks = table["text"].str.count(
        WITH_LETTER
    )  # a chunk holds at least one word: most texts have enough of them
    few = table["text"][chunks < rules.min_words] if rules.min_words else table["text"][:0]
    words = few.map({text: count_words(text) for text in few.unique()}).reindex(table.index)
    short = (words < rules.min_words) & (table["text"] != "")
    detail = words[short].map(f"{{:.0f}} words, expected at least {rules.min_words}".format)
    _set_outcome(table, short & (SHORT in rules.refused), SHORT, detail)
    return short


def _flag_texts(table: pd.DataFrame, rules: Rules) -> dict[str, pd.Series]:
    """Return which rows are leaks, repetitions and vague captions; those that are refused get their outcome."""
    group_split = table["image_group_split"]
    leak = table["split"].notna() & group_split.notna() & (table["split"] != group_split)
    _set_outcome(table, leak & (LEAK in rules.refused), LEAK, "its image is in split " + group_split)
    repeated = _flag_repeated(table, rules)
    pairs = _usable_keys(table).groupby("text", sort=False)["pair_id"]
    sharing = pairs.transform("nunique").reindex(table.index, fill_value=0)
    vague = sharing >= rules.vague_from
    _set_outcome(
        table, vague & (VAGUE in rules.refused), VAGUE, sharing[vague].map("shared by {} images".format)
    )
    return {LEAK: leak, REPEATED: repeated, VAGUE: vague}


def _flag_repeated(table: pd.DataFrame, rules: Rules) -> pd.Series:
    """Return which rows repeat a caption of their pair, counted in `repetition`; give them their outcome if refused."""
    captions = _usable_keys(table).reset_index().groupby(["pair_id", "text"], sort=False)
    rows = table.index[table["outcome"].isna()]
    table["repetition"] = captions.cumcount().set_axis(rows).reindex(table.index, fill_value=0)
    repeated = table["repetition"] > 0
    if repeated.any() and REPEATED in rules.refused:
        first = captions["row"].transform("first").set_axis(rows)[repeated[rows]]
        _set_outcome(table, repeated, REPEATED, first.map("same caption as row {}".format))
    return repeated


def _usable_keys(table: pd.DataFrame) -> pd.DataFrame:
    """Return the keys of the pair and the text of each row without an outcome, indexed by `row`."""
    keys = {name: text_keys(table[name]) for name in ("pair_id", "text")}
    return pd.DataFrame(keys, table.index)[table["outcome"].isna()].rename_axis("row")


def _set_outcome(
    table: pd.DataFrame, mask: pd.Series, outcome: str | pd.Series, detail: str | pd.Series | None = None
) -> None:
    """Give the rows of the mask this outcome, unless they have one already."""
    mask = mask & table["outcome"].isna()
    table["outcome"] = table["outcome"].mask(mask, outcome)
    table["detail"] = table["detail"].mask(mask, detail)


def _own_pair(table: pd.DataFrame) -> pd.Series:
    """Return the pair of a row whose image is unknown: its name, or the hash of its text where it names none."""
    nameless = table["name"] == ""
    hashes = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in table.loc[nameless, "text"]]
    names = table["name"].copy()
    names[nameless] = [f"text/{digest}" for digest in hashes]
    return names
