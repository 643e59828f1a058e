"""A search of a run: one or many queries answered, their hits as images and as a table, and why a hit was found."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import pandas as pd

from mmlab.evaluate.summaries import escape_markdown
from mmlab.ingest.images.addresses import DownloadError, DownloadLimits
from mmlab.ingest.images.fetch import Downloader
from mmlab.items import MODALITIES, Vectors, is_among
from mmlab.items.options import OPTIONS
from mmlab.items.parameter_table import check_values
from mmlab.items.rankings import opposite_modality
from mmlab.items.sentences import count
from mmlab.items.tables import TooFew
from mmlab.retrieve import Query, Retriever, SearchResult
from mmlab.retrieve.query.explain import HitExplanation, explain_hit, nearest_captions
from mmlab.retrieve.query.known_queries import (
    SavedQuestions,
    add_pair_columns,
    find_right_answers,
    search_known,
)
from mmlab.retrieve.query.rerank import Match
from mmlab.retrieve.query.spec import image_path, modality_of, names_image
from mmlab.retrieve.query.systems import crop_matcher
from mmlab.retrieve.query_trials import time_queries
from mmlab.runs.record import run_files
from mmlab.visualize import Html, figure, gallery, under_headings
from mmlab.visualize.image_figures import image_grid, occlusion_map, word_bars
from mmlab.workbench.result import Report, Result, no_table, or_reason, unanswered
from mmlab.workbench.run_data import RunData
from mmlab.workbench.studies import CalibrationStudy

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from mmlab.embed import DeferredModel
    from mmlab.panels import PanelData

    Asked = str | Path | Image

QUERIES_SHOWN = 6
CAPTION_CHARS = 120
QUERY_CHARS = 80
WARNING_CHARS = 500
FETCH_SECONDS = 15  # that a panel waits for an image on the web
NONE = "none"
ALL_FUSED = "all, fused by rank"
ANY_PHOTO = "a photo"  # what a collection without texts is asked with
OWN_PAIR = (
    "The right answer was found by a text or an image of its own pair, maybe by the query itself: see `via`."
)
NO_MODEL = "no model of this run embeds {}s, so none can ask; give 02_embed one that does"
NO_TEXT = f"The collection has no text of its own: “{ANY_PHOTO}” stands in for a query of yours."


@dataclass(frozen=True, repr=False)
class Explanation(Report):
    """How the cosine of a text query and an image drops when a part of either is left out. Made by `Hits.explain`.

    Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (ECCV 2014).

    Attributes:
        found: the cells of the image and the words of the query, each with the cosine without it and the drop.
        image: path of the image.
        captions: rank, score, own, text: the texts of the collection that are nearest to the image.

    Example:
        >>> explanation = run.search("a red mug").explain()
        >>> explanation.words["word"].tolist()
        ['a', 'red', 'mug']
    """

    found: HitExplanation
    image: str
    captions: pd.DataFrame

    @classmethod
    def of(cls, data: RunData, query: str, hit: pd.Series) -> Self:
        """Explain a hit, a row of the table of a search."""
        space = data.answering["image"].model.space
        captions = nearest_captions(data.index, [hit["item_id"]], space)
        shown = captions[["rank", "score", "own", "text"]]
        return cls(explain_hit(data.answering, query, hit), hit["image"], shown)

    @property
    def cells(self) -> pd.DataFrame:
        """The image with one cell covered by its mean colour: row, column, left, top, right, bottom, cosine, drop."""
        return self.found.cells.table

    @property
    def words(self) -> pd.DataFrame:
        """The query with one word left out: position, word, cosine, drop."""
        return self.found.words.table

    def _overview(self) -> Result:
        """Show the image under the drop of each of its cells, the drop of each word, and the nearest captions."""

        def draw() -> "Figure":
            fig, (left, right) = figure(columns=2, width=9, height=3.9)
            occlusion_map(left, self.image, self.cells, "Covered")
            word_bars(right, self.words, "Left out")
            return fig

        caption = "The texts of the collection that are nearest to the image" if len(self.captions) else ""
        return Result(self.cells, self._summary(), draw, shown=self.captions, caption=caption)

    def _summary(self) -> str:
        cell, word = (table.loc[table["drop"].idxmax()] for table in (self.cells, self.words))
        return (
            f"The query and the image have a cosine of {self.found.words.cosine:.3f}. Covering row {cell['row']:.0f}, "
            f"column {cell['column']:.0f} of the image lowers it most, by {cell['drop']:.3f}; leaving out "
            f"“{escape_markdown(word['word'])}” lowers it by {word['drop']:.3f}."
        )


@dataclass(frozen=True, repr=False)
class Hits(Report):
    """The nearest items of one or several queries, best first. Made by `Run.search`.

    In a notebook hits render as images, marked right or wrong where the query belongs to the collection.

    Attributes:
        data: the run that was searched.
        found: the hits: rank, score, the items' columns, `pair_image` (the image of the item's pair) and `words`.
        timings: milliseconds spent: embed_ms, search_ms, payload_ms.
        skipped: files that were asked with and are no images: source and reason.
        query: what was asked, in words.
        right: the item_ids that answer the query; None where that is not known.
        text: the text that asked; empty where an image or many queries did.
        method: how the nearest were found, as "exact search" or "graph search, ef = 50".
        note: why nothing was asked, or what is special about the answer; mostly empty.

    Example:
        >>> hits = run.search("a red mug", k=5)
        >>> len(hits)
        5
    """

    data: RunData
    found: pd.DataFrame
    timings: Mapping[str, float]
    skipped: Sequence[Mapping[str, str]]
    query: str
    right: frozenset[str] | None = None
    text: str = ""
    note: str = ""
    method: str = ""

    def __len__(self) -> int:
        return len(self.found)

    def _overview(self) -> Result:
        """Show the hits as images with rank, score and words."""
        table = self.found
        if not self.query:
            return unanswered(self.note)

        def draw() -> "Figure":
            return image_grid(list(table["pair_image"]), self._captions(table), self._marks(table))

        return Result(table, self._summary(), draw, html=self._gallery(), shown=no_table())

    @or_reason
    def explain(self, rank: int = 1) -> Explanation:
        """Return why the hit at `rank` was found: which parts of the image and which words the match rests on.

        A collection without images, or without a model that embeds them, says so instead.

        Raises:
            ValueError: unless one text asked for images, or for a rank that is not there.

        Example:
            >>> explanation = run.search("a red mug").explain(rank=1)
            >>> explanation.table.columns.tolist()
            ['row', 'column', 'left', 'top', 'right', 'bottom', 'cosine', 'drop']
        """
        found = self.found
        if not self.query or not (self.data.embedded_items["modality"] == "image").any():
            no_model = (self.data.items["modality"] == "image").any()
            lacking = "no model of this run embeds images" if no_model else self.data.held
            raise TooFew(f"an explanation needs an image that a text has found: {lacking}")
        if "query_id" in found or not self.text or (found["modality"] != "image").any():
            raise ValueError(
                "explain: expected the hits of one text query for images; search with a text, to='image'"
            )
        if rank not in set(found["rank"]):
            raise ValueError(f"explain: there are {len(found)} hits, found rank {rank}")
        hit = found[found["rank"] == rank].iloc[0]
        if hit["image"] in self.data.changed_images:
            raise TooFew(
                f"the image at rank {rank} has changed since 01_ingest: its vector is of another one"
            )
        if not os.path.isfile(hit["image"]):
            raise TooFew(f"the image at rank {rank} is not at hand, only its name: {hit['image']}")
        return Explanation.of(self.data, self.text, hit)

    def _gallery(self) -> Html:
        table = self.found
        if "query_id" not in table:
            return gallery(list(table["pair_image"]), self._captions(table), self._marks(table))
        parts = {
            str(query): gallery(list(found["pair_image"]), self._captions(found))
            for query, found in list(table.groupby("query_id", sort=False))[:QUERIES_SHOWN]
        }
        return under_headings(parts)

    def _captions(self, table: pd.DataFrame) -> list[str]:
        chances = (
            table["probability"].map("  p {:.2f}".format) if "probability" in table else [""] * len(table)
        )
        rows = zip(table["rank"], table["score"], chances, table["words"], strict=True)
        return [
            f"{rank}. {score:.3f}{chance}  {str(words)[:CAPTION_CHARS]}"
            for rank, score, chance, words in rows
        ]

    def _marks(self, table: pd.DataFrame) -> Sequence[bool] | None:
        return None if self.right is None else [item in self.right for item in table["item_id"]]

    def _summary(self) -> str:
        spent = self.timings
        found = f"{len(self):,} hits" + (f" by {self.method}" if self.method else "")
        if self.right is not None:
            ranks = self.found.loc[self.found["item_id"].isin(self.right), "rank"]
            found += f", a right one at rank {ranks.min()}" if len(ranks) else ", none of them right"
        times = f"{spent['embed_ms']:.0f} ms to embed, {spent['search_ms']:.1f} ms to search"
        note = f" {self.note}" if self.note else ""
        return f"**{_shortened(self.query)}**: {found}; {times}.{note}"


def _shortened(query: str) -> str:
    """Return the beginning and the end of a long query, as Markdown that shows it as it is."""
    if len(query) <= QUERY_CHARS:
        return escape_markdown(query)
    half = QUERY_CHARS // 2
    return f"{escape_markdown(query[:half])} … {escape_markdown(query[-half:])}"


def search_run(
    data: RunData,
    calibrate: Callable[[], CalibrationStudy],
    query: "Asked | Sequence[Asked] | Vectors | None",
    *,
    image: "Asked | None",
    to: str | None,
    models: str | Sequence[str],
    exact: bool | None,
    rerank_model: str | None,
    **settings: Any,
) -> Hits:
    """Answer the query of `Run.search`; `calibrate` gives the calibrations when they are first needed."""
    check_values(**{name: settings[name] for name in ("k", "rrf_k", "calibration", "rerank")}, exact=exact)
    check_values(rerank_model=rerank_model)
    exact = data.exact if exact is None else exact
    settings |= {"where": settings["where"] or {}, "boost": settings["boost"] or {}}
    settings |= _examples(data, settings)
    if _asks_many(query):
        return _search_many(data, query, to, exact, settings)
    text, image = _text_and_image(data, query, image)
    asked = [one for one in (text, image) if one]
    examples = [*settings["plus"], *settings["minus"], *(one for pair in settings["context"] for one in pair)]
    if text is None and image is None and not examples:
        return _nothing_asked(data)
    source = "image" if not text and image is not None else "text"
    for kind in dict.fromkeys(modality_of(one) for one in asked or examples[:1]):
        if kind not in data.answering:
            return no_hits(data, NO_MODEL.format(kind))
    if settings["fusion"] is None:
        joint = len({one.model.space for one in data.answering.values()}) == 1
        settings["fusion"] = "early" if joint and not models else "rrf"
    target = to or _target(data, source)
    settings |= {"to": target, "exact": exact, "models": _names(data, models)}
    match = find_match(data, rerank_model) if settings["rerank"] else None
    return _search_one(data, calibrate, Query(text=text or "", image=image, **settings), match)


def _examples(data: RunData, settings: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Return the examples without those that a collection lacks (None); a str that names an image is its path."""
    found = {
        name: tuple(_content(data, one) for one in settings[name] if one is not None)
        for name in ("plus", "minus")
    }
    pairs = [pair for pair in settings["context"] if pair is not None and None not in pair]
    return found | {"context": tuple(tuple(_content(data, one) for one in pair) for pair in pairs)}


