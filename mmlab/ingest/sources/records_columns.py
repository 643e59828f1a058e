"""Which column of a table says what: as the user maps them, else by their usual names."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mmlab.ingest.sources.cells import storable
from mmlab.ingest.sources.rows import OUR_COLUMNS
from mmlab.items import ITEM_COLUMNS

USUAL = {  # in the order of preference
    "image": ("image", "image_path", "file_name", "filename", "filepath", "path", "file", "image_url", "url"),
    "caption": (
        "caption", "captions", "text", "texts", "sentence", "sentences", "description", "title", "alt", "alt_text",
    ),
    "label": ("label",),
    "split": ("split",),
}  # fmt: skip
TAKEN = {*ITEM_COLUMNS, *OUR_COLUMNS, "flags", "duplicate_of"}  # what ingest itself fills
MOST = 1000  # columns of a table; a file with more of them is something else
ALT = re.compile(r"(^|_)alt(_|text|$)")


class Columns(NamedTuple):
    """The places of the columns in a record, None where a table lacks one, and the user's with their names."""

    image: int
    caption: int | None
    label: int | None
    split: int | None
    own: list[int]
    own_names: list[str]
    origin: str


def find_columns(names: Sequence[str], columns: Mapping[str, str], table: object) -> Columns:
    """The columns of the table with these names; `columns` maps ours to the table's, where they are unusual.

    A column of the user's with the name of one that ingest fills comes back as `source_<name>`.
    Raises ValueError where the image column or one that `columns` names is missing, or a name occurs twice.
    """
    names = [name.strip() or f"column_{number}" for number, name in enumerate(names, 1)]
    _check(names, columns, table)
    free = [_folded(name) if name not in columns.values() else None for name in names]
    places = {ours: names.index(columns[ours]) if ours in columns else _usual(ours, free) for ours in USUAL}
    if places["image"] is None:
        raise ValueError(
            f"{table}: expected a column with the images ({', '.join(USUAL['image'])}), found {_some(names)}: "
            'rename one, or name it with columns={"image": "..."}'
        )
    own = [place for place in range(len(names)) if place not in places.values()]
    caption = "" if places["caption"] is None else names[places["caption"]]
    return Columns(
        **places,
        own=own,
        own_names=_free_names([names[place] for place in own]),
        origin="alt" if ALT.search(_folded(caption)) else "caption",
    )


def _check(names: list[str], columns: Mapping[str, str], table: object) -> None:
    unknown = [ours for ours in columns if ours not in USUAL]
    if unknown:
        raise ValueError(f"columns: {unknown} are not among {list(USUAL)}, which can be mapped")
    missing = [theirs for theirs in columns.values() if theirs not in names]
    if missing:
        raise ValueError(f"{table}: columns {missing} are missing; found {_some(names)}")
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(names) <= MOST else []
    if repeated:
        raise ValueError(f"{table}: the columns {repeated} occur twice: rename or remove one of each")
    if len(names) > MOST:
        raise ValueError(f"{table}: expected at most {MOST} columns, found {len(names)}")


def _usual(ours: str, free: list[str | None]) -> int | None:
    return next((free.index(name) for name in USUAL[ours] if name in free), None)


def _folded(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")


def _free_names(names: list[str]) -> list[str]:
    taken, free = set(TAKEN), []
    for name in map(storable, names):
        while name in taken or (name != names[len(free)] and name in names):
            name = f"source_{name}"
        taken.add(name)
        free.append(name)
    return free


def _some(names: list[str]) -> list[str]:
    return [name[:100] for name in names[:20]]
