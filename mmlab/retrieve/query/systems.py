"""Who answers, by name: the models of a run, in every layout that its store holds, or rankings that were saved.

For queries that are items of the collection, it is known what answers them.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from mmlab.embed import Model, load_for
from mmlab.index import Index
from mmlab.items import MODALITIES, RANKING_COLUMNS, Vectors, check_columns, is_among
from mmlab.retrieve.query.rerank import Match, match_by_crops
from mmlab.retrieve.query.retriever import Retriever
from mmlab.retrieve.query.spec import EARLY, QUERY_FUSIONS, Query, SearchResult, modality_of
from mmlab.retrieve.scores.fuse import FUSIONS


class Searcher(Protocol):
    """Who can be asked: a `Retriever`, or `SavedRankings`."""

    def search(
        self,
        query: Any,
        to: str = "image",
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
        **settings: Any,
    ) -> SearchResult:
        """Return the `k` best items of modality `to`."""

    def count(self, to: str) -> int:
        """Return the number of items of modality `to` that can be found."""

    def session(self) -> AbstractContextManager:
        """Keep open what a search needs, for several of them."""


System = Mapping[str, Searcher]  # who is asked by a text and who by an image, see `open_retrievers`
Systems = Mapping[str, System]


def systems_of(answering: "Searcher | Mapping[str, Searcher | System]") -> dict[str, System]:
    """Return systems by name: of one retriever, called "", or of several, each a retriever or one for each modality.

    A name is only a name: {"text": a, "image": b} are two systems, {"mine": {"text": a, "image": b}} is one.
    """
    if not isinstance(answering, Mapping):
        return {"": dict.fromkeys(MODALITIES, answering)}
    return {
        name: one if isinstance(one, Mapping) else dict.fromkeys(MODALITIES, one)
        for name, one in answering.items()
    }


def open_retrievers(index: Index, vectors: Sequence[Vectors], items: pd.DataFrame) -> dict[str, Retriever]:
    """Return for each modality that can ask, "text" and "image", the first of the run's models that embeds it.

    `vectors`: those of the run's models, the main one first. Where no item is of a modality, as no text is in a
    collection of photos, the first model that is able to embed it answers. The models are loaded; with a joint space
    both retrievers are one and the same.
    """
    modality = items.set_index("item_id")["modality"]
    models: dict[str, Model] = {}
    found = {}
    for source in MODALITIES:
        holding = [own for own in vectors if (modality.reindex(own.ids) == source).any()]
        for own in holding or ([] if (modality == source).any() else vectors):
            key = own.space.key
            models[key] = models.get(key) or load_for(own.space)
            if holding or source in models[key].modalities:
                found[source] = Retriever(index, models[key])
                break
    return found


def open_systems(
    opened: Mapping[str, Retriever], vectors: Sequence[Vectors], items: pd.DataFrame
) -> dict[str, dict[str, Retriever]]:
    """Open the systems of a run that a panel lets choose from, the one that is `opened` (`open_retrievers`) first.

    One for each further model of `vectors`, which is loaded; in the index's own layout and in every other one that the
    same store holds this index in. They are called by their models, and by the layout where there are several.
    """
    index = next(iter(opened.values())).index
    used = {one.model.space for one in opened.values()}
    more = [open_retrievers(index, [own], items) for own in vectors if own.space not in used]
    layouts = [index, *index.other_layouts()]
    return {
        _name(system) + (f", {one.layout}" if len(layouts) > 1 else ""): _over(system, one)
        for one in layouts
        for system in (opened, *more)
        if all(retriever.model.space in one.spaces for retriever in system.values())
    }


def retrievers_of(systems: Systems) -> list[Retriever]:
    """Return all retrievers of these systems: none where all answers are saved rankings."""
    return [one for system in systems.values() for one in system.values() if isinstance(one, Retriever)]


def filterable_fields(systems: Systems) -> dict[str, str]:
    """Return the payload fields that can be filtered by, and their kinds, from the schema of the first index."""
    return next(
        (dict(next(iter(one.index.schemas.values())).filterable) for one in retrievers_of(systems)), {}
    )


def fusion_options(systems: Systems, chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the fusions that fit the chosen systems, all of them where none is: "early" needs one space for both."""
    names = list(chosen or systems)
    retrievers = retrievers_of({"": systems[names[0]]})
    spaces = {one.model.space for one in retrievers}
    joint = len(names) == 1 and len(retrievers) == len(MODALITIES) and len(spaces) == 1
    return QUERY_FUSIONS if joint else tuple(FUSIONS)


