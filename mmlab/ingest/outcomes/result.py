"""What ingest returns, and its books: every row and every image of the source is accounted for."""

from dataclasses import dataclass, field

import pandas as pd

from mmlab.ingest.images.resolve import IMAGE_ITEM
from mmlab.ingest.missing_texts.adding import ADDED
from mmlab.ingest.outcomes.row_outcomes import NO_CAPTION, TEXT_ITEM
from mmlab.items import SKIPPED_COLUMNS, check_columns, check_items


@dataclass(frozen=True, repr=False)
class Ingested:
    """The items, what was skipped, what was changed, and how each row and image of the source ended.

    items: see `mmlab.items.ITEM_COLUMNS`, then the user's own columns.
    skipped: row, source, text, reason, detail. An entry with a `row` is a row of the source that was refused;
        one without is an image file that was left out while its rows live on (a duplicate).
    changes: row, before, after, what: the texts that cleaning changed, and by which steps.
    outcomes: row, source (the image's name, in one spelling), outcome: one line per row of the source. The
        outcome is "text item", "no caption" (the row names an image only), or why the row was skipped.
    images: source, file, outcome, detail, width, height, flags and duplicate_of: one line per image that
        the rows name, "image item" or why it is none.
    kind: how the source was read, such as "csv".
    worked: what was done now and what was known from before: how many of each.
    notes: what could not be done, and what to do about it.

    Raises ValueError when made if the books do not balance.
    """

    items: pd.DataFrame
    skipped: pd.DataFrame
    changes: pd.DataFrame
    outcomes: pd.DataFrame
    images: pd.DataFrame
    kind: str = ""
    worked: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_items(self.items)
        check_columns(self.skipped, SKIPPED_COLUMNS, "skipped")
        self._check_rows()
        self._check_images()

    @property
    def rows(self) -> int:
        """How many rows the source has."""
        return len(self.outcomes)

    def ledger(self) -> pd.DataFrame:
        """outcome, rows, images: where each row and image of the source went; the last line is the total."""
        rows = self.outcomes["outcome"].value_counts()
        images = self.images["outcome"].value_counts()
        order = dict.fromkeys((TEXT_ITEM, NO_CAPTION, IMAGE_ITEM, *rows.index, *images.index))
        table = pd.DataFrame({"rows": rows, "images": images}).reindex(list(order)).fillna(0).astype(int)
        table.loc["total"] = self.rows, len(self.images)
        return table[table.any(axis=1)].rename_axis("outcome").reset_index()

    def marked(self) -> pd.Series:
        """How many items carry each flag, the most frequent first."""
        return self.items["flags"].dropna().str.split(", ").explode().value_counts()

    def examples(self, each: int = 2, seed: int = 0) -> pd.DataFrame:
        """Up to `each` skipped entries per reason: file (where the image can be shown) and what there is to say."""
        shuffled = self.skipped.sample(frac=1, random_state=seed)
        chosen = shuffled.groupby("reason").head(each).sort_values("reason", kind="stable")
        files = self.images.drop_duplicates("source").set_index("source")["file"]
        told = chosen["text"].where(chosen["text"].fillna("") != "", chosen["source"]).fillna("")
        detail = (" (" + chosen["detail"] + ")").fillna("")
        return chosen.assign(file=chosen["source"].map(files), says=chosen["reason"] + ": " + told + detail)

    def __repr__(self) -> str:
        counts = self.items["modality"].value_counts()
        return (
            f"Ingested({counts.get('image', 0):,} images and {counts.get('text', 0):,} texts "
            f"from {self.rows:,} rows; {self.skipped['row'].notna().sum():,} rows skipped, "
            f"{len(self.changes):,} texts cleaned)"
        )

    def _repr_markdown_(self) -> str:
        worked = ", ".join(f"{count:,} {what}" for what, count in self.worked.items())
        return "\n\n".join(
            (repr(self), f"Read as *{self.kind}*: {worked}.", *(f"> {note}" for note in self.notes))
        )

    def _check_rows(self) -> None:
        expected = self.outcomes[~self.outcomes["outcome"].isin([TEXT_ITEM, NO_CAPTION])]
        skipped = self.skipped.dropna(subset="row")
        said = ~self.items["origin"].isin(ADDED) & (self.items["modality"] == "text")
        booked = (self.outcomes["outcome"] == TEXT_ITEM).sum()
        pairs = sorted(zip(skipped["row"], skipped["reason"], strict=True))
        if booked != said.sum() or pairs != sorted(zip(expected["row"], expected["outcome"], strict=True)):
            raise ValueError(
                f"the ledger does not balance: of {self.rows} rows {booked} are booked as texts and "
                f"{len(expected)} as skipped; found {said.sum()} texts and {len(pairs)} skipped rows"
            )

    def _check_images(self) -> None:
        kept = self.items.loc[self.items["modality"] == "image", "pair_id"]
        booked = self.images.loc[self.images["outcome"] == IMAGE_ITEM, "source"]
        named = self.outcomes["source"][self.outcomes["source"] != ""].unique()
        if sorted(kept) != sorted(booked) or sorted(named) != sorted(self.images["source"]):
            raise ValueError(
                f"the ledger does not balance: the source names {len(named)} images, {len(self.images)} are "
                f"booked and {len(booked)} of them as items; found {len(kept)} items"
            )
