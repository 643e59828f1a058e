"""A first look at a dataset: what would be read and joined, what refused, and what to do. No image is opened."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mmlab.ingest.dataset_files import LEADS_OUT, group_links, open_given
from mmlab.ingest.findings_cache import Blobs, FindingsCache, UnkeptBlobs
from mmlab.ingest.images.fetch import check_downloads, count_new
from mmlab.ingest.images.find import AMBIGUOUS, find_images, is_address, normalize_name
from mmlab.ingest.images.image_index import ImageIndex
from mmlab.ingest.rules import UNLISTED, UNPAIRED, Rules
from mmlab.ingest.sources.column_names import NEGATIVE
from mmlab.ingest.sources.formats import Source, read_source
from mmlab.ingest.sources.ready_rows import find_named
from mmlab.items import data
from mmlab.items.files import resolve
from mmlab.items.vector_files import release_spare_memory

PAIRS_SHOWN, UNREAD_SHOWN = 50, 10


@dataclass(frozen=True, repr=False)
class Inspection:
    """What a dataset holds, before anything is ingested; made by `inspect_dataset`.

    Attributes:
        dataset: as it was given.
        source: what was read: see `mmlab.ingest.sources.formats.Source`.
        found: one line per row of the source: name, file, guess, reason, detail, link, as `Found` describes them.
        unlisted: the image files that no row names: the name -> the path.
        rules: the rules it was looked at with.
        looks_only: images inside the source were not unpacked, so that `ingest_items` has to read it again.
        cut_off: of large tables only the first records were looked at.
        advice: why nothing useful would come of it and what to do; "" where something would.
    """

    dataset: str
    source: Source
    found: pd.DataFrame
    unlisted: Mapping[str, str]
    rules: Rules
    looks_only: bool = False
    cut_off: bool = False
    advice: str = ""

    @property
    def kind(self) -> str:
        """How the source was read, such as "csv"."""
        return self.source.kind

    @cached_property
    def usable(self) -> pd.Series:
        """Whether the image of each row is at hand, has an address to fetch it from, or has a ready vector."""
        if self.source.vectors:
            return self.found["name"].ne("")
        on_the_web = self.found["name"].str.match("(?i)https?://") & self.found["reason"].isna()
        return self.found["name"].ne("") & (self.found["file"].notna() | on_the_web)

    @cached_property
    def with_text(self) -> pd.Series:
        """Whether each row gives a text to an image that is at hand."""
        texts = self.source.rows["caption"].str.strip().ne("") & self.source.rows["problem"].isna()
        return texts if self.source.vectors else self.usable & texts

    @property
    def images(self) -> int:
        """The number of different images that would be used, those on the web included."""
        return int(self.found.loc[self.usable, "name"].nunique())

    @property
    def texts(self) -> int:
        """The number of texts that belong to these images."""
        return int(self.with_text.sum())

    @property
    def splits(self) -> dict[str, int]:
        """The number of images in each split, in the order of the rows."""
        splits = self.source.rows["split"].dropna()
        names = self.found["name"][splits.index][self.usable[splits.index]].groupby(splits, sort=False)
        return {str(split): int(count) for split, count in names.nunique().items()}

    @property
    def addresses(self) -> list[str]:
        """The images that would have to be fetched from the web; none where there are ready vectors."""
        if self.source.vectors:
            return []
        return self.found.loc[self.usable & self.found["file"].isna(), "name"].unique().tolist()

    @property
    def guesses(self) -> dict[str, int]:
        """The number of images that do not lie where their name says, by how they were found."""
        if self.found["guess"].isna().all():
            return {}
        images = self.found.loc[self.usable, ["name", "guess"]].drop_duplicates("name")
        return {str(guess): int(count) for guess, count in images["guess"].value_counts().items()}

    @property
    def refused(self) -> pd.DataFrame:
        """Return reason, count, example and detail: what would be refused by these rules, the most frequent first."""
        rows = self.source.rows
        reasons = rows["problem"].fillna(self.found["reason"])
        reasons = reasons.mask((rows["origin"] == NEGATIVE) & (reasons == UNPAIRED))
        if UNPAIRED not in self.rules.refused:
            reasons = reasons.mask(reasons == UNPAIRED)
        reasons = reasons.dropna()
        some = rows.loc[reasons.index, ["image", "caption", "detail"]]
        table = pd.DataFrame({
            "reason": reasons,
            "example": some["image"].where(some["image"] != "", some["caption"]),
            "detail": some["detail"].fillna(self.found["detail"]),
        })  # fmt: skip
        if UNLISTED in self.rules.refused:
            files = pd.DataFrame({"reason": UNLISTED, "example": list(self.unlisted)}, dtype="str")
            table = pd.concat([table, files]) if self.unlisted else table
        groups = table.dropna(subset="reason").groupby("reason", sort=False)
        counted = groups.agg(
            count=("example", "size"), example=("example", "first"), detail=("detail", "first")
        )
        return counted.sort_values("count", ascending=False, kind="stable").reset_index()

    @property
    def pairs(self) -> pd.DataFrame:
        """Return image and text of the first 50 rows that would give a text; an image by its path from the dataset."""
        rows = self.with_text[self.with_text].index[:PAIRS_SHOWN]
        return pd.DataFrame(
            {"image": self.found.loc[rows, "name"], "text": self.source.rows.loc[rows, "caption"]}
        )

    @property
    def notes(self) -> list[str]:
        """What was guessed, passed over or left out, in sentences."""
        notes = list(self.source.notes)
        if self.cut_off:
            rows = len(self.source.rows)
            notes.insert(0, f"Only the first {rows:,} rows were looked at: there is more than is said here.")
        notes += [f"{count:,} images found {guess}." for guess, count in self.guesses.items()]
        if self.source.vectors:
            notes = [self.source.vectors.sentence, *notes, *self._not_at_hand()]
        if self.addresses:
            notes.append(f"{len(self.addresses):,} images lie on the web and would be fetched.")
        advice = "" if self.rules.follow_links else ": give -p follow_links=true"
        notes += [
            f"{count:,} images lie behind {link}, a link that leads out{advice}."
            for link, count in self.links.items()
        ]
        if written := self.source.tree.written if self.source.tree else {}:
            notes.append(
                f"{len(written):,} files, such as {min(written)}, are what git writes where it can make no links: "
                "the files that they name are read."
            )
        unread = [f"{file} was not read: {why}" for file, why in self.unread.items()]
        if len(unread) > UNREAD_SHOWN:
            unread[UNREAD_SHOWN:] = [f"{len(unread) - UNREAD_SHOWN:,} more files were not read."]
        return notes + unread

    def _not_at_hand(self) -> list[str]:
        """Say how many images of ready vectors have no file here, and how to name the folder where they lie."""
        named = self.found.loc[self.found["name"] != "", "file"].drop_duplicates()
        away = named[~named.str.startswith(os.sep)]
        if away.empty:
            return []
        return [
            f"{len(away):,} of {len(named):,} images are not at hand, such as {away.iloc[0]}: their names stand for "
            "them; -p images_at=FOLDER says where they lie."
        ]

    @property
    def unread(self) -> dict[str, str]:
        """The files that look like data and were passed over: why, and what to do."""
        return {file: why.removeprefix("not read: ") for file, why in self.source.unread.items()}

    @property
    def links(self) -> dict[str, int]:
        """The number of images behind each link that leads out of the dataset, followed or not.

        Links of single files are counted by their folder, as "images/*".
        """
        images = self.found.dropna(subset="link").drop_duplicates("name").set_index("name")["link"]
        counts = {link: len(names) for link, names in group_links(images.to_dict()).items()}
        return dict(Counter(counts).most_common())

    @property
    def table(self) -> pd.DataFrame:
        """What there is and how many: images, texts, images by split, and what would be refused."""
        counts = {"images": self.images, "texts": self.texts}
        counts |= {f"images in {split}": count for split, count in self.splits.items()}
        refused = self.refused
        counts |= {
            f"refused: {reason}": count
            for reason, count in zip(refused["reason"], refused["count"], strict=True)
        }
        return pd.DataFrame({"what": list(counts), "count": list(counts.values())})

    @property
    def sentence(self) -> str:
        """What was read and what would come of it."""
        files = self.source.tables
        read = f" from {files[0] if len(files) == 1 else f'{len(files):,} files'}" if files else ""
        splits = ", ".join(f"{split} ({count:,})" for split, count in self.splits.items())
        refused = int(self.refused["count"].sum())
        return (
            f"Read as {self.source.kind}{read}: {self.images:,} images and {self.texts:,} texts"
            f"{f', in the splits {splits}' if splits else ''}; {refused:,} entries would be refused."
        )

    def check(self) -> None:
        """Raise ValueError where nothing useful would come of the dataset; it says why and what to do."""
        if self.advice:
            raise ValueError(f"dataset {self.dataset}: {self.advice}")

    def as_json(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON: what was read, what would be refused, and why."""
        refused = self.refused.astype(object)
        return {
            "source": self.source.kind,
            "vectors": self.source.vectors.to_dict() if self.source.vectors else None,
            "files": list(self.source.tables),
            "images": self.images,
            "texts": self.texts,
            "splits": self.splits,
            "skipped": refused.where(refused.notna(), None).to_dict("records"),
            "unread": self.unread,
            "pairs": self.pairs.to_dict("records"),
            "guesses": self.guesses,
            "notes": self.notes,
            "advice": self.advice,
        }

    def __repr__(self) -> str:
        return f"Inspection({self.dataset!r}: {self.sentence}{f' {self.advice}' if self.advice else ''})"


