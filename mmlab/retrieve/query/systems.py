"""Who answers, by name: the models of a run, in every layout that its store holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from mmlab.items import MODALITIES, Vectors
from mmlab.retrieve.query.hybrid import hybrid_ways
from mmlab.retrieve.query.rerank import Match, match_by_crops
from mmlab.retrieve.query.retriever import Retriever, open_retrievers
from mmlab.retrieve.query.spec import EARLY
from mmlab.retrieve.scores.fuse import FUSIONS

if TYPE_CHECKING:
    from mmlab.index import Index

System = Mapping[str, Retriever]  # who is asked by a text and who by an image, see `open_retrievers`
Systems = Mapping[str, System]


def systems_of(answering: "Retriever | Mapping[str, Retriever | System]") -> dict[str, System]:
    """Systems by name: of one retriever, called "", or of several, each a retriever or one for each modality.

    A name is only a name: {"text": a, "image": b} are two systems, {"mine": {"text": a, "image": b}} is one.
    """
    if not isinstance(answering, Mapping):
        return {"": dict.fromkeys(MODALITIES, answering)}
    return {
        name: one if isinstance(one, Mapping) else dict.fromkeys(MODALITIES, one)
        for name, one in answering.items()
    }


def panel_systems(opened: System, spaces: Sequence[Vectors], items: pd.DataFrame) -> dict[str, System]:
    """The systems of a run for a panel to choose from, the one that is `opened` (`open_retrievers`) first.

    One for each further model of `spaces`, which is loaded; in the index's own layout and in every other one that the
    same store holds this index in. They are called by their models, and by the layout where there are several.
    """
    index = next(iter(opened.values())).index
    used = {one.model.space for one in opened.values()}
    more = [open_retrievers(index, [vectors], items) for vectors in spaces if vectors.space not in used]
    layouts = [index, *index.other_layouts()]
    return {
        _name(system) + (f", {one.layout}" if len(layouts) > 1 else ""): _move(system, one)
        for one in layouts
        for system in (opened, *more)
        if all(asked.model.space in one.spaces for asked in system.values())
    }


def is_live(systems: Systems) -> bool:
    """Whether any of them can be asked something new, in another way; rankings that are written cannot."""
    return any(isinstance(one, Retriever) for system in systems.values() for one in system.values())


def filterable(systems: Systems) -> dict[str, str]:
    """The payload fields that can be filtered by, and their kinds, from the schema of the first index."""
    for system in systems.values():
        for one in system.values():
            if isinstance(one, Retriever):
                return dict(next(iter(one.index.schemas.values())).filterable)
    return {}


def fusion_ways(systems: Systems, chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """The ways to fuse that fit the chosen systems, all of them where none is: early needs one space for all."""
    names = list(chosen or systems)
    system = systems[names[0]]
    if len(names) > 1 or set(system) != set(MODALITIES) or not is_live({"": system}):
        return tuple(FUSIONS)
    return hybrid_ways(system)


def match_crops(systems: Systems) -> Match | None:
    """`match_by_crops` by the first model that reads texts and sees images; None where there is no such model.

    It holds a text against an image, and raises ValueError for two texts or two images.
    """
    joint = [name for name in systems if EARLY in fusion_ways(systems, [name])]
    if not joint:
        return None
    crops = match_by_crops(systems[joint[0]]["text"].model)

    def match(texts: list[Any], images: list[Any]) -> Any:
        if not all(isinstance(text, str) for text in texts) or any(isinstance(one, str) for one in images):
            raise ValueError(
                "ranking again by parts of the image holds a text against an image: ask by text for images or by "
                "image for texts, or rank none again"
            )
        return crops(texts, images)

    return match


def _name(system: System) -> str:
    return " + ".join(dict.fromkeys(one.model.space.key for one in system.values()))


def _move(system: System, index: "Index") -> dict[str, Retriever]:
    """The same models over another index."""
    return {side: replace(one, index=index) for side, one in system.items()}
