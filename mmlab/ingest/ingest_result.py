"""What ingest returns: its tables, built from the outcomes of rows and images, and checked to account for all."""

import hashlib
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pandas as pd

from mmlab.ingest.outcomes import IMAGE_ITEM, MERGED, NO_CAPTION, TEXT_ITEM
from mmlab.ingest.sources.ready_vectors import ReadyVectors
from mmlab.ingest.texts.captioner import GENERATED, OCR
from mmlab.items import ITEM_COLUMNS, check_columns, is_among
from mmlab.items.tables import (
    SKIPPED_COLUMNS,
    check_items,
    in_blocks,
    item_ids,
    on_disk,
    places_among,
)
from mmlab.items.vector_files import text_keys

SIZE_DTYPES = {"width": "Int32", "height": "Int32"}
IMAGE_COLUMNS = ["file", "outcome", "detail", "width", "height", "flags", "duplicate_of"]


@dataclass(frozen=True, repr=False)
class IngestResult:
    """The items, what was skipped, what was changed, and what became of each row and image of the source.

    items: see `mmlab.items.ITEM_COLUMNS`, then the user's own columns.
    skipped: row, source, text, reason, detail. An entry with a `row` is a row of the source that was refused;
        one without is an image file that was left out while its rows stay (a duplicate).
    changes: row, before, after, steps: the texts that cleaning changed, and the steps that changed them.
    outcomes: row, source (the normalized name of the image), outcome: one line per row of the source. The outcome
        is "text item", "no caption" (the row names an image only), or the reason why the row was skipped.
    images: source, file, outcome, detail, width, height, flags, duplicate_of: one line per image that the rows
        name. The outcome is "image item", or the reason why it is none.
    places: row, item_id, file, record: where each item, and each row that was skipped (without item_id), stands in
        the source. file: its table, else the name of its image; record: the entry in this table, from 1 below the
        header, missing where there is none. An image stands where it is named first.
    kind: how the source was read, such as "csv".
    counts: how many images were decoded, how many were known from the cache, how many texts were found in images.
    guesses: how many images do not lie where their name says, by how they were found.
    notes: what could not be done, and what to do about it.
    vectors: the ready vectors of the source, None where the items are to be embedded.

    Raise ValueError on construction if a row or an image is not accounted for exactly once. `ingest_items` makes
    these results; see there for an example.
    """

    items: pd.DataFrame
    skipped: pd.DataFrame
    changes: pd.DataFrame
    outcomes: pd.DataFrame
    images: pd.DataFrame
    places: pd.DataFrame
    kind: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    guesses: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    vectors: ReadyVectors | None = None

    def __post_init__(self) -> None:
        check_items(self.items)
        check_columns(self.skipped, SKIPPED_COLUMNS, "skipped")
        self._check_rows()
        self._check_images()

    @property
    def rows(self) -> int:
        """The number of rows of the source."""
        return len(self.outcomes)

    def balance(self) -> pd.DataFrame:
        """Return outcome, rows, images: how many rows and images have each outcome; the last line is the total."""
        rows = self.outcomes["outcome"].value_counts()
        images = self.images["outcome"].value_counts()
        order = dict.fromkeys((TEXT_ITEM, NO_CAPTION, IMAGE_ITEM, *rows.index, *images.index))
        table = pd.DataFrame({"rows": rows, "images": images}).reindex(list(order)).fillna(0).astype(int)
        table.loc["total"] = self.rows, len(self.images)
        return table[table.any(axis=1)].rename_axis("outcome").reset_index()

    def flag_counts(self) -> pd.Series:
        """Return how many items carry each flag, the most frequent first."""
        together = self.items["flags"].value_counts().rename_axis("flag").reset_index()
        each = together.assign(flag=together["flag"].str.split(", ")).explode("flag")
        return each.groupby("flag")["count"].sum().sort_values(ascending=False, kind="stable")

    def examples(self, each: int = 2, seed: int = 0) -> pd.DataFrame:
        """Return up to `each` skipped entries per reason, with file (if it can be shown) and caption.

        caption: the reason, the text or the name of the image, and the detail in parentheses.
        """
        shuffled = self.skipped.sample(frac=1, random_state=seed)
        chosen = shuffled.groupby("reason").head(each).sort_values("reason", kind="stable")
        images = self.images[is_among(self.images["source"], chosen["source"].dropna())]
        files = images.drop_duplicates("source").set_index("source")["file"]
        subject = chosen["text"].where(chosen["text"].fillna("") != "", chosen["source"]).fillna("")
        detail = (" (" + chosen["detail"] + ")").fillna("")
        caption = chosen["reason"] + ": " + subject + detail
        return chosen.assign(file=chosen["source"].map(files), caption=caption)

    def __repr__(self) -> str:
        counts = self.items["modality"].value_counts()
        return (
            f"IngestResult({counts.get('image', 0):,} images and {counts.get('text', 0):,} texts "
            f"from {self.rows:,} rows; {self.skipped['row'].notna().sum():,} rows skipped, "
            f"{len(self.changes):,} texts cleaned)"
        )

    def _repr_markdown_(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
        source = f"Read as *{self.kind}*: {counts}."
        guesses = [f"{count:,} images found {guess}." for guess, count in self.guesses.items()]
        return "\n\n".join((repr(self), source, *(f"> {note}" for note in guesses + self.notes)))

    def _check_rows(self) -> None:
        refused = self.outcomes[~self.outcomes["outcome"].isin([TEXT_ITEM, NO_CAPTION])]
        skipped = self.skipped.dropna(subset="row")
        from_rows = ~self.items["origin"].isin([OCR, GENERATED]) & (self.items["modality"] == "text")
        expected = (self.outcomes["outcome"] == TEXT_ITEM).sum()
        pairs = sorted(zip(skipped["row"], skipped["reason"], strict=True))
        if expected != from_rows.sum() or pairs != sorted(
            zip(refused["row"], refused["outcome"], strict=True)
        ):
            raise ValueError(
                f"the counts do not add up: of {self.rows} rows, {expected} should be texts and {len(refused)} "
                f"skipped; found {from_rows.sum()} texts and {len(pairs)} skipped rows"
            )

    def _check_images(self) -> None:
        items = text_keys(self.items["pair_id"])[self.items["modality"] == "image"]
        images, rows = (text_keys(table["source"]) for table in (self.images, self.outcomes))
        expected = images[self.images["outcome"] == IMAGE_ITEM]
        named = np.unique(rows[self.outcomes["source"] != ""])
        if not (_are_same(items, expected) and _are_same(named, images)):
            raise ValueError(
                f"the counts do not add up: the rows name {len(named)} images, {len(self.images)} have an "
                f"outcome and {len(expected)} should be items; found {len(items)} items"
            )


def _are_same(keys: np.ndarray, others: np.ndarray) -> bool:
    """Return whether two columns hold the same texts, each as often, by their `text_keys`."""
    return np.array_equal(np.sort(keys), np.sort(others))


def make_items(
    outcomes: pd.DataFrame, images: pd.DataFrame, added: pd.DataFrame, user_columns: pd.DataFrame
) -> pd.DataFrame:
    """Return the items in the order of the rows, an image before its texts, indexed by row.

    images: as `image_rows` returns them. added: text and origin by content, found for images without text.
    user_columns: the label and the user's columns of each row; an image has those of its first row.
    """
    found = images[["pair_id", "split", "content"]].join(added, on="content", how="inner")
    found = found.drop(columns="content").assign(repetition=0)
    return on_disk(
        _items_of(block, _in_rows(images, block), _in_rows(found, block), user_columns)
        for block in in_blocks(outcomes)
    )


def _in_rows(table: pd.DataFrame, block: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of a table that belong to a block of rows; both are indexed by row, in ascending order."""
    first, last = (block.index[0], block.index[-1]) if len(block) else (0, 0)
    return table.iloc[table.index.searchsorted(first) : table.index.searchsorted(last, "right")]


def _items_of(
    outcomes: pd.DataFrame, images: pd.DataFrame, found: pd.DataFrame, user_columns: pd.DataFrame
) -> pd.DataFrame:
    columns = ["pair_id", "text", "origin", "split", "flags", "repetition"]
    texts = pd.concat([outcomes.loc[outcomes["outcome"] == TEXT_ITEM, columns], found])
    texts["content"] = [hashlib.sha256(text.encode()).hexdigest() for text in texts["text"].tolist()]
    items = pd.concat([images.assign(modality="image", origin="image"), texts.assign(modality="text")])
    items = items.sort_index(kind="stable").reindex(columns=[*ITEM_COLUMNS, "repetition"])
    items = items.astype(dict.fromkeys(("modality", "pair_id", "content"), "str"))
    items["item_id"] = _item_ids(items)
    items = items[list(ITEM_COLUMNS)].drop(columns="label").join(user_columns)
    strings = dict.fromkeys(set(ITEM_COLUMNS) - set(SIZE_DTYPES), "str")
    order = [*ITEM_COLUMNS, *user_columns.columns.drop("label")]
    items = items.replace({"flags": {"": None}})[order]
    return items.astype({**strings, **SIZE_DTYPES})


def _item_ids(items: pd.DataFrame) -> pd.Series:
    # A repeated caption that is kept is an item of its own: the number of the repetition tells them apart.
    repeated, content = items["repetition"].fillna(0).gt(0).to_numpy(), items["content"]
    if repeated.any():
        content = content.copy()
        content[repeated] += "#" + items["repetition"][repeated].astype("int64").astype("str")
    return item_ids(items["modality"], items["pair_id"], content)


def image_rows(outcomes: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return the images that are items, indexed by the first row that names them or a duplicate of them."""
    named = outcomes.loc[outcomes["image_outcome"].isin(MERGED), "pair_id"].drop_duplicates()
    named = named[is_among(named, images.index[images["outcome"] == IMAGE_ITEM])]
    columns = ["file", "content", "width", "height", "split", "flags", "duplicate_of"]
    places = pd.Series(places_among(named, images.index), named.index)
    found = on_disk(
        images[columns].take(block).set_axis(block.index).assign(pair_id=names)
        for block, names in zip(in_blocks(places), in_blocks(named), strict=True)
    )
    return found.rename_axis("row").rename(columns={"file": "image"})


def make_skipped(outcomes: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return every refused row, then every image that was merged into another one while its rows stay."""
    rows = outcomes[~outcomes["outcome"].isin([TEXT_ITEM, NO_CAPTION])].reset_index()
    rows = rows.rename(columns={"name": "source", "outcome": "reason"}).assign(text=rows["caption"])
    merged = images[images["outcome"].isin(MERGED) & (images["outcome"] != IMAGE_ITEM)]
    merged = merged.rename_axis("source").reset_index()
    tables = (rows, merged.rename(columns={"outcome": "reason"}))
    skipped = pd.concat([table.reindex(columns=SKIPPED_COLUMNS).astype(object) for table in tables])
    return skipped.astype(dict.fromkeys(SKIPPED_COLUMNS, "str") | {"row": "Int64"}).reset_index(drop=True)


def make_places(items: pd.DataFrame, outcomes: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return where each item and each refused row stands in the source; `items`: indexed by row."""
    refused = outcomes.index[~outcomes["outcome"].isin([TEXT_ITEM, NO_CAPTION])]
    listed = chain(in_blocks(items[["item_id"]]), in_blocks(pd.DataFrame(index=refused, columns=["item_id"])))
    return on_disk(_places_of(block, rows) for block in listed).reset_index(drop=True)


def _places_of(listed: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    stands = (
        rows[["table", "record", "name"]].take(rows.index.searchsorted(listed.index)).set_axis(listed.index)
    )
    record = stands["record"].where(stands["table"].notna()).astype("Int64")
    file = stands["table"].fillna(stands["name"])
    places = listed.assign(file=file, record=record).astype({"item_id": "str", "file": "str"})
    return places.rename_axis("row").reset_index()


def make_changes(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return row, before, after, steps: the captions that cleaning changed, and the steps that changed them."""
    changed = outcomes[(outcomes["steps"] != "") & (outcomes["caption"].str.strip() != "")].reset_index()
    changed = changed.rename(columns={"caption": "before", "text": "after"})
    return changed[["row", "before", "after", "steps"]]


def make_images(outcomes: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return every image that a row names with its outcome, also those that were not measured."""
    known = images[IMAGE_COLUMNS]
    unseen = outcomes[(outcomes["name"] != "") & ~is_among(outcomes["name"], images.index)]
    unseen = unseen.drop_duplicates("name").set_index("name").reindex(columns=IMAGE_COLUMNS)
    table = pd.concat([known, unseen.astype(known.dtypes)]) if len(unseen) else known
    return table.rename_axis("source").reset_index()
