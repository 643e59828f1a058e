"""What ingest returns, and its books: every row and every image of the source is accounted for."""

from dataclasses import dataclass

import pandas as pd

from mmlab.items import SKIPPED_COLUMNS, check_columns, check_items

TEXT_ITEM = "text item"
NO_CAPTION = "no caption"
IMAGE_ITEM = "image item"
DUPLICATE_IMAGE = "duplicate image"
SHORT_CAPTION = "short caption"
REPEATED_CAPTION = "repeated caption"


@dataclass(frozen=True, repr=False)
class Ingested:
    """The items, what was skipped, what was changed, and how each row of the source ended.

    items: see `mmlab.items.ITEM_COLUMNS`, then the user's own columns.
    skipped: row, source, text, reason, detail. An entry with a `row` is a row of the source that was refused;
        one without is an image file that was left out while its rows live on (a duplicate).
    changes: row, before, after, what: the texts that cleaning changed, and by which steps.
    outcomes: row, source (the image's path, in one spelling), outcome: one line per row of the source. The
        outcome is "text item", "no caption" (the row names an image only), or why the row was skipped.

    Raises ValueError when made if the books do not balance.
    """

    items: pd.DataFrame
    skipped: pd.DataFrame
    changes: pd.DataFrame
    outcomes: pd.DataFrame

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
        images = self._refused_images().value_counts()
        images[IMAGE_ITEM] = (self.items["modality"] == "image").sum()
        order = dict.fromkeys((TEXT_ITEM, NO_CAPTION, IMAGE_ITEM, *rows.index, *images.index, "total"))
        table = pd.DataFrame({"rows": rows, "images": images}).reindex(list(order)).fillna(0).astype(int)
        table.loc["total"] = self.rows, self.outcomes["source"].nunique()
        return table[table.any(axis=1)].rename_axis("outcome").reset_index()

    def __repr__(self) -> str:
        counts = self.items["modality"].value_counts()
        return (
            f"Ingested({counts.get('image', 0):,} images and {counts.get('text', 0):,} texts "
            f"from {self.rows:,} rows; {self.skipped['row'].notna().sum():,} rows skipped, "
            f"{len(self.changes):,} texts cleaned)"
        )

    def _check_rows(self) -> None:
        expected = self.outcomes[~self.outcomes["outcome"].isin([TEXT_ITEM, NO_CAPTION])]
        skipped = self.skipped.dropna(subset="row")
        booked, texts = (
            (self.outcomes["outcome"] == TEXT_ITEM).sum(),
            (self.items["modality"] == "text").sum(),
        )
        pairs = sorted(zip(skipped["row"], skipped["reason"], strict=True))
        if booked != texts or pairs != sorted(zip(expected["row"], expected["outcome"], strict=True)):
            raise ValueError(
                f"the ledger does not balance: of {self.rows} rows {booked} are booked as texts and "
                f"{len(expected)} as skipped; found {texts} texts and {len(pairs)} skipped rows"
            )

    def _check_images(self) -> None:
        kept = self.items.loc[self.items["modality"] == "image", "pair_id"]
        refused = self._refused_images().index
        named = self.outcomes["source"].unique()
        if sorted([*kept, *refused]) != sorted(named):
            raise ValueError(
                f"the ledger does not balance: the source names {len(named)} images; "
                f"found {len(kept)} items and {len(refused)} refused"
            )

    def _refused_images(self) -> pd.Series:
        """The reason of each image that is no item, indexed by its source."""
        reasons = self.skipped[~self.skipped["reason"].isin([SHORT_CAPTION, REPEATED_CAPTION])]
        return reasons.drop_duplicates("source").set_index("source")["reason"]