# whose texts are missed where it is passed over, unlike a table of sizes
CAPTION_FILE = re.compile(r"caption|metadata|annotation|description|prompt|title|text", re.IGNORECASE)
HAS_TEXTS = re.compile(
    f"give dataset=|it has texts|which is no caption|{LEADS_OUT}"
)  # why a file with texts was not read
NAMES_LOOKED_FOR = 1000  # elsewhere, where none is found
FILES_LOOKED_AT = 100_000  # in the folder above, for the same
# that are looked for beside the folder of a table which the user named
USUAL_FOLDERS = ("images", "Images", "image", "imgs", "img", "photos", "jpg", "JPEGImages", "media")
LFS_POINTER, FILES_PEEKED_INTO = b"version https://git-lfs.github.com/spec/", 5
MAX_FIRST_FOLDERS = 100  # of the names in a table, that are looked for beside the folder of the table


def inspect_dataset(
    dataset: str | Path,
    source: str = "auto",
    columns: str | Mapping[str, str] | Iterable[str] = (),
    rules: Rules = Rules(),  # noqa: B008 - frozen
    cache: str | Path | None = None,
    looks_only: bool = False,
    behind_links: bool = False,
) -> Inspection:
    r"""Read a dataset and find the files of its images, without opening one; `ingest_items` takes the result.

    dataset, source, columns and cache are those of `ingest_items`.
    looks_only: leave nothing behind: images that come inside the source are not unpacked into the cache.
    behind_links: take images behind links that lead out for found; no text there is read unless the rules follow links.

    Raise FileNotFoundError or ValueError where the source as a whole cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "images").mkdir()
    ...     _ = Path(folder, "images", "a.png").write_bytes(b"not opened")
    ...     _ = Path(folder, "captions.csv").write_text("image,caption\na.png,A ramp\nb.png,None\n")
    ...     looked = inspect_dataset(folder, looks_only=True)
    >>> looked.sentence
    'Read as csv from captions.csv: 1 images and 1 texts; 1 entries would be refused.'
    >>> looked.guesses, looked.pairs["image"].tolist()
    ({'by name in another folder': 1}, ['images/a.png'])
    """
    cache = Path(cache) if cache else data() / "cache"
    blobs = (UnkeptBlobs if looks_only else Blobs)(cache / "images")
    read = read_source(dataset, source, columns, blobs, rules.follow_links)
    if read.vectors:
        return _look_beside(str(dataset), read, rules, looks_only)
    found_rules = replace(rules, follow_links=rules.follow_links or behind_links)
    index, first = _index_images(read, resolve(str(dataset)).is_file(), found_rules)
    found = find_images(read.rows, index, read.image_folders, first)
    unlisted = index.unlisted(found["name"].unique())
    cut_off = isinstance(blobs, UnkeptBlobs) and blobs.cut_off
    read = read._replace(tree=replace(index.tree, names=[]))  # which nothing looks up any more
    looked = Inspection(str(dataset), read, found, {} if cut_off else unlisted, rules, looks_only, cut_off)
    advice = _advise(looked, source, cache)
    release_spare_memory()
    return replace(looked, advice=advice)


