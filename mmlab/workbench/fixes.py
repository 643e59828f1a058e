"""The repair list: what is wrong in a dataset, where it stands there and what to do, for whoever owns the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import pandas as pd

from mmlab.evaluate import read_labels
from mmlab.items import DIRECTIONS, is_among
from mmlab.runs.record import run_files
from mmlab.workbench.result import Result
from mmlab.workbench.run_data import RunData

COLUMNS = ["file", "row", "finding", "suggestion", "image", "text", "missed_queries"]
WRONG_PAIR, TWO_FIT = "suspected wrong pair", "another image fits as well"
JUDGED_WRONG, JUDGED_RIGHT = "judged not relevant by hand", "judged relevant by hand"
OCR_TEXT, WRITTEN_TEXT, CLEANED = "text read in the image", "text written by a model", "text cleaned"
ROWS_SHOWN = 10
MAX_WORDS_CHARS = 120  # of another text, in a suggestion
ADVICE = {  # by what ingest found, in the order of what it costs
    "split leak": "put it into the split of the image that it repeats or belongs to",
    "malformed row": "write one value for each column; quote texts that hold the delimiter",
    "missing file": "add the image file, or correct its name",
    "damaged file": "save the image again from its original",
    "unreadable file": "let the image be read by who runs this",
    "ambiguous name": "name the image with its folder",
    "path leaves the dataset": "put the image into the folder of the dataset",
    "no image named": "name the image that the text belongs to",
    "unlisted image": "add a row with its text, or remove the image",
    "no caption": "write a text for the image",
    "vague caption": "write what is seen in this image alone",
    "short text": "write what the image shows in a whole phrase",
    "repeated caption": "write another text, or remove the row",
    "blank": "replace the image: it shows nothing",
    "tiny": "replace the image by a larger one",
    "blurred": "replace the image by a sharp one",
    "dark": "replace the image by a brighter one",
    "extreme aspect": "crop the image",
    "near duplicate": "keep one of both images",
    "duplicate image": "remove the copy; its texts are kept with the first",
}
OTHER_ADVICE = "correct the entry, or remove it"
TEXT_ADVICE = {
    "ocr": (OCR_TEXT, "write a text for the image: print that is read in it seldom describes it"),
    "generated": (WRITTEN_TEXT, "read the text, and write one by hand where it is wrong"),
}


def list_fixes(fixes: "FixList") -> Result:
    """Return what to repair in the dataset of a run, a row each, the costliest first, and say what it is."""
    table = fixes.table
    if table.empty:
        return Result(table, "Nothing was found that is to be repaired in the dataset.")
    counts = table["finding"].str.partition(" (")[0].value_counts().items()
    listed = ", ".join(f"{finding} {count:,}" for finding, count in counts)
    costly = int((table["missed_queries"] > 0).sum())
    sentence = (
        f"{len(table):,} entries of the dataset are worth a look, the costliest first ({listed}); {costly:,} of them "
        "may explain queries that were missed. `row` counts the entries of `file` from 1, below the header."
    )
    shown = table.head(ROWS_SHOWN).astype(object).where(table.notna(), "")
    caption = f"The first {len(shown)} of {len(table):,} entries to repair"
    return Result(table, sentence, shown=shown, caption=caption)


@dataclass(frozen=True, repr=False)
class FixList:
    """What is to be repaired, kind by kind: item_id or row, image, text, finding, suggestion.

    Attributes:
        wrong: `suspected_wrong_pairs`. above: `suspected_false_negatives`. missed: the query_ids that were missed.
    """

    data: RunData
    wrong: pd.DataFrame
    above: pd.DataFrame
    missed: frozenset[str]

    @classmethod
    def of_run(cls, data: RunData) -> Self:
        """Make the list from the files of a run; what 05_evaluate finds is left out where it has not run."""
        names = ("wrong_pairs", "false_negatives")
        wrong, above = (data.saved_table(f"{run_files.SUSPECTS}/{name}.parquet") for name in names)
        return cls(data, wrong, above, missed_queries(_read_losses(data)))

    @property
    def table(self) -> pd.DataFrame:
        """What whoever owns the data reads of the rows: `COLUMNS`."""
        return self.rows[COLUMNS]

    @cached_property
    def rows(self) -> pd.DataFrame:
        """All kinds, located in the dataset: item_id and `COLUMNS`, sorted by missed queries, then by kind."""
        kinds = (
            self._wrong_pairs(),
            self._judged(),
            self._two_fit(),
            self._added_texts(),
            self._flagged(),
            self._refused(),
            self._cleaned(),
        )
        rows = pd.DataFrame([row for kind in kinds for row in kind], columns=["item_id", "place", *COLUMNS])
        rows = self._named(rows.astype({"item_id": object, "image": object, "text": object}))
        rows = self._located(rows.assign(missed_queries=self._count_missed(rows["item_id"])))
        order = rows["missed_queries"].sort_values(ascending=False, kind="stable").index
        return rows.loc[order].reset_index(drop=True)

    @property
    def by_item(self) -> pd.DataFrame:
        """The first finding of each item, an image having those of its texts too: item_id, finding, place from 0."""
        pair = self._items["pair_id"]
        rows = self.rows.dropna(subset="item_id").assign(place=range(len(self.rows.dropna(subset="item_id"))))
        own = rows[["item_id", "finding", "place"]]
        images = pair[self._items["modality"] == "image"].rename("pair").reset_index()
        shared = own.assign(pair=own["item_id"].map(pair)).drop(columns="item_id").merge(images, on="pair")
        found = pd.concat([own, shared[own.columns]]).sort_values("place", kind="stable")
        return found.drop_duplicates("item_id", ignore_index=True)

    @cached_property
    def _items(self) -> pd.DataFrame:
        return self.data.items.set_index("item_id")

    def _row(self, item_id: str, finding: str, suggestion: str) -> dict[str, Any]:
        return {"item_id": item_id, "finding": finding, "suggestion": suggestion}

    def _named(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill in image and text of the rows that are about an item."""
        known = self._items[["pair_id", "text"]].reindex(rows["item_id"].dropna().unique())
        return rows.assign(
            image=rows["image"].fillna(rows["item_id"].map(known["pair_id"])),
            text=rows["text"].fillna(rows["item_id"].map(known["text"])),
        )

    @cached_property
    def _suspected(self) -> pd.DataFrame:
        return self.wrong[self.wrong["suspected"]] if len(self.wrong) else pd.DataFrame(columns=["text_id"])

    def _wrong_pairs(self) -> list[dict[str, Any]]:
        """List texts that do not fit their image, with the image that fits better; those of one image together."""
        pair, origin = self._items["pair_id"], self._items["origin"]
        fits = {(pair[row.text_id], pair[row.other_id]) for row in self._suspected.itertuples()}
        rows: dict[frozenset[str], list[dict[str, Any]]] = {}
        for row in self._suspected.itertuples():
            own, other = pair[row.text_id], pair[row.other_id]
            better = f"{other} (cosine {row.other_cosine:.2f}; with its own image {row.cosine:.2f})"
            suggestion, both = f"move the text to {better}, or write another", (other, own) in fits
            if both:
                suggestion = f"exchange the texts of {own} and {other}: each fits the other's image"
            if origin[row.text_id] in TEXT_ADVICE:
                suggestion = TEXT_ADVICE[origin[row.text_id]][1]
            together = rows.setdefault(frozenset((own, other) if both else (own,)), [])
            together.append(self._row(row.text_id, WRONG_PAIR, suggestion))
        return [row for some in rows.values() for row in some]

    def _judged(self) -> list[dict[str, Any]]:
        """List what a person judged otherwise than the pairs of the dataset have it."""
        labels = read_labels(self.data.folder / run_files.LABELS)
        last = labels.drop_duplicates(["query_id", "item_id"], keep="last")
        ids = self._items.index
        known = last[is_among(last["query_id"], ids) & is_among(last["item_id"], ids)]
        rows = []
        for label in known.itertuples():
            both = (label.query_id, label.item_id)
            text, image = sorted(both, key=lambda one: self._items.at[one, "modality"] == "image")
            other = self._items.at[image, "pair_id"]
            same = self._items.at[text, "pair_id"] == other
            if same and not label.relevance:
                advice = f"write a text that fits {other}, or move this one"
                rows.append(self._row(text, JUDGED_WRONG, advice))
            elif label.relevance and not same:
                rows.append(self._row(text, JUDGED_RIGHT, f"it describes {other} as well: join both pairs"))
        return rows

    def _two_fit(self) -> list[dict[str, Any]]:
        rows = []
        for row in self.above.itertuples():
            words = f"{self._items.at[row.item_id, 'pair_id']} (“{row.item_text[:MAX_WORDS_CHARS]}”)"
            rows.append(
                self._row(row.query_id, TWO_FIT, f"write what tells it from {words}, or join both pairs")
            )
        return rows

    def _added_texts(self) -> list[dict[str, Any]]:
        listed = is_among(self._items.index, self._suspected["text_id"])
        added = self._items[self._items["origin"].isin(TEXT_ADVICE) & ~listed]
        return [self._row(item, *TEXT_ADVICE[origin]) for item, origin in added["origin"].items()]

    def _flagged(self) -> list[dict[str, Any]]:
        """List what ingest marked and kept."""
        marked = self._items.loc[self._items["flags"].notna(), ["flags", "duplicate_of"]]
        found = [
            self._row(item, flag, _advice(flag, repeated))
            for item, flags, repeated in marked.itertuples(name=None)
            for flag in flags.split(", ")
        ]
        return sorted(found, key=lambda row: _severity(row["finding"]))

    def _refused(self) -> list[dict[str, Any]]:
        """List what ingest left out: rows, and files that repeat another."""
        skipped = self.data.saved_table(run_files.SKIPPED)
        rows = [
            {
                "place": row["row"],
                "file": row["source"],
                "image": row["source"],
                "text": row["text"],
                "finding": row["reason"],
                "suggestion": _advice(row["reason"], row["detail"]),
            }
            for row in skipped.to_dict("records")
        ]
        return sorted(rows, key=lambda row: _severity(row["finding"]))

    def _cleaned(self) -> list[dict[str, Any]]:
        changes = self.data.saved_table(run_files.CHANGES)
        return [
            {
                "place": row["row"],
                "text": row["before"],
                "finding": f"{CLEANED} ({row['steps']})",
                "suggestion": f"write: {row['after']}",
            }
            for row in changes.to_dict("records")
        ]

    def _count_missed(self, ids: pd.Series) -> pd.Series:
        """Return how many missed queries each item may explain.

        For a text: itself and the image of its pair; for an image: itself and all texts of its pair.
        """
        known = self._items
        lost = pd.Series(is_among(known.index, self.missed), known.index).astype(int)
        is_image = known["modality"] == "image"
        of_pair, of_images = (part.groupby(known["pair_id"]).sum() for part in (lost, lost[is_image]))
        texts = lost + known["pair_id"].map(of_images).fillna(0)
        counts = known["pair_id"].map(of_pair).where(is_image, texts)
        return ids.map(counts).fillna(0).astype(int)

    def _located(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill in file, row and image: by the places that 01_ingest wrote, else by the name of the image."""
        places = self.data.saved_table(run_files.PLACES)
        places = places.reindex(columns=["row", "item_id", "file", "record"]).astype(object)
        items = places.dropna(subset="item_id").drop_duplicates("item_id").set_index("item_id")
        lines = places.drop_duplicates("row").set_index("row")
        found = {
            name: rows["item_id"].map(items[name]).astype(object).fillna(rows["place"].map(lines[name]))
            for name in ("file", "record")
        }
        of_row = items.reset_index().drop_duplicates("row").set_index("row")["item_id"]
        image = (
            rows["image"]
            .astype("str")
            .fillna(rows["place"].map(of_row).map(self._items["pair_id"]).astype("str"))
        )
        file = found["file"].fillna(rows["file"]).fillna(image)
        return rows.assign(file=file, row=found["record"].astype("Int64"), image=image)


def missed_queries(explained: Mapping[str, pd.DataFrame]) -> frozenset[str]:
    """Return the query_ids that no right answer was found for; `explained`: by direction, see `explain_queries`."""
    return frozenset(
        query for table in explained.values() for query in table.loc[table["failed"].notna(), "query_id"]
    )


def _read_losses(data: RunData) -> dict[str, pd.DataFrame]:
    """Return what 05_evaluate wrote about every query, by direction; nothing where it has not run."""
    tables = {name: data.saved_table(f"{run_files.LOSSES}/{name}.parquet") for name in DIRECTIONS}
    return {name: table for name, table in tables.items() if len(table)}


def _advice(finding: str, detail: Any) -> str:
    """Return what to do, with what is known about it."""
    advice = ADVICE.get(finding, OTHER_ADVICE)
    return f"{advice} ({detail})" if isinstance(detail, str) and detail else advice


def _severity(finding: str) -> int:
    return list(ADVICE).index(finding) if finding in ADVICE else len(ADVICE)