def crop_matcher(systems: Systems) -> Match | None:
    """Return `match_by_crops` of the first model that embeds texts and images; None where there is no such model.

    It holds a text against an image, and raises ValueError for two texts or two images.
    """
    joint = [name for name in systems if EARLY in fusion_options(systems, [name])]
    if not joint:
        return None
    crops = match_by_crops(retrievers_of({"": systems[joint[0]]})[0].model)

    def match(texts: list[Any], images: list[Any]) -> Any:
        if not all(isinstance(text, str) for text in texts) or any(isinstance(one, str) for one in images):
            raise ValueError(
                "ranking again by parts of the image holds a text against an image: ask by text for images or by "
                "image for texts, or rank none again"
            )
        return crops(texts, images)

    return match


def _name(system: Mapping[str, Retriever]) -> str:
    return " + ".join(dict.fromkeys(one.model.space.key for one in system.values()))


def _over(system: Mapping[str, Retriever], index: Index) -> dict[str, Retriever]:
    """Return the same models over another index."""
    return {source: replace(one, index=index) for source, one in system.items()}


def find_right_answers(items: pd.DataFrame, query: Query) -> list[str] | None:
    """Return the item_ids of the modality asked for that belong to the query's pair; None where it is nobody's.

    An image of the collection counts, else a text that some item has word by word; with both, the image's.
    """
    known = _query_items(items, query)
    if known.empty:
        return None
    answers = items[(items["modality"] == query.to) & is_among(items["pair_id"], known["pair_id"])]
    return answers["item_id"].tolist()


def add_pair_columns(hits: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Add `pair_image`, the path of the pair's image, and `words`, the pair's first text or its label, to hits."""
    images = items[items["modality"] == "image"].drop_duplicates("pair_id").set_index("pair_id")["image"]
    texts = items[items["modality"] == "text"].drop_duplicates("pair_id").set_index("pair_id")["text"]
    words = hits["text"].astype(object)
    for fallback in (hits["pair_id"].map(texts), hits["label"], hits["pair_id"]):
        words = words.fillna(fallback)
    pair_image = hits["image"].astype(object).fillna(hits["pair_id"].map(images))
    return hits.assign(pair_image=pair_image, words=words)


@dataclass(frozen=True, repr=False)
class SavedRankings:
    """The rankings that a run saved, by direction ("text-to-image"), and its items; asked as a `Retriever` is.

    Its queries are answered again, without a model and without a store.
    """

    rankings: Mapping[str, pd.DataFrame]
    items: pd.DataFrame

    def __repr__(self) -> str:
        return f"SavedRankings({', '.join(self.rankings)})"

    def session(self) -> AbstractContextManager:
        """Return a context in which nothing is opened: there is no store."""
        return nullcontext(self)

    def count(self, to: str) -> int:
        """Return the number of items of modality `to`."""
        return int((self.items["modality"] == to).sum())

    def search(
        self,
        query: str | Path,
        to: str = "image",
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exact: bool = False,
        **settings: Any,
    ) -> SearchResult:
        """Return the first `k` of the ranking that was saved for this text or image of the collection.

        `exact` changes nothing: what was ranked is ranked. Raises ValueError for a filter and other settings, for a
        direction without rankings, and for a query that is none of theirs.
        """
        if where or settings:
            names = ", ".join([*(["filters"] if where else []), *settings])
            raise ValueError(f"saved rankings cannot be searched anew; leave out: {names}")
        direction = f"{modality_of(query)}-to-{to}"
        if direction not in self.rankings:
            raise ValueError(f"no rankings {direction} are saved; there are {', '.join(self.rankings)}")
        ranked = check_columns(self.rankings[direction], RANKING_COLUMNS, direction)
        found = ranked[ranked["query_id"] == self._query_id(query, ranked)].nsmallest(k, "rank")
        hits = found[["item_id", "rank", "score"]].merge(self.items, on="item_id")
        return SearchResult(hits, {"embed_ms": 0.0, "search_ms": 0.0, "payload_ms": 0.0})

    def _query_id(self, query: str | Path, ranked: pd.DataFrame) -> str:
        known = self.items.loc[self.items[modality_of(query)] == str(query), "item_id"]
        ranked_ones = known[is_among(known, ranked["query_id"])]
        if ranked_ones.empty:
            raise ValueError(
                f"{str(query)[:100]!r} is none of the queries that were ranked; choose one of the collection"
            )
        return ranked_ones.iloc[0]


def saved_rankings_by_run(
    rankings: Mapping[str, Mapping[str, pd.DataFrame]], items: pd.DataFrame
) -> dict[str, SavedRankings]:
    """Return each run's saved rankings by its name, from the rankings of each direction by run.

    A run need not have ranked both directions.
    """
    runs = dict.fromkeys(run for tables in rankings.values() for run in tables)
    return {
        run: SavedRankings(
            {direction: tables[run] for direction, tables in rankings.items() if run in tables}, items
        )
        for run in runs
    }


def _query_items(items: pd.DataFrame, query: Query) -> pd.DataFrame:
    if isinstance(query.image, Path):
        return items[items["image"] == str(query.image)]
    if query.image is not None:
        return items.head(0)
    return items[items["text"] == query.text]
