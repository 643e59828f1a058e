"""What 01_ingest shows: a first look at the dataset, then what became of each row, was cleaned and marked."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mmlab.ingest import IngestResult, Inspection, OwnQueries, Rules
from mmlab.items import is_among, write_items, write_table
from mmlab.items.sentences import count_words
from mmlab.items.tables import NEGATIVE, places_among, rows_where
from mmlab.items.vector_files import count_different
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import Html, bars, figure, gallery, histogram, waterfall
from mmlab.workbench.result import Report, Result, no_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_SHOWN = ["item_id", "content", "image"]  # columns of items that say nothing to a reader
PAIRS_SHOWN = 7
TEXTS_COUNTED = 10_000  # whose words are counted
ADDED_TEXTS = ("ocr", "generated")


@dataclass(frozen=True, repr=False)
class InspectionReport(Report):
    """A first look at a dataset: what would be joined, what refused, and which files were passed over.

    Made by `Run.inspect`; `Run.ingest` takes it.

    Attributes:
        inspection: what was read and found; see `mmlab.ingest.Inspection`.

    Example:
        >>> looked = run.inspect(run.dataset)
        >>> looked.table["what"].tolist()[:2]
        ['images', 'texts']
        >>> looked.inspection.advice
        ''
    """

    inspection: Inspection

    def _overview(self) -> Result:
        """Show some pairs as they would be joined, what would be refused, and the notes."""
        looked = self.inspection
        pairs = looked.pairs.head(PAIRS_SHOWN)
        files = looked.found.loc[pairs.index, "file"]
        notes = "".join(f"\n\n> {note}" for note in looked.notes)
        cards = gallery(files, pairs["text"]) if len(pairs) else None
        refused = looked.refused
        shown = refused if len(refused) else no_table()
        return Result(
            looked.table, f"{looked.sentence}{notes}", html=cards, shown=shown, caption="Would be refused"
        )


@dataclass(frozen=True, repr=False)
class IngestReport(Report):
    """The result of an ingest: where every row went, what was cleaned, refused and marked.

    Made by `Run.ingest`.

    Attributes:
        result: the items, the skipped rows, the changed texts and the outcome of every row.
        rules: what was cleaned, refused and kept.
        own: queries of the user's own with their judgements; None where none were given.

    Example:
        >>> report = run.ingest(run.dataset)
        >>> report.checks["no image occurs twice"]
        True
    """

    result: IngestResult
    rules: Rules
    own: OwnQueries | None = None

    def _overview(self) -> Result:
        """Show how the source was read, what was worked on, and what could not be done."""
        worked = ", ".join(f"{count:,} {what}" for what, count in self.result.counts.items())
        guesses = [f"{count:,} images were found {guess}." for guess, count in self.result.guesses.items()]
        notes = "".join(f"\n\n> {note}" for note in [*guesses, *self.result.notes, *self._limits])
        return Result(
            self.result.balance(),
            f"{self._kept} Read as *{self.result.kind}*: {worked}.{notes}",
            shown=no_table(),
        )

    @property
    def items(self) -> pd.DataFrame:
        """The items: a row for each image and each text."""
        return self.result.items

    @cached_property
    def images(self) -> pd.DataFrame:
        """The items that are images."""
        return rows_where(self.items, self.items["modality"] == "image")

    @cached_property
    def texts(self) -> pd.DataFrame:
        """The items that are texts."""
        return rows_where(self.items, self.items["modality"] == "text")

    @property
    def sentence(self) -> str:
        """What came of the dataset, in two sentences, and of queries of one's own."""
        return " ".join([
            f"{self._kept} {len(self.result.changes):,} texts were cleaned, {len(self.result.skipped):,} entries were "
            "refused, each with its reason.",
            *self._limits,
            *([self.own.sentence] if self.own else []),
        ])  # fmt: skip

    @property
    def _limits(self) -> list[str]:
        """What such items cannot serve for: one kind of them alone, or one text for all images."""
        found = []
        if self.texts.empty and len(self.images):
            found.append(
                "There are no texts: the images can be searched and mapped, and 05_evaluate says how to judge."
            )
        if self.images.empty and len(self.texts):
            found.append("There are no images: texts can be searched by texts alone.")
        text, pair = (self.texts[name] for name in ("text", "pair_id"))
        if len(text) and (text == text.iloc[0]).all() and (pair != pair.iloc[0]).any():
            found.append(f"All {len(self.texts):,} texts are the same, so they tell no image from another.")
        return found

    @property
    def _kept(self) -> str:
        counts = f"**{len(self.images):,} images** and **{len(self.texts):,} texts**"
        return f"{counts} are kept, from {self.result.rows:,} rows."

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the items, by claim, unless the rules allow otherwise."""
        named = self.texts["pair_id"][self.texts["origin"] != NEGATIVE]  # one made to be wrong has no image
        all_named = bool(is_among(named, self.images["pair_id"]).all())
        contents = self.images["content"]
        return {
            "every text belongs to an image": all_named or "no image named" in self.rules.keep,
            "no image occurs twice": count_different(contents) == len(contents)
            or "duplicate image" in self.rules.keep,
        }

    def sample(self, count: int = 6, seed: int = 0) -> Result:
        """Show `count` items, drawn at random by `seed`, as the other notebooks read them.

        Example:
            >>> len(report.sample(count=3).table)
            3
        """
        drawn = self.items.sample(min(count, len(self.items)), random_state=seed)
        shown = drawn.drop(columns=NOT_SHOWN).dropna(axis="columns", how="all")
        return Result(drawn, "", shown=shown, caption="Some items, as the other notebooks read them")

    def outcomes(self) -> Result:
        """Show where every row and every image of the source went; the table adds up to all of them.

        Example:
            >>> outcomes = report.outcomes().table
        """
        reasons = self.result.skipped.dropna(subset=["row"])["reason"].value_counts()
        rows, kept = self.result.rows, self.result.rows - int(reasons.sum())

        def draw() -> "Figure":
            fig, (ax,) = figure(height=1.2 + 0.3 * (len(reasons) + 2))
            waterfall(ax, ["rows", *reasons.index], [rows, *(-reasons)], "rows", "From rows to what is kept")
            return fig

        sentence = f"Of {rows:,} rows {kept:,} are kept ({kept / max(rows, 1):.1%})."
        caption = "Every row and every image of the source has one outcome"
        return Result(self.result.balance(), sentence, draw, caption=caption)

    def changes(self, count: int = 8, seed: int = 0) -> Result:
        """Show `count` of the texts that were cleaned, drawn by `seed`, before and after.

        Example:
            >>> changed = report.changes(count=3).table
        """
        changes = self.result.changes
        steps = changes["steps"].str.split(", ").explode().value_counts()
        listed = ", ".join(f"{step} in {number:,}" for step, number in steps.items()) or "nothing to repair"
        shown = changes.sample(min(count, len(changes)), random_state=seed).sort_values("row")
        sentence = f"{len(changes):,} of {self.result.rows:,} texts were changed ({listed})."
        return Result(changes, sentence, shown=shown, caption="Some of the changed texts")

    def findings(self) -> Result:
        """Show how many entries were refused and how many items are marked, by reason.

        Example:
            >>> report.findings().table.columns.tolist()
            ['finding', 'refused', 'marked']
        """
        refused, marked = self.result.skipped["reason"].value_counts(), self.result.flag_counts()

        def draw() -> "Figure":
            fig, axs = figure(2, height=1.2 + 0.3 * max(len(refused), len(marked), 2))
            bars(axs[0], refused.index, refused.to_numpy(), "skipped entries", "Refused")
            bars(axs[1], marked.index, marked.to_numpy(), "items", "Kept and marked")
            return fig

        often = f", most often for *{refused.index[0]}* ({refused.iloc[0]:,})" if len(refused) else ""
        flagged = int(self.items["flags"].notna().sum())
        sentence = (
            f"{len(self.result.skipped):,} entries were refused{often}; {flagged:,} items carry a mark."
        )
        counts = [refused.rename("refused"), marked.rename("marked")]
        table = pd.concat(counts, axis="columns").rename_axis("finding").reset_index()
        return Result(table, sentence, draw, shown=no_table())

    def refused(self, each: int = 2, seed: int = 0) -> Result:
        """Show up to `each` refused entries of every reason, drawn by `seed`, with their images.

        Example:
            >>> refused = report.refused(each=1).table
        """
        examples = self.result.examples(each, seed)
        return Result(examples, "", html=gallery(examples["file"], examples["caption"]), shown=no_table())

    def duplicates(self, count: int = 6) -> Result:
        """Show the first `count` images that repeat another, each beside the one that it repeats.

        Example:
            >>> report.duplicates().table.columns.tolist()
            ['pair_id', 'duplicate_of']
        """
        repeats = self.images.dropna(subset="duplicate_of").head(count)
        pairs = repeats[["pair_id", "duplicate_of"]]
        named = self.images[is_among(self.images["pair_id"], pairs.to_numpy().ravel())]
        files = named.set_index("pair_id")["image"].reindex(pairs.to_numpy().ravel())
        captions = [text for repeat, first in pairs.to_numpy() for text in (f"{repeat} repeats", first)]
        sentence = f"{self.images['duplicate_of'].notna().sum():,} images repeat another, exactly or nearly."
        return Result(pairs, sentence, html=gallery(files, captions), shown=no_table())

    def pairs(self, count: int = 14, seed: int = 0) -> Result:
        """Show `count` images with their first text, those whose text was read or written by a model first.

        Example:
            >>> len(report.pairs(count=5).table)
            5
        """
        added = self.texts["pair_id"][self.texts["origin"].isin(ADDED_TEXTS)]
        leading = np.flatnonzero(is_among(self.images["pair_id"], added))[:4]
        others = pd.Series(np.delete(np.arange(len(self.images)), leading))
        drawn = others.sample(min(count - len(leading), len(others)), random_state=seed)
        shown = self.images.take([*leading, *drawn])
        texts = self.texts[is_among(self.texts["pair_id"], shown["pair_id"])].drop_duplicates("pair_id")
        whose = (" (" + texts["origin"] + ")").where(texts["origin"].isin(ADDED_TEXTS), "")
        captions = (texts["text"] + whose).set_axis(texts["pair_id"])
        cards = gallery(shown["image"], shown["pair_id"].map(captions).astype(object).fillna("(no text)"))
        return Result(shown[["pair_id", "image"]], "", html=cards, shown=no_table())

    def queries(self) -> Result:
        """Show what came in of queries of one's own and their judgements, and what was refused, by reason.

        Example:
            >>> report.queries().sentence
            'No queries of your own were given: the captions are the queries.'
        """
        if self.own is None:
            sentence = "No queries of your own were given: the captions are the queries."
            return Result(no_table(), sentence)
        notes = "".join(f"\n\n> {note}" for note in self.own.notes)
        listed = f" Each is listed in {run_files.QUERY_FINDINGS}." if len(self.own.findings) else ""
        return Result(
            self.own.balance(), f"{self.own.sentence}{listed}{notes}", caption="Own queries and judgements"
        )

    def sizes(self) -> Result:
        """Show how long the texts are, how many an image has, and how large the images are.

        Example:
            >>> report.sizes().table.columns.tolist()
            ['index', 'words']
        """
        counted = self.texts["text"].sample(min(TEXTS_COUNTED, len(self.texts)), random_state=0)
        words = counted.map(count_words).astype(int)
        places = places_among(self.texts["pair_id"], self.images["pair_id"])
        per_image = pd.Series(np.bincount(places[places >= 0], minlength=len(self.images)))
        shorter = np.minimum(self.images["width"], self.images["height"]).dropna()

        def draw() -> "Figure":
            fig, axs = figure(3, width=10)
            histogram(axs[0], words, "words in a text", "Length of texts")
            histogram(axs[1], per_image, "texts of an image", "Texts per image")
            histogram(axs[2], shorter, "pixels of the shorter side", "Size of images")
            return fig

        origins = self.texts["origin"].value_counts().drop("caption", errors="ignore").items()
        added = "".join(f", {number:,} texts are of origin *{origin}*" for origin, number in origins)
        median = words.median() if len(words) else 0
        whose = f"{len(words):,} texts" + (", drawn at random," if len(words) < len(self.texts) else "")
        sentence = (
            f"Half of the {whose} have {median:.0f} words or more{added}; "
            f"{(per_image == 0).sum():,} images have no text."
        )
        return Result(words.describe().rename("words").reset_index(), sentence, draw, shown=no_table())

    def write(self, step: Step) -> Html:
        """Write items.parquet, skipped.parquet, changes.parquet and places.parquet, and show what the step has written.

        Queries of one's own go to queries.parquet, qrels.parquet and query_findings.parquet; without any, those of an
        earlier ingest are removed.
        Where the dataset has ready vectors, ready_vectors.json says where 02_embed finds them.

        Example:
            >>> files = report.write(step)
        """
        write_items(self.items, step.write(run_files.ITEMS))
        write_table(self.result.skipped, step.write(run_files.SKIPPED))
        write_table(self.result.changes, step.write(run_files.CHANGES))
        write_table(self.result.places, step.write(run_files.PLACES))
        self._write_queries(step)
        if self.result.vectors:
            step.write(run_files.READY_VECTORS).write_text(
                json.dumps(self.result.vectors.to_dict(), indent=1)
            )
        return step.outputs()

    def _write_queries(self, step: Step) -> None:
        files = (run_files.QUERIES, run_files.QRELS, run_files.QUERY_FINDINGS)
        if self.own is None:
            for file in files:
                (step.folder / file).unlink(missing_ok=True)
            return
        for table, file in zip((self.own.queries, self.own.qrels, self.own.findings), files, strict=True):
            write_table(table, step.write(file))
