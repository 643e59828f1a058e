"""Find the file that each name of a dataset means: as it is written, else by a guess where exactly one file fits."""

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import NamedTuple
from urllib.parse import unquote

import pandas as pd

from mmlab.ingest.images.image_index import (
    SPELLINGS,
    ImageIndex,
    Spelling,
    as_written,
    folded,
    has_image_suffix,
    number,
    stem,
    tail_key,
)
from mmlab.items import is_among
from mmlab.items.tables import in_blocks, on_disk

WEB_SCHEMES = ("http://", "https://")
# the beginning of a path that leads out: of another disk, of a bucket, of the root, of a folder above; of a wiki
FOREIGN = re.compile(r"^(?:[A-Za-z]:/?|[A-Za-z][\w+.-]+:/+|(?:File|Image):|/+|(?:\.\.(?:/|$))+)")
UPLOADED = re.compile(r"^data/upload/(?:\d+/)?[0-9a-f]{8}-")  # what Label Studio puts before a name
MISSING, OUTSIDE, AMBIGUOUS = "missing file", "path leaves the dataset", "ambiguous name"
MAX_FILES_NAMED = 3  # in a message
FEW, MANY = 8, 1000  # files of one name that are compared one by one; with more, none is nearer than others
# How a file was found that is not where its name says.
BY_FOLDER, BY_TAIL = "by name in another folder", "by the end of their path"
BY_ADDRESS = "on disk by the end of their address"
BY_ENCODING, BY_ACCENTS, BY_CASE = "by the decoded name", "with accents in another form", "in another case"
BY_STEM, BY_SUFFIX, BY_NUMBER = (
    "by a name without suffix",
    "with another suffix",
    "by a number without its zeros",
)


class Found(NamedTuple):
    """The file that a name means, or why there is none.

    name: what the image is called from now on: the name of its file in the index, else the name in one spelling.
    file: the absolute path; missing where there is none, or for an address on the web.
    guess: how the file was found; missing where it lies where the name says.
    link: the link that leads out of the dataset to this file.
    """

    name: str
    file: str | None = None
    guess: str | None = None
    reason: str | None = None
    detail: str | None = None
    link: str | None = None


def normalize_name(entry: str) -> str:
    r"""Return an address as it is, and a path in one spelling: forward slashes, no "./", no "a/../" and no "file:".

    >>> normalize_name(" photos\\.\\a.jpg "), normalize_name("https://example.org/a//b.jpg")
    ('photos/a.jpg', 'https://example.org/a//b.jpg')
    """
    entry = entry.strip()
    if not entry or is_address(entry):
        return entry
    if entry[:5].lower() == "file:":
        entry = unquote(re.sub(r"^file:(?://[^/]*)?", "", entry, flags=re.IGNORECASE))
    return posixpath.normpath(entry.replace("\\", "/")) if entry else ""


def is_address(name: str) -> bool:
    """Return whether a name is an address on the web."""
    return name[:1] in ("h", "H") and name[:8].lower().startswith(WEB_SCHEMES)


def find_images(
    rows: pd.DataFrame, index: ImageIndex, folders: Sequence[str] = (), first: Sequence[str] = ()
) -> pd.DataFrame:
    """Return for each row what `Found` holds, with its columns.

    rows: with image, table, file, problem and address as in `Source.rows`. folders: where the images usually lie.
    first: folders that come before all others, since the user named them.
    A row with a problem names nothing for sure; one whose bytes came inside the source keeps its name. Files that
    two different names would take by a guess are given to neither.
    """
    finder = _Finder(index, folders, first)
    found = on_disk(_find_block(block, finder) for block in in_blocks(rows))
    refused = _refuse_contradictions(rows, found, index)
    if refused:
        found = on_disk(_with_refused(*pair, refused) for pair in _paired(rows, found))
    return on_disk(_named_by_source(*pair) for pair in _paired(rows, found))


