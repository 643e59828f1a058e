"""One model over one index: queries, texts or images, one or many -> hits with all that the index knows of them."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np
import pandas as pd

from mmlab.embed import DeferredModel, Model, embed_queries
from mmlab.embed.given_vectors import KnownVectors
from mmlab.index import Index
from mmlab.index.store.engine import CONTEXT, DISCOVER, Examples
from mmlab.items import ImageError, Space, Vectors, open_image
from mmlab.items.ragged_vectors import AnyVectors, RaggedVectors
from mmlab.items.vectors import DENSE
from mmlab.retrieve.query.rank import bridge_modality, rank_through_pairs
from mmlab.retrieve.query.spec import ROCCHIO, SearchResult, check_examples, modality_of
from mmlab.retrieve.scores.fuse import MINUS_WEIGHT, rocchio

if TYPE_CHECKING:
    from PIL import Image

    Content = str | Path | Image.Image

IMAGES_PER_BATCH = 32  # that are in memory at a time


class EmbeddedQueries(NamedTuple):
    """Queries as vectors, and the files that could not be asked by: {"source": file, "reason": why}."""

    vectors: AnyVectors
    skipped: list[dict[str, str]]


class EmbeddedExamples(NamedTuple):
    """Examples as vectors, None for no such ones; whether the i-th of both are a pair; and those that were skipped."""

    wanted: Vectors | None
    unwanted: Vectors | None
    paired: bool
    skipped: list[dict[str, str]]


@dataclass(frozen=True, repr=False)
class Retriever:
    """An index, and a model that embeds queries into one of its spaces.

    known: the vectors of the collection, by which its items ask where the model cannot embed them.
    """

    index: Index
    model: Model
    known: KnownVectors | None = None

    def __repr__(self) -> str:
        return f"Retriever({self.model.space.key}, {self.index})"

    def session(self) -> AbstractContextManager:
        """Keep the store open for a loop, see `Store.session`."""
        return self.index.session()

    def load(self) -> None:
        """Load the model where it is not yet; that is no part of an answer's time."""
        if isinstance(self.model, DeferredModel):
            self.model.load()

    def count(self, to: str) -> int:
        """Return the number of items of modality `to` that a search can reach."""
        if to in self.index.modalities(self.model.space):
            with self.index.session():
                return self.index.store.count(self.index.collection(self.model.space, to), modality=to)
        return self.index.count(to)

    def search(
        self,
        query: "Content | AnyVectors | Iterable[Content] | None",
        to: str = "image",
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
        plus: "Sequence[Content]" = (),
        minus: "Sequence[Content]" = (),
        minus_weight: float = MINUS_WEIGHT,
        recommend: str = ROCCHIO,
        context: "Sequence[tuple[Content, Content]]" = (),
        **settings: Any,
    ) -> SearchResult:
        """Return the `k` nearest items of modality `to`; a str asks by text, a Path or a PIL image by image.

        A list, a column or an array of them, a folder of images, or ready Vectors ask many queries in one call: the
        table then has a column query_id (the text, or the file's name), and files that are no images are skipped.
        `plus` and `minus` steer every query towards and away from more texts and images: by `rocchio`, or by a score of
        the engine, as `context` does by pairs, see `Examples`; without a query (None) see `check_examples`. Those that
        the model does not embed are skipped. `where` filters by payload, e.g. `{"colour": ["red", "blue"]}`;
        `settings`: more of `Index.search`, such as `diversity=0.5` (MMR) and `boost={"price": -0.01}`. Where there is
        no graph (`Index.has_graph`), the search is exact.

        The table has rank, score (cosine in [-1, 1]; with `diversity` still in the order of MMR) and the item's
        payload, a field that is called like one of these with `_payload` behind it; and `via`, the hit that stands for
        the item, where the model's space holds no `to` (`rank_through_pairs`). Raises ValueError for an empty text and,
        without a filter, for a `k` of more items than there are, ImageError for a single file that is no image,
        TypeError for what is neither text nor image, SpaceMismatch for a model that the index has no vectors of.
        """
        check_examples(recommend, plus, minus, context, query is not None)
        self.load()
        times = [time.perf_counter()]
        embedded, examples = self._score_by(
            query, self._embed_examples(plus, minus, context), minus_weight, recommend
        )
        times.append(time.perf_counter())
        with self.index.session():
            self.index.check_filter(where)
            through = bridge_modality(self.index, embedded.vectors, to)
            searched = embedded.vectors.space, through or to
            exact = exact or not self.index.has_graph(*searched)
            settings |= {"examples": examples} if examples else {}
            method = self._method(*searched, exact, settings)
            found = self._find(embedded.vectors, to, k, where, exact, through, settings)
            times.append(time.perf_counter())
            payload = self.index.fetch(found["item_id"].unique())
        single = not isinstance(query, Vectors | RaggedVectors) and not _is_many(query)
        hits = found.drop(columns="query_id") if single else found
        hits = hits.merge(payload, on="item_id", how="left", suffixes=("", "_payload"))
        times.append(time.perf_counter())
        spent = 1000 * np.diff(times)
        timings = dict(zip(("embed_ms", "search_ms", "payload_ms"), spent.tolist(), strict=True))
        return SearchResult(hits, timings, embedded.skipped, method=method)

    def _method(self, space: Space, to: str, exact: bool, settings: Mapping[str, Any]) -> str:
        """Return in words how the hits are found, and what they are scored by beside the query."""
        found_by = [self.index.describe_search(space, to, exact, settings.get("ef"))]
        found_by += [f"scored by {settings['examples'].score}"] if "examples" in settings else []
        boosted = " and ".join(settings.get("boost") or ())
        return ", ".join([*found_by, f"boosted by {boosted}"] if boosted else found_by)

    def embed(self, query: "Content | Iterable[Content]") -> Any:
        """Return the query as one unit row (1, D) in the model's space, or several queries as one row each.

        Of a model of weighted terms, or of a row for each token, these are what asks.
        """
        return self._embed(query).vectors

    def compose(self, text: str, image: "Content") -> Vectors:
        """Return a text and an image as one unit row (1, D), which the model makes of both as one input.

        Raises ModelError for a model that takes no such input, ImageError for a file that is no image.
        """
        self.load()
        images = [one for one in [_open(image, [], strict=True)] if one is not None]
        rows = self.model.embed_both([_checked_text(text)], images, as_queries=True)
        return Vectors(np.array([f"{text} + {_file_name(image)}"]), rows, self.model.space)

    def _embed(self, query: "Content | AnyVectors | Iterable[Content]") -> EmbeddedQueries:
        if isinstance(query, Vectors | RaggedVectors):
            return EmbeddedQueries(query, [])
        if _is_many(query):
            contents = images_in(query) if isinstance(query, Path) else list(cast("Iterable[Content]", query))
            return embed_named_queries(self.model, contents, known=self.known)
        return embed_named_queries(self.model, [cast("Content", query)], strict=True, known=self.known)

    def _embed_examples(
        self,
        plus: "Sequence[Content]",
        minus: "Sequence[Content]",
        context: "Sequence[tuple[Content, Content]]",
    ) -> "EmbeddedExamples":
        """Embed the examples; skip those that this model does not embed, of a pair both."""
        given = [*plus, *minus, *(one for pair in context for one in pair)]
        if not given:
            return EmbeddedExamples(None, None, False, [])
        if self.model.space.kind != DENSE:
            raise ValueError(
                f"plus, minus and context need dense vectors, found {self.model.space.key}: leave them out, or ask "
                "another model"
            )
        known = set(self.model.modalities)
        pairs = [pair for pair in context if {modality_of(one) for one in pair} <= known]
        parts = zip(*pairs, strict=True) if context else (plus, minus)
        kept = [[one for one in part if modality_of(one) in known] for part in parts]
        embed = partial(embed_named_queries, self.model, strict=True, known=self.known)
        rows = [embed(part).vectors if part else None for part in kept]
        wanted, unwanted = cast("list[Vectors | None]", rows or [None, None])
        return EmbeddedExamples(wanted, unwanted, bool(context), self._not_embedded(given))

    def _score_by(
        self, query: Any, examples: "EmbeddedExamples", weight: float, recommend: str
    ) -> tuple[EmbeddedQueries, Examples | None]:
        """Return the queries, moved by `rocchio`, or with the examples that the engine scores by."""
        wanted, unwanted, paired, skipped = examples
        if query is None:
            if wanted is None:
                raise ValueError(f"no example can ask: {skipped[0]['reason']}; give a query")
            queries: AnyVectors = Vectors(np.array(["examples"]), wanted.array[:1], wanted.space)
            wanted = wanted if paired else wanted.take(wanted.ids[1:])
        else:
            embedded = self._embed(query)
            queries, skipped = embedded.vectors, [*embedded.skipped, *skipped]
            if wanted is None and unwanted is None:
                return EmbeddedQueries(queries, skipped), None
        if recommend == ROCCHIO and not paired:
            moved = rocchio(cast("Vectors", queries), wanted, unwanted, weight)
            return EmbeddedQueries(moved, skipped), None
        score = (CONTEXT if query is None else DISCOVER) if paired else recommend
        rows, others = ([] if one is None else one.array.tolist() for one in (wanted, unwanted))
        return EmbeddedQueries(queries, skipped), Examples(score, rows, others, weight)

    def _not_embedded(self, contents: "Sequence[Content]") -> list[dict[str, str]]:
        """Return a skipped row for each text and image that this model does not embed, so that it cannot steer."""
        name, can = self.model.space.model, self.model.modalities
        return [
            {
                "source": str(one),
                "reason": f"{name} embeds {' and '.join(can)} only, found {modality_of(one)}",
            }
            for one in contents
            if modality_of(one) not in can
        ]

    def _find(
        self,
        queries: AnyVectors,
        to: str,
        k: int,
        where: Mapping[str, Any] | None,
        exact: bool,
        through: str | None,
        settings: dict[str, Any],
    ) -> pd.DataFrame:
        if through is None:
            return self.index.search(queries, to, k, where, exact, **settings).table
        found = rank_through_pairs(self.index, queries, to, k, where, exact, through, **settings)
        held = self.index.count(to) if len(found) < k * len(queries) and not where else k
        if k > held:
            raise ValueError(
                f"k = {k} is more than the {held} {to} items of index {self.index.name!r}: ask for fewer"
            )
        return found