def _text_and_image(data: RunData, query: Any, image: Any) -> tuple[str | None, "Path | Image | None"]:
    """Return what asks by text and what by image; raise ValueError where two images do."""
    image = image_path(image) if isinstance(image, str) else image
    query = _content(data, query)
    if query is None or isinstance(query, str):
        return query, image
    if image is not None:
        raise ValueError("two images ask: give one of them, and the other in plus=[...]")
    return None, query


def _content(data: RunData, asked: Any) -> Any:
    """Return the path where a str names an image and no text of the collection reads so; else what was given."""
    if not isinstance(asked, str) or not names_image(asked) or (data.items["text"] == asked).any():
        return asked
    return image_path(asked)


def _target(data: RunData, source: str) -> str:
    """Return what a query of this modality finds: the other one, or its own where no item is of the other."""
    other = opposite_modality(source)
    return other if (data.embedded_items["modality"] == other).any() else source


def _nothing_asked(data: RunData) -> Hits:
    """Return no hits where `Run.sample` found nothing to ask with; raise ValueError for a query that was left out."""
    if set(MODALITIES) <= set(data.embedded_items["modality"]):
        raise ValueError("the query is empty: give a text, an image, or both")
    return no_hits(
        data, f"{data.held}: there is none to ask with; give a text, or the path of an image of your own"
    )