def _paired(rows: pd.DataFrame, found: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    return zip(in_blocks(rows), in_blocks(found), strict=True)


def _find_block(rows: pd.DataFrame, finder: "_Finder") -> pd.DataFrame:
    """Return the fields of `Found` of each row, as its table and its image say; each name is found once."""
    known: dict[tuple[str, str], Found] = {}
    found = []
    for key, wanted in zip(_keys(rows), _is_to_find(rows), strict=True):
        if wanted and key not in known:
            known[key] = finder.find(*key)
        found.append(known[key] if wanted else Found(normalize_name(key[1])))
    return pd.DataFrame(found, rows.index, Found._fields, dtype="str")


def _keys(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield the table and the image of each row."""
    return zip(rows["table"].fillna("").tolist(), rows["image"].fillna("").tolist(), strict=True)


def _is_to_find(rows: pd.DataFrame) -> pd.Series:
    return rows["file"].isna() & rows["problem"].isna()


def _with_refused(
    rows: pd.DataFrame, found: pd.DataFrame, refused: Mapping[tuple[str, str], Found]
) -> pd.DataFrame:
    """Return what was found, less the guesses that were refused by table and image."""
    changed = [
        refused.get(key, Found(*old)) if wanted else Found(*old)
        for key, wanted, old in zip(
            _keys(rows), _is_to_find(rows), found.itertuples(index=False), strict=True
        )
    ]
    return pd.DataFrame(changed, found.index, Found._fields, dtype="str")


def _named_by_source(rows: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Name images without a file here by their address, where they have one; keep what came inside the source."""
    has_address = _is_to_find(rows) & rows["address"].fillna("").ne("") & found["name"].ne("")
    away = has_address & found["file"].isna() & found["link"].isna() & ~found["name"].map(is_address)
    return found.assign(
        name=found["name"].mask(away, rows["address"]).where(rows["problem"].isna(), ""),
        file=found["file"].fillna(rows["file"]),
        reason=found["reason"].mask(away),
        detail=found["detail"].mask(away),
    )


class _Finder:
    """Look up one name after the other in an index."""

    def __init__(self, index: ImageIndex, folders: Iterable[str], first: Sequence[str]) -> None:
        self.index, self.first = index, first
        self.folders = [folder for folder in folders if folder in index.folders]
        self._bases: dict[str, list[str]] = {}

    def find(self, table: str, image: str) -> Found:
        """Return the file that a table means by `image`."""
        name, base = normalize_name(image), table.rpartition("/")[0]
        if not name:
            return Found("", reason="no image named")
        if is_address(name):
            path = _path_of(name)
            near, _ = self._fitting(path, base, SPELLINGS[:2]) if has_image_suffix(path) else ([], as_written)
            return self._found(near[0], BY_ADDRESS) if len(near) == 1 else Found(name)
        exact = self._exact(name, base)
        return self._found(exact) if exact else self._guess(name, base)

    def _found(self, name: str, guess: str | None = None) -> Found:
        link = self.index.linked.get(name)
        if link and not self.index.follow_links:
            detail = f"{link} is a link that leads out of the dataset: give -p follow_links=true"
            return Found(name, None, guess, OUTSIDE, detail, link)
        return Found(name, self.index.path(name), guess, link=link)

    def _exact(self, name: str, base: str) -> str | None:
        """Return the file at this place: beside the table, from root, or in a folder where such images lie."""
        places = [self._inside(name, base)] if FOREIGN.match(name) else self._places(name, base)
        known = next((place for place in places if place in self.index), None)
        return known or next((found for place in places if (found := self.index.look_up(place))), None)

    def _places(self, name: str, base: str) -> list[str]:
        """Return where a relative path may lead: first from the folder of its table, then from root."""
        if base not in self._bases:
            inner = [
                f"{base}/{folder}" for folder in self.folders if f"{base}/{folder}" in self.index.folders
            ]
            places = dict.fromkeys([*self.first, base, "", *self.folders, *inner])
            self._bases[base] = [f"{place}/" if place else "" for place in places]
        return [place + name for place in self._bases[base]]

    def _inside(self, name: str, base: str) -> str:
        """Return an absolute or climbing path as a name of the index; "" where it leads out."""
        path = os.path.normpath(os.path.join(self.index.root, base, name))
        found = self.index.relative(path)
        if not found and os.path.isfile(path):
            found = self.index.relative(os.path.realpath(path))
        return found or ""

    def _guess(self, name: str, base: str) -> Found:
        path = _path_of(name)
        near, spelling = self._fitting(path, base, SPELLINGS)
        if not near and UPLOADED.match(path):
            near, spelling = self._fitting(UPLOADED.sub("", path), base, SPELLINGS)
        if len(near) == 1:
            return self._found(near[0], _kind_of_guess(name, near[0], spelling))
        if near:
            listed = ", ".join(near[:MAX_FILES_NAMED]) + ", ..." * (len(near) > MAX_FILES_NAMED)
            last = path.rpartition("/")[2]
            advice = "write the folder into the table, or name it by -p images_at"
            return Found(
                name, reason=AMBIGUOUS, detail=f"{len(near)} files are called {last}: {listed}: {advice}"
            )
        if path == name:
            return Found(name, reason=MISSING)
        detail = f"expected a path below {self.index.root}: give -p images_at=FOLDER for another folder"
        return Found(name, reason=OUTSIDE, detail=detail)

    def _fitting(self, path: str, base: str, spellings: Sequence[Spelling]) -> tuple[list[str], Spelling]:
        """Return the nearest files whose last part is that of the path, in the finest spelling that any has."""
        parts = path.split("/")
        for spelling in spellings if parts[-1] and self.index.images else ():
            files, depth = self.index.by(spelling, 1).get(spelling(parts[-1]), []), 1
            while len(files) > FEW and depth < len(parts):
                depth += 1
                nearer = self.index.by(spelling, depth).get(tail_key(parts, spelling, depth), [])
                if not nearer:
                    break
                files = nearer
            if files:
                bases = (*self.first, base)
                return _nearest(parts[:-1], files, bases) if 1 < len(files) < MANY else files, spelling
        return [], as_written


def _nearest(folders: list[str], files: list[str], bases: Sequence[str]) -> list[str]:
    """Return the files below the first of the bases that has any; of these, those with the most folders in common."""
    below = ([file for file in files if base and file.startswith(f"{base}/")] for base in bases)
    own = next(filter(None, below), files)
    wanted = [folded(folder) for folder in folders]
    common = [_common_tail(wanted, file.split("/")[:-1]) for file in own]
    most = max(common)
    return [file for file, count in zip(own, common, strict=True) if count == most]


def _common_tail(wanted: list[str], folders: list[str]) -> int:
    pairs = zip(reversed(wanted), reversed(folders), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == folded(pair[1]), pairs))


def _kind_of_guess(name: str, file: str, spelling: Spelling) -> str:
    last, other = name.rpartition("/")[2], file.rpartition("/")[2]
    if spelling is number:
        return BY_NUMBER
    if spelling is stem:
        return BY_SUFFIX if has_image_suffix(last) else BY_STEM
    if spelling is as_written and folded(name) != folded(file):
        return BY_TAIL if FOREIGN.match(name) else BY_FOLDER
    if unquote(last) != last and unquote(last) == other:
        return BY_ENCODING
    composed, other_composed = (unicodedata.normalize("NFC", part) for part in (last, other))
    return BY_ACCENTS if composed == other_composed and last != other else BY_CASE


def _path_of(name: str) -> str:
    """Return the part of a path or an address that can be compared with a path: without its beginning."""
    if is_address(name):
        path = re.split(r"[?#]", name.partition("://")[2], maxsplit=1)[0]
        return unquote(path.partition("/")[2]).lstrip("/")
    return FOREIGN.sub("", name)


def _refuse_contradictions(
    rows: pd.DataFrame, found: pd.DataFrame, index: ImageIndex
) -> dict[tuple[str, str], Found]:
    """Return, by table and image, the guesses whose file another name has as well that cannot mean the same image."""
    if not found["guess"].notna().any():
        return {}
    taken = _is_to_find(rows) & (found["file"].notna() | found["link"].notna())
    takers = rows[["table", "image"]].fillna("").assign(name=found["name"])[taken].drop_duplicates()
    takers = takers[takers["name"].duplicated(keep=False)]
    guessed = takers["name"][found.loc[takers.index, "guess"].notna()]
    refused: dict[tuple[str, str], Found] = {}
    for file, some in takers[is_among(takers["name"], guessed)].groupby("name", sort=False):
        known = found.loc[some.index].astype(object).where(found.loc[some.index].notna(), None)
        keys = zip(some["table"], some["image"], strict=True)
        taking = dict(zip(keys, map(Found._make, known.to_numpy()), strict=True))
        refused |= _refuse_guesses(str(file), taking, index)
    return refused


def _refuse_guesses(
    file: str, takers: dict[tuple[str, str], Found], index: ImageIndex
) -> dict[tuple[str, str], Found]:
    meant = {key: _meant(key, found, index) for key, found in takers.items()}
    refused = {}
    for key, found in takers.items():
        other = next((path for path in meant.values() if not _may_be_same(meant[key], path)), None)
        if found.guess and other:
            refused[key] = _contradicted(normalize_name(key[1]), file, other)
    return refused


def _contradicted(name: str, file: str, other: str) -> Found:
    if is_address(name):
        return Found(name)
    detail = f"{file} fits, but another row calls it {other}: write the folder into the table"
    return Found(name, reason=AMBIGUOUS, detail=detail)


def _meant(key: tuple[str, str], found: Found, index: ImageIndex) -> str:
    """Return the path that a name stands for: below the folder of its table where images lie there."""
    if not found.guess:
        return found.name
    name, base = _path_of(normalize_name(key[1])), key[0].rpartition("/")[0]
    return (
        f"{base}/{name}" if base and base in index.folders and not found.name.startswith(f"{base}/") else name
    )


def _may_be_same(one: str, other: str) -> bool:
    """Return whether one path is the end of the other, but for its suffix where one has none."""
    (folder, _, last), (other_folder, _, other_last) = one.rpartition("/"), other.rpartition("/")
    spelling = folded if has_image_suffix(last) and has_image_suffix(other_last) else stem
    if spelling(last) != spelling(other_last):
        return False
    short, long = sorted((folded(folder), folded(other_folder)), key=len)
    return not short or f"/{long}".endswith(f"/{short}")