def embed_named_queries(
    model: Model, queries: "Sequence[Content]", strict: bool = False, known: KnownVectors | None = None
) -> EmbeddedQueries:
    """Embed one unit row per query, named by its text or its file's name (with " (2)" where that comes twice).

    known: where it has a vector of a query, that one asks.
    A file that is no image is skipped with its reason, or raises ImageError where `strict`. Raises ValueError for an
    empty text and where there is no query, TypeError for what is neither text nor image.
    """
    wrong = [query for query in queries if not (isinstance(query, str | Path) or hasattr(query, "convert"))]
    if wrong:
        raise TypeError(
            f"{len(wrong)} of {len(queries)} queries are no texts, paths or PIL images, first "
            f"{type(wrong[0]).__name__} {str(wrong[0])[:40]}: drop them, or give what they stand for"
        )
    if not len(queries):
        raise ValueError("there is no query: give a text, an image, several of them, or a folder of images")
    names = {place: _checked_text(query) for place, query in enumerate(queries) if isinstance(query, str)}
    if model.space.kind != DENSE:
        return _ask_by_text(cast("Asker", model), list(names.values()), len(queries))
    array = np.zeros((len(queries), model.space.dimension), dtype=np.float32)
    held = _fill_known(array, queries, known)
    texts = {place: text for place, text in names.items() if place not in held}
    if texts:
        array[list(texts)] = embed_queries(model, list(texts.values()))
    names |= {place: _file_name(queries[place]) for place in held if place not in names}
    files = [place for place in range(len(queries)) if place not in names]
    images, skipped = _embed_images(model, {place: queries[place] for place in files}, array, strict)
    names |= images
    kept = sorted(names)
    ids = _numbered([names[place] for place in kept])
    return EmbeddedQueries(Vectors(np.array(ids), array[kept], model.space), skipped)