def _look_beside(dataset: str, read: Source, rules: Rules, looks_only: bool) -> Inspection:
    """Return the look at a source of ready vectors: of its images only names are looked for.

    Where texts or images have vectors without the others, a text without an image is kept.
    """
    folders = [read.root, *([_images_at(rules.images_at, read.root)] if rules.images_at else [])]
    found = find_named(read.rows, folders, rules.follow_links)
    if not found["name"].ne("").all() and UNPAIRED in rules.refused and UNPAIRED not in rules.refuse:
        rules = replace(rules, keep=(*rules.keep, UNPAIRED))
    advice = "" if len(read.rows) else "the tables beside the vectors have no rows"
    return Inspection(dataset, read, found, {}, rules, looks_only, advice=advice)


def _index_images(source: Source, is_table: bool, rules: Rules) -> tuple[ImageIndex, list[str]]:
    """Return the files that rows may name, and the folder that the user named, which comes first."""
    index, first = ImageIndex(source.root, rules.follow_links, tree=source.tree), []
    if rules.images_at:
        first = [index.add_folder(_images_at(rules.images_at, index.root))]
    above = index.root.parent
    if is_table and above.parent != above:
        index.add_files(above)
        for name in dict.fromkeys(
            [*source.image_folders, *USUAL_FOLDERS, *_first_folders(source.rows["image"])]
        ):
            if name and (above / name).is_dir():
                index.add_folder(above / name, name)
    return index, first


