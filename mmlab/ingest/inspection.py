"""A first look at a dataset: what would be read and joined, what refused, and what to do. No image is opened."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from mmlab.ingest.dataset_files import group_links
from mmlab.ingest.rules import UNLISTED, UNPAIRED, Rules
from mmlab.ingest.sources.column_names import NEGATIVE
from mmlab.ingest.sources.formats import Source

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
        """Whether the image of each row is at hand, or has an address to fetch it from."""
        on_the_web = self.found["name"].str.match("(?i)https?://") & self.found["reason"].isna()
        return self.found["name"].ne("") & (self.found["file"].notna() | on_the_web)

    @cached_property
    def with_text(self) -> pd.Series:
        """Whether each row gives a text to an image that is at hand."""
        return (
            self.usable & self.source.rows["caption"].str.strip().ne("") & self.source.rows["problem"].isna()
        )

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
        names = self.found.loc[self.usable, "name"].groupby(self.source.rows["split"], sort=False)
        return {str(split): int(count) for split, count in names.nunique().items()}

    @property
    def addresses(self) -> list[str]:
        """The images that would have to be fetched from the web."""
        return self.found.loc[self.usable & self.found["file"].isna(), "name"].unique().tolist()

    @property
    def guesses(self) -> dict[str, int]:
        """The number of images that do not lie where their name says, by how they were found."""
        images = self.found[self.usable].drop_duplicates("name")
        return {str(guess): int(count) for guess, count in images["guess"].value_counts().items()}

    @property
    def refused(self) -> pd.DataFrame:
        """Return reason, count, example and detail: what would be refused by these rules, the most frequent first."""
        rows = self.source.rows
        reasons = rows["problem"].fillna(self.found["reason"])
        reasons = reasons.mask((rows["origin"] == NEGATIVE) & (reasons == UNPAIRED))
        if UNPAIRED not in self.rules.refused:
            reasons = reasons.mask(reasons == UNPAIRED)
        table = pd.DataFrame({
            "reason": reasons,
            "example": rows["image"].where(rows["image"] != "", rows["caption"]),
            "detail": rows["detail"].fillna(self.found["detail"]),
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
        """Return all of it as plain values: source, images, texts, splits, skipped, unread, pairs, guesses, notes."""
        refused = self.refused.astype(object)
        return {
            "source": self.source.kind,
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