def no_hits(data: RunData, reason: str) -> Hits:
    """Return hits without any, which say why."""
    columns = ["item_id", "rank", "score", *data.items.columns.drop("item_id"), "pair_image", "words"]
    table = data.items.head(0).reindex(columns=columns)
    timings = dict.fromkeys(("embed_ms", "search_ms", "payload_ms"), 0.0)
    return Hits(data, table, timings, (), "", note=f"{reason[:1].upper()}{reason[1:]}.")


def find_match(data: RunData, model: str | None = None) -> Match | None:
    """Return what ranks the hits of a search again: this cross-encoder, else the run's own, else crops of images."""
    model = str(data.parameters.get("rerank_model", "")) if model is None else model
    return data.cross_encoders[model] if model else crop_matcher(data.systems)


def _search_one(
    data: RunData, calibrate: Callable[[], CalibrationStudy], asked: Query, match: Match | None
) -> Hits:
    systems = data.systems if asked.models else {"": data.answering}
    calibrations = {name: calibrate().fitted for name in systems} if asked.calibration != NONE else {}
    items, note = data.embedded_items, ""
    try:
        found = search_known(systems, items, asked, calibrations, match)
    except TooFew as error:  # a calibration that could not be fitted
        found = search_known(systems, items, replace(asked, calibration=NONE), None, match)
        note = f"No probabilities: {error}."
    right = find_right_answers(items, asked)
    hits = _hits(data, found, asked.describe(), right and frozenset(right.item_ids), asked.text)
    stands_in = asked.text == ANY_PHOTO and not (data.items["modality"] == "text").any()
    warning = escape_markdown(found.warning, WARNING_CHARS)
    notes = [NO_TEXT if stands_in else "", note, _by_its_own_pair(data, hits), warning]
    return replace(hits, note=" ".join(filter(None, notes)))


