"""What 02_embed shows: the vectors of each model, their spaces and norms, and how pairs stand apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from mmlab.embed import Embedded, embed_with_models
from mmlab.embed.embedding import QUERY
from mmlab.embed.given_vectors import agree, compare_with_model, find_space, take_vectors, without_model
from mmlab.embed.models.interface import SUGGESTIONS
from mmlab.embed.multi_model import describe_rows, describe_spaces, describe_work, embed_own_queries
from mmlab.evaluate.measures.geometry import compare_spaces, matched_cosines
from mmlab.evaluate.summaries import escape_markdown, summarize_space_comparison
from mmlab.ingest.sources.ready_vectors import ReadyVectors
from mmlab.items import Space, Vectors, is_among, write_table
from mmlab.items import data as data_folder
from mmlab.items.parameter_table import check_values
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.items.rankings import opposite_modality
from mmlab.items.sentences import count
from mmlab.items.tables import in_blocks, is_first
from mmlab.items.vectors import DENSE, LATE, SPARSE, main_vectors
from mmlab.runs import Step
from mmlab.runs.record import run_files
from mmlab.visualize import Html
from mmlab.visualize.curves import pair_histograms
from mmlab.workbench.result import Report, Result
from mmlab.workbench.run_data import RunData, check_images, own_query_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORDS = {SPARSE: "weighted terms", LATE: "a vector for each token"}
WITHOUT_MODEL = (
    "So the run works with vectors only: items of the collection ask, and new texts and images cannot."
)
PAIRS_COMPARED = 10_000  # of each space, whose vectors are read into memory
MAX_NOTE = 2000  # characters


@dataclass(frozen=True, repr=False)
class EmbedReport(Report):
    """The vectors of one or several models: what was done, their spaces, their norms, and how pairs stand apart.

    Norms and pairs are those of dense spaces, with one row for each item; at least one model makes such.

    Made by `Run.embed`.

    Attributes:
        results: for each model its vectors, the items that failed and what was done.
        items: the items that were embedded.
        note: what was found of the space of ready vectors; mostly empty.

    Example:
        >>> report = run.embed(["demo"])
        >>> report.main.space.model
        'demo'
    """

    results: Sequence[Embedded]
    items: pd.DataFrame
    note: str = ""

    @classmethod
    def of(cls, data: RunData, models: Sequence[str], settings: dict[str, Any]) -> Self:
        """Embed the run's items, or take the vectors that came with them; those of a `space`, if it is given.

        Raises ValueError where there are none, no image gets a vector or no model is dense, FileNotFoundError where no
        image is there.
        """
        if data.items.empty:
            raise ValueError(
                f"{data.name}: there are no items to embed; 01_ingest shows where every row went. Texts without images "
                "are kept with -p 'keep=[\"no image named\"]'"
            )
        checked = ("prompts", "precision", "batch_size", "pool_tokens", "truncate_dim", "engine")
        check_values(**{name: settings.get(name) for name in checked})
        space = settings.pop("space", "")
        if data.ready:
            return cls._of_ready(data, data.ready, space)
        if space:
            raise ValueError(
                f"space: {space!r} names the model of ready vectors, and the dataset has none: give it as one of models"
            )
        check_images(data.items)
        cache = data_folder() / "cache" / "vectors.sqlite"
        own = data.own_query_table if data.has_own_queries else None
        found = embed_with_models(data.items, models, cache=cache, own_queries=own, **settings)
        report = cls(found, data.items)
        report._check_images_embedded()
        report._check_dense()
        return report

    @classmethod
    def _of_ready(cls, data: RunData, ready: ReadyVectors, name: str) -> Self:
        """Take the vectors of the items from their shards; the model that made them is only compared with them."""
        given = find_space(name, ready.first.dimension, ready.space)
        items = data.placed_items
        path = _vectors_file(data, given.space)
        taken = take_vectors(items, {of: ready.blocks(of) for of in ready.shards}, given.space, path)
        if given.model is None:
            return cls([taken], data.items, f"{ready.sentence} {given.sentence} {WITHOUT_MODEL}")
        cosines = compare_with_model(taken.dense, items, given.model)
        if agree(cosines):
            if data.has_own_queries:
                taken = replace(taken, own_queries=embed_own_queries(data.own_query_table, given.model))
            return cls([taken], data.items, f"{ready.sentence} {_say_agreement(cosines, given.space)}")
        space = without_model(given.space.model, given.space.dimension)
        taken = replace(taken, vectors=replace(taken.dense, space=space))
        taken.dense.save(_vectors_file(data, space))
        return cls([taken], data.items, f"{ready.sentence} {_say_agreement(cosines, space)} {WITHOUT_MODEL}")

    @cached_property
    def _dense(self) -> list[Embedded]:
        return [result for result in self.results if result.vectors.space.kind == DENSE]

    @cached_property
    def _ragged(self) -> list[Embedded]:
        return [result for result in self.results if result.vectors.space.kind != DENSE]

    @property
    def vectors(self) -> list[Vectors]:
        """The vectors of each dense model, in the order of the models."""
        return [result.dense for result in self._dense]

    @property
    def ragged(self) -> list[AnyVectors]:
        """The vectors of each sparse or late-interaction model, in the order of the models."""
        return [result.vectors for result in self._ragged]

    @property
    def main(self) -> Vectors:
        """The vectors of the main space: the first that holds both images and texts."""
        return main_vectors(self.vectors, self.items)

    @property
    def skipped(self) -> pd.DataFrame:
        """The items that got no vector, with the reason."""
        tables = [result.skipped for result in self.results]
        return pd.concat(tables, ignore_index=True).drop_duplicates()

    def _check_images_embedded(self) -> None:
        """Raise ValueError where a model embeds images and all have failed."""
        images = self.items["item_id"][self.items["modality"] == "image"]
        for result in self.results:
            tried = (result.counts["modality"] == "image").any()
            ids = result.vectors.id_texts
            if tried and not any(is_among(ids, block).any() for block in in_blocks(images)):
                reasons = result.skipped["reason"].value_counts()
                found = ", ".join(f"{reason} {number:,}" for reason, number in reasons.items())
                raise ValueError(
                    f"none of the {len(images):,} images has a vector of {result.vectors.space.model}: {found}. "
                    "Nothing could be found without them: mend the images, then run 01_ingest again"
                )

    def _check_dense(self) -> None:
        """Raise ValueError where all models are sparse or late: nothing could be compared, indexed and mapped then."""
        if not self._dense:
            found = ", ".join(f"{own.space.model} ({own.space.kind})" for own in self.ragged)
            raise ValueError(
                f"models: expected one at least with one vector for each item, found {found}: add 'demo' or "
                "openai/clip-vit-base-patch32; what is embedded lies in the cache"
            )

    def _overview(self) -> Result:
        """Show what each model embedded, took from the cache, failed at and truncated."""
        count, models = sum(map(len, self.vectors)), len(self.vectors)
        sentence = (
            f"**{count:,} vectors** of {len(self.items):,} items from {models} model{'s' * (models > 1)}; the main "
            f"space has {self.main.space.dimension} dimensions. {len(self.skipped):,} items failed."
        )
        sentences = filter(
            None,
            (
                sentence,
                escape_markdown(self.note, MAX_NOTE),
                self._beside(),
                self._asked_apart(),
                self._not_embedded(),
            ),
        )
        return Result(describe_work(self.results), " ".join(sentences), digits=1)

    def _beside(self) -> str:
        """Say which items have vectors of sparse and late-interaction models, and how large these are."""
        return " ".join(
            f"{count(len(result.vectors), 'item')} {'has' if len(result.vectors) == 1 else 'have'} "
            f"{WORDS[result.vectors.space.kind]} of {escape_markdown(result.vectors.space.model)}, "
            f"{result.bytes_per_item:,.0f} bytes an item."
            for result in self._ragged
        )

    def _asked_apart(self) -> str:
        """Say which models embed a text that asks in another way than one that is found."""
        apart = [own.space.model for own in self.vectors if own.queries is not None]
        if not apart:
            return ""
        return (
            f"Texts have a second vector of {', '.join(map(escape_markdown, apart))}, behind its prompt for queries: "
            "with that one they ask, with the other they are found."
        )

    def _not_embedded(self) -> str:
        """Say which items no model embeds, what can be asked all the same, and which model to add."""
        embedded = {kind for result in self.results for kind in result.counts["modality"]}
        counts = self.items["modality"].value_counts()
        return " ".join(
            f"No model embeds the {count:,} {kind}s: {opposite_modality(kind)}s find {opposite_modality(kind)}s, each "
            f"shown with its pair. To find {kind}s too, add {SUGGESTIONS[kind]}."
            for kind, count in counts.items()
            if kind not in embedded
        )

    def spaces(self) -> Result:
        """Show all that decides where each model puts an input: vectors of two spaces cannot be compared.

        Example:
            >>> spaces = report.spaces().table
        """
        main = escape_markdown(self.main.space.model)
        return Result(describe_spaces(self.results), f"The run's main space is that of {main}.")

    @cached_property
    def _norms(self) -> pd.DataFrame:
        return describe_rows(self._dense, self.items)

    def norms(self) -> Result:
        """Show the norms of the rows, where they point on average, and what the precision costs.

        Example:
            >>> norms = report.norms().table
        """
        furthest = float((self._norms[["smallest norm", "largest norm"]] - 1).abs().to_numpy().max(initial=0))
        least = self._norms["least cosine to float32"].min()
        sentence = (
            f"All {sum(map(len, self.vectors)):,} norms lie within {furthest:.1e} of 1. The least cosine to float32 is "
            f"{least:.5f}."
        )
        return Result(self._norms, sentence, digits=5)

    def pairs(self, seed: int = 0) -> Result:
        """Show the cosines of matched pairs beside those of mismatched ones, drawn by `seed`, for each space.

        Example:
            >>> pairs = report.pairs(seed=1).table
        """
        items, drawn = self._draw_pairs(seed)
        vectors = [own.among(items["item_id"]) for own in self.vectors]
        table = compare_spaces(vectors, items, seed)

        def draw() -> "Figure":
            return pair_histograms({v.space.key: matched_cosines(v, items, seed) for v in vectors})

        return Result(table, f"{summarize_space_comparison(table)}{drawn}", draw)

    def _draw_pairs(self, seed: int) -> tuple[pd.DataFrame, str]:
        """Return the items of at most PAIRS_COMPARED pairs, and a sentence where these were drawn from more."""
        pairs = self.items["pair_id"]
        pairs = pairs[is_first(pairs)]
        if len(pairs) <= PAIRS_COMPARED:
            return self.items, ""
        drawn = pairs.sample(PAIRS_COMPARED, random_state=seed)
        said = f" These are figures of {PAIRS_COMPARED:,} pairs, drawn from {len(pairs):,}."
        return self.items[is_among(self.items["pair_id"], drawn)], said

    def conclusion(self, seed: int = 0) -> str:
        """Return what was embedded and whether matched pairs stand apart, in a few sentences.

        Example:
            >>> report.conclusion().startswith("**")
            True
        """
        return f"{self.sentence} {self.pairs(seed).sentence}"

    @property
    def checks(self) -> dict[str, bool]:
        """What must hold of the vectors, by claim."""
        complete = [len(result.vectors) + len(result.skipped) == _items_of(result) for result in self.results]
        return {
            "every item has a vector of each model that embeds it, or a reason": all(complete),
            "every text that is found can ask": all(self._all_ask(result.vectors) for result in self.results),
        }

    def _all_ask(self, vectors: AnyVectors) -> bool:
        if vectors.queries is None:
            return True
        texts = self.items.loc[self.items["modality"] == "text", "item_id"]
        return set(vectors.queries.ids) == set(texts[is_among(texts, vectors.ids)])

    def write(self, step: Step) -> Html:
        """Write the vectors of each model and embed_skipped.parquet, and show what the step has written.

        Texts that ask behind another prompt are in vectors/queries/. What sparse and late-interaction models made is in
        vectors/sparse/ and vectors/late/.

        Example:
            >>> files = report.write(step)
        """
        for vectors in self.vectors:
            file = f"{run_files.VECTORS}/{vectors.space.key}.arrow"
            if file not in step.writes:  # where ready vectors were written block by block
                vectors.save(step.write(file))
            if vectors.queries is not None:
                vectors.queries.save(step.write(run_files.QUERY_VECTORS.format(vectors.space.key)))
        for own in self.ragged:
            named = own.space.kind, own.space.key
            own.save(step.write(run_files.RAGGED_VECTORS.format(*named)))
            if own.queries is not None:
                own.queries.save(step.write(run_files.RAGGED_QUERIES.format(*named)))
        for result in self.results:
            if result.own_queries is not None:
                result.own_queries.save(step.write(own_query_file(result.vectors.space)))
        write_table(self.skipped, step.write(run_files.EMBED_SKIPPED))
        return step.outputs()


def _vectors_file(data: RunData, space: Space) -> Path:
    """Return where ready vectors are written: in a notebook the run's own file, else one of the cache."""
    file = f"{run_files.VECTORS}/{space.key}.arrow"
    return data.step.write(file) if data.step else data_folder() / "cache" / data.name / file


def _say_agreement(cosines: pd.Series, space: Space) -> str:
    """Say whether the vectors are those that the model makes of some of the items."""
    model = space.model
    if cosines.empty:
        return f"{model} is at hand for queries; no item was at hand to compare its vectors with."
    found = f"a median cosine of {cosines.median():.3f}, the least {cosines.min():.3f}"
    if agree(cosines):
        return f"{model} makes the same vectors of {count(len(cosines), 'item')}: {found}. It embeds queries."
    return f"{model} makes other vectors of {count(len(cosines), 'item')}: {found}. It did not make these."


def _items_of(result: Embedded) -> int:
    """Return how many items a model was given: one that asks and is found counts once."""
    return int(result.counts.loc[result.counts["side"] != QUERY, "items"].sum())