def _fill_known(array: np.ndarray, queries: "Sequence[Content]", known: KnownVectors | None) -> set[int]:
    """Fill in the rows of queries whose vectors are known, and return their places."""
    found = {place: known.find(query) for place, query in enumerate(queries)} if known else {}
    held = {place: row for place, row in found.items() if row is not None}
    for place, row in held.items():
        array[place] = row
    return set(held)


class Asker(Protocol):
    """A model of weighted terms, or of a row for each token, as far as it is asked by texts."""

    space: Space

    def ask(self, ids: Sequence[str], texts: Sequence[str]) -> RaggedVectors:
        """Return each text as it asks."""


def _ask_by_text(model: Asker, texts: list[str], queries: int) -> EmbeddedQueries:
    if len(texts) < queries:
        raise ValueError(f"{model.space.key} is asked by text, found {queries - len(texts)} images")
    return EmbeddedQueries(cast("AnyVectors", model.ask(_numbered(texts), texts)), [])


def images_in(folder: Path) -> list[Path]:
    """Return the files of a folder and of its folders, by name, without hidden ones."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    if not files:
        raise ValueError(f"no files in {folder}: give a folder with images to ask by")
    return files


def _is_many(query: Any) -> bool:
    """Return whether several queries are asked: a folder, or a list, a column, an array of them."""
    if isinstance(query, Path):
        return query.is_dir()
    return isinstance(query, Iterable) and not isinstance(query, str)


def _checked_text(text: str) -> str:
    if not text.strip():
        raise ValueError("the query is empty: type a text, or give the path of an image")
    return text


def _open(query: Any, skipped: list[dict[str, str]], strict: bool) -> "Image.Image | None":
    """Return the image in RGB; None, with a skipped row, for a file that is none."""
    if not isinstance(query, Path):
        return query.convert("RGB")
    try:
        return open_image(query)
    except ImageError as error:
        if strict:
            raise
        skipped.append({"source": str(query), "reason": str(error)})
        return None


def _embed_images(
    model: Model, queries: "Mapping[int, Content]", array: np.ndarray, strict: bool
) -> tuple[dict[int, str], list[dict[str, str]]]:
    """Fill in the rows of images, a batch at a time; return their names by row, and what was skipped."""
    names: dict[int, str] = {}
    skipped: list[dict[str, str]] = []
    places = list(queries)
    for start in range(0, len(places), IMAGES_PER_BATCH):
        batch = places[start : start + IMAGES_PER_BATCH]
        images = {place: _open(queries[place], skipped, strict) for place in batch}
        opened = {place: image for place, image in images.items() if image is not None}
        if opened:
            array[list(opened)] = embed_queries(model, list(opened.values()))
        names |= {place: _file_name(queries[place]) for place in opened}
    return names, skipped


def _file_name(query: Any) -> str:
    return query.name if isinstance(query, Path) else Path(getattr(query, "filename", "") or "image").name


def _numbered(names: list[str]) -> list[str]:
    """Return the names with " (2)", " (3)", ... behind those that came before."""
    counts: dict[str, int] = {}
    for place, name in enumerate(names):
        counts[name] = counts.get(name, 0) + 1
        names[place] = name if counts[name] == 1 else f"{name} ({counts[name]})"
    return names