def _by_its_own_pair(data: RunData, hits: Hits) -> str:
    """Say where a right answer was found by an item of its own pair, as a text of the collection finds itself."""
    if not hits.right or "via" not in hits.found:
        return ""
    right = hits.found[is_among(hits.found["item_id"], hits.right)]
    own = right["via"].map(data.items.set_index("item_id")["pair_id"]) == right["pair_id"]
    return OWN_PAIR if own.any() else ""


def _search_many(data: RunData, query: Any, to: str | None, exact: bool, settings: Mapping[str, Any]) -> Hits:
    if not isinstance(query, Vectors | Path) and not len(query):
        return _nothing_asked(data)
    if not isinstance(query, Vectors | Path):
        query = [_content(data, one) for one in query]
    names = ("where", "plus", "minus", "recommend", "context", "boost", "diversity", "group_by_pair")
    alone = {name: settings[name] for name in names}
    source = _source_of(data, query)
    if source not in data.answering:
        return no_hits(data, NO_MODEL.format(source))
    target = to or _target(data, source)
    held = int((data.embedded_items["modality"] == target).sum())
    k = min(settings["k"], max(held, 1))
    found = data.answering[source].search(query, target, k, exact=exact, **alone)
    count = found.table["query_id"].nunique()
    return _hits(data, found, f"{count} queries", None, "")


def _hits(data: RunData, found: SearchResult, query: str, right: frozenset[str] | None, text: str) -> Hits:
    table = add_pair_columns(found.table, data.items)
    return Hits(data, table, found.timings, tuple(found.skipped), query, right, text, method=found.method)


def _asks_many(query: Any) -> bool:
    single = isinstance(query, str) or query is None or hasattr(query, "convert")
    return not single and not (isinstance(query, Path) and not query.is_dir())


def _source_of(data: RunData, query: Any) -> str:
    """Return the modality of the queries: by their space for vectors, else by the first of them."""
    if isinstance(query, Vectors):
        return next((side for side, one in data.answering.items() if one.model.space == query.space), "text")
    first = query if isinstance(query, Path) else next(iter(query), "")
    return "text" if isinstance(first, str) else "image"


