"""Who answers, by name: the models of a run, in every layout that its store holds, or rankings that were saved."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Protocol, cast

import pandas as pd

from mmlab.embed import DeferredModel, Model
from mmlab.embed.given_vectors import KnownVectors, NoModel
from mmlab.index import Index
from mmlab.index.engines.bm25 import BM25, WordModel, system_name
from mmlab.items import MODALITIES, Space, Vectors
from mmlab.items.ragged_vectors import AnyVectors
from mmlab.retrieve.query.rerank import Match, match_by_crops
from mmlab.retrieve.query.retriever import Retriever
from mmlab.retrieve.query.spec import EARLY, QUERY_FUSIONS, SearchResult
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
    collection of photos, the first model that is able to embed it answers. A model is loaded when it is first asked;
    with a joint space both retrievers are one and the same.
    """
    modality = items.set_index("item_id")["modality"]
    models: dict[str, Model] = {}
    found = {}
    for source in MODALITIES:
        holding = [own for own in vectors if (modality.reindex(own.ids) == source).any()]
        for own in holding or ([] if (modality == source).any() else vectors):
            key = own.space.key
            models[key] = models.get(key) or cast("Model", _model_of(own.space))
            if holding or source in models[key].modalities:
                found[source] = Retriever(index, models[key], KnownVectors(items, own))
                break
    return found


def _model_of(space: Space) -> DeferredModel | NoModel:
    return DeferredModel(space) if space.has_model else NoModel(space)


def open_systems(
    opened: Mapping[str, Retriever], vectors: Sequence[AnyVectors], items: pd.DataFrame
) -> dict[str, dict[str, Retriever]]:
    """Open the systems of a run that a panel lets choose from, the one that is `opened` (`open_retrievers`) first.

    One for each further model of `vectors`, in the index's own layout and in every other one that the
    same store holds this index in. They are called by their models, and by the layout where there are several.
    """
    index = next(iter(opened.values())).index
    used = {one.model.space for one in opened.values()}
    more = [_open_system(index, own, items) for own in vectors if own.space not in used]
    layouts = [index, *index.other_layouts()]
    return {
        _name(system) + (f", {one.layout}" if len(layouts) > 1 else ""): _over(system, one)
        for one in layouts
        for system in (opened, *more)
        if all(retriever.model.space in one.spaces for retriever in system.values())
    }


def _open_system(index: Index, own: AnyVectors, items: pd.DataFrame) -> dict[str, Retriever]:
    """Return who is asked of the vectors of one model; terms and rows of tokens are asked by text alone."""
    if isinstance(own, Vectors):
        return open_retrievers(index, [own], items)
    model = WordModel.of(own.space) if own.space.model == BM25 else DeferredModel(own.space)
    return {"text": Retriever(index, cast("Model", model))}


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
    return " + ".join(dict.fromkeys(system_name(one.model.space) for one in system.values()))


def _over(system: Mapping[str, Retriever], index: Index) -> dict[str, Retriever]:
    """Return the same models over another index."""
    return {source: replace(one, index=index) for source, one in system.items()}