def _images_at(folder: str | Path, root: Path) -> Path:
    places = (root / Path(folder).expanduser(), resolve(folder))
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise FileNotFoundError(
            f"images_at: expected a folder, found none at {' or '.join(map(str, dict.fromkeys(places)))}"
        )
    return found


def _first_folders(images: pd.Series) -> list[str]:
    """Return the first folders that relative names mention, those that climb to the folder above included."""
    names = (normalize_name(name).removeprefix("../") for name in images.unique())
    first = dict.fromkeys(name.partition("/")[0] for name in names if "/" in name and not is_address(name))
    return [name for name in list(first)[:MAX_FIRST_FOLDERS] if name not in ("", "..")]


def _advise(looked: Inspection, kind: str, cache: Path) -> str:
    """Return why nothing useful would come of the dataset, and what to do about it."""
    if not looked.images:
        return _advise_on_images(looked)
    if not looked.texts and kind == "auto":
        for file, why in looked.unread.items():
            if CAPTION_FILE.search(file.rpartition("/")[2]) or HAS_TEXTS.search(why):
                onwards = "-p source=images goes on without texts"
                return f"{looked.images:,} images and no text; {file} was not read: {why}; {onwards}"
    if _are_pointers(looked.found["file"].dropna().iloc[:FILES_PEEKED_INTO]):
        return (
            "the images are pointers of Git LFS, not images: run git lfs pull in the folder that was cloned"
        )
    try:
        check_downloads(_count_new(looked.addresses, cache), looked.rules.max_downloads)
    except ValueError as error:
        return str(error)
    return ""


def _are_pointers(files: Iterable[str]) -> bool:
    heads = []
    for file in files:
        with suppress(OSError), open_given(file) as opened:
            heads.append(opened.read(len(LFS_POINTER)))
    return bool(heads) and all(head == LFS_POINTER for head in heads)


def _count_new(addresses: list[str], cache: Path) -> int:
    """Return how many of the addresses were not fetched before; the cache is not made where it is not there."""
    if not addresses or not (cache / "ingest.sqlite").exists():
        return len(addresses)
    with FindingsCache(cache / "ingest.sqlite") as findings:
        return count_new(addresses, Blobs(cache / "images"), findings)


def _advise_on_images(looked: Inspection) -> str:
    rows, found = looked.source.rows, looked.found
    if rows["problem"].notna().all():
        return f"none of {len(rows):,} rows could be read; the first: {rows['detail'].iloc[0]}"
    named = found[found["name"] != ""].drop_duplicates("name")
    if named.empty and UNPAIRED not in looked.rules.refused:
        return ""  # texts alone are wanted
    if named.empty:
        return (
            f"none of {len(rows):,} rows names an image: name the column that does by -p columns=image=NAME, or take "
            "the texts alone by -p 'keep=[\"no image named\"]'"
        )
    none = f"0 of {len(named):,} images found under these names"
    if looked.links:
        link, count = next(iter(looked.links.items()))
        return f"{none}; {count:,} lie behind {link}, a link that leads out of the dataset: give -p follow_links=true"
    ambiguous = named[named["reason"] == AMBIGUOUS]
    if len(ambiguous):
        return f"{none}: {ambiguous['detail'].iloc[0]}"
    return f"{none}; {_look_elsewhere(looked, named['name'])}"


def _look_elsewhere(looked: Inspection, names: pd.Series) -> str:
    """Return where the images seem to lie, outside of the dataset, and the parameter that says so."""
    root = looked.source.root
    files = [name for name in names[:NAMES_LOOKED_FOR] if os.path.isabs(name) and os.path.isfile(name)]
    if not files and root.parent != root.parent.parent:
        around = ImageIndex(root.parent, max_files=FILES_LOOKED_AT)
        rows = looked.source.rows.loc[names.index[:NAMES_LOOKED_FOR]]
        files = find_images(rows.assign(table=None), around)["file"].dropna().tolist()
    if files:
        folder = os.path.commonpath([os.path.dirname(file) for file in files])
        return f"{len(files):,} lie in {folder}: give -p {shlex.quote(f'images_at={folder}')}"
    packed = next((file for file, why in looked.unread.items() if "unpack" in why), None)
    if packed:
        return f"{packed} was not read: unpack it"
    there = "no image lies there"
    if looked.unlisted:
        there = f"{len(looked.unlisted):,} others lie there, such as {next(iter(looked.unlisted))}"
    return (
        f"looked below {root} for {', '.join(names[:3])}; {there}: give -p images_at=FOLDER, or "
        "-p columns=image=NAME for another column"
    )