def search_each(data: RunData, text: str, k: int) -> Result:
    """Answer a text by each of the run's systems alone, and by all of them, fused by their ranks."""
    if "text" not in data.answering:
        raise TooFew(NO_MODEL.format("text"))
    target, items = _target(data, "text"), data.embedded_items
    names = [name for name, system in data.systems.items() if "text" in system]
    asked = {name: (name,) for name in names} | ({ALL_FUSED: tuple(names)} if len(names) > 1 else {})
    pieces, tables = {}, []
    for name, models in asked.items():
        fusion = "early" if len(models) == 1 else "rrf"
        query = Query(text=text, to=target, k=k, exact=data.exact, models=models, fusion=fusion)
        found = search_known(data.systems, items, query)
        right = find_right_answers(items, query)
        hits = _hits(data, found, query.describe(), right and frozenset(right.item_ids), text)
        pieces[f"{name}: {found.method}"] = hits._gallery()
        tables.append(hits.found.assign(retriever=name))
    table = pd.concat(tables, ignore_index=True)
    return Result(table, _say_each(asked, table), html=under_headings(pieces), shown=no_table())


def _say_each(asked: Mapping[str, Sequence[str]], table: pd.DataFrame) -> str:
    if len(asked) == 1:
        return f"This run has one retriever, *{next(iter(asked))}*: `retrievers` of 03 and 04 add others."
    alone = [set(table.loc[table["retriever"] == name, "item_id"]) for name in asked if name != ALL_FUSED]
    shared = len(set.intersection(*alone))
    return f"{len(alone)} retrievers share {count(shared, 'hit')} of their first {max(map(len, alone))}."


def _names(data: RunData, models: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of the systems that answer with these models, each given by its id or its space's key."""
    wanted = [models] if isinstance(models, str) else models
    return tuple(_name_of(data, model) for model in wanted)


def _name_of(data: RunData, model: str) -> str:
    for name, system in data.systems.items():
        spaces = [retriever.model.space for retriever in system.values()]
        if model == name or any(model in (space.model, space.key) for space in spaces):
            return name
    hint = f"; run 03_index with {model} among the retrievers" if model in OPTIONS["retriever"] else ""
    raise ValueError(f"models: expected some of {', '.join(data.systems)}, found {model!r}{hint}")


def panel_data(data: RunData, calibrate: Callable[[], CalibrationStudy]) -> "PanelData":
    """Return what the panels search: all models of the run; the main one is calibrated when that is first asked for."""
    from mmlab.panels import PanelData

    main = next(iter(data.systems))
    for retriever in data.answering.values():
        cast("DeferredModel", retriever.model).load_soon()
    return PanelData(
        data.systems,
        data.embedded_items,
        {main: lambda: calibrate().fitted},
        find_match(data),
        exact=data.exact,
        questions=SavedQuestions(data.folder / run_files.QUESTIONS),
        fetch=fetch_image,
    )


def fetch_image(url: str) -> bytes:
    """Return the bytes of an image on the web, within the limits of the ingest; raise ValueError with the reason."""
    try:
        with Downloader(DownloadLimits(tries=1, deadline=FETCH_SECONDS)) as downloader:
            return downloader.download(url)
    except DownloadError as error:
        detail = f" ({error.detail})" if error.detail else ""
        raise ValueError(f"the image of this address cannot be had: {error.reason}{detail}") from error


def time_run(data: RunData, texts: Sequence[str], k: int) -> Result:
    """Time the parts of an answer to each text, just opened and warm."""
    check_values(k=k)
    if "text" not in data.answering:
        raise TooFew("no model of this run embeds texts, so no text query can be timed")
    retriever: Retriever = data.answering["text"]
    target = _target(data, "text")
    k = min(k, int((data.embedded_items["modality"] == target).sum()))
    table = time_queries(retriever, texts, target, k=k, samples=10)
    warm = table.set_index(["state", "of"]).loc[("warm", "p50")]
    sentence = (
        f"One text, by the median: {warm['embed_ms']:.0f} ms to embed, {warm['search_ms']:.1f} ms to search, "
        f"{warm['payload_ms']:.1f} ms to read the payload."
    )
    return Result(table, sentence, digits=1)
